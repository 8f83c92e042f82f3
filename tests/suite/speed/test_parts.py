"""The update taken apart: every part does what the whole does, and counts what it must move."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import rllc
from rllc.suite.speed import parts


def test_the_update_taken_apart_does_what_the_whole_does():
    p = rllc.parse("M(0.9)+M(-0.9)+CM(0.9i)")
    units, gradient = (jax.random.normal(jax.random.key(i), (4, 2, 8)) for i in (0, 1))
    x = jnp.concatenate([units, jnp.ones((1, 2, 8))])
    optimizer = rllc.lm_rllc(p, parts.RATES[0], None, initial_law=[parts.RATES[1]] * 4)
    inner, *rest = optimizer.init(x[4])
    started = (inner._replace(memory=tuple(units)), *rest)
    updates, (inner, *_) = optimizer.update(gradient[0], started, x[4])
    found = parts._stacked(p, x, gradient[0])
    np.testing.assert_allclose(found[:4], inner.memory, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[4], x[4] + updates, rtol=1e-6)


def test_parts_count_what_must_be_moved(monkeypatch):
    few = {1: "M(0.9)", 2: "M(0.9)+M(0.0)"}
    monkeypatch.setattr(parts, "UNITS", few)
    rows = pd.DataFrame(parts.measure(2 * parts.BLOCK, rounds=1, seconds=1e-4))
    moved = rows.pivot(index="part", columns="units", values="numbers_per_parameter")
    assert moved.loc[parts.FIRST].to_dict() == {"M(0.9)": 2, "M(0.9)+M(0.0)": 3}
    assert moved.loc[parts.SECOND].to_dict() == {"M(0.9)": 5, "M(0.9)+M(0.0)": 6}
    assert (rows.ns_per_parameter > 0).all()
