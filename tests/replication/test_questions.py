"""Open questions on made-up sweeps whose best answer, common points and verdict are known."""

import json

import numpy as np
import pandas as pd
import pytest

from rllc.replication import deviations, paper, question_report, question_verdicts, questions
from rllc.replication.question_figures import questions_figure
from rllc.suite.choose import selection
from tests.suite import synthetic_records as made

TASK, SGD = "fashion_mnist_conv", "SGD"
POOLING = questions.QUESTIONS[1]


def run(accuracy, *, task=TASK, optimizer=SGD, rate=0.03, seed=100, steps=10_000, **changes):
    """A run of constant accuracy (%); `changes` are settings of its task, or its initial law."""
    law = changes.pop("initial_law", None)
    row, curve = made.run(task, optimizer, seed, rate, steps=steps)
    settings = json.loads(row["settings"])
    settings["task"] |= changes
    settings["traced"] = {} if law is None else {"initial_law": law}
    row |= {"settings": json.dumps(settings), "run": f"{row['run']}-{changes}-{law}"}
    for column in curve.columns[curve.columns.str.contains("accuracy")]:
        curve[column] = accuracy / 100
    return row, curve.assign(run=row["run"])


def table(pairs, default=None):
    records = made.gather(pairs)
    runs = selection.tidy(records.runs)
    variants = None
    if default is not None:
        chosen = runs[runs.settings.str.contains(default)]
        variants = {(r.task, r.optimizer): r.variant for r in chosen.itertuples()}
    kept = selection.default_variants(runs, variants)
    return deviations.deviations(runs, kept, records.curves)


def of(question, pairs, default='"average"'):
    found = table(pairs, default)
    return found[found.question == question]


def pooled(average, maximum, **more):
    return [run(average, pooling="average", **more), run(maximum, pooling="max", **more)]


def test_answers_are_compared_with_the_papers_cell():
    found = of("pooling", pooled(87.0, 90.0))
    last = found[found.reading == "last"].set_index("answer")
    theirs = paper.cells().set_index(["task", "optimizer"]).test_accuracy_mean[TASK, SGD]
    assert set(last.index) == {"average", "max"}
    assert last.accuracy_difference["max"] == pytest.approx(90 - theirs)
    assert list(last.is_default) == [True, False]
    assert set(found.reading) == {"last", "validated", "best"}


def test_only_points_run_for_every_answer_count():
    best_of_average_alone = run(99.0, pooling="average", rate=0.1)
    found = of(
        "pooling", [*pooled(87.0, 90.0), *pooled(80.0, 81.0, rate=0.3), best_of_average_alone]
    )
    assert set(found.points) == {2}
    assert set(found.accuracy.round(1)) == {87.0, 90.0}


def test_seeds_and_steps_are_common_too():
    more = [run(99.0, pooling="average", seed=101), run(99.0, pooling="average", steps=12_000)]
    assert set(of("pooling", [*pooled(87.0, 90.0), *more]).accuracy.round(1)) == {87.0, 90.0}
    both = [*pooled(87.0, 90.0), *pooled(89.0, 92.0, seed=101)]
    found = of("pooling", both)
    assert set(found.seeds) == {2}
    assert set(found.accuracy.round(1)) == {88.0, 91.0}


def test_final_seeds_do_not_answer():
    assert of("pooling", pooled(87.0, 90.0, seed=0)).empty


def test_a_run_that_differs_otherwise_is_no_answer():
    other = run(90.0, pooling="max", initialisation="he_normal")
    assert of("pooling", [run(87.0, pooling="average"), other]).empty


def test_answers_tried_on_few_cells_do_not_shrink_the_comparison():
    cells = [(SGD, 0), ("Momentum SGD", 0), ("Adam", 0), ("M(0.9)", 0)]
    pairs = [p for name, _ in cells for p in pooled(87.0, 90.0, optimizer=name)]
    trial = run(88.0, pooling="third")
    found = of("pooling", [*pairs, trial])
    assert found.optimizer.nunique() == 4
    assert set(found.answer) == {"average", "max"}


def test_an_answer_run_on_other_cells_does_not_empty_the_comparison():
    names = [SGD, "Momentum SGD", "Adam", "M(0.9)"]
    first = [p for name in names[:2] for p in pooled(87.0, 90.0, optimizer=name)]
    third = [run(88.0, optimizer=name, pooling="third") for name in names[2:]]
    ours = [run(87.0, optimizer=name, pooling="average") for name in names[2:]]
    found = of("pooling", [*first, *third, *ours])
    assert set(found.optimizer) == set(names[:2])  # as many numbers either way: the first answer's
    assert set(found.answer) == {"average", "max"}
    everywhere = [run(88.0, optimizer=name, pooling="third") for name in names[:2]]
    found = of("pooling", [*first, *third, *ours, *everywhere])
    assert set(found.answer) == {"average", "max", "third"}  # 2 answers × 2 cells, not 1 × 4
    assert set(found.optimizer) == set(names[:2])


def test_a_cell_without_runs_of_its_default_leaves_the_others_compared():
    alone = run(90.0, optimizer="Adam", pooling="max")
    records = made.gather([*pooled(87.0, 90.0), alone])
    average = [run(87.0, optimizer=name, pooling="average") for name in (SGD, "Adam")]
    wanted = selection.tidy(made.gather(average).runs)
    defaults = {(row.task, row.optimizer): row.variant for row in wanted.itertuples()}
    runs = selection.tidy(records.runs)
    kept = selection.default_variants(runs, defaults)
    found = deviations.deviations(runs, kept, records.curves)
    assert set(found.optimizer[found.question == "pooling"]) == {SGD}


def test_reduced_runs_count_only_where_they_are_better():
    found = of("pooling", pooled(80.0, 90.0, steps=3_000)).set_index(["answer", "reading"])
    assert found.misfit["average", "last"] == 0
    assert found.accuracy_difference["average", "last"] < -6
    assert found.misfit["max", "last"] > 2
    full = of("pooling", pooled(80.0, 90.0)).set_index(["answer", "reading"])
    assert full.misfit["average", "last"] > 2


def test_a_diverged_answer_counts_as_guessing():
    row, curve = run(90.0, pooling="max")
    found = of("pooling", [run(87.0, pooling="average"), (row | {"status": "diverged"}, curve)])
    assert set(found.accuracy[found.answer == "max"]) == {10.0}


def test_settings_left_to_the_optimizer_are_its_default():
    question = next(q for q in questions.QUESTIONS if q.name == "epsilon")
    plain = json.dumps({"optimizer": {"a": 1, "epsilon": 1e-6}})
    named = json.dumps({"optimizer": {"a": 1, "epsilon": 1e-6, "epsilon_mode": "relative"}})
    assert questions.answer(question, plain) == questions.answer(question, named)
    assert questions.answer(question, plain).answer == "relative, 1e-06"
    assert questions.answer(question, json.dumps({"optimizer": {}})).answer == ""


def test_laws_by_name_and_by_number():
    pairs = [
        run(87.0 + i, optimizer="M2(0.6)", initial_law=law) for i, law in enumerate(("ones", 0.1))
    ]
    found = of("initial_law", pairs, "Conv|conv")
    assert set(found.answer) == {"ones", "0.1"}


def test_which_value_is_reported():
    """Curves that rise, then fall: rates by either metric, three stopping points."""
    pairs = [made.run("mnist_mlp", "Adam", 100, rate, noise=0) for rate in (0.01, 0.03, 0.1)]
    found = table(pairs)
    assert set(found.question) == {"reported"}
    by = found.set_index("answer")
    assert len(by) == 6
    assert by.accuracy["best, by accuracy"] > by.accuracy["last, by accuracy"]
    assert by.accuracy["validated, by loss"] == by.accuracy["best, by accuracy"]
    assert list(by.index[by.is_default]) == ["validated, by accuracy"]
    assert set(by.learning_rate) == {0.03}
    shorter = [made.run("cifar10_resnet20", "Adam", 100, steps=300)]
    assert table(pairs + shorter).equals(found)


def rows(misfits, cells=4, steps=10_000):
    """A table of one question: {answer: misfit}, the same in every cell and stopping point."""
    optimizers = paper.OPTIMIZERS[:cells]
    parts = [
        {
            "question": "pooling", "answer": answer, "is_default": answer == "a", "task": TASK,
            "optimizer": name, "reading": reading, "seeds": 1, "points": 2, "steps": steps,
            "misfit": misfit, "loss_misfit_percent": misfit, "accuracy_difference": misfit,
            "loss_difference_percent": misfit, "agrees": misfit < 1,
        }
        for answer, misfit in misfits.items()
        for name in optimizers
        for reading in ("last", "validated", "best")
    ]  # fmt: skip
    return pd.DataFrame(parts).reindex(columns=deviations.DEVIATIONS.names)


@pytest.mark.parametrize(
    ("table", "word", "best"),
    [
        (rows({"a": 0.5, "b": 2.0}), "settled", "a"),  # a lead of 1.5; clear from 2 √(2/4) = 1.41
        (rows({"a": 0.5, "b": 1.8}), "undecided", "a"),
        (rows({"a": 0.5, "b": 4.0}, steps=3_000), "leaning", "a"),  # reduced runs never settle
        (rows({"a": 3.5, "b": 0.0, "c": 3.0}), "settled", "b"),
        (rows({"a": 1.0, "b": 1.0}), "undecided", ""),  # nobody wins
        (rows({"a": 0.5, "b": 2.0}).iloc[:0], "not yet measured", ""),
    ],
)
def test_verdicts(table, word, best):
    found = question_verdicts.verdict_on(table)
    assert (found.word, found.best) == (word, best)


def test_a_lead_that_rests_on_one_cell_is_not_clear():
    table = rows({"a": 0.0, "b": 0.0})
    table.loc[(table.answer == "b") & (table.optimizer == SGD), "misfit"] = 8.0  # mean lead 2
    lead = question_verdicts.verdict_on(table).leads["last"]
    assert lead.value == pytest.approx(2.0)
    assert lead.error == pytest.approx(np.std([8, 0, 0, 0], ddof=1) / 2)  # 2, not √(2/4)
    assert not lead.clear


def test_a_winner_by_accuracy_alone_is_leaning_at_most():
    table = rows({"a": 0.0, "b": 4.0})
    table["loss_misfit_percent"] = 1.0  # the losses say nothing
    assert question_verdicts.verdict_on(table).word == "undecided"  # 3 of 6 is not more than half
    worse = (table.answer == "b") & (table.reading == "best")
    table.loc[worse, "loss_misfit_percent"] = 2.0
    assert question_verdicts.verdict_on(table).word == "leaning"


@pytest.mark.slow
def test_the_report_and_the_figure_say_what_is_measured():
    found = table([*pooled(87.0, 95.0)], '"average"')
    text = question_report.page(found)
    assert "average (default)" in text
    assert "experiment=question_adam" in text  # what is not measured names its command
    assert "experiment=question_pooling" not in text
    panels = questions_figure(found).axes
    titles = [panel.get_title(loc="left") for panel in panels]
    assert any(title.startswith("Pooling of Conv") for title in titles)
    assert question_report.page(found.iloc[:0]).count("Not yet measured") == len(
        questions.QUESTIONS
    )
    assert questions_figure(found.iloc[:0]).axes


def test_one_line_names_what_is_decided_and_counts_the_rest():
    line = question_report.one_line(rows({"a": 0.5, "b": 4.0}))
    assert line == f"Pooling of Conv: settled (a); {len(questions.QUESTIONS) - 1} not yet measured"
