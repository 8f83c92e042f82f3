"""The page without a browser: its numbers, its links, its HTML, its charts, its size."""

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from rllc.suite.execute import pages as documents
from rllc.suite.markdown import counted
from rllc.suite.score import ranking
from rllc.suite.score.readings import READINGS
from rllc.suite.score.statistics import mean_interval
from rllc.suite.show.page import cells, charts, contents, maps, series, site
from rllc.suite.show.page.contents import Origin, Section, Table
from tests.suite import synthetic_records as made
from tests.suite.show import pages

COMMAND = "make verify RECORD={run} STEPS=all"


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return pages.analysed(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="module")
def folder(known, tmp_path_factory):
    """A written page, the charts' library (which takes seconds to bundle) left out."""
    place = tmp_path_factory.mktemp("page")
    origin = Origin(
        "2026-01-02T03:04:05+00:00", "abcdef0123456789", lambda file: f"records/{file}.json",
        COMMAND, "MIT", "*A paper*",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "library", lambda: "")
        site.write(known, place, origin)
    return place


def parsed(path):
    """Arguments of the call that a data script is."""
    text = path.read_text()
    return json.loads(f"[{text[text.index('(') + 1 : text.rindex(')')]}]")


@pytest.fixture(scope="module")
def data(folder):
    return parsed(folder / "data.js")[0]


@pytest.mark.slow
def test_every_cell_is_there_at_every_reading(known, data):
    keys = {(c["task"], c["optimizer"], c["reading"]) for c in data["cells"]}
    measured = {(task, name) for task in pages.TASKS for name in pages.OPTIMIZERS}
    assert keys == {(*cell, reading) for cell in measured for reading in READINGS}
    assert len(data["cells"]) == len(keys)


@pytest.mark.slow
def test_numbers_are_those_of_the_tables(known, data):
    table = known.cells.set_index(["task", "optimizer", "reading"])
    against = known.against[known.against.metric == "test_accuracy"]
    against = against.set_index(["task", "optimizer", "reading"])
    for cell in data["cells"]:
        key = (cell["task"], cell["optimizer"], cell["reading"])
        assert cell["mean"] == pytest.approx(table.test_accuracy_mean[key], rel=1e-5)
        assert cell["low"] <= cell["mean"] <= cell["high"]
        if "gain" in cell:
            assert cell["gain"] == pytest.approx(against.difference[key], rel=1e-3)
    values = known.rows.query("task == 'mnist_mlp' and optimizer == 'SGD' and reading == 'last'")
    low, high = mean_interval(values.test_accuracy, np.random.default_rng(0))[1:3]
    (cell,) = (
        c for c in data["cells"]
        if (c["task"], c["optimizer"], c["reading"]) == ("mnist_mlp", "SGD", "last")
    )  # fmt: skip
    assert (cell["low"], cell["high"]) == pytest.approx((low, high), rel=1e-4)


def test_every_number_leads_to_its_records_and_a_command(known, data):
    shown = {(c["task"], c["optimizer"]) for c in data["cells"]}
    by_cell = {(m["task"], m["optimizer"]): m["runs"] for m in data["made"]}
    assert set(by_cell) == shown
    names = {run["run"] for runs in by_cell.values() for run in runs}
    assert names == set(known.final.run)
    assert all(
        data["files"][r["file"]] == f"records/{r['file']}.json" for r in by_cell["mnist_mlp", "SGD"]
    )
    assert data["command"] == COMMAND


def test_diverged_runs_are_counted_and_not_in_the_mean(known, data):
    (cell,) = (
        c for c in data["cells"]
        if (c["task"], c["optimizer"], c["reading"]) == ("mnist_mlp", "Lion <b>", "last")
    )  # fmt: skip
    assert (cell["n"], cell["diverged"]) == (4, 1)
    assert cell["mean"] > 80
    (quantity,) = (
        q for q in series.quantities(known.study, "mnist_mlp") if q == "test accuracy (%)"
    )
    line = series.of_task(known, "mnist_mlp")["curves"]["Lion <b>"][quantity]
    assert set(line["seeds"]) == {"0", "1", "2", "3"}
    assert line["mean"][-1] > 80
    assert line["seeds"]["3"][-1] < 12


def test_lines_have_students_interval_by_hand():
    wide = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 2.0], "c": [50.0, 60.0]}, index=[0, 10])
    runs = pd.DataFrame(
        {"run": ["b", "a", "c"], "seed": [1, 0, 2], "status": ["finished"] * 2 + ["diverged"]}
    )
    line = series.line(wide, runs)
    assert line["steps"] == [0, 10]
    assert line["mean"] == [2.0, 2.0]
    half = 12.706 * math.sqrt(2) / math.sqrt(2)  # t of one degree of freedom, deviation, runs
    assert line["low"] == pytest.approx([2 - half, 2.0], abs=1e-3)
    assert line["high"] == pytest.approx([2 + half, 2.0], abs=1e-3)
    assert line["seeds"] == {"0": [1.0, 2.0], "1": [3.0, 2.0], "2": [50.0, 60.0]}


def test_one_run_has_no_interval():
    mean, low, high = series.student(np.array([[1.0], [np.nan]]))
    assert mean[0] == 1.0
    assert np.isnan([mean[1], *low, *high]).all()


@pytest.mark.parametrize("count", [1, 2, 61, 62, 1001])
def test_thinning_keeps_both_ends(count):
    at = series.thinned(count)
    assert at[0] == 0
    assert at[-1] == count - 1
    assert len(at) == len(set(at)) == min(count, series.MOST)


def test_probes_are_drawn_by_component(folder, data):
    name, steps = parsed(folder / data["tasks"][0]["file"])
    assert name == "mnist_mlp"
    law = steps["probes"]["law"]
    assert {label: len(lines) for label, lines in law.items()} == {
        "M(0.9)+M(0.0)": 2, "M(0.9)+M(0.8)+M(0.7)": 3,
    }  # fmt: skip
    assert law["M(0.9)+M(0.0)"][0]["steps"][-1] == 10_000


def test_maps_frame_the_best_point(data):
    for label in pages.OPTIMIZERS[:5]:
        (chosen,) = (
            p for p in data["maps"]["mnist_mlp"] if p["optimizer"] == label and p["chosen"]
        )
        assert chosen["excess"] == 0.0
        assert chosen["x"] == made.BEST_RATE
    baseline = [p for p in data["maps"]["mnist_mlp"] if p["optimizer"] == "SGD"]
    assert len(baseline) == 3
    assert {p["y"] for p in baseline} == {None}
    assert {p["up"] for p in data["maps"]["mnist_mlp"] if p["y"]} == {"law rate"}


def test_a_diverged_point_of_a_map_has_no_value(known):
    points = pd.DataFrame(
        {"task": "mnist_mlp", "optimizer": "SGD",
         "hyper": [made.hyper(learning_rate=r) for r in (1, 2)],
         "learning_rate": [1.0, 2.0], "value": [0.9, -np.inf], "steps": 10, "seeds": 1}
    )  # fmt: skip
    found = maps.of_task(known, points, "mnist_mlp")
    assert [(p["x"], p["value"], p["excess"]) for p in found] == [
        (1.0, 90.0, 0.0),
        (2.0, None, None),
    ]


def test_rankings_are_those_of_the_ranking(data):
    headline = [r for r in data["rankings"] if r["reading"] == data["headline"]]
    assert headline
    best = headline[0]["rows"]
    assert [row["gain"] for row in best] == sorted((row["gain"] for row in best), reverse=True)


@pytest.mark.slow
def test_rankings_have_untuned_scores_only_where_there_are_such_runs(data, tmp_path):
    assert "untuned" not in json.dumps(data["rankings"])
    a = pages.analysed(tmp_path, untuned=("Adam",))
    found = next(r for r in cells.rankings(a) if r["reading"] == data["headline"])
    plain = next(r for r in data["rankings"] if r["reading"] == data["headline"])
    rows = {row["optimizer"]: row for row in found["rows"]}
    assert rows["SGD"]["untuned"] == {"gain": None, "low": None, "high": None}
    score = rows["Adam"]["untuned"]
    assert score["low"] < score["gain"] < score["high"]
    tasks = list(pages.TASKS)
    table = ranking.ranking(a.study, a.rows, a.summary, tasks, untuned=a.untuned)
    assert score["gain"] == pytest.approx(table.set_index("optimizer").untuned["Adam"], rel=1e-3)
    kept = [{k: v for k, v in row.items() if k != "untuned"} for row in found["rows"]]
    assert kept == plain["rows"]  # the tuned know nothing of it


class Reader(HTMLParser):
    """What tests ask of a page: tags with their attributes, in order."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_html_says_what_it_is(folder):
    text = (folder / "index.html").read_text()
    page = Reader(text)
    assert page.named("html")[0]["lang"] == "en"
    assert any(meta.get("name") == "viewport" for meta in page.named("meta"))
    assert all("scope" in head for head in page.named("th"))
    assert len(page.named("caption")) >= 2
    assert len(page.named("h1")) == 1
    labelled = {a["aria-labelledby"] for a in page.named("section")}
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert labelled <= ids
    assert {a["href"][1:] for a in page.named("a") if a["href"].startswith("#")} <= ids
    for said in ("2026-01-02", "abcdef012345", "cpu (made up)", "<em>A paper</em>", "MIT"):
        assert said in text


def test_names_are_text_and_never_html(folder):
    text = (folder / "index.html").read_text()
    assert "Lion <b>" not in text
    assert "Lion &lt;b&gt;" in text


def test_nothing_is_loaded_from_elsewhere(folder):
    page = Reader((folder / "index.html").read_text())
    loaded = [
        a.get("src") or a.get("href") for tag in ("script", "link", "img") for a in page.named(tag)
    ]
    files = {name for name in loaded if name and not name.startswith("data:")}
    assert files == {"page.css", "data.js", "vega.js", "charts.js", "page.js"}
    assert all((folder / name).exists() for name in files)
    for name in ("page.js", "charts.js", "page.css"):
        assert not re.search(r"https?:|fetch\(|XMLHttpRequest|@import", (folder / name).read_text())


def test_a_study_is_judged_against_its_best_baseline(known):
    section = contents.verdict(known)
    text, table = section.parts
    assert isinstance(table, Table)
    words = [row[-1] for row in table.rows]
    assert len(words) == 2 * 3  # tasks, optimizers that are no baselines
    assert counted(6, "comparison") in text
    by = {tuple(row[:2]): row for row in table.rows}
    row = by["MNIST MLP", "Lion <b>"]  # made up with 90 %, where baselines have 98
    assert row[-1] == contents.WORSE
    assert float(row[3].split()[0]) == pytest.approx(-8.2, abs=0.5)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.2, "better"), (-0.2, -0.1, "worse"), (-0.1, 0.1, contents.LEVEL),
     (0.0, 0.1, contents.LEVEL), (np.nan, np.nan, contents.ONE_RUN)],
)  # fmt: skip
def test_words_of_intervals(low, high, said):
    row = pd.DataFrame({"low": [low], "high": [high]}).iloc[0]
    assert contents.word(row) == said


def test_without_final_runs_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "library", lambda: "")
    empty = made.analysed(pages.stored(made.nothing(), tmp_path / "records"))
    index = site.write(empty, tmp_path / "page")
    assert "Nothing to compare yet" in index.read_text()


def test_markdown_becomes_tables_with_scopes_and_no_raw_html():
    html = site.markdown("a **b** <script>x</script>\n\n| c | d |\n| :-- | :-: |\n| 1 | 2 |\n")
    assert "<strong>b</strong>" in html
    assert "<script>" not in html
    assert html.count('<th scope="col"') == 2
    assert 'role="region" tabindex="0"' in html


@pytest.mark.slow
def test_sections_of_a_replication_stand_around_the_numbers(known, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "library", lambda: "")
    first = Section("Does it hold?", ["**Yes.**"])
    last = Section("More", [Table("Claims", ["claim", "verdict"], [["a", "b"]])], folded=True)
    text = site.write(known, tmp_path, sections=[first, last]).read_text()
    assert text.index("Does it hold?") < text.index('id="numbers"') < text.index("Claims")
    assert "<strong>Yes.</strong>" in text


@pytest.mark.parametrize("name", charts.all_charts())
def test_charts_are_valid_vega_lite(name):
    vl_convert = pytest.importorskip("vl_convert")
    spec = charts.all_charts()[name]
    text = json.dumps(spec).replace('"optimizers"', '["a"]').replace('"colours"', '["red"]')
    rows = [{"name": "a", "panel": "p", "at": 1.0, "low": 0.0, "high": 2.0, "word": "better",
             "step": 1, "value": 2.0, "seed": None, "component": "1", "x": 0.1, "y": 0.2,
             "excess": 0.1, "chosen": True, "band": "band"}]  # fmt: skip
    filled = json.loads(text.replace('"dashes"', "[[1, 0]]")) | {"data": {"values": rows}}
    vega = vl_convert.vegalite_to_vega(filled)
    assert vega["marks"]


def test_dashes_and_dark_colours_are_known_for_every_line(known):
    for one in cells.optimizers(known):
        assert one["dash"]
        assert one["dark"] != "#000000"


@pytest.mark.slow
def test_scores_for_practice_are_a_part_of_a_studys_page(known, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "library", lambda: "")
    monkeypatch.setattr(documents, "newest", lambda folder: "")
    text = documents.write(known, tmp_path, tmp_path / "page").read_text()
    part = text[text.index("Scores for practice</h2></summary>") :]
    assert part.count("best of 3</th>") == len(pages.TASKS)
    assert "<h3>MNIST MLP</h3>" in part
    assert "<h1>Scores" not in part
