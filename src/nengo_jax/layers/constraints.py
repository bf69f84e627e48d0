"""Constraints of weights, for layers of this package and any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="nengo_jax")
class Mean(keras.constraints.Constraint):
    """Replaces weights by their mean, so that units share one value.

    Parameters
    ----------
    axis : int, tuple of int or None
        Axes of the weights along which they are shared; None is all of them.

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_jax.layers.constraints import Mean
    >>> np.asarray(Mean(axis=0)(np.array([[1.0, 2.0], [3.0, 4.0]]))).tolist()
    [[2.0, 3.0], [2.0, 3.0]]
    """

    def __init__(self, axis: int | Sequence[int] | None = -1):
        self.axis = tuple(axis) if isinstance(axis, Sequence) else axis

    def __call__(self, w: Any) -> Any:
        """Return weights of the same shape."""
        mean = ops.mean(w, axis=self.axis, keepdims=True)
        return ops.broadcast_to(mean, ops.shape(w))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same constraint."""
        return {"axis": self.axis}
