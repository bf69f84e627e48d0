"""Checks of what a user hands to the Simulator, before anything is compiled."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import jax
import numpy as np
from nengo import Network, Node, Probe
from nengo.builder import Model
from nengo.builder.signal import Signal
from nengo.exceptions import ValidationError

from .families.layer import SimTensorNode

DTYPES = ("float16", "float32", "float64")
_SEEDS = 2**32


def check_data(
    data: Mapping[Node, np.ndarray] | None,
    model: Model,
    steps: int,
    batch_size: int | None,
    computing: Collection[Node],
) -> dict[Signal, np.ndarray]:
    """Check the input data of a run, before anything is compiled.

    Parameters
    ----------
    data : mapping of Node to array, shape (batch, steps, size), or None
        Without a batch size the batch axis may be left out, and for one step that of
        the steps.
    model : Model
    steps : int
    batch_size : int or None
    computing : collection of Node
        What :func:`computing_nodes` returned.

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
    return {
        model.sig[node]["out"]: _check_array(node, value, steps, batch_size)
        for node, value in data.items()
        if _check_node(node, model, computing)
    }


def computing_nodes(model: Model) -> frozenset[Node]:
    """Return the nodes that are compiled, so that nothing can be given in their place.

    Large models have many operators, so this is not for each step.
    """
    return frozenset(op.node for op in model.operators if isinstance(op, SimTensorNode))


def _check_node(node: Any, model: Model, computing: Collection[Node]) -> bool:
    if not isinstance(node, Node):
        raise ValidationError(
            f"Keys must be input nodes, not {type(node).__name__} ({node!r})",
            attr="data",
        )
    if node not in model.params:
        raise ValidationError(f"{node} is not part of the network", attr="data")
    if node in computing:
        raise ValidationError(
            f"{node} computes its output; data can only be given to plain nodes",
            attr="data",
        )
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
        if np.iscomplexobj(value):
            raise TypeError("complex")
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValidationError(
            f"The data for {node} are not numbers: {error}", attr="data"
        ) from error
    lead = () if batch_size is None else (batch_size,)
    full = (batch_size or 1, steps, node.size_out)
    wanted = (*lead, *full[1:])
    short = [(*lead, node.size_out), *([lead] if node.size_out == 1 else [])]
    if array.shape not in (full, wanted, *(short if steps == 1 else [])):
        raise ValidationError(
            f"The data for {node} have shape {array.shape}, but should have shape "
            f"{full}: examples (minibatch_size), steps, size of the node"
            + (f". For one step, {short[0]} will do." if steps == 1 else ""),
            attr="data",
        )
    if not np.all(np.isfinite(array)):
        raise ValidationError(
            f"The data for {node} contain NaN or infinite values", attr="data"
        )
    return array.reshape(wanted)


def check_outputs(outputs: Probe | Sequence[Probe], model: Model) -> None:
    """Raise ValidationError unless these are probes that see every step."""
    several = isinstance(outputs, Collection) and not isinstance(outputs, str)
    probes: list[Any] = list(outputs) if several else [outputs]
    if not probes:
        raise ValidationError("Give at least one probe (got none)", attr="outputs")
    for probe in probes:
        if probe not in model.probes:
            raise ValidationError(
                f"{probe!r} is no probe of the network", attr="outputs"
            )
        if probe.sample_every is not None and probe.sample_every > model.dt:
            raise ValidationError(
                f"{probe} has sample_every={probe.sample_every}, so there are steps "
                "that it does not see. Take a probe without sample_every.",
                attr="outputs",
            )


def check_network(network: Any, model: Any) -> None:
    """Raise ValidationError unless there is something to simulate."""
    if network is None and model is None:
        raise ValidationError("Give a network, or a built model", attr="network")
    if model is not None and not isinstance(model, Model):
        raise ValidationError(
            f"Must be a nengo.builder.Model, not {type(model).__name__}", attr="model"
        )
    if network is not None and not isinstance(network, Network):
        raise ValidationError(
            f"Must be a nengo.Network, not {type(network).__name__}", attr="network"
        )


def check_clock(dt: Any, seed: Any) -> None:
    """Raise ValidationError unless a step has a length and the seed can be used."""
    if not isinstance(dt, Real) or not math.isfinite(dt) or dt <= 0:
        raise ValidationError(
            f"Must be a positive number of seconds (got {dt!r})", attr="dt"
        )
    if seed is not None:
        check_seed(seed)


def check_seed(seed: Any) -> None:
    """Raise ValidationError unless NumPy takes the seed."""
    if not isinstance(seed, Integral) or not 0 <= int(seed) < _SEEDS:
        raise ValidationError(
            f"Must be an integer from 0 to 2**32 - 1 (got {seed!r})", attr="seed"
        )


def check_time(seconds: Any, simulator: Any) -> None:
    """Raise ValidationError unless one can run for so long."""
    if not isinstance(seconds, Real) or not math.isfinite(seconds) or seconds < 0:
        raise ValidationError(
            f"Must be positive (got {seconds!r}): a number of seconds",
            attr="time_in_seconds",
            obj=simulator,
        )


def check_steps(steps: Any) -> int:
    """Return a number of steps as an int."""
    if not isinstance(steps, (int, np.integer)) or steps < 0:
        raise ValidationError(
            f"Must be a whole number of steps, 0 or more (got {steps!r})", attr="steps"
        )
    return int(steps)


def check_batch_size(size: Any) -> int | None:
    """Return the number of examples, or None for one without a batch axis."""
    if size is not None and (not isinstance(size, (int, np.integer)) or size < 1):
        raise ValidationError(
            f"Must be a positive integer or None (got {size!r})", attr="minibatch_size"
        )
    return None if size is None else int(size)


def check_device(device: Any) -> Any:
    """Return a device of JAX by its name, such as "cpu" or "gpu:1"."""
    if device is None or isinstance(device, jax.Device):
        return device
    kind, _, number = str(device).strip("/").partition(":")
    try:
        return jax.devices(kind)[int(number or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        raise ValidationError(
            f"No device {device!r}. Available: {jax.devices()}", attr="device"
        ) from error


def check_dtype(dtype: Any) -> np.dtype:
    """Return the precision of a simulation."""
    try:
        checked = np.dtype(dtype)
    except TypeError:
        checked = None
    if checked is None or checked.name not in DTYPES:
        raise ValidationError(
            f"Must be one of {', '.join(DTYPES)} (got {dtype!r})", attr="dtype"
        )
    return checked
