"""The notebooks run from top to bottom on a small record set, and are committed without outputs.

`python tests/test_notebooks.py` strips them.
"""

import json
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PATHS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
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


def stripped(text: str) -> str:
    """A notebook without outputs, execution counts and traces of the machine it ran on."""
    notebook = nbformat.reads(text, 4)
    notebook.metadata = METADATA
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(notebook) + "\n"


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
def test_notebook_is_committed_without_outputs_and_metadata(name):
    text = PATHS[name].read_text()
    assert text == stripped(text), "`python tests/test_notebooks.py` strips the notebooks"


def test_stripping_takes_outputs_counts_and_metadata():
    cell = nbformat.v4.new_code_cell("1", id="a", execution_count=3, metadata={"collapsed": True})
    cell.outputs = [nbformat.v4.new_output("stream", text="1")]
    notebook = nbformat.v4.new_notebook(
        cells=[cell], metadata={"language_info": {"name": "python", "version": "3"}}
    )
    clean = nbformat.reads(stripped(nbformat.writes(notebook)), 4)
    assert clean.metadata == METADATA
    only = {"id": "a", "cell_type": "code", "source": "1"}
    assert clean.cells == [only | {"metadata": {}, "outputs": [], "execution_count": None}]


if __name__ == "__main__":
    for path in PATHS.values():
        path.write_text(stripped(path.read_text()))
    print(f"stripped {len(PATHS)} notebooks", file=sys.stderr)
