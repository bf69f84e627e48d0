"""Copies of user functions, so that each example of a batch has its own state."""

from __future__ import annotations

import copy
import types
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

_DATA = (
    np.ndarray,
    np.random.RandomState,
    np.random.Generator,
    list,
    dict,
    set,
    deque,
    bytearray,
    int,
    float,
)


class PerExample(ABC):
    """Something that says itself what each example of a batch gets."""

    @abstractmethod
    def for_example(self, element: int) -> Any:
        """Return what example ``element`` gets."""


def replicate(fn: Any, element: int) -> Any:
    """Return ``fn`` for example 0 of a batch, and a copy with own state for others.

    Objects and bound methods are deep-copied. A plain function gets copies of the
    data (arrays, lists, random streams, ...) that it closes over; global variables
    stay shared. A ``PerExample`` is asked.

    Parameters
    ----------
    fn : callable or PerExample
    element : int
        Number of the example within the batch.
    """
    if element == 0:
        return fn
    if isinstance(fn, PerExample):
        return fn.for_example(element)
    if isinstance(fn, types.FunctionType):
        return _with_own_closure(fn)
    if isinstance(fn, (types.BuiltinFunctionType, type, np.ufunc)):
        return fn
    try:
        return copy.deepcopy(fn)
    except Exception as error:
        raise TypeError(
            f"{fn!r} cannot be copied, but every example of a batch needs its own "
            "state. Give it a __deepcopy__ method, or run with minibatch_size=None."
        ) from error


def _with_own_closure(fn: types.FunctionType) -> Callable:
    if fn.__closure__ is None:
        return fn
    cells = tuple(_own_cell(cell) for cell in fn.__closure__)
    twin = types.FunctionType(
        fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, cells
    )
    twin.__kwdefaults__ = fn.__kwdefaults__
    return twin


def _own_cell(cell: types.CellType) -> types.CellType:
    try:
        content = cell.cell_contents
    except ValueError:  # a variable that has no value yet
        return types.CellType()
    if isinstance(content, _DATA):
        return types.CellType(copy.deepcopy(content))
    return cell
