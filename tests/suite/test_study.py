"""A study of one's own: read from its file, and shown on made-up records of two regressions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rllc.suite import plotting
from rllc.suite.execute import bench
from rllc.suite.metrics import CLASSIFICATION, Metric
from rllc.suite.score import comparisons, provenance, ranking
from rllc.suite.show import aggregation, analysis, tables
from rllc.suite.study import Study, StudyError, in_order, read
from tests.suite import synthetic_records as made

MSE = Metric("mse", "min", "K²", guess=2.0)
TASKS = ("wind_speed", "rain")
STEPS = np.arange(0, 101, 10)


def curve(run, floor, status="finished"):
    """An error that falls to twice its floor, and rises a little at the end."""
    mse = floor * (2 + np.exp(-STEPS / 20)) + 1e-6 * np.maximum(0, STEPS - 90)
    if status == "diverged":
        mse = np.where(STEPS > 50, np.nan, mse)
    columns = {"train_loss": mse, "validation_mse": 1.01 * mse, "test_mse": mse}
    return pd.DataFrame({"run": run, "step": STEPS, **columns})


def regression(floors, seeds=range(3), tasks=TASKS, metric=MSE, status=None):
    """Records of optimizers by the floor of their error: three learning rates, then final runs."""
    rows, curves = [], []
    for task in tasks:
        for name, floor in floors.items():
            tuning = [(rate, 100, far) for rate, far in ((0.01, 1.5), (0.1, 1.0), (1.0, 3.0))]
            for rate, seed, far in [*tuning, *((0.1, seed, 1.0) for seed in seeds)]:
                row, _ = made.run(task, name, seed, rate, steps=100, batch_size=16)
                row |= {"family": "mine", "status": (status or {}).get((name, seed), "finished")}
                row["hyper"] = made.hyper(learning_rate=rate)
                rows.append(row)
                spread = 1 + 0.01 * seed * (seed < 100)
                curves.append(curve(row["run"], floor * far * spread, row["status"]))
    return made.SyntheticRecords(
        pd.DataFrame(rows),
        pd.concat(curves, ignore_index=True),
        metrics=dict.fromkeys(tasks, (metric,)),
    )


def study(baselines=("Plain",), **more):
    protocol = {"steps": 100, "batch_size": 16}
    return Study("Weather", TASKS, ("Plain", "Mine"), baselines, protocol, **more)


@pytest.fixture(scope="module")
def records():
    return regression({"Plain": 2e-4, "Mine": 1.5e-4})


def test_lowest_error_chooses_ranks_and_is_compared(records):
    a = analysis.analyse(study(), records)
    assert set(a.choices.metric) == {"validation_mse"}
    assert set(a.choices.learning_rate) == {0.1}
    validated = a.rows[a.rows.reading == "validated"]
    assert set(validated.step) == {90}  # the last step is worse
    (row,) = comparisons.against_baselines(a.study, a.rows, a.summary)[:1].itertuples()
    assert (row.optimizer, row.baseline, row.n) == ("Mine", "Plain", 3)
    assert row.difference > 0
    assert row.low > 0
    field = ranking.field(a.study, a.rows, a.summary)
    table = ranking.ranking(a.study, a.rows, a.summary, field.tasks).set_index("optimizer")
    assert list(table.index) == ["Mine", "Plain"]
    assert table.score["Mine"] == pytest.approx(25, abs=0.3)  # a quarter less error
    assert table.score["Plain"] == pytest.approx(0, abs=0.3)
    assert table.beats_best_baseline["Mine"] == 2
    assert (a.summary.at_chance == 0).all()


def shifted(records, shift):
    """The same runs with all errors so much lower or higher."""
    curves = records.curves.copy()
    curves[["validation_mse", "test_mse"]] += shift
    return made.SyntheticRecords(records.runs, curves, metrics=records.metrics)


@pytest.mark.parametrize("shift", [-1.0, -5e-4])  # all below 0; the end of some
def test_errors_below_zero_are_ranked_without_a_score(records, tmp_path, shift):
    a = analysis.analyse(study(), shifted(records, shift))
    field = ranking.field(a.study, a.rows, a.summary)
    assert field.unscored == list(TASKS)
    table = ranking.ranking(a.study, a.rows, a.summary, field.tasks)
    assert list(table.optimizer) == ["Mine", "Plain"]
    assert list(table.mean_rank) == [1, 2]
    assert list(table.beats_best_baseline) == [2, 0]
    assert list(table.runs) == [6, 6]
    assert table.score.isna().all()
    aggregation.write(shifted(records, shift), study(), tmp_path)
    text = (tmp_path / "tables" / "ranking.md").read_text()
    assert "Without a score, by rank alone: wind_speed, rain." in text


def test_a_perfect_baseline_leaves_ranks(tmp_path):
    perfect = regression({"Plain": 2e-4, "Mine": 1.5e-4})
    final = perfect.curves.run.isin(perfect.runs[perfect.runs.role == "final"].run)
    perfect.curves.loc[final, ["validation_mse", "test_mse"]] = 0.0
    a = aggregation.write(perfect, study(), tmp_path)
    field = ranking.field(a.study, a.rows, a.summary)
    table = ranking.ranking(a.study, a.rows, a.summary, field.tasks)
    assert list(table.mean_rank) == [1.5, 1.5]
    assert list(table.beats_best_baseline) == [0, 0]


def test_one_task_without_a_score_leaves_that_of_the_other(records):
    curves = records.curves.copy()
    rain = curves.run.isin(records.runs[records.runs.task == "rain"].run)
    curves.loc[rain, ["validation_mse", "test_mse"]] -= 1.0
    a = analysis.analyse(
        study(), made.SyntheticRecords(records.runs, curves, metrics=records.metrics)
    )
    field = ranking.field(a.study, a.rows, a.summary)
    assert field.unscored == ["rain"]
    table = ranking.ranking(a.study, a.rows, a.summary, field.tasks).set_index("optimizer")
    assert table.score["Mine"] == pytest.approx(25, abs=0.3)
    assert table.beats_best_baseline["Mine"] == 2


def test_the_hardest_baseline_has_the_lowest_error(records):
    both = study(baselines=("Plain", "Mine"))
    a = analysis.analyse(both, records)
    last = a.summary[a.summary.reading == "last"]
    assert comparisons.best_baselines(a.study, last) == dict.fromkeys(TASKS, "Mine")
    assert tables.marks(a.study, last)["Mine", "rain"] == tables.Mark(True, False, True)


def test_without_baselines_the_best_other_is_the_reference(records):
    a = analysis.analyse(study(baselines=()), records)
    pairs = a.against[a.against.reading == "last"].set_index(["task", "optimizer"])
    assert pairs.baseline["rain", "Mine"] == "Plain"
    assert pairs.baseline["rain", "Plain"] == "Mine"
    assert pairs.difference["rain", "Mine"] == -pairs.difference["rain", "Plain"] > 0


@pytest.mark.slow
def test_a_diverged_run_counts_with_the_guess_or_with_the_worst():
    lost = {("Mine", 1): "diverged"}
    floors = {"Plain": 2e-4, "Mine": 1.5e-4}
    for guess, expected in ((2.0, 2.0), (None, None)):
        found = regression(floors, metric=MSE._replace(guess=guess), status=lost)
        a = analysis.analyse(study(), found)
        last = a.rows[a.rows.reading == "last"]
        values = comparisons.scores(a.study, last, ["Mine", "Plain"], ["rain"])[:, 0]
        assert values[0, 1] == (expected or np.delete(values.ravel(), 1).max())
        cell = a.summary[(a.summary.optimizer == "Mine") & (a.summary.reading == "last")].iloc[0]
        assert (cell.seeds, cell.diverged) == (3, 1)


def test_a_run_no_better_than_a_guess_is_counted():
    a = analysis.analyse(study(), regression({"Plain": 2e-4, "Mine": 1.0}))
    at_chance = a.summary.set_index(["optimizer", "task", "reading"]).at_chance
    assert at_chance["Mine", "rain", "last"] == 3
    assert at_chance["Plain", "rain", "last"] == 0


@pytest.mark.slow
def test_everything_is_written_into_the_users_folder(records, tmp_path):
    aggregation.write(records, study(), tmp_path)
    written_tables = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {
        "metrics.csv",
        "results.md",
        "results.tex",
        "ranking.md",
        "provenance.md",
    } <= written_tables
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"curves.png", "sensitivity_rain.pdf", "tuning_budget.png", "profiles.png"} <= drawn
    results = pd.read_csv(tmp_path / "tables" / "results.csv").set_index(["optimizer", "task"])
    assert not [column for column in results if "paper" in column or "accuracy" in column]
    assert (results.test_mse_mean > 1e-5).all()  # fixed digits would say 0.0004
    assert results.test_mse_mean.nunique() > 2
    for path in (tmp_path / "tables").glob("*.md"):
        words = path.read_text()
        assert not [word for word in ("paper", "accurac", "(–)", "RLLC") if word in words], (
            path.name
        )
    text = (tmp_path / "tables" / "results.md").read_text()
    assert text.startswith(
        "# Results: test mse (K²), its standard deviation and the number of seeds"
    )
    assert "lowest validation mse" in text
    assert "🟩" in text
    latex = (tmp_path / "tables" / "results.tex").read_text()
    assert r"optimizer & wind\_speed & rain \\" in latex
    ranked = (tmp_path / "tables" / "ranking.md").read_text()
    assert "better than best baseline (%)" in ranked
    assert "nearer to a perfect test value" in ranked


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes(records, tmp_path):
    for name in ("a", "b"):
        aggregation.write(records, study(), tmp_path / name)
    files = sorted(path for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 15
    for path in files:
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes(), path.name


@pytest.mark.slow
def test_tasks_of_different_metrics_stand_in_one_table_and_ranking(tmp_path):
    ours = regression({"Plain": 2e-4, "Mine": 1.5e-4}, tasks=("rain",))
    pairs = [
        made.run("digits", name, seed, floor=floor, steps=100, batch_size=16, noise=1e-5)
        for name, floor in (("Plain", 0.04), ("Mine", 0.02))
        for seed in (0, 1, 2, 100)
    ]
    theirs = made.gather(pairs)
    both = made.SyntheticRecords(
        pd.concat([ours.runs, theirs.runs.assign(hyper=made.hyper(learning_rate=0.1))]),
        pd.concat([ours.curves, theirs.curves], ignore_index=True),
        metrics={"rain": (MSE,), "digits": CLASSIFICATION},
    )
    mixed = study()._replace(tasks=("rain", "digits"))
    a = aggregation.write(both, mixed, tmp_path)
    assert set(a.against.metric) == {"test_mse", "test_accuracy", "test_loss"}
    field = ranking.field(a.study, a.rows, a.summary)
    assert field.tasks == ["rain", "digits"]
    better = dict(
        zip(field.tasks, field.score[field.optimizers.index("Mine")].mean(1), strict=True)
    )
    assert better["rain"] == pytest.approx(25, abs=0.5)
    assert better["digits"] > 0
    text = (tmp_path / "tables" / "metrics.md").read_text()
    assert text.startswith("# Metrics: mean test loss and accuracy (%) and mse (K²)")
    rows = [line for line in text.split("## ")[1].splitlines() if line.startswith("| Mine")]
    assert [row.split("|")[2].strip() for row in rows] == ["loss", "accuracy", "mse"]


@pytest.mark.slow
def test_a_task_without_records_adds_no_metrics(tmp_path):
    ours = regression({"Plain": 2e-4, "Mine": 1.5e-4}, tasks=("rain",))
    aggregation.write(ours, study(), tmp_path)
    text = (tmp_path / "tables" / "metrics.md").read_text()
    assert "wind_speed" in text
    assert "accuracy" not in text


def test_the_tuning_seeds_are_those_of_the_study(records):
    made_of = analysis.analyse(study(), records).made
    left = pd.DataFrame(columns=["task", "optimizer", "reason", "runs"])
    assert "tuning seeds (100 to 199)" in provenance.page(study(), made_of, left)
    other = study(seeds={"tune": (7, 8), "final": (0, 1, 2)})
    assert "tuning seeds (7, 8), never used" in provenance.page(other, made_of, left)


FILE = """
name: Weather
tasks: [wind_speed, rain]
optimizers: [Mine, Plain]
baselines: [Plain]
protocol: {steps: 100}
seeds: {final: [0, 1]}
titles: {rain: Rain in Berlin, Mine: My optimizer}
"""


def written(folder, text):
    path = folder / "study.yaml"
    path.write_text(text)
    return path


def test_a_file_is_read_with_baselines_first(tmp_path):
    (tmp_path / "conf").mkdir()
    found = read(written(tmp_path, f"{FILE}conf: conf\nbudget: 2h\n"))
    assert (found.name, found.tasks) == ("Weather", ("wind_speed", "rain"))
    assert (found.optimizers, found.baselines) == (("Plain", "Mine"), ("Plain",))
    assert (found.steps, found.batch_size) == (100, 128)
    assert (found.seeds, found.final_seeds) == ({"tune": (100,), "final": (0, 1)}, 2)
    assert found.title("rain") == "Rain in Berlin"
    assert found.title("wind_speed") == "wind_speed"
    assert (found.pretty("Mine"), found.latex("a_b")) == ("My optimizer", r"a\_b")
    assert (found.budget, found.conf, found.published) == ("2h", tmp_path / "conf", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("name:", "nmae:"), r"unknown key 'nmae'; did you mean 'name'\?"),
        (("name:", "colour:"), r"unknown key 'colour'; known are name, tasks"),
        (("[wind_speed, rain]", "[]"), r"tasks must be a list of at least one name, not \[\]"),
        (("[wind_speed, rain]", "rain"), r"tasks must be a list .*, not 'rain'"),
        (("[wind_speed, rain]", "[rain, rain]"), "tasks names rain more than once"),
        (("optimizers: [Mine, Plain]", ""), "optimizers must be a list .*, not None"),
        (
            ("baselines: [Plain]", "baselines: [Plane]"),
            r"optimizer 'Plane'; did you mean 'Plain'\?",
        ),
        (
            ("seeds: {final: [0, 1]}", "seeds: {final: [100, 1]}"),
            "seeds 100 serve both tune and fi",
        ),
        (("final: [0, 1]", "final: [-1, 1]"), "seeds.final must be .* 0 to 2147483647, not -1$"),
        (("final: [0, 1]", "final: [5, 1, 5]"), "seeds.final must be different .*, not 5 twice"),
        (("seeds: {final: [0, 1]}", "seeds: {fnal: [0]}"), r"role 'fnal'; did you mean 'final'\?"),
        (
            ("seeds: {final: [0, 1]}", "seeds: {final: [a]}"),
            "seeds.final must be a list of whole n",
        ),
        (
            ("seeds: {final: [0, 1]}", "seeds: {final: []}"),
            "seeds.final must be a list of whole nu",
        ),
        (("name: Weather", "leading: {rian: mse}"), r"task 'rian'; did you mean 'rain'\?"),
        (("name: Weather", "leading: mse"), "leading must be a mapping, not 'mse'"),
        (("name: Weather", "styles: {Mime: {}}"), r"optimizer 'Mime'; did you mean 'Mine'\?"),
        (("name: Weather", "styles: {Mine: red}"), "styles.Mine must be a mapping with colour"),
        (("name: Weather", "styles: {Mine: {marker: o}}"), "styles.Mine must be a mapping with"),
        (("name: Weather", "styles: {Mine: {colour: red}}"), "must look like '#0072B2', in quotes"),
        (("name: Weather", "styles: {Mine: {line: wavy}}"), "must be one of solid, dashed, dotted"),
        (("Mine: My", "Mime: My"), r"unknown task or optimizer 'Mime'; did you mean 'Mine'\?"),
        (("protocol: {steps: 100}", "protocol: 100"), "protocol must be a mapping, not 100"),
        (("name: Weather", "conf: nowhere"), "conf 'nowhere' is no folder beside it"),
        (("name: Weather", "name: [a"), "is no YAML: "),
        ((FILE, "- a"), "must be a mapping with the keys name, tasks"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, change, message):
    assert change[0] in FILE
    with pytest.raises(StudyError, match=message) as found:
        read(written(tmp_path, FILE.replace(*change)))
    assert "\n" not in str(found.value)
    assert "study.yaml" in str(found.value)


STYLED = """
leading: {rain: loss}
styles: {Mine: {colour: "#123456"}, Plain: {line: dashed}}
"""


def test_a_file_chooses_the_leading_metric_and_the_lines(tmp_path):
    found = read(written(tmp_path, FILE + STYLED))
    its = found.with_metrics({"rain": CLASSIFICATION, "wind_speed": CLASSIFICATION})
    assert [metric.name for metric in its.all_metrics("rain")] == ["loss", "accuracy"]
    assert its.leading("wind_speed").name == "accuracy"
    plain = plotting.style(found._replace(styles={}), "Mine")
    assert plotting.style(found, "Mine") == ("#123456", plain[1])
    assert plotting.style(found, "Plain") == (plotting.GREY, "--")
    with pytest.raises(StudyError, match=r"leading.rain: unknown metric 'loss'; known are mse"):
        found.with_metrics({"rain": (MSE,)})


def test_no_file_is_one_clear_line(tmp_path):
    with pytest.raises(StudyError, match=r"cannot read the study .*none\.yaml: No such file"):
        read(tmp_path / "none.yaml")


@pytest.mark.parametrize("place", ["https://example.org/study", "s3://bucket", "git+ssh:x"])
def test_a_study_from_an_address_is_refused(place, tmp_path):
    """Its configs name code that would be run."""
    pattern = "is no folder" if place.startswith("git") else "download it, and read it first"
    with pytest.raises(StudyError, match=pattern):
        bench.run(Path(place), tmp_path)
    if not place.startswith("git"):
        with pytest.raises(StudyError, match=pattern):
            read(f"{place}/study.yaml")


def test_names_are_in_the_studys_order():
    assert in_order(["b", "y", "a", "x", "x"], ("x", "y", "z")) == ["x", "y", "a", "b"]
