"""README, docs and what the code host reads: links lead somewhere, examples are valid."""

import re
from pathlib import Path

import jax
import pytest
import yaml

import rllc
from rllc.suite import study

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
GUIDES = [ROOT / "README.md", ROOT / "docs" / "benchmark.md"]

# Named in the text, but of the user's own folder, or where something new would go.
ELSEWHERE = {
    "conf/task/points.yaml", "conf/task/NAME.yaml", "conf/optimizer/NAME.yaml",
    "examples/regression/results",
}  # fmt: skip


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def relative(path):
    return path.relative_to(ROOT).as_posix()


def anchors(page):
    """Anchors of a page's headings, as code hosts and MyST make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_to_files_and_headings_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        file, _, anchor = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), f"{relative(page)} links to {target}"
        assert not anchor or anchor in anchors(there), f"{relative(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_files_named_in_the_text_exist(page):
    folders = "scripts|tests|tasks|rllc|conf|examples|docs|results|requirements"
    for name in re.findall(rf"(?<![\w./])((?:{folders})/[\w./]*\w)(?![\w*])", page.read_text()):
        assert (ROOT / name).exists() or name in ELSEWHERE, f"{relative(page)} names {name}"


def test_everything_public_is_in_the_api_page():
    text = (ROOT / "docs" / "api.md").read_text()
    listed = re.findall(r"auto(?:function|class):: (?:rllc\.)?(\w+)\n", text)
    assert sorted(listed) == sorted(rllc.__all__)


def test_every_page_is_in_the_contents():
    contents = blocks(ROOT / "docs" / "index.md", r"\{toctree\}")
    named = {name for block in contents for name in block.split()}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"} <= named


@pytest.mark.parametrize("page", GUIDES, ids=relative)
def test_the_studies_shown_can_be_read(page, tmp_path):
    shown = [text for text in blocks(page, "yaml") if "optimizers:" in text]
    assert shown
    for text in shown:
        (tmp_path / "conf").mkdir(exist_ok=True)
        (tmp_path / "study.yaml").write_text(text)
        found = study.read(tmp_path / "study.yaml")
        assert found.tasks == ("points",)
        assert found.steps == 1000


@pytest.mark.parametrize("page", GUIDES, ids=relative)
def test_the_optimizers_shown_are_complete(page):
    shown = [yaml.safe_load(text) for text in blocks(page, "yaml") if "traced:" in text]
    assert shown
    for config in shown:
        assert {"name", "id", "_target_"} <= set(config)
        assert set(config["traced"]) <= set(config)
        assert set(config["grid"]) == set(config["traced"])


@pytest.mark.slow
def test_the_task_shown_gives_a_loss():
    (code,) = [text for text in blocks(ROOT / "docs" / "benchmark.md", "python") if "Task(" in text]
    scope: dict = {}
    exec(code, scope)
    task = scope["linear"]("linear", 20)
    key = jax.random.key(0)
    params, state = task.init(key)
    batch = task.data(None).train(key, 0)
    loss, (_, metrics) = task.loss(params, state, batch, key, True)
    assert metrics["mse"].shape == (128,)
    assert float(loss) == pytest.approx(float(metrics["mse"].mean()))


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == rllc.__version__
    assert f"## [{rllc.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=relative)
def test_workflows_and_issue_templates_are_yaml(path):
    assert "name" in yaml.safe_load(path.read_text())
