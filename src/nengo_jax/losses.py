r"""Losses for the outputs of probes, to be passed to ``compile``.

================ =====================================================================
nan_mse          mean squared error that leaves out targets that are NaN
Regularize       a norm of what was probed, to keep activities or weights small
================ =====================================================================

The norm of order p of a vector x is :math:`(\sum_i |x_i|^p)^{1/p}`, and the largest
:math:`|x_i|` if p is infinite.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import keras
from keras import ops
from nengo.exceptions import ValidationError


@keras.saving.register_keras_serializable(package="nengo_jax")
def nan_mse(y_true: Any, y_pred: Any) -> Any:
    """Return the mean squared error, counting targets that are NaN as met exactly.

    The mean is taken over all elements, NaN or not, as in NengoDL. A NaN of the output
    is left in the loss unless its target is NaN as well.

    Parameters
    ----------
    y_true : tensor, shape (..., size)
        Targets.
    y_pred : tensor, shape (..., size)
        Outputs.

    Returns
    -------
    tensor, shape (...)
        The mean over the last axis, of which Keras takes the mean over the others.

    Raises
    ------
    ValidationError
        If targets and outputs differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_jax.losses import nan_mse
    >>> float(nan_mse(np.array([1.0, np.nan]), np.array([3.0, 5.0])))
    2.0
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    if tuple(y_true.shape) != tuple(y_pred.shape):
        raise ValidationError(
            f"The targets have the shape {tuple(y_true.shape)}, but the output has the "
            f"shape {tuple(y_pred.shape)}. Give one target for each value, and NaN for "
            "values that do not matter.",
            attr="y_true",
        )
    unknown = ops.isnan(y_true)
    # No NaN enters the subtraction: its gradient would be NaN times zero.
    output = ops.where(unknown, ops.zeros_like(y_pred), y_pred)
    target = ops.where(unknown, ops.zeros_like(y_true), y_true)
    return ops.mean(ops.square(output - target), axis=-1)


@keras.saving.register_keras_serializable(package="nengo_jax")
class Regularize(keras.losses.Loss):
    """The norm of a probed signal in each step, and its mean over steps and examples.

    Targets are ignored; give zeros. Where all values are zero, as with silent neurons,
    the gradient is zero.

    Parameters
    ----------
    order : float or "euclidean"
        Order of the norm, positive or infinite; "euclidean" is 2.
    axis : int or None
        Axis of the signal along which the norm is taken; the axes of examples and steps
        do not count. None takes the norm of all values of the signal.
    name : str
    reduction : str or None
        How to combine examples and steps, as in all losses of Keras.
    dtype : str or None
        Precision in which to compute; None means ``keras.config.floatx()``.

    Raises
    ------
    ValidationError
        If ``order`` is no positive number or ``axis`` is no integer; when called, if
        the signal has no such axis.

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_jax.losses import Regularize
    >>> rates = np.array([[[3.0, 4.0], [0.0, 0.0]]])  # 1 example, 2 steps, 2 neurons
    >>> float(Regularize()(np.zeros_like(rates), rates))
    2.5
    """

    def __init__(
        self,
        order: float | str = 2,
        axis: int | None = None,
        name: str = "regularize",
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.order = _check_order(order)
        self.axis = _check_axis(axis)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the norms.

        Parameters
        ----------
        y_true : tensor
            Ignored.
        y_pred : tensor, shape (batch, steps, ...)

        Returns
        -------
        tensor, shape (batch, steps, ...)
            Without the axis of the norm.
        """
        shape = tuple(y_pred.shape)
        dimensions = len(shape) - 2
        if dimensions < 1:
            raise ValidationError(
                f"The output has the shape {shape}, but Regularize needs "
                "(batch, steps, ...).",
                attr="y_pred",
            )
        if self.axis is None:
            return _norm(ops.reshape(y_pred, (*ops.shape(y_pred)[:2], -1)), self.order)
        if not -dimensions <= self.axis < dimensions:
            raise ValidationError(
                f"axis={self.axis}, but a step of the output has {dimensions} axes. "
                f"The shape is {shape}, of which the first two are examples and steps.",
                attr="axis",
            )
        values = ops.moveaxis(y_pred, 2 + self.axis % dimensions, -1)
        return _norm(values, self.order)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same loss."""
        order = self.order if math.isfinite(self.order) else "inf"
        return {**super().get_config(), "order": order, "axis": self.axis}


def _norm(values: Any, order: float) -> Any:
    """The norm along the last axis; its gradient is finite for zeros too."""
    size = values * ops.sign(values)  # JAX takes 1 for the derivative of abs(0)
    if math.isinf(order):
        return ops.max(size, axis=-1)
    if order == 1:
        return ops.sum(size, axis=-1)
    power = _power(size, order)
    return _power(ops.sum(power, axis=-1), 1 / order)


def _power(values: Any, exponent: float) -> Any:
    """A power of values that are not negative; the gradient at zero is zero."""
    positive = values > 0
    safe = ops.where(positive, values, ops.ones_like(values))
    return ops.where(positive, ops.power(safe, exponent), ops.zeros_like(values))


def _check_order(order: Any) -> float:
    if isinstance(order, str):
        order = {"euclidean": 2, "inf": math.inf}.get(order, order)
    if isinstance(order, bool) or not isinstance(order, Real) or not float(order) > 0:
        raise ValidationError(
            f"Must be a positive number, inf or 'euclidean', got {order!r}.",
            attr="order",
        )
    return float(order)


def _check_axis(axis: Any) -> int | None:
    if axis is None:
        return None
    if isinstance(axis, bool) or not isinstance(axis, Integral):
        raise ValidationError(
            f"Must be an axis of the signal, an integer, or None, got {axis!r}.",
            attr="axis",
        )
    return int(axis)
