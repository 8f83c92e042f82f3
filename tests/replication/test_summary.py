"""All cells on one page."""

import pandas as pd
import pytest

from rllc.replication import analysis, summary
from tests.suite import synthetic_records as made

pytestmark = pytest.mark.slow


def written(folder, found=None):
    return summary.page(found or analysis.analyse(made.nothing()), folder)


def test_without_records_nothing_is_claimed(tmp_path):
    text = written(tmp_path)
    assert "No final runs are recorded yet." in text
    assert "Speed" not in text


def test_cells_stand_beside_the_papers(tmp_path):
    pairs = [made.run("mnist_mlp", "SGD", s, floor=0.02, noise=0) for s in range(3)]
    text = written(tmp_path, analysis.analyse(made.gather(pairs)))
    assert "| test accuracy (%) | MNIST MLP |" in text
    assert "| SGD | 98.00 ± 0.00, n=3 (98.16) |" in text
    assert "Trained on: cpu (made up)." in text
    assert "| MNIST MLP | – | no tuning records |" in text


def test_every_device_is_named_once(tmp_path):
    pairs = [
        made.run("mnist_mlp", "SGD", 0, device="cpu"),
        made.run("mnist_mlp", "SGD", 1, device="gpu"),
    ]
    pairs.append(made.run("mnist_mlp", "Adam", 0, device="gpu"))
    assert "Trained on: cpu, gpu." in written(tmp_path, analysis.analyse(made.gather(pairs)))


def test_the_papers_metric_and_diverged_cells_are_explained(tmp_path):
    pairs = [made.run("mnist_mlp", "SGD", s, floor=0.02, noise=0) for s in range(3)]
    pairs += [made.run("mnist_mlp", "Adam", s, status="diverged") for s in range(3)]
    pairs += [made.run("mnist_mlp", "Momentum SGD", s, floor=0.03, noise=0) for s in range(2)]
    pairs.append(made.run("mnist_mlp", "Momentum SGD", 2, status="diverged"))
    runs = made.gather(pairs)
    batch = runs.curves.test_accuracy_batch_mean + 0.0012
    runs = runs._replace(curves=runs.curves.assign(test_accuracy_batch_mean=batch))
    text = written(tmp_path, analysis.analyse(runs))
    assert "(a mean over test batches, which would change ours by +0.12 to +0.12 points)" in text
    assert "| Adam | diverged, n=3 (97.83) |" in text
    assert "| Momentum SGD | 97.00 ± 0.00, n=3, 1 diverged (98.22) |" in text


def test_what_falls_short_names_the_task(tmp_path):
    pairs = [made.run("mnist_mlp", "SGD", s) for s in range(3)]
    pairs += [made.run("mnist_mlp", "SGD", 100, learning_rate=rate) for rate in (0.03, 0.1)]
    pairs += [made.run("mnist_mlp", "Adam", s) for s in range(3)]
    pairs.append(made.run("cifar10_conv", "Adam", 0, steps=3_000))
    text = written(tmp_path, analysis.analyse(made.gather(pairs)))
    assert "| short of the paper's protocol | training | tuning |" in text
    assert (
        "| MNIST MLP | – | 2 of 15 grid points; 1 of 3 seeds (1 of 2 cells), no tuning records "
        "(1 of 2 cells) |"
    ) in text
    assert "| CIFAR-10 Conv | 3000 of 10000 steps; 1 of 3 seeds | no tuning records |" in text


def test_speed_has_a_table_per_device(tmp_path):
    rows = [
        ("run_steps_per_second", "mnist_mlp", 2300.06, "cpu"),
        ("matmul_fraction", "mnist_mlp", 0.8597, "cpu"),
        ("run_steps_per_second", "cifar10_conv", 17.736, "gpu"),
        ("speedup_over_loop", "cifar10_conv", 2.85, "gpu"),
        ("update_time_over_adam", "k=1", 0.996, "gpu"),
        ("update_time_over_adam", "k=2", 1.482, "gpu"),
    ]
    table = pd.DataFrame(rows, columns=["metric", "case", "value", "device"])
    table.to_csv(tmp_path / "summary.csv", index=False)
    text = written(tmp_path)
    assert "| MNIST MLP | 2,300 | 86% | – |" in text
    assert "| CIFAR-10 Conv | 17.74 | – | ×2.85 |" in text
    assert text.index("| cpu |") < text.index("| gpu |")
    assert "gpu: k=1: ×1.00, k=2: ×1.48." in text
