"""optax's contract, a function for each clause, and the optimizers and rules that must keep it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp

import rllc

OPTIMIZERS = {
    "lm_rllc": lambda rate: rllc.lm_rllc("M(0.9)+M(0.0)", rate),
    "lm_rllc with options": lambda rate: rllc.lm_rllc(
        "M(0.9)",
        lambda t: rate / (1 + 0 * t),
        optax.constant_schedule(0.01),
        gram="recursive",
        law_groups="leaf",
        weight_decay=1e-2,
    ),
    "a multiplicative law by averages": lambda rate: rllc.lm_rllc(
        "M(0.9)+M(0.0)",
        rate,
        law_update="multiplicative",
        correction_decay=0.5,
        law_groups="leaf",
    ),
    "scale_by_rllc": lambda rate: optax.chain(
        rllc.scale_by_rllc(rllc.gradient_history((0, 2))), rllc.scale_by_step(rate)
    ),
    "linear_memory": lambda rate: rllc.linear_memory("M(0.9)+M(0.0)", (0.9, 1), rate),
    "precondition_by_rms": lambda rate: rllc.precondition_by_rms(
        rllc.lm_rllc("M(0.9)", rate), 0.9, 1e-3
    ),
    "wrap": lambda rate: rllc.wrap(optax.sgd(1e-2, momentum=0.9), rate),
    "mix": lambda rate: rllc.mix(optax.sgd(0.1), optax.adam(1e-2), learning_rate=rate),
}
RULES = {
    "gradient_history": lambda: rllc.gradient_history((0, 2)),
    "sign_momentum": lambda: rllc.sign_momentum(0.9, 0.5),
    "adam_and_momentum": lambda: rllc.adam_and_momentum(),
    "filtered": lambda: rllc.filtered("M(0.9)+M(0.0)", optax.scale_by_adam()),
    "last_steps": lambda: rllc.last_steps(optax.sgd(0.1, momentum=0.9), optax.lion(0.01)),
}


def optimizer(name):
    """rate -> the optimizer of a rule; the rule is made anew, so that nothing is shared."""
    return lambda rate: optax.chain(
        rllc.scale_by_rllc(RULES[name](), 0.02), rllc.scale_by_step(rate)
    )


def start(dtype=jnp.float32):
    """Parameters and a gradient function with different gradients at every step."""
    params = {"w": jnp.linspace(-1, 1, 6, dtype=dtype).reshape(2, 3), "b": jnp.ones(2, dtype)}

    def gradient(t):
        return jax.tree.map(lambda p: (p * (1 + t) + 0.1 * t).astype(p.dtype), params)

    return params, gradient


def steps(tx, params, gradients, state=None):
    """Parameters and state after these gradients, each step compiled."""
    state = tx.init(params) if state is None else state
    update = jax.jit(tx.update)
    for g in gradients:
        updates, state = update(g, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def assert_close(ours, theirs, rtol=1e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-7), ours, theirs)


def extra_arguments_are_accepted_and_nothing_compiles_twice(make):
    params, gradient = start()
    tx = make(0.1)
    update = jax.jit(tx.update)
    state = jax.jit(tx.init)(params)
    for t in range(3):
        updates, state = update(gradient(t), state, params, value=jnp.float32(t), unused=None)
        assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert update._cache_size() == 1


def state_keeps_its_shapes_and_dtypes_under_cond(make):
    params, gradient = start(jnp.bfloat16)  # float32 would hide a promotion
    tx = make(jnp.float32(0.1))
    state = tx.init(params)

    @jax.jit
    def maybe(flag, state):
        take = lambda s: tx.update(gradient(1), s, params)  # noqa: E731
        skip = lambda s: (params, s)  # noqa: E731
        return jax.lax.cond(flag, take, skip, state)

    for flag in (True, False):
        updates, state = maybe(flag, state)
    assert jax.tree.leaves(updates)[0].dtype == jnp.bfloat16


def chain_masked_and_multi_transform(make):
    params, gradient = start()
    gradients = [gradient(t) for t in range(3)]
    chained = optax.chain(optax.clip_by_global_norm(0.5), make(0.1), optax.scale(2.0))
    clip = optax.clip_by_global_norm(0.5)
    clipped = [clip.update(g, clip.init(params))[0] for g in gradients]
    doubled, _ = steps(optax.chain(make(0.1), optax.scale(2.0)), params, clipped)
    assert_close(steps(chained, params, gradients)[0], doubled)

    alone = steps(make(0.1), {"w": params["w"]}, [{"w": g["w"]} for g in gradients])[0]
    masked = optax.masked(make(0.1), {"w": True, "b": False})
    after, state = steps(masked, params, gradients)
    assert_close(after["w"], alone["w"])
    assert rllc.get_law(state).shape[-1] > 0
    both = optax.multi_transform(
        {"ours": make(0.1), "sgd": optax.sgd(0.1)}, {"w": "ours", "b": "sgd"}
    )
    after, state = steps(both, params, gradients)
    assert_close(after["w"], alone["w"])
    assert_close(after["b"], params["b"] - 0.1 * sum(g["b"] for g in gradients))
    assert rllc.get_law(state).shape[-1] > 0


def inject_hyperparams(make):
    params, gradient = start()
    injected = optax.inject_hyperparams(lambda learning_rate: make(learning_rate))(0.1)
    plain, _ = steps(make(0.1), params, [gradient(0), gradient(1)])
    after, state = steps(injected, params, [gradient(0), gradient(1)])
    assert_close(after, plain)
    state.hyperparams["learning_rate"] = jnp.float32(0.0)
    updates, _ = jax.jit(injected.update)(gradient(2), state, params)
    assert all(not leaf.any() for leaf in jax.tree.leaves(updates))


def multi_steps_takes_the_mean_gradient(make):
    params, gradient = start()
    gradients = [gradient(t) for t in range(4)]
    means = [jax.tree.map(lambda x, y: (x + y) / 2, gradients[i], gradients[i + 1]) for i in (0, 2)]
    multi = optax.MultiSteps(make(0.1), every_k_schedule=2)
    after, _ = steps(multi.gradient_transformation(), params, gradients)
    assert_close(after, steps(make(0.1), params, means)[0], rtol=1e-5)


def apply_if_finite_skips_bad_gradients(make):
    params, gradient = start()
    bad = jax.tree.map(lambda g: g.at[0].set(jnp.nan), gradient(0))
    careful = optax.apply_if_finite(make(0.1), max_consecutive_errors=3)
    after, state = steps(careful, params, [gradient(0), bad, gradient(1)])
    plain, _ = steps(make(0.1), params, [gradient(0), gradient(1)])
    assert_close(after, plain)
    assert int(state.total_notfinite) == 1


def tree_map_params_reaches_the_memory_only(make):
    params, _ = start()
    tx = make(0.1)
    state = tx.init(params)
    marked = optax.tree_utils.tree_map_params(tx, lambda x: x + 7, state)
    assert jax.tree.structure(marked) == jax.tree.structure(state)
    np.testing.assert_array_equal(rllc.get_law(marked), rllc.get_law(state))
    ours = optax.tree_utils.tree_get(marked, "memory")
    assert all((leaf == 7).all() for leaf in jax.tree.leaves(ours))


def state_is_saved_and_restored_with_orbax(make, folder):
    params, gradient = start()
    tx = make(0.1)
    middle, state = steps(tx, params, [gradient(0), gradient(1)])
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "state", state)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(folder / "state", jax.eval_shape(lambda: state))
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert_close(
        steps(tx, middle, [gradient(2)], restored)[0], steps(tx, middle, [gradient(2)], state)[0]
    )


CLAUSES = (
    extra_arguments_are_accepted_and_nothing_compiles_twice,
    state_keeps_its_shapes_and_dtypes_under_cond,
    chain_masked_and_multi_transform,
    inject_hyperparams,
    multi_steps_takes_the_mean_gradient,
    apply_if_finite_skips_bad_gradients,
    tree_map_params_reaches_the_memory_only,
)
