"""What a simulation recorded and built, and the checks on data that go into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from nengo import Network, Node
from nengo.builder import Model
from nengo.builder.signal import Signal
from nengo.exceptions import ValidationError


class SimulationData(Mapping[Any, Any]):
    """Recorded data of probes and built parameters of all other objects.

    ``data[probe]`` is a read-only array of shape (samples, size), or
    (batch, samples, size) if the simulator was given a ``minibatch_size``.
    ``data[ensemble]`` and ``data[connection]`` are nengo's ``BuiltEnsemble`` and
    ``BuiltConnection``.

    Parameters
    ----------
    raw : mapping
        Objects and what belongs to them; a list of samples for each probe.
    batch_size : int or None
    """

    def __init__(self, raw: Mapping[Any, Any], batch_size: int | None = None):
        self.raw = raw
        self._batch_size = batch_size
        self._cache: dict[Any, np.ndarray] = {}

    def __getitem__(self, key: Any) -> Any:
        if key not in self.raw:
            raise ValidationError(
                f"{key!r} is not part of the simulated network. Ask for a probe, "
                "ensemble, connection, node or subnetwork of it.",
                attr="data",
                obj=self,
            )
        value = self.raw[key]
        if not isinstance(value, list):
            return value
        if key not in self._cache or self._samples(self._cache[key]) != len(value):
            array = np.asarray(value)
            if self._batch_size is not None and array.ndim > 1:
                array = np.swapaxes(array, 0, 1)
            array.setflags(write=False)
            self._cache[key] = array
        return self._cache[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        return f"<SimulationData of {len(self.raw)} objects>"

    def reset(self) -> None:
        """Forget arrays made from samples."""
        self._cache.clear()

    def _samples(self, array: np.ndarray) -> int:
        return array.shape[0 if self._batch_size is None or array.ndim < 2 else 1]


def check_data(
    data: Mapping[Node, np.ndarray] | None,
    model: Model,
    steps: int,
    batch_size: int | None,
) -> dict[Signal, np.ndarray]:
    """Check the input data of a run, before anything is compiled.

    Parameters
    ----------
    data : mapping of Node to array, shape (batch, steps, size), or None
        Without a batch size the batch axis may be left out.
    model : Model
    steps : int
    batch_size : int or None

    Returns
    -------
    dict of Signal to ndarray, shape ([batch,] steps, size)

    Raises
    ------
    ValidationError
        If an object is no input node of the network, or an array has a wrong shape
        or values that are not finite.
    """
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise ValidationError(
            f"Must be a dictionary of nodes and arrays, not {type(data).__name__}",
            attr="data",
        )
    return {
        model.sig[node]["out"]: _check_array(node, value, steps, batch_size)
        for node, value in data.items()
        if _check_node(node, model)
    }


def _check_node(node: Any, model: Model) -> bool:
    if not isinstance(node, Node):
        raise ValidationError(
            f"Keys must be input nodes, not {type(node).__name__} ({node!r})",
            attr="data",
        )
    if node not in model.params:
        raise ValidationError(f"{node} is not part of the network", attr="data")
    if node.size_in > 0 or node.size_out == 0:
        raise ValidationError(
            f"{node} has size_in={node.size_in} and size_out={node.size_out}. Data "
            "can only be given to nodes that have an output and no input.",
            attr="data",
        )
    return True


def _check_array(
    node: Node, value: Any, steps: int, batch_size: int | None
) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValidationError(
            f"The data for {node} are not numbers: {error}", attr="data"
        ) from error
    expected = (batch_size or 1, steps, node.size_out)
    if batch_size is None and array.ndim == 2:
        array = array[None]
    if array.shape != expected:
        raise ValidationError(
            f"The data for {node} have shape {np.shape(value)}, but should have "
            f"shape {expected}: examples (minibatch_size), steps, size of the node",
            attr="data",
        )
    if not np.all(np.isfinite(array)):
        raise ValidationError(
            f"The data for {node} contain NaN or infinite values", attr="data"
        )
    return array if batch_size is not None else array[0]


def check_network(network: Any, model: Any) -> None:
    """Raise ValidationError unless there is something to simulate."""
    if network is None and model is None:
        raise ValidationError("Give a network, or a built model", attr="network")
    if network is not None and not isinstance(network, Network):
        raise ValidationError(
            f"Must be a nengo.Network, not {type(network).__name__}", attr="network"
        )
