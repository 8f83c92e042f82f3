"""Tables 1 and 2: marks, notes, missing cells, and bytes."""

import re

import pandas as pd
import pytest

from rllc.replication import aggregation as replication_tables
from rllc.replication import analysis as replication
from rllc.replication import paper
from rllc.replication.paper import STUDY
from rllc.suite.show import aggregation, analysis, tables, typesetting
from tests.suite import synthetic_records as made

TASK = "mnist_mlp"


def analysed(errors, seeds=range(3), noise=1e-4, **settings):
    pairs = [
        made.run(TASK, name, seed, floor=error, noise=noise, **settings)
        for name, error in errors.items()
        for seed in (*seeds, 100)
    ]
    return analysis.analyse(STUDY, made.gather(pairs))


@pytest.fixture(scope="module")
def known():
    errors = {"SGD": 0.03, "Momentum SGD": 0.025, "Adam": 0.02, "M(0.9)": 0.018, "M2(0.6)": 0.04}
    return analysed(errors)


def markdown_rows(text, optimizer, column="MNIST MLP"):
    """Cells of one optimizer's rows in the first (headline) section of a Markdown table."""
    lines = text.split("## ")[1].splitlines()
    head = next(line for line in lines if line.startswith("| optimizer"))
    place = [part.strip() for part in head.split("|")].index(column)
    name = paper.pretty(optimizer)
    rows = [[part.strip() for part in line.split("|")] for line in lines]
    return [row[place] for row in rows if len(row) > place and row[1] == name]


def test_marks_of_a_column(known):
    last = known.cells[known.cells.reading == "last"]
    marks = tables.marks(STUDY, last)
    assert marks["Adam", TASK] == tables.Mark(True, False, False)
    assert marks["M(0.9)", TASK] == tables.Mark(False, True, True)
    assert marks["SGD", TASK] == marks["M2(0.6)", TASK] == tables.Mark(False, False, False)
    assert tables.marks(STUDY, last, "loss") == marks  # lowest where errors are


def test_nothing_is_marked_while_a_baseline_is_missing():
    cells = analysed({"SGD": 0.03, "Adam": 0.02, "M(0.9)": 0.018}).cells
    marks = tables.marks(STUDY, cells[cells.reading == "last"])
    assert set(marks.values()) == {tables.Mark(False, False, False)}


def test_rates_from_a_short_grid_or_from_no_tuning_are_marked(known):
    assert (
        "§" in markdown_rows(typesetting.in_one_page(STUDY, known.cells, 1), "SGD")[1]
    )  # one point
    pairs = [made.run(TASK, "SGD", seed) for seed in range(3)]
    untuned = analysis.analyse(STUDY, made.gather(pairs)).cells
    assert "§" in markdown_rows(typesetting.in_one_page(STUDY, untuned, 1), "SGD")[1]
    pairs += [made.run(TASK, "SGD", 100, made.BEST_RATE * 2.0**i) for i in range(15)]
    whole = analysis.analyse(STUDY, made.gather(pairs)).cells
    assert "§" not in markdown_rows(typesetting.in_one_page(STUDY, whole, 1), "SGD")[1]


def test_markdown_shows_ours_the_papers_and_what_is_missing(known):
    text = typesetting.in_one_page(STUDY, known.cells, 1)
    loss, accuracy = markdown_rows(text, "Adam")
    assert re.fullmatch(r"🔷0\.0\d{3}§ \(0\.0758\)", loss)
    assert re.fullmatch(r"🔷9[78]\.\d\d§≠? \(97\.83\)", accuracy)
    assert markdown_rows(text, "M(0.9)")[1].startswith("🟩**98.")
    assert markdown_rows(text, "M3(0.6)") == ["– (0.0797)", "– (98.22)"]
    assert markdown_rows(text, "SGD", "CIFAR-10 Conv") == ["– (0.8359)", "– (71.37)"]
    assert set(re.findall(r"^## (\w+)", text, re.M)) == {"last", "validated", "best"}


@pytest.mark.slow
def test_an_interval_that_excludes_the_paper_is_marked():
    far = analysed({"SGD": 0.05})  # 95 % where the paper has 98.16
    assert "≠" in markdown_rows(typesetting.in_one_page(STUDY, far.cells, 1), "SGD")[1]
    near = analysed({"SGD": 1 - 0.981573}, noise=0.005)
    assert "≠" not in markdown_rows(typesetting.in_one_page(STUDY, near.cells, 1), "SGD")[1]
    alone = analysed({"SGD": 0.05}, seeds=[0])  # one seed has no interval
    assert "≠" not in markdown_rows(typesetting.in_one_page(STUDY, alone.cells, 1), "SGD")[1]


@pytest.mark.slow
def test_reduced_and_diverged_runs_are_said_to_be():
    reduced = analysed({"SGD": 0.03}, steps=2_000)
    assert "†" in markdown_rows(typesetting.in_one_page(STUDY, reduced.cells, 1), "SGD")[1]
    pairs = [made.run(TASK, "SGD", seed) for seed in (0, 1)]
    pairs.append(made.run(TASK, "SGD", 2, status="diverged"))
    cells = analysis.analyse(STUDY, made.gather(pairs)).cells
    assert "‡1" in markdown_rows(typesetting.in_one_page(STUDY, cells, 1), "SGD")[1]
    cells = cells.assign(at_chance=1)
    assert "‡1∅1" in markdown_rows(typesetting.in_one_page(STUDY, cells, 1), "SGD")[1]
    gone = [made.run(TASK, "SGD", seed, status="diverged") for seed in range(3)]
    cells = analysis.analyse(STUDY, made.gather(gone)).cells
    assert "diverged§‡3" in markdown_rows(typesetting.in_one_page(STUDY, cells, 1), "SGD")[1]


def test_table2_has_deviation_and_number_of_seeds(known):
    (cell,) = markdown_rows(typesetting.in_one_page(STUDY, known.cells, 2), "SGD")
    assert re.fullmatch(r"96\.\d\d ± 0\.\d\d, n=3§≠? \(98\.16 ± 0\.03; Δ -1\.\d\d\)", cell)


@pytest.mark.parametrize("number", [1, 2])
def test_latex_is_balanced_and_coloured(known, number):
    text = typesetting.in_latex_tables(STUDY, known.cells, number)
    assert text.count("{") == text.count("}")
    assert text.count(r"\begin") == text.count(r"\end")
    assert r"\textcolor{blue}" in text
    assert r"\textcolor{green!50!black}{\textbf{" in text
    assert "⊕" not in text
    assert "±" not in text
    assert "Δ" not in text
    columns = {line.count("&") for line in text.splitlines() if line.endswith(r"\\")}
    assert columns == {8 if number == 1 else 7}
    assert not re.search(r"(?<!\\)%(?! Generated)", text)


def test_optimizers_the_paper_has_not_follow_its_own():
    cells = analysed({"SGD": 0.03, "Neighbour": 0.02}).cells
    text = typesetting.in_one_page(STUDY, cells, 1)
    assert markdown_rows(text, "Neighbour")[0].endswith("(–)")
    assert text.index("CM(0.9i)") < text.index("| Neighbour")


def test_long_form_csv(known, tmp_path):
    aggregation.write_tables(known, tmp_path)
    table = pd.read_csv(tmp_path / "tables" / "table1.csv")
    needed = "optimizer task reading seeds steps device test_loss_mean test_loss_std"
    needed += " test_accuracy_mean test_accuracy_std"
    assert set(needed.split()) <= set(table.columns)
    assert len(table) == 5 * 3
    row = table[(table.optimizer == "M(0.9)") & (table.reading == "last")].iloc[0]
    assert row.test_accuracy_mean == pytest.approx(100 - 1.02 * 1.8, abs=0.05)  # percent
    assert (row.seeds, row.steps, row.device) == (3, 10_000, "cpu (made up)")
    assert row.paper_accuracy == 98.2133


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes_in_any_order(known, tmp_path):
    records = known.records
    shuffled = made.SyntheticRecords(
        records.runs.sample(frac=1, random_state=1), records.curves.sample(frac=1, random_state=2)
    )
    for name, given in (("a", records), ("b", shuffled)):
        found = replication.analyse(given)
        replication_tables.write_tables(found, tmp_path / name)
        replication_tables.write_report(found, tmp_path / name)
    files = sorted(path for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) >= 15
    for path in files:
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes(), path.name
