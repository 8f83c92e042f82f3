"""What docs/beyond.md says of the suite's own studies follows from their scores."""

from pathlib import Path

import pandas as pd
import pytest

STUDIES = Path(__file__).parents[2] / "results" / "studies"
PRECONDITIONED = (
    "Adam", "Adam, cosine", "AdamW, cosine", "Schedule-free AdamW", "Muon", "Prodigy",
)  # fmt: skip


def means(study, metric):
    scores = pd.read_csv(STUDIES / study / "results" / "tables" / "practice.csv")
    assert set(scores.metric) == {metric}
    assert (scores.seeds >= 3).all()
    assert not scores.diverged.any()
    return scores.set_index("optimizer")["mean"]


@pytest.fixture
def bits():
    return means("language_model", "bits_per_byte")


@pytest.fixture
def english():
    return means("english", "bits_per_byte")


@pytest.fixture
def errors():
    return means("autoencoder", "squared_error")


@pytest.fixture
def accuracies():
    return means("vision_transformer", "accuracy")


def test_what_readme_says_of_schedule_free_adamw(bits, english, errors, accuracies):
    name = "Schedule-free AdamW"
    for means_of, sign in ((bits, -1), (english, -1), (errors, -1), (accuracies, 1)):
        laws = [other for other in means_of.index if "M(" in other]
        assert len(laws) >= 3
        assert sign * means_of[name] > (sign * means_of[laws]).max()
    scores = pd.read_csv(STUDIES.parent / "tables" / "practice.csv")
    here = scores[scores.task == "cifar10_mlp"].set_index("optimizer")["mean"]
    laws = [other for other in here.index if "M(" in other]
    rivals = here[[name, "Adam, cosine", "Momentum SGD, cosine"]]
    assert (here[laws] > rivals.max()).sum() >= 3
    for task in ("mnist_mlp", "fashion_mnist_mlp"):
        here = scores[scores.task == task].set_index("optimizer")["mean"]
        laws = [other for other in here.index if "M(" in other]
        assert here[laws].max() < here[["Adam, cosine", "Momentum SGD, cosine"]].max()


def test_the_preconditioner_decides(bits):
    plain = [name for name in bits.index if "SGD" in name or "M(" in name]
    assert len(plain) >= 6
    assert bits[[*PRECONDITIONED]].max() < bits[plain].min() - 0.1


def test_the_law_changes_little(bits):
    for name in ("M(0.9)", "multiplicative M(0.9)"):
        assert abs(bits[name] - bits["Momentum SGD"]) < 0.05


def test_a_decay_does_not_pay(bits):
    for name in ("Adam", "Momentum SGD"):
        assert bits[f"{name}, cosine"] > bits[name]


def test_more_memory_pays_on_the_autoencoder(errors):
    momentum = errors["Momentum SGD"]
    assert errors["M(0.9)+M(0.0)"] < momentum < errors["M(0.9)"]
    assert errors["M(0.9)+M(0.8)+M(0.7)"] < momentum
    laws = [name for name in errors.index if "M(" in name]
    assert errors[laws].min() > errors["Adam"]
    assert errors.idxmin() == "Schedule-free AdamW"


def test_a_decay_does_not_pay_on_the_autoencoder(errors):
    for name in ("Adam", "Momentum SGD"):
        assert errors[f"{name}, cosine"] > errors[name]


def test_muon_is_far_ahead_on_the_vision_transformer(accuracies):
    first, second = accuracies.sort_values(ascending=False).index[:2]
    assert (first, second) == ("Muon", "Schedule-free AdamW")
    assert accuracies[first] > accuracies[second] + 5


def test_more_memory_pays_on_the_vision_transformer(accuracies):
    momentum, adam = accuracies["Momentum SGD"], accuracies["Adam"]
    for name in ("M(0.9)+M(0.0)", "M(0.9)+M(0.8)+M(0.7)"):
        assert accuracies[name] > momentum + 2
        assert abs(accuracies[name] - adam) < 1
        assert momentum < accuracies["M(0.9)"] < accuracies[name]


def test_no_learning_rate_of_the_vision_transformer_lies_at_an_edge():
    table = STUDIES / "vision_transformer" / "results" / "tuning" / "choices.csv"
    choices = pd.read_csv(table)
    assert len(choices) == 10
    assert not choices.edges.str.contains(" learning_rate").any()
    laws = choices[choices.optimizer.str.startswith("M(")]
    assert len(laws) == 3
    assert (laws.edges == "highest law_learning_rate").all()


@pytest.mark.parametrize("task", ["mnist_mlp", "fashion_mnist_mlp"])
def test_a_law_pays_around_adam(task):
    scores = pd.read_csv(STUDIES.parent / "tables" / "practice.csv")
    here = scores[scores.task == task].set_index("optimizer")
    names = ["wrap(Adam)", "wrap(Momentum SGD)", "HDM"]
    assert (here.grid_points[names] == 18).all()
    assert (here.seeds[names] >= 10).all()
    mean = here["mean"]
    assert mean["Adam"] + 0.2 < mean["wrap(Adam)"] < mean["Adam, cosine"]
    gain = mean["wrap(Momentum SGD)"] - mean["Momentum SGD"]
    assert gain < 0 if task == "mnist_mlp" else gain > 0.4
    assert mean["HDM"] < mean["SGD"]
    choices = pd.read_csv(STUDIES.parent / "tuning" / "choices.csv").set_index(
        ["task", "optimizer"]
    )
    assert "highest learning_rate" in choices.edges[(task, "HDM")]


def test_english_says_the_same_as_python(bits, english):
    assert list(english.sort_values().index[:2]) == ["Muon", "Schedule-free AdamW"]
    plain = [name for name in english.index if "SGD" in name or "M(" in name]
    others = english.drop(plain)
    assert (len(plain), len(others)) == (5, 5)
    assert others.max() < english[plain].min() - 0.1
    assert abs(english["M(0.9)"] - english["Momentum SGD"]) < 0.02
    for found in (bits, english):
        laws = [name for name in found.index if name.startswith("M(")]
        assert found[laws].idxmin() == "M(0.9)+M(0.8)+M(0.7)"
    table = STUDIES / "english" / "results" / "tuning" / "choices.csv"
    choices = pd.read_csv(table).set_index("optimizer").edges.fillna("")
    laws = choices[choices.index.str.startswith("M(")]
    assert laws.str.contains("highest learning_rate").all()
    assert not choices.drop(laws.index).str.contains(" learning_rate").any()
