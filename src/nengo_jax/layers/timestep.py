"""The length of a step of the layers: a number, a variable, or the default.

``default.dt`` is what layers take that are made afterwards and are given no ``dt``.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import keras
from jax.typing import DTypeLike
from nengo.exceptions import ValidationError


def check_dt(dt: Any) -> float:
    """Return a length of a step as a float.

    Raises
    ------
    ValidationError
        If it is no positive finite number.
    """
    number = isinstance(dt, Real) and not isinstance(dt, bool)
    if not number or not 0 < float(dt) < math.inf:
        raise ValidationError(
            f"Must be a positive number of seconds or a keras.Variable that holds one, "
            f"got {dt!r}",
            attr="dt",
        )
    return float(dt)


class Default:
    """Settings of layers that are made afterwards.

    Examples
    --------
    >>> from nengo_jax.layers import Lowpass, default
    >>> default.dt
    0.001
    >>> default.dt = 0.01
    >>> Lowpass(0.1).dt
    0.01
    >>> default.dt = 0.001
    """

    def __init__(self) -> None:
        self._dt = 0.001

    @property
    def dt(self) -> float:
        """Length of a step in seconds."""
        return self._dt

    @dt.setter
    def dt(self, dt: float) -> None:
        self._dt = check_dt(dt)


default = Default()


class TimeStep:
    """The length of a step of one layer.

    It stands in a record of its own because Keras would take a variable that is an
    attribute of a layer for one of its weights: a model with another ``dt`` could not
    load them.

    Parameters
    ----------
    dt : float, keras.Variable or None
        Seconds. None takes ``default.dt``. A variable is read anew in each call; it is
        not trained, so its ``trainable`` becomes False.

    Raises
    ------
    ValidationError
        If it is not a positive number, or a variable of one.
    """

    def __init__(self, dt: Any = None):
        self.source: float | keras.Variable
        if isinstance(dt, keras.Variable):
            if tuple(dt.shape) != ():
                raise ValidationError(
                    f"The variable {dt.name!r} has the shape {tuple(dt.shape)}, but "
                    "must hold one number of seconds",
                    attr="dt",
                )
            check_dt(float(keras.ops.convert_to_numpy(dt)))
            dt.trainable = False
            self.source = dt
        else:
            self.source = default.dt if dt is None else check_dt(dt)

    @property
    def variables(self) -> list[keras.Variable]:
        """The variable, if it is one."""
        return [self.source] if isinstance(self.source, keras.Variable) else []

    def read(self, dtype: DTypeLike) -> Any:
        """Return seconds: a float, or what the variable holds now."""
        for variable in self.variables:
            return variable.value.astype(dtype)
        return self.source

    def to_config(self) -> float:
        """Return what the layer is saved with: seconds, as they are now."""
        return float(keras.ops.convert_to_numpy(self.source))
