"""Finds objects of a network by what Keras calls them: tensors, layers, structures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import keras

from .graph import Graph
from .records import Value


class KerasMapping(Mapping):
    """Objects of a network by Keras tensor or layer.

    Parameters
    ----------
    graph : Graph
    objects : mapping of Value to object
    title : str
        What the objects are, for messages.
    absent : mapping of Value to str
        What to say about values that have no object.

    Notes
    -----
    A key is a tensor of the model, a layer that is called once, or a list, tuple or
    dictionary of them, in which case the result has the same structure. Iterating gives
    tensors.
    """

    def __init__(
        self,
        graph: Graph,
        objects: Mapping[Value, Any],
        title: str,
        absent: Mapping[Value, str] = MappingProxyType({}),
    ):
        self._graph = graph
        self._objects = objects
        self._title = title
        self._absent = absent

    def __getitem__(self, key: Any) -> Any:
        if _is_single(key):
            return self._find(key)
        if not isinstance(key, (list, tuple, dict)):
            raise KeyError(
                f"{key!r} is no key of the {self._title}: use tensors of the Keras "
                "model, its layers, or lists, tuples and dictionaries of them"
            )
        return keras.tree.map_structure(self._find, key)

    def __iter__(self) -> Iterator[Any]:
        return iter([value.tensor for value in self._objects])

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: Any) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    def __repr__(self) -> str:
        found = {_origin(value): str(obj) for value, obj in self._objects.items()}
        return f"<{self._title}: {found}>"

    def _find(self, key: Any) -> Any:
        if isinstance(key, keras.KerasTensor):
            return self._object(self._value(key))
        found = [self._object(value) for value in self._outputs(key)]
        return found[0] if len(found) == 1 else found

    def _value(self, tensor: Any) -> Value:
        """The value that a tensor stands for.

        A tensor that is not part of the model may come from a layer that is, as when a
        layer has been called elsewhere before.
        """
        values = self._graph.values.get(id(tensor), [])
        if not values:
            history = tensor._keras_history
            if history.operation in self._graph.layers:
                values = [self._outputs(history.operation)[history.tensor_index]]
        if len(values) != 1:
            raise KeyError(
                f"{tensor!r} is no tensor of the model"
                if not values
                else f"{tensor!r} is in a nested model that is called {len(values)} "
                "times, so it stands for several values"
            )
        return values[0]

    def _object(self, value: Value) -> Any:
        if value in self._objects:
            return self._objects[value]
        names = ", ".join(_origin(other) for other in self._objects) or "none"
        raise KeyError(
            self._absent.get(value)
            or f"The output of {_origin(value)} is not among the {self._title}, which "
            f"are those of: {names}"
        )

    def _outputs(self, layer: Any) -> tuple[Value, ...]:
        known = self._graph.layers.get(layer, [])
        if len(known) > 1:
            raise KeyError(
                f"{_name(layer)} is called {len(known)} times, so it stands for "
                "several values. Use the tensors that the calls return."
            )
        if not known:
            raise KeyError(f"{_name(layer)} is no layer of the model")
        return known[0]


def _is_single(key: Any) -> bool:
    return isinstance(key, (keras.KerasTensor, keras.Operation))


def _origin(value: Value) -> str:
    return value.tensor._keras_history.operation.name


def _name(layer: Any) -> str:
    return f"{type(layer).__name__} {layer.name!r}"
