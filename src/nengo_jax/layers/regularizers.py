"""Regularizers of activities, with targets and ranges.

================= =====================================================================
RangedRegularizer any regularizer, of the distance to a target
L1L2, L1, L2      those of Keras, of the distance to a target
Percentile        L1L2 of a percentile, as of the fastest tenth of the neurons
================= =====================================================================

They are made to be the ``activity_regularizer`` of a spiking layer; targets are then in
Hz. Keras divides what they return by the batch size.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops
from nengo.exceptions import ValidationError

Target = float | Sequence[float]


@keras.saving.register_keras_serializable(package="nengo_jax")
class RangedRegularizer(keras.regularizers.Regularizer):
    """A regularizer of the distance to a target, or to the nearest end of a range.

    Parameters
    ----------
    target : float or (float, float)
        A value, or the lowest and highest of a range. Within the range nothing is
        added to the loss.
    regularizer : regularizer or callable or str
        What the distances are given to.

    Raises
    ------
    ValidationError
        If a range is not two numbers, the lower one first.

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_jax.layers.regularizers import RangedRegularizer
    >>> ranged = RangedRegularizer((10, 20), lambda x: (x**2).sum())
    >>> float(ranged(np.array([7.0, 15.0, 24.0])))
    25.0
    """

    def __init__(self, target: Target = 0, regularizer: Any = "l2"):
        self.target = _check_target(target)
        self.regularizer = keras.regularizers.get(regularizer)

    def __call__(self, x: Any) -> Any:
        """Return what to add to the loss."""
        x = _precise(x)
        if isinstance(self.target, tuple):
            return self.regularizer(x - ops.clip(x, *self.target))
        return self.regularizer(x - self.target)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same regularizer."""
        return {
            "target": self.target,
            "regularizer": keras.regularizers.serialize(self.regularizer),
        }


@keras.saving.register_keras_serializable(package="nengo_jax")
class L1L2(RangedRegularizer):
    """Adds absolute and squared distances to a target.

    Parameters
    ----------
    l1, l2 : float
        Weights of the sum of absolute, and of squared distances.
    target : float or (float, float)
        A value, or the lowest and highest of a range.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, target: Target = 0):
        if l1 == 0 and l2 == 0:
            warnings.warn(
                f"{type(self).__name__} does nothing, because its weights are zero",
                stacklevel=2,
            )
        super().__init__(target, keras.regularizers.L1L2(l1=l1, l2=l2))
        self.l1, self.l2 = l1, l2

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same regularizer."""
        return {"l1": self.l1, "l2": self.l2, "target": self.target}


@keras.saving.register_keras_serializable(package="nengo_jax")
class L1(L1L2):
    """Adds absolute distances to a target.

    Parameters
    ----------
    l1 : float
        Weight of their sum.
    target : float or (float, float)
        A value, or the lowest and highest of a range.
    """

    def __init__(self, l1: float = 0.01, target: Target = 0):
        super().__init__(l1=l1, target=target)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same regularizer."""
        return {"l1": self.l1, "target": self.target}


@keras.saving.register_keras_serializable(package="nengo_jax")
class L2(L1L2):
    """Adds squared distances to a target.

    Parameters
    ----------
    l2 : float
        Weight of their sum.
    target : float or (float, float)
        A value, or the lowest and highest of a range.
    """

    def __init__(self, l2: float = 0.01, target: Target = 0):
        super().__init__(l2=l2, target=target)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same regularizer."""
        return {"l2": self.l2, "target": self.target}


@keras.saving.register_keras_serializable(package="nengo_jax")
class Percentile(L1L2):
    """Adds absolute and squared distances of a percentile to a target.

    Parameters
    ----------
    percentile : float
        From 0 to 100, which is the largest value. Between two values it is
        interpolated.
    axis : int or tuple of int
        Axes along which the percentile is taken: 0 is that of examples, (0, 1) those of
        examples and steps.
    target : float or (float, float)
        A value, or the lowest and highest of a range.
    l1, l2 : float
        Weights of the sum of absolute, and of squared distances.

    Raises
    ------
    ValidationError
        If ``percentile`` or the range is none.

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_jax.layers.regularizers import Percentile
    >>> half = Percentile(50, target=10, l1=1)
    >>> float(half(np.array([[11.0], [13.0], [90.0]])))
    3.0
    """

    def __init__(
        self,
        percentile: float = 100,
        axis: int | Sequence[int] = 0,
        target: Target = 0,
        l1: float = 0,
        l2: float = 0,
    ):
        if not isinstance(percentile, Real) or not 0 <= float(percentile) <= 100:
            raise ValidationError(
                f"Must be a number from 0 to 100, got {percentile!r}", attr="percentile"
            )
        super().__init__(l1=l1, l2=l2, target=target)
        self.percentile = percentile
        self.axis = tuple(axis) if isinstance(axis, Sequence) else axis

    def __call__(self, x: Any) -> Any:
        """Return what to add to the loss."""
        x = _precise(x)
        if self.percentile == 100:
            return super().__call__(ops.max(x, axis=self.axis))
        share = self.percentile / 100
        return super().__call__(ops.quantile(x, share, axis=self.axis))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same regularizer."""
        own = {"percentile": self.percentile, "axis": self.axis}
        return {**own, **super().get_config()}


def _precise(x: Any) -> Any:
    """In half precision the square of a spike, 1 / dt, is infinite."""
    x = ops.convert_to_tensor(x)
    half = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return ops.cast(x, "float32") if half else x


def _check_target(target: Any) -> float | tuple[float, float]:
    values = np.asarray(target, dtype=float)
    if values.shape == ():
        return float(values)
    if values.shape != (2,):
        raise ValidationError(
            f"Must be a number, or two numbers, the lowest and the highest of a range, "
            f"got {target!r}",
            attr="target",
        )
    low, high = float(values[0]), float(values[1])
    if low > high:
        raise ValidationError(
            f"The lower end of the range comes first, got {target!r}", attr="target"
        )
    return low, high
