"""Arithmetic of scalars that sum over a network: never below float32."""

import jax
import jax.numpy as jnp
import optax


def dot(a: optax.Updates, b: optax.Updates) -> jax.Array:
    """⟨a, b⟩ over two trees, in at least float32; shape ()."""
    return optax.tree.vdot(widened(a), widened(b))


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
