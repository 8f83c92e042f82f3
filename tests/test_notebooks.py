"""The notebooks run from top to bottom on a small record set, and are committed with outputs."""

import base64
import io
import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from scripts import notebooks

ROOT = Path(__file__).resolve().parents[1]
PATHS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
# Number of figures each notebook draws, and what has to hold in it at the end.
EXPECTED = {
    # The made-up laws cross at step 2,000; their random walk moves that by some hundred steps.
    "law_dynamics": (4, "len(crossing) == 3 and np.abs(crossing - 2_000).max() < 800"),
    "normal_forms": (
        4,
        "str(form.propagator) == 'M(0.9)+M(-0.9)+CM(0.9i)'"
        " and np.abs(difference).max() < 1e-14 and np.abs(x - y).max() < 1e-9",
    ),
    "results": (3, "len(headline) == 5 and (headline.seeds == 3).all() and len(against) == 2"),
    "your_optimizer": (1, "len(a.final) == 12 and (a.final.status == 'finished').all()"),
}


def write_records(folder: Path) -> None:
    """Shards of made-up runs: three baselines and the two optimizers of Figure 2."""
    from rllc.replication import law_dynamics, paper
    from rllc.suite import metrics, records
    from tests.suite import synthetic_records as made

    names = (*paper.BASELINES, law_dynamics.MIXED, law_dynamics.COUPLED)
    cells = made.records(optimizers=names, tuning_seeds=(100,))
    curves = dict(iter(cells.curves.groupby("run")))
    for optimizer, runs in cells.runs.groupby("optimizer"):
        k = made.num_units(optimizer)
        columns = metrics.columns(metrics.CLASSIFICATION, batch_means=True)
        found = {c: np.stack([curves[r][c] for r in runs.run], axis=1) for c in columns}
        laws = [np.stack(list(cells.laws([r]).law)) for r in runs.run] if k else []
        probes = {"law": np.stack(laws, axis=1)} if k else {}
        header = {
            "task": {"name": "mnist_mlp"},
            "optimizer": {
                "name": optimizer, "family": runs.family.iloc[0],
                **({"propagator": optimizer, "epsilon": 1e-6} if k else {}),
            },
            "protocol": {"steps": 10_000, "batch_size": 128, "data": "real"},
            "group": "made-up", "device": "made up", "created": "2025-01-01T00:00:00+00:00",
            "runs": [
                {
                    "run": run.run, "seed": run.seed, "role": run.role, "status": run.status,
                    "diverged_at": None, "hyper": json.loads(run.hyper),
                    "settings": {"initial_law": [1.0] * k} if k else {},
                }
                for run in runs.itertuples()
            ],
        }  # fmt: skip
        table = records.curve_table(list(runs.run), found, made.EVALUATIONS, probes, 10)
        records.write_shard(folder, optimizer, header, table)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One kernel for all notebooks (imports take longer than they do), started beside them."""
    folder = tmp_path_factory.mktemp("notebooks")
    write_records(folder / "records")
    environment = {
        "RLLC_RECORDS": folder / "records",
        "RLLC_CACHE": folder / "cache",
        "IPYTHONDIR": folder / "ipython",  # no start-up files of the user's
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiling takes longer than training here
    }
    resources = {"metadata": {"path": str(ROOT / "notebooks")}}
    client = NotebookClient(nbformat.v4.new_notebook(), resources=resources, kernel_name="python3")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, str(value))
        with client.setup_kernel():
            yield client


def run(kernel, *sources: str) -> list:
    """Outputs of code cells executed one after another; an exception in one is raised here."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    client = NotebookClient(notebook, km=kernel.km, timeout=300)
    client.kc = kernel.kc
    for number, cell in enumerate(notebook.cells):
        client.execute_cell(cell, number)
    return [output for cell in notebook.cells for output in cell.outputs]


def printed(outputs: list, stream: str = "stdout") -> str:
    return "".join(output.text for output in outputs if output.get("name") == stream)


@pytest.mark.slow
@pytest.mark.parametrize("name", PATHS)
def test_notebook_runs_from_top_to_bottom(name, kernel):
    """The first starts in the notebooks folder, the others in the root of the repository."""
    folder = "notebooks" if name == min(PATHS) else "."
    run(kernel, f"%reset -f\n%cd -q {ROOT / folder}")
    cells = nbformat.read(PATHS[name], 4).cells
    outputs = run(kernel, *(cell.source for cell in cells if cell.cell_type == "code"))
    assert "Warning" not in printed(outputs, "stderr")
    figures, condition = EXPECTED[name]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == figures
    assert printed(run(kernel, f"print(bool({condition}))")) == "True\n", condition


@pytest.mark.parametrize("name", PATHS)
def test_a_notebook_is_committed_with_the_outputs_of_its_code(name):
    text = PATHS[name].read_text(encoding="utf-8")
    notebook = nbformat.reads(text, 4)
    cells = notebooks.code(notebook)
    assert notebook.metadata.code_sha256 == notebooks.digest(notebook), "run make notebooks"
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown = [output.get("data", {}) for cell in cells for output in cell.outputs]
    pictures = [data["image/png"] for data in shown if "image/png" in data]
    assert len(pictures) >= EXPECTED[name][0]
    for picture in pictures:
        Image.open(io.BytesIO(base64.b64decode(picture))).verify()
    assert nbformat.writes(notebooks.tidied(notebook)) + "\n" == text  # no error, path or address


def test_the_notebooks_are_small():
    assert sum(path.stat().st_size for path in PATHS.values()) < 1.5e6


def made(**output):
    """A notebook of one cell with one output, as a kernel leaves it."""
    cell = nbformat.v4.new_code_cell("1", id="a", execution_count=3, metadata={"collapsed": True})
    cell.outputs = [nbformat.v4.new_output(**output)]
    language = {"name": "python", "version": "3"}
    return nbformat.v4.new_notebook(cells=[cell], metadata={"language_info": language})


def test_traces_of_the_machine_are_left_out():
    data = {"text/plain": "1"}
    given = made(output_type="execute_result", data=data, execution_count=3, metadata={"a": 1})
    tidy = notebooks.tidied(given)
    (cell,) = tidy.cells
    assert (cell.execution_count, cell.metadata, cell.outputs[0].data) == (1, {}, data)
    assert (cell.outputs[0].execution_count, cell.outputs[0].metadata) == (1, {})
    assert tidy.metadata == notebooks.METADATA | {"code_sha256": notebooks.digest(given)}


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"output_type": "stream", "name": "stderr", "text": "Warning"}, "complains: Warning"),
        ({"output_type": "error", "ename": "E", "evalue": "bad"}, "complains: bad"),
        ({"output_type": "stream", "text": "<f at 0x7f00deadbeef>"}, "address in memory: 0x7f00"),
        ({"output_type": "stream", "text": f"in {ROOT}/results"}, "a path of this machine"),
        ({"output_type": "display_data", "data": {"text/plain": f"{ROOT}"}}, "a path of this"),
    ],
)
def test_what_another_run_would_show_differently_is_refused(output, message):
    with pytest.raises(notebooks.Unfit, match=f"code cell 1 .*{message}"):
        notebooks.tidied(made(**output))
