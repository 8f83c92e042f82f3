"""The Kubernetes example: what its own schema says of it, and whether its command runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rllc.suite import records

ROOT = Path(__file__).parents[2]
JOB = yaml.safe_load((ROOT / "examples" / "kubernetes" / "sweep.yaml").read_text())


def validate(job):
    validator = pytest.importorskip("kubernetes_validate", reason="no kubernetes-validate (PyPI)")
    validator.validate(job, validator.latest_version(), strict=True)


@pytest.mark.slow
def test_the_file_fits_the_schema():
    validate(JOB)


@pytest.mark.slow
def test_the_schema_refuses_a_misspelt_field():
    with pytest.raises(Exception, match="paralelism"):
        validate(JOB | {"spec": JOB["spec"] | {"paralelism": 4}})


@pytest.mark.slow
def test_its_command_runs_here(tmp_path):
    (container,) = JOB["spec"]["template"]["spec"]["containers"]
    program, script = container["command"]
    assert program == ".venv/bin/python"
    short = ["protocol=rehearsal", "protocol.steps=4", "protocol.eval_every=2"]
    places = [f"records={tmp_path / 'records'}", f"hydra.sweep.dir={tmp_path / 'h'}"]
    done = subprocess.run(
        [sys.executable, script, *container["args"], *short, *places], cwd=ROOT, text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(records.load(tmp_path / "records").runs) == 9
