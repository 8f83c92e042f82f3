"""A study of autoencoders from its file to its page: the lower error has to come out as better."""

import json
from pathlib import Path

import pandas as pd
import pytest

from rllc.suite.execute import bench
from rllc.suite.show.page import site

pytestmark = pytest.mark.slow

CONF = Path(__file__).parents[3] / "conf"
STUDY = """
name: Reconstruction
tasks: [small]
optimizers:
  - sgd optimizer.grid.learning_rate=[1.0e-6]
  - adam optimizer.grid.learning_rate=[1.0e-6,0.01]
baselines:
  - sgd optimizer.grid.learning_rate=[1.0e-6]
protocol: {steps: 40, batch_size: 32, eval_every: 20, data: synthetic}
seeds: {tune: [0], final: [10, 11, 12]}
conf: conf
"""
TASK = """
id: autoencoder
_target_: tasks.autoencoder
name: small
hidden: [16]
code: 4
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of the study: Adam learns, SGD's only rate is too small for that."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "conf" / "task").mkdir(parents=True)
    (folder / "conf" / "task" / "small.yaml").write_text(TASK)
    (folder / "study.yaml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "library", lambda: "")  # takes seconds to bundle
        bench.run(folder, CONF, None, (), progress=False, say=lambda text: None)
    return folder / "results"


def test_the_rate_of_the_lowest_error_is_chosen(results):
    choices = pd.read_csv(results / "tuning" / "choices.csv").set_index("optimizer")
    assert json.loads(choices.hyper["Adam"]) == {"learning_rate": 0.01}
    assert set(choices.metric) == {"validation_squared_error"}


def test_tables_and_ranking_lead_with_the_lowest_error(results):
    means = pd.read_csv(results / "tables" / "results.csv")
    means = means[means.reading == "validated"].set_index("optimizer").test_squared_error_mean
    assert means["Adam"] < means["SGD"] - 1
    text = (results / "tables" / "results.md").read_text()
    assert text.startswith("# Results: test squared error (per image), its")
    assert "lowest validation squared error" in text
    assert "| Adam | 🟩**" in text
    assert "| SGD | 🔷" in text
    ranking = pd.read_csv(results / "tables" / "ranking.csv")
    ranking = ranking[ranking.reading == "validated"]
    assert list(ranking.optimizer) == ["Adam", "SGD"]
    assert ranking.score.iloc[0] > 1
    against = pd.read_csv(results / "tables" / "comparisons.csv")
    assert (against.difference > 1).all()


def test_the_page_says_better_and_that_less_is(results):
    text = (results / "page" / "data.js").read_text()
    (data,) = json.loads(f"[{text[text.index('(') + 1 : text.rindex(')')]}]")
    (task,) = data["tasks"]
    assert (task["lower"], task["metric"]) == (True, "squared error (per image)")
    adam = [cell for cell in data["cells"] if cell["optimizer"] == "Adam"]
    assert all(cell["gain"] > 1 for cell in adam)
    assert "better in 1." in (results / "page" / "index.html").read_text()
