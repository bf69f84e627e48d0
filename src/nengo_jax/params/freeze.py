"""Write present parameters into nengo objects, so that other simulators have them.

Decoders, and weights that include decoders, become the values of a solver that returns
them; all other weights become a transform. Encoders are divided by the gains that the
ensemble has for connections to its neurons, and are not normalised again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from nengo import Connection, Ensemble, Network
from nengo.ensemble import Neurons
from nengo.neurons import Direct
from nengo.solvers import NoSolver
from nengo.transforms import (
    Convolution,
    ConvolutionTranspose,
    Dense,
    NoTransform,
    Sparse,
    Transform,
)

from ..families.layer import SimTensorNode
from .assign import has_full_weights, is_decoded
from .live import Live, as_weights
from .names import probe_connections

Arguments = dict[str, Any]


class FixedWeights(NoSolver):
    """A solver that returns weights from neuron to neuron, not only decoders.

    Parameters
    ----------
    values : array_like, shape (pre neurons, post neurons)
        Gains of the post neurons included.
    """

    compositional = False

    def __init__(self, values: Any = None, weights: bool = True):
        super().__init__(values=values, weights=weights)


class Zeros:
    """A function whose values do not matter, as the decoders are given.

    Parameters
    ----------
    size : int
        Number of values.
    """

    def __init__(self, size: int):
        self.size = size

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return zeros."""
        return np.zeros(self.size)


def get_nengo_params(
    live: Live,
    objects: Any,
    as_dict: bool = False,
    example: int | None = None,
) -> Any:
    """Return the keyword arguments that make objects with the present parameters.

    Parameters
    ----------
    live : Live
    objects : Ensemble, Neurons, Connection, or a list of them
        Neurons stand for their ensemble.
    as_dict : bool
        Whether to return a dictionary by label.
    example : int or None
        Which example of a batch counts, where they have learned different values.

    Returns
    -------
    dict, list of dict, or dict of str to dict
        For one object, for a list, or by label.

    Raises
    ------
    ValueError
        If an object is not part of the network, is an ensemble in direct mode, or has
        the label of another one.
    TypeError
        If an object is of another type.

    Examples
    --------
    >>> import nengo, nengo_jax
    >>> with nengo.Network(seed=1) as network:
    ...     a = nengo.Ensemble(10, 1)
    ...     connection = nengo.Connection(a, a, function=lambda x: x**2)
    >>> with nengo_jax.Simulator(network, progress_bar=False) as sim:
    ...     arguments = sim.get_nengo_params(connection)
    >>> arguments["solver"].values.shape
    (10, 1)
    """
    single = not isinstance(objects, Sequence)
    chosen = [objects] if single else list(objects)
    chosen = [obj.ensemble if isinstance(obj, Neurons) else obj for obj in chosen]
    found = [_arguments(live, obj, example) for obj in chosen]
    if not as_dict:
        return found[0] if single else found
    labels = [obj.label for obj in chosen]
    twice = sorted({str(label) for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(
            f"Several objects have the label {', '.join(twice)}. Give each one a label "
            "of its own, or take a list with as_dict=False."
        )
    return dict(zip(labels, found, strict=True))


def freeze_params(live: Live, objects: Any, example: int | None = None) -> None:
    """Write present parameters into nengo objects, in place.

    Of a network these are all ensembles, connections, probes of decoded values, and
    nodes that hold a Keras layer, whose variables are written. Then
    ``nengo.Simulator``, if there is no such node, starts with the parameters of this
    simulation. Online rules stay where they are, and go on from there. An ensemble that
    is frozen alone keeps probes whose decoders nengo works out again, for the new
    encoders.

    Parameters
    ----------
    live : Live
    objects : Network, Ensemble, Neurons, Connection, or a list of them
    example : int or None
        Which example of a batch counts, where they have learned different values.

    Raises
    ------
    ValueError
        If an object is not part of the network, or is an ensemble in direct mode.
    TypeError
        If an object is of another type.
    """
    chosen = objects if isinstance(objects, Sequence) else [objects]
    found = [pair for obj in chosen for pair in _all_arguments(live, obj, example)]
    layers = [pair for obj in chosen for pair in _variables(live, obj, example)]
    for obj, arguments in found:  # only now, so that an error changes nothing
        for name, value in arguments.items():
            setattr(obj, name, value)
    for variable, value in layers:
        variable.assign(value.reshape(variable.shape).astype(variable.dtype))


def _variables(
    live: Live, obj: Any, example: int | None
) -> list[tuple[Any, np.ndarray]]:
    """Variables of the Keras layers in a network, and their present values."""
    nodes = set(obj.all_nodes) if isinstance(obj, Network) else set()
    return [
        (weight.variable, live.value(weight.signal, example, weight.name))
        for op in live.model.operators
        if isinstance(op, SimTensorNode) and op.node in nodes
        for weight in op.weights
    ]


def _all_arguments(
    live: Live, obj: Any, example: int | None
) -> Iterable[tuple[Any, Arguments]]:
    if not isinstance(obj, Network):
        owner = obj.ensemble if isinstance(obj, Neurons) else obj
        return [(owner, _arguments(live, owner, example))]
    _check_member(live, obj)
    members = [
        member
        for member in (*obj.all_ensembles, *obj.all_connections)
        if not isinstance(getattr(member, "neuron_type", None), Direct)
    ]
    found = [(member, _arguments(live, member, example)) for member in members]
    decoded = probe_connections(live.model)
    for probe in obj.all_probes:
        if probe in decoded and is_decoded(decoded[probe]):
            found.append((probe, {"solver": _solver(live, decoded[probe], example)}))
    return found


def _check_member(live: Live, obj: Any) -> None:
    if obj not in live.model.params:
        raise ValueError(
            f"{obj!r} is not part of the simulated network. Give the Simulator the "
            "network that contains it."
        )


def _arguments(live: Live, obj: Any, example: int | None) -> Arguments:
    if isinstance(obj, Ensemble):
        return _ensemble_arguments(live, obj, example)
    if isinstance(obj, Connection):
        return _connection_arguments(live, obj, example)
    raise TypeError(
        f"{obj!r} is a {type(obj).__name__}. Give an Ensemble, Neurons or a Connection"
    )


def _ensemble_arguments(
    live: Live, ensemble: Ensemble, example: int | None
) -> Arguments:
    _check_member(live, ensemble)
    if isinstance(ensemble.neuron_type, Direct):
        raise ValueError(
            f"{ensemble!r} is in direct mode, so it has no encoders, gains or biases. "
            "Leave it out."
        )
    model = live.model
    built, gain = model.params[ensemble], live.gain(ensemble)
    encoders_signal = model.sig[ensemble]["encoders"]
    scaled = live.value(encoders_signal, example, f"encoders of {ensemble}")
    bias = live.value(model.sig[ensemble.neurons]["bias"], example, ensemble)
    encoders = built.encoders
    if scaled is not encoders_signal.initial_value or gain is not built.gain:
        silent = (gain == 0) & np.any(scaled != 0, axis=1)
        if np.any(silent):
            raise ValueError(
                f"{ensemble!r}: neurons {np.flatnonzero(silent).tolist()} have "
                "encoders but a gain of zero, which nengo cannot express. Set their "
                "scaled encoders to zero."
            )
        divisor = np.where(gain == 0, 1, gain)[:, None]
        encoders = scaled.astype(np.float64) * ensemble.radius / divisor
        encoders = np.where((gain == 0)[:, None], built.encoders, encoders)
    return {
        "encoders": np.array(encoders, np.float64),
        "normalize_encoders": False,
        "gain": np.array(gain, np.float64),
        "bias": np.array(bias, np.float64),
        "max_rates": Ensemble.max_rates.default,
        "intercepts": Ensemble.intercepts.default,
    }


def _connection_arguments(
    live: Live, connection: Connection, example: int | None
) -> Arguments:
    _check_member(live, connection)
    signal = live.model.sig[connection].get("weights")
    if signal is None:
        return {"transform": None}
    if is_decoded(connection):
        return {
            "function": Zeros(connection.size_out),
            "transform": None,
            "solver": _solver(live, connection, example),
        }
    value = live.value(signal, example, connection)
    weights = as_weights(signal, value.astype(np.float64))
    return {"transform": _with_weights(connection.transform, weights)}


def _solver(live: Live, connection: Connection, example: int | None) -> NoSolver:
    signal = live.model.sig[connection]["weights"]
    values = live.value(signal, example, connection).T.astype(np.float64)
    if has_full_weights(connection):
        return FixedWeights(values)
    return NoSolver(values)


def _with_weights(transform: Transform, weights: Any) -> Transform:
    """Make a transform like another one, with other weights."""
    known = (Dense, Sparse, Convolution, ConvolutionTranspose)
    if not isinstance(transform, known):
        kinds = ", ".join(kind.__name__ for kind in (*known, NoTransform))
        raise NotImplementedError(
            f"{transform} cannot be given new weights; these can: {kinds}"
        )
    state = transform.__getstate__() | {"init": weights}
    state.pop("_FrozenObject__argreprs", None)  # the text of the old weights
    twin = object.__new__(type(transform))
    twin.__setstate__(state)
    return twin
