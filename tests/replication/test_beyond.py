"""What docs/beyond.md says of the language model follows from its study's scores."""

from pathlib import Path

import pandas as pd
import pytest

STUDY = Path(__file__).parents[2] / "results" / "studies" / "language_model"
PRECONDITIONED = (
    "Adam", "Adam, cosine", "AdamW, cosine", "Schedule-free AdamW", "Muon", "Prodigy",
)  # fmt: skip


@pytest.fixture
def bits():
    scores = pd.read_csv(STUDY / "results" / "tables" / "practice.csv")
    assert set(scores.metric) == {"bits_per_byte"}
    assert (scores.seeds >= 3).all()
    assert not scores.diverged.any()
    return scores.set_index("optimizer")["mean"]


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
