"""A study that asks for untuned runs: trained beside the tuned ones, and ranked."""

from pathlib import Path

import pandas as pd
import pytest

from rllc.suite import records
from rllc.suite.execute import bench
from rllc.suite.show.page import site
from rllc.suite.study import Study, StudyError, read

CONF = Path(__file__).parents[3] / "conf"
STUDY = """
name: Reconstruction
tasks: [small]
optimizers:
  - adam optimizer.grid.learning_rate=[0.001,0.03]
baselines:
  - adam optimizer.grid.learning_rate=[0.001,0.03]
protocol: {steps: 20, batch_size: 32, eval_every: 10, data: synthetic}
seeds: {tune: [0], final: [10, 11, 12], untuned: [20, 21, 22]}
conf: conf
"""
TASK = """
id: autoencoder
_target_: tasks.autoencoder
name: small
hidden: [16]
code: 4
"""


def written(folder, study=STUDY):
    (folder / "conf" / "task").mkdir(parents=True)
    (folder / "conf" / "task" / "small.yaml").write_text(TASK)
    (folder / "study.yaml").write_text(study)
    return folder


@pytest.mark.slow
def test_untuned_runs_are_trained_at_the_default_point_and_ranked(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "library", lambda: "")  # takes seconds to bundle
    folder = written(tmp_path / "study")
    bench.run(folder, CONF, None, (), progress=False, say=lambda text: None)
    runs = records.load(folder / "records").runs
    assert runs.groupby("role").seed.apply(sorted).to_dict() == {
        "final": [10, 11, 12],
        "tune": [0, 0],
        "untuned": [20, 21, 22],
    }
    hyper = runs.groupby("role").hyper.unique()
    assert list(hyper["untuned"]) == ['{"learning_rate":0.001}']
    assert list(hyper["final"]) == ['{"learning_rate":0.03}']
    ranking = pd.read_csv(folder / "results" / "tables" / "ranking.csv")
    (row,) = ranking[ranking.reading == "validated"].itertuples()
    assert row.untuned < row.score  # a rate of 0.03 is the better one here
    assert row.untuned_runs == 3
    assert "| untuned (%) |" in (folder / "results" / "tables" / "ranking.md").read_text()


def test_untuned_seeds_are_their_own(tmp_path):
    folder = written(tmp_path / "study", STUDY.replace("[20, 21, 22]", "[20, 12]"))
    with pytest.raises(StudyError, match="seeds 12 serve untuned runs and others"):
        read(folder / "study.yaml")


def test_seeds_that_are_recorded_in_another_role():
    study = Study("s", ("t",), ("A",), seeds={"tune": (0,), "final": (10,)})
    runs = pd.DataFrame({"seed": [0, 10], "role": ["tune", "final"], "optimizer": "A", "task": "t"})
    bench.check_roles(study, runs)
    swapped = study._replace(seeds={"tune": (10,), "final": (0,)})
    with pytest.raises(StudyError, match="seed 10 is to serve tune runs, but records has final"):
        bench.check_roles(swapped, runs)
