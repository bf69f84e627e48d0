"""Several small arrays as one: calling a compiled function has a price per array.

Arrays of up to ``_SMALL`` elements are joined end to end, one array for each type; the
others travel alone. Leading batch axes are kept.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

_SMALL = 4096


class Place(NamedTuple):
    """Where an array lies: number of the packed array, first element, own shape."""

    array: int
    start: int
    shape: tuple[int, ...]


class Packing:
    """How named arrays are joined.

    Parameters
    ----------
    arrays : mapping of name to (shape, dtype)
        Without batch axis.
    apart : collection of name
        Arrays that are not joined with the others, such as those without batch axis.
    """

    def __init__(
        self,
        arrays: Mapping[Any, tuple[tuple[int, ...], np.dtype]],
        apart: Collection[Any] = (),
    ):
        joined: dict[Hashable, list] = defaultdict(list)
        for name, (shape, dtype) in arrays.items():
            small = math.prod(shape) <= _SMALL
            kind = np.dtype(dtype) if small else name
            joined[kind, name in apart].append(name)
        self.members = tuple(tuple(names) for names in joined.values())
        self.types = {name: np.dtype(dtype) for name, (_, dtype) in arrays.items()}
        self.places: dict[Any, Place] = {}
        for number, names in enumerate(self.members):
            start = 0
            for name in names:
                shape = tuple(arrays[name][0])
                self.places[name] = Place(number, start, shape)
                start += math.prod(shape)

    def pack(self, values: Mapping[Any, Any]) -> list[Any]:
        """Join arrays of shape ``[batch] + own shape``."""
        return [
            _join([self._flat(name, values[name]) for name in names])
            for names in self.members
        ]

    def unpack(self, packed: Sequence[Any]) -> dict[Any, Any]:
        """Undo :meth:`pack`."""
        return {name: self.take(packed, name) for name in self.places}

    def take(self, packed: Sequence[Any], name: Any) -> Any:
        """Return one of the arrays that were joined."""
        number, start, shape = self.places[name]
        array = packed[number]
        part = array[..., start : start + math.prod(shape)]
        return part.reshape(*array.shape[:-1], *shape)

    def _flat(self, name: Any, value: Any) -> Any:
        own = len(self.places[name].shape)
        return value.reshape(*value.shape[: value.ndim - own], -1)


class Carried(Mapping[str, Any]):
    """The states in a carry, unpacked when they are looked at.

    Parameters
    ----------
    packing : Packing
    carry : list of Array
    names : tuple of str
        Blocks that are kept from step to step.
    """

    def __init__(self, packing: Packing, carry: list[Any], names: Sequence[str]):
        self.packing = packing
        self.carry = carry
        self._names = names

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self.packing.take([np.asarray(a) for a in self.carry], name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _join(parts: Sequence[Any]) -> Any:
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)
