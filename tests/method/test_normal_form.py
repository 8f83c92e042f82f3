"""Normal forms: the blocks, the law's map, and equal trajectories."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import rllc
from tests.method import oracle, trees
from tests.method.bases import changed_basis, random_basis, run_script

CYCLE = 0.9 * np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])


def same_trajectory(p, form, seed):
    """Largest relative difference of the dense trajectories of ``p`` and of its form.

    The pseudo-inverse is exact, and the law starts to learn when the memory has full rank (before
    that the law is not determined by the step, see `normal_form`).
    """
    rng = np.random.default_rng(seed)
    steps, k = 40, p.num_units
    gradients, law = rng.normal(size=(steps, 12)) + 0.2, rng.normal(size=k)
    memories = [
        np.array([g[::-1].T @ q.abstract_rule(len(g)) for g in _prefixes(gradients)])
        for q in (p, form.propagator)
    ]
    laws, thetas = [law, form.law_map @ law], []
    for memory, start in zip(memories, laws, strict=True):
        current, theta, path = start, 0.0, []
        for t in range(steps):
            if t > k:
                inverse = np.linalg.pinv(memory[t - 1], rcond=1e-9)
                current = current + 0.05 * inverse @ gradients[t]
            theta = theta - 0.1 * memory[t] @ current
            path.append(theta)
        thetas.append(np.array(path))
    return trees.relative_error(thetas[1], thetas[0])


def _prefixes(gradients):
    return (gradients[: t + 1] for t in range(len(gradients)))


def test_the_papers_example():
    form = rllc.normal_form(rllc.Propagator(CYCLE, [1, 0, 0, 0]))
    assert str(form.propagator) == "M(0.9)+M(-0.9)+CM(0.9i)"
    assert same_trajectory(rllc.Propagator(CYCLE, [1, 0, 0, 0]), form, 0) < 1e-9


@pytest.mark.parametrize("name", oracle.TABLES)
def test_a_form_is_its_own_form(name):
    form = rllc.normal_form(rllc.parse(name))
    assert form.propagator == rllc.parse(name)
    np.testing.assert_array_equal(form.law_map, np.eye(form.propagator.num_units))


@pytest.mark.parametrize(
    "name",
    [
        "M3(0.6)",
        "M4(0.5)",
        "M2(0.5)+CM2(0.3+0.2i)",
        "M2(0.9)+M(0.0)+M2(-0.4)",
        "CM3(0.3+0.4i)",
        "M3(0.0)",
        "M(0.9)+M2(0.6)+CM2(0.3+0.2i)",
    ],
)
def test_blocks_are_found_again_after_a_change_of_basis(name):
    p, basis = rllc.parse(name), random_basis(rllc.parse(name).num_units, 1)
    form = rllc.normal_form(changed_basis(p, basis))
    assert sorted(str(form.propagator).split("+")) == sorted(name.split("+"))
    # M' = M Q, so the law map back is Q, the order of the blocks being the same.
    np.testing.assert_allclose(form.law_map, basis, atol=1e-9)


@pytest.mark.parametrize(
    ("transition", "injection", "expected"),
    [
        (np.diag([0.9, 0.9]), [1, 2], "M(0.9)"),  # twice the same unit
        (np.diag([0.9, 0.5, 0.3]), [1, 0, 2], "M(0.9)+M(0.3)"),  # the second stays empty
        ([[0.6, 0, 0], [1, 0.6, 0], [0, 1, 0.6]], [1, 0, 0], "M(0.6)"),  # chain the wrong way round
        ([[0.3, -0.2, 0], [0.2, 0.3, 0], [0, 0, 0.7]], [1, 1, 0], "CM(0.3+0.2i)"),
        (np.zeros((3, 3)), [0, 2, 0], "M(0.0)"),
    ],
)
def test_redundant_units_are_merged(transition, injection, expected):
    p = rllc.Propagator(transition, injection)
    form = rllc.normal_form(p)
    assert str(form.propagator) == expected
    assert form.law_map.shape == (form.propagator.num_units, p.num_units)
    rules = form.propagator.abstract_rule(30) @ form.law_map
    np.testing.assert_allclose(rules, p.abstract_rule(30), atol=1e-12)
    assert same_trajectory(p, form, 2) < 1e-9


def test_unions_of_equal_eigenvalues_keep_the_largest_block():
    p = rllc.parse("M(0.9)+M2(0.9)+CM(0.3+0.2i)+CM(0.3-0.2i)+M(0.9)")
    form = rllc.normal_form(p)
    assert str(form.propagator) == "M2(0.9)+CM(0.3+0.2i)"
    assert same_trajectory(p, form, 3) < 1e-9


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    eigenvalues=st.lists(
        st.tuples(st.integers(-8, 8), st.integers(0, 6), st.integers(1, 2)), min_size=1, max_size=3
    ),
    redundant=st.integers(0, 2),
    seed=st.integers(0, 10_000),
)
def test_form_and_original_follow_the_same_trajectory(eigenvalues, redundant, seed):
    # Eigenvalues on a grid of 0.1, so distinct or equal; sizes 1 and 2; then a change of basis, and
    # a few more units that are combinations of the others.
    parts = {}
    for real, imaginary, size in eigenvalues:
        value = complex(real / 10, imaginary / 10)
        make = rllc.complex_jordan if imaginary else rllc.jordan
        parts[value] = make(value if imaginary else value.real, size)
    minimal = rllc.union(*parts.values())
    k = minimal.num_units
    # Beyond, the memory of a dozen gradients has no rank to speak of (close and small eigenvalues).
    assume(np.linalg.cond(minimal.abstract_rule(40)) < 1e6)
    rng = np.random.default_rng(seed)
    wide = np.concatenate([random_basis(k, seed), rng.normal(size=(k, redundant))], axis=1)
    p = rllc.Propagator(
        np.linalg.pinv(wide) @ minimal.transition @ wide, wide.T @ minimal.injection
    )
    form = rllc.normal_form(p)
    assert form.propagator.num_units == k
    # Up to 1e-10 was seen over random cases: 1e-16 times the condition number of up to 1e6.
    assert same_trajectory(p, form, seed) < 1e-8


@pytest.mark.slow
def test_the_optimizer_itself_follows_its_form():
    p = rllc.Propagator(CYCLE, [1, 0, 0, 0])
    form, law = rllc.normal_form(p), np.array([1.0, 0.3, -0.2, 0.5])
    with jax.enable_x64(True):
        gradients, params = trees.random_gradients(60, 4, "float64"), trees.zeros("float64")
        paths = [
            trees.trajectory(
                rllc.lm_rllc(
                    q, 0.05, lambda t: jnp.where(t < 4, 0.0, 0.02), tuple(start), epsilon=0
                ),
                gradients,
                params,
            )[0]
            for q, start in ((p, law), (form.propagator, form.law_map @ law))
        ]
    assert trees.relative_error(paths[1], paths[0]) < 1e-9


@pytest.mark.parametrize("distance", [1e-9, 1e-10])
def test_eigenvalues_too_close_to_decide_are_refused_with_their_distance(distance):
    union = rllc.momentum(0.5) + rllc.momentum(0.5 + distance)
    assert rllc.normal_form(union).propagator == union  # written as blocks, nothing is in doubt
    with pytest.raises(ValueError, match=f"{distance:.0e} apart: too close"):
        rllc.normal_form(changed_basis(union, random_basis(2, 5)))


@pytest.mark.slow
def test_script_prints_blocks_and_rules_and_draws(tmp_path):
    plot = tmp_path / "form.png"
    matrix = "[[0,1,0,0],[0,0,1,0],[0,0,0,1],[1,0,0,0]]*0.9"
    result = run_script(matrix, "--plot", str(plot))
    assert result.returncode == 0, result.stderr
    assert "normal form: M(0.9)+M(-0.9)+CM(0.9i)" in result.stdout
    assert "1.000  -0.900   0.810" in result.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_script_reads_numbers_only():
    result = run_script("__import__('os').getcwd()")
    assert result.returncode != 0
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
