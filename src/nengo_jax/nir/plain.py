r"""Neurons without gains and constants of their own, where weights can have them.

With the weights W and b before neurons

.. math:: \tau v' = v_{leak} - v + r (W x + b) = -v + (r W) x + (r b + v_{leak}),

so rows of the matrix take the gain, and its bias the constant. The graph means the
same, and more simulators read it: many take r = 1 and v_leak = 0 for granted.
"""

from __future__ import annotations

import nir
import numpy as np

from .draft import Draft


def fold_gains(draft: Draft) -> None:
    """Give gains and constants to the weights before neurons, in place."""
    for name, node in list(draft.nodes.items()):
        befores = draft.before(name)
        if len(befores) != 1 or not draft.is_chain(befores[0], name):
            continue
        if isinstance(node, nir.LIF):
            leak = node.v_leak
        elif isinstance(node, nir.IF):
            leak = np.zeros_like(node.r)
        else:
            continue
        weights = _scaled(draft.nodes[befores[0]], node.r, leak)
        if weights is not None:
            draft.nodes[befores[0]] = weights
            node.r = np.ones_like(node.r)
            if isinstance(node, nir.LIF):
                node.v_leak = np.zeros_like(leak)


def _scaled(
    weights: nir.NIRNode, gain: np.ndarray, constant: np.ndarray
) -> nir.NIRNode | None:
    """Return weights whose result is multiplied and added to; None if they cannot.

    A matrix becomes another node; a convolution is changed, and keeps its shapes.
    """
    if isinstance(weights, nir.Linear | nir.Affine):
        bias = weights.bias if isinstance(weights, nir.Affine) else 0
        matrix, bias = gain[:, None] * weights.weight, gain * bias + constant
        return nir.Affine(matrix, bias) if np.any(bias) else nir.Linear(matrix)
    if not isinstance(weights, nir.Conv1d | nir.Conv2d):
        return None
    gains, constants = (v.reshape(len(v), -1) for v in (gain, constant))
    if np.any(gains != gains[:, :1]) or np.any(constants != constants[:, :1]):
        return None  # a convolution has one for each channel
    wide = gains[:, 0].reshape(-1, *(1,) * (weights.weight.ndim - 1))
    weights.weight = wide * weights.weight
    weights.bias = gains[:, 0] * weights.bias + constants[:, 0]
    return weights
