"""The paper's algorithm, written out dense in float64 NumPy. Imports nothing of ours.

`follow` is definition 5.1 (with L_t where it prints L), line for line. M is the n×k matrix; M^+ is
NumPy's SVD or the relaxed formula. The tables are typed by hand from section 4 and 5.
"""

from __future__ import annotations

import numpy as np

M2 = [[0.6, 1.0], [0.0, 0.6]]
M3 = [[0.6, 1.0, 0.0], [0.0, 0.6, 1.0], [0.0, 0.0, 0.6]]
CM_I = [[0.0, -0.9], [0.9, 0.0]]
CM = [[0.3, -0.2], [0.2, 0.3]]
CM2 = [[0.3, -0.2, 1.0, 0.0], [0.2, 0.3, 0.0, 1.0], [0.0, 0.0, 0.3, -0.2], [0.0, 0.0, 0.2, 0.3]]


def _union(*blocks):
    """Block-diagonal B and concatenated a; each block's a is its first unit vector."""
    blocks = [np.atleast_2d(np.asarray(block, dtype=np.float64)) for block in blocks]
    k = sum(len(block) for block in blocks)
    transition, injection, start = np.zeros((k, k)), np.zeros(k), 0
    for block in blocks:
        transition[start : start + len(block), start : start + len(block)] = block
        injection[start] = 1.0
        start += len(block)
    return transition, injection


TABLES = {
    "M(0.9)": _union(0.9),
    "M(0.0)": _union(0.0),
    "M(0.9)+M(0.0)": _union(0.9, 0.0),
    "M(0.9)+M(0.6)": _union(0.9, 0.6),
    "M(0.9)+M(0.6)+M(0.0)": _union(0.9, 0.6, 0.0),
    "M(0.9)+M(0.8)+M(0.7)": _union(0.9, 0.8, 0.7),
    "M2(0.6)": _union(M2),
    "M3(0.6)": _union(M3),
    "M(0.9)+M2(0.6)": _union(0.9, M2),
    "M(0.9)+M(0.0)+M2(0.6)": _union(0.9, 0.0, M2),
    "M(0.9)+M(-0.9)+CM(0.9i)": _union(0.9, -0.9, CM_I),
    "CM(0.3+0.2i)": _union(CM),
    "CM2(0.3+0.2i)": _union(CM2),
    "M(0.9)+M2(0.6)+CM2(0.3+0.2i)": _union(0.9, M2, CM2),
}


def pseudo_inverse(memory, epsilon, mode):
    """M^+ of a dense n×k matrix, relaxed as the library documents its modes; ε = 0 is the SVD's."""
    k = memory.shape[1]
    if not memory.any():
        return np.zeros((k, len(memory)))
    if mode == "cutoff" or epsilon == 0:
        # A singular value σ of M is an eigenvalue σ² of the Gram matrix, which has its own noise.
        return np.linalg.pinv(memory, rcond=np.sqrt(max(epsilon, 1e-14 * k)))
    gram = memory.T @ memory
    ridge = epsilon * np.trace(gram) / k if mode == "relative" else epsilon
    return np.linalg.solve(gram + ridge * np.eye(k), memory.T)


def shortened(vector, longest):
    """The vector, scaled to this length where it is longer."""
    length = np.linalg.norm(vector)
    return vector if longest is None or length <= longest else vector * longest / length


def mean_by_age(corrections, decay):
    """Corrections weighted by decay^age, the newest of age 0."""
    weights = decay ** np.arange(len(corrections))[::-1].astype(np.float64)
    return weights @ np.array(corrections) / weights.sum()


def move(law, step, law_update):
    """One coefficient after the other: L + s, or L e^s for L > 0 and L e^-s for L < 0."""
    if law_update == "additive":
        return law + step
    return np.array(
        [x * np.exp(s) if x > 0 else x * np.exp(-s) for x, s in zip(law, step, strict=True)]
    )


def follow(table, law, gradients, rate, law_rate, **options):
    """LM-RLLC: parameters (from 0) and law after each step.

    Args:
      table: (B, a).
      law: L_0, shape (k,).
      gradients: shape (steps, n).
      rate, law_rate: c₁ and c₂.
      **options: of `follow_rule`.

    Returns:
      θ, shape (steps, n), and L, shape (steps, k).
    """
    transition, injection = table

    def rule(memory, g):
        return memory @ transition + np.outer(g, injection)

    return follow_rule(rule, law, gradients, rate, law_rate, **options)


def follow_rule(
    rule,
    law,
    gradients,
    rate,
    law_rate,
    epsilon=1e-6,
    mode="relative",
    correct_with="old",
    law_update="additive",
    decay=None,
    longest=None,
):
    """Definition 3.2 for any rule(memory, g) -> new memory; the rule keeps its hidden state.

    Args:
      rule, law, gradients, rate: as above.
      law_rate: c₂, or a function of the number of steps taken.
      epsilon, mode: of the pseudo-inverse.
      correct_with: "old" projects g_t on M_{t-1}, as the paper does; "updated" on M_t.
      law_update: "additive", as the paper's, or "multiplicative".
      decay: of the average of corrections; None for the newest alone.
      longest: of c₂ times the correction; None for any length.
    """
    memory = np.zeros((gradients.shape[1], len(law)))
    theta, law = np.zeros(gradients.shape[1]), np.array(law, dtype=np.float64)
    thetas, laws, corrections = [], [], []
    for t, g in enumerate(gradients):
        old, memory = memory, rule(memory, g)
        projected_on = {"old": old, "updated": memory}[correct_with]
        if projected_on.any():
            corrections.append(pseudo_inverse(projected_on, epsilon, mode) @ g)
            used = corrections[-1] if decay is None else mean_by_age(corrections, decay)
            c2 = law_rate(t) if callable(law_rate) else law_rate
            law = move(law, shortened(c2 * used, longest), law_update)
        theta = theta - rate * memory @ law
        thetas.append(theta)
        laws.append(law)
    return np.array(thetas), np.array(laws)
