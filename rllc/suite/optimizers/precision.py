"""Which precision: sums over a network never below float32, steps in the gradients' own."""

import jax
import jax.numpy as jnp
import optax

import rllc


def dot(a: optax.Updates, b: optax.Updates) -> jax.Array:
    """⟨a, b⟩ over two trees, in at least float32; shape ()."""
    product: jax.Array = optax.tree.vdot(widened(a), widened(b))
    return product


def widened(tree: optax.Updates) -> optax.Updates:
    """The tree with every array in at least float32."""
    return jax.tree.map(lambda x: x.astype(at_least_f32(x)), tree)


def at_least_f32(array: jax.Array) -> jnp.dtype:
    """float64 for float64 arrays, float32 for all others."""
    return jnp.promote_types(jnp.result_type(array), jnp.float32)


def scalar(tree: optax.Params, value: jax.typing.ArrayLike) -> jax.Array:
    """`value` as an array () in the widest dtype of the tree, at least float32."""
    dtypes = [jnp.result_type(leaf) for leaf in jax.tree.leaves(tree)]
    return jnp.asarray(value, jnp.result_type(jnp.float32, *dtypes))


def stepped(
    rate: jax.typing.ArrayLike, direction: optax.Updates, like: optax.Updates
) -> optax.Updates:
    """−rate · direction, in the dtypes of `like`."""
    return jax.tree.map(lambda d, g: (-(rate * d)).astype(g.dtype), direction, like)


def decayed_step(
    learning_rate: optax.ScalarOrSchedule, weight_decay: jax.typing.ArrayLike
) -> optax.GradientTransformation:
    """From a direction u to the step −α (u + λ θ) of decoupled decay, in the dtype of u.

    optax's own pieces turn bfloat16 updates into float32 where α or λ is a traced float32.

    Args:
      learning_rate: α, a number, a traced scalar or a schedule.
      weight_decay: λ, a number or a traced scalar.
    """

    def update(
        updates: optax.Updates, state: optax.EmptyState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.EmptyState]:
        if params is None:
            raise ValueError("weight decay needs the parameters: update(updates, state, params)")
        decayed = jax.tree.map(lambda u, p: (u + weight_decay * p).astype(u.dtype), updates, params)
        return decayed, state

    decay = optax.GradientTransformation(lambda params: optax.EmptyState(), update)
    return optax.chain(decay, rllc.scale_by_step(learning_rate))
