"""An optimizer of one's own: any function that returns an optax transformation."""

import optax


def clipped_adam(learning_rate, b1, clip):
    """Adam on gradients whose norm is clipped.

    Args:
      learning_rate: step size.
      b1: decay of the mean of gradients.
      clip: most the norm of a gradient may be. All three may be traced.
    """
    return optax.chain(optax.clip_by_global_norm(clip), optax.adam(learning_rate, b1=b1))
