"""The second reading: its cells beside those from ones and the paper's."""

from pathlib import Path

import pandas as pd
import pytest

from rllc.replication import analysis, paper, second_reading
from rllc.replication.second_reading import LAW
from rllc.suite.choose import selection
from tests.suite import synthetic_records as made

TASK, ALONE = "cifar10_mlp", "M(0.9)"
ROOT = Path(__file__).parents[2]


def run(law, seed, floor, **more):
    row, curve = made.run(TASK, ALONE, seed, floor=floor, noise=0.0, **more)
    name = f"{row['run']}-{law}"
    return made.with_law(row, law) | {"run": name}, curve.assign(run=name)


def replication(**errors):
    """A tuning run and three final ones from each initial law, by the error they end at."""
    pairs = [run(law, seed, errors[law]) for law in errors for seed in (100, 0, 1, 2)]
    gathered = made.gather(pairs)
    tidy = selection.tidy(gathered.runs[gathered.runs.settings.str.contains("ones")])
    return analysis.analyse(gathered, defaults={(TASK, ALONE): tidy.variant.iloc[0]})


@pytest.fixture(scope="module")
def theirs():
    """The paper's error of this cell."""
    cells = paper.cells().set_index(["task", "optimizer"])
    return 1 - cells.test_accuracy_mean[TASK, ALONE] / 100


@pytest.mark.slow
def test_cells_agree_by_the_papers_tolerance(theirs):
    measured = replication(ones=theirs - 0.02, **{LAW: theirs})
    found = measured.second
    (row,) = found.itertuples()
    assert row.accuracy == pytest.approx(row.paper_accuracy, abs=0.1)
    assert row.ones == pytest.approx(row.accuracy + 2, abs=0.1)
    assert (row.agrees, row.ones_agrees, row.seeds) == (True, False, 3)
    words = second_reading.in_words(found)
    assert words.startswith("1 of 1 cells agree with the paper (from ones 0, by the null ")
    assert words.endswith("; CIFAR-10 MLP")
    text = second_reading.page(found, measured.witnesses)
    assert f"{row.accuracy:.2f} ✓ | 3 |" in text
    assert "witness" not in text
    witness = {"answer": LAW, "task": TASK, "crossing": 1936.4, "as_in_paper": True}
    seen = second_reading.page(found, pd.DataFrame([witness]))
    assert "passes Nesterov's ratio at step 1,936, where" in seen
    assert "1 of 56 RLLC cells are trained so far." in text


@pytest.mark.slow
def test_without_its_runs_nothing_is_said():
    measured = replication(ones=0.4)
    found = measured.second
    assert found.empty
    assert second_reading.in_words(found) == ""
    assert "Not yet measured." in second_reading.page(found, measured.witnesses)


def test_what_readme_and_docs_say_of_it_holds():
    cells = pd.read_csv(ROOT / "results" / "tables" / "second_reading.csv")
    cells = cells[cells.task == TASK]
    assert len(cells) >= 6
    assert cells.agrees.sum() > cells.null_agrees.sum() > cells.ones_agrees.sum()
    assert cells.agrees.mean() > 0.5
    laws = pd.read_csv(ROOT / "results" / "tables" / "initial_laws.csv")
    (law,) = laws[(laws.answer == LAW) & (laws.task == TASK)].itertuples()
    assert law.as_in_paper
    assert 1_000 < law.crossing < 3_000
