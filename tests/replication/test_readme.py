"""The part of README.md that is generated."""

import pytest

from rllc.replication import analysis, paper, readme
from tests.suite import synthetic_records as made


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    return path


def written(path, found=None):
    readme.update(path, found or analysis.analyse(made.nothing()))
    return path.read_text()


def test_only_the_text_between_the_markers_changes(page):
    text = written(page)
    assert text.startswith(f"before\n{readme.BEGIN}\n")
    assert text.endswith(f"{readme.END}\nafter\n")
    assert "old" not in text
    assert written(page) == text


@pytest.mark.parametrize("text", ["", readme.BEGIN, f"{readme.END} {readme.BEGIN}"])
def test_missing_markers_are_an_error_and_nothing_is_written(page, text):
    page.write_text(text)
    with pytest.raises(ValueError, match="lacks"):
        written(page)
    assert page.read_text() == text


def test_without_records_every_task_has_the_papers_gain_and_no_verdict(page):
    text = written(page)
    assert "supported on 0 of 7 tasks**, not yet measured on 7." in text
    assert text.count("| not yet measured |") == 7
    assert "| MNIST MLP | +1.00 |" not in text
    assert "| CIFAR-10 ResNet-20 | +1.90 | – | – | 0 | not yet measured |" in text


def test_the_papers_gain_is_its_best_rllc_cell_minus_its_best_baseline():
    assert readme.paper_gain("cifar10_mlp") == pytest.approx(53.42 - 52.43, abs=0.01)
    assert readme.paper_gain("mnist_mlp") == pytest.approx(98.26 - 98.22, abs=0.01)


def everything_on(task):
    """Ten final seeds of all optimizers, RLLC's two points ahead."""
    return [
        made.run(task, name, s, floor=0.08 if name in paper.RLLC else 0.1)
        for name in paper.OPTIMIZERS
        for s in range(10)
    ]


def row_of(text, title):
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {title}")]
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.slow
def test_a_measured_task_has_our_gain_and_the_verdict(page):
    text = written(page, analysis.analyse(made.gather(everything_on("mnist_mlp"))))
    task, paper_gain, gain, interval, seeds, verdict = row_of(text, "MNIST MLP")
    assert (task, paper_gain, seeds, verdict) == ("MNIST MLP", "+0.04", "10", "supported")
    low, high = map(float, interval.strip("[]").split(","))
    assert low <= float(gain) <= high
    assert float(gain) == pytest.approx(2, abs=0.05)
    assert "supported on 1 of 7 tasks**, not yet measured on 6." in text
    assert readme.MARK not in text


@pytest.mark.slow
def test_reduced_tuning_is_marked_and_gives_no_verdict(page):
    short = [made.run("mnist_mlp", "Adam", 100, learning_rate=rate) for rate in (0.03, 0.1)]
    text = written(page, analysis.analyse(made.gather(everything_on("mnist_mlp") + short)))
    row = row_of(text, "MNIST MLP")
    assert row[0] == f"MNIST MLP {readme.MARK}"
    assert row[-1] == "partly measured"
    assert f"\n{readme.MARK} Hyperparameters were chosen from fewer points" in text
