r"""Parameters as they are now, in the records that nengo built.

The simulation knows scaled encoders, :math:`s = g e / r` with gain g and radius r. Of
encoders that have changed, the length goes into the gain and the direction into the
encoders: :math:`g = r |s| / |e_0|` and :math:`e = r s / g`, with the encoders
:math:`e_0` that were built. Rates as a function of the represented value follow from
them in the usual way. What has not changed is nengo's own object, not rounded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from nengo import Connection, Ensemble
from nengo.builder import Model
from nengo.builder.connection import BuiltConnection
from nengo.builder.ensemble import BuiltEnsemble
from nengo.builder.signal import Signal
from nengo.exceptions import ValidationError
from nengo.neurons import Direct, NeuronType
from nengo.transforms import SparseMatrix

from ..families.products import sparse_coordinates, sparse_data
from ..signals import Signals


class Live:
    """The present parameters of a simulation: ``live(obj)``.

    Parameters
    ----------
    model : nengo.builder.Model
    signals : Signals
    adopt : callable or None
        Called before anything is looked at, to take over what others changed.

    Attributes
    ----------
    signals : Signals
    gains : dict of Ensemble to ndarray
        Gains that were loaded, in place of those that were built. They count for
        connections to neurons, and for encoders that are frozen.
    """

    def __init__(
        self,
        model: Model,
        signals: Signals,
        adopt: Callable[[], None] | None = None,
    ):
        self.model = model
        self._signals = signals
        self._adopt = adopt
        self.gains: dict[Ensemble, np.ndarray] = {}
        self._known: dict[Any, tuple[list[np.ndarray], Any]] = {}

    @property
    def signals(self) -> Signals:
        """Live values of all signals."""
        if self._adopt is not None:
            self._adopt()
        return self._signals

    def __call__(self, obj: Any) -> Any:
        """Return nengo's record of an object, with present values.

        Parameters
        ----------
        obj : Any
            Object of the network.

        Returns
        -------
        BuiltEnsemble, BuiltConnection or Any
            New arrays are read-only. What learns online has a leading batch axis if
            the simulator was given a ``minibatch_size``.
        """
        built = self.model.params[obj]
        if not isinstance(built, (BuiltEnsemble, BuiltConnection)):
            return built
        parts = parameter_signals(self.model, obj)
        values = [self.signals.peek(signal) for signal in parts.values()]
        if obj in self._known:
            seen, record = self._known[obj]
            if all(map(_same, values, seen)):
                return record
        changed = {name: self.changed(signal) for name, signal in parts.items()}
        new = {name: value for name, value in changed.items() if value is not None}
        record = built
        if new and isinstance(built, BuiltConnection):
            weights = as_weights(parts["weights"], new["weights"])
            record = built._replace(weights=weights)
        elif new and isinstance(built, BuiltEnsemble):
            record = _ensemble(obj, built, self.gain(obj), **new)
        self._known[obj] = ([np.array(value) for value in values], record)
        return record

    def gain(self, ensemble: Ensemble) -> np.ndarray:
        """Return the gains by which connections to the neurons are multiplied."""
        return self.gains.get(ensemble, np.asarray(self.model.params[ensemble].gain))

    def changed(self, signal: Signal) -> np.ndarray | None:
        """Return the value of a signal, or None if it is the one that was built.

        The value of one example counts as unchanged if it is the initial one, rounded
        to the type of the simulation. A value of a batch is always returned.
        """
        now = self.signals.peek(signal)
        initial = initial_of(signal)
        if now.ndim == initial.ndim and np.array_equal(now, _rounded(initial, now)):
            return None
        now = np.array(now)
        now.setflags(write=False)
        return now

    def value(self, signal: Signal, example: int | None, name: Any) -> np.ndarray:
        """Return the value of a signal for one example.

        Parameters
        ----------
        signal : Signal
        example : int or None
            Which example of a batch counts, where they differ.
        name : Any
            What the value is, for the message.

        Raises
        ------
        ValidationError
            If examples differ and ``example`` is None, or there is no such example.
        """
        now, initial = self.changed(signal), initial_of(signal)
        if now is None:
            return initial
        if now.ndim > initial.ndim:
            now = pick_example(now, example, name)
            if np.array_equal(now, _rounded(initial, now)):
                return initial
        return now


def parameter_signals(model: Model, obj: Any) -> dict[str, Signal]:
    """Return the signals of the parameters of an object, by attribute."""
    if isinstance(obj, Connection):
        found = {"weights": model.sig[obj].get("weights")}
    elif isinstance(obj, Ensemble) and not isinstance(obj.neuron_type, Direct):
        found = {
            "encoders": model.sig[obj].get("encoders"),
            "bias": model.sig[obj.neurons].get("bias"),
        }
    else:
        found = {}
    return {name: signal for name, signal in found.items() if signal is not None}


def initial_of(signal: Signal) -> np.ndarray:
    """Return the value that was built; of a sparse signal the stored elements."""
    return sparse_data(signal) if signal.sparse else signal.initial_value


def pick_example(value: np.ndarray, example: int | None, name: Any) -> np.ndarray:
    """Take one example out of a batch, any if all are the same."""
    if example is None:
        if not all(np.array_equal(value[0], other) for other in value[1:]):
            raise ValidationError(
                f"{name}: the {len(value)} examples of the batch have learned "
                "different values. Say which one to take, as in example=0.",
                attr="example",
            )
        example = 0
    if not 0 <= example < len(value):
        raise ValidationError(
            f"There is no example {example}: the batch has {len(value)}",
            attr="example",
        )
    return value[example]


def as_weights(signal: Signal, value: np.ndarray) -> Any:
    """Return weights in the form in which nengo keeps those of a signal.

    Parameters
    ----------
    signal : Signal
    value : ndarray
        The weights; of a sparse signal the stored elements.

    Returns
    -------
    ndarray, SparseMatrix or scipy.sparse.spmatrix
    """
    if not signal.sparse:
        return value
    if isinstance(signal.initial_value, SparseMatrix):
        return SparseMatrix(signal.initial_value.indices, value, signal.shape)
    from scipy.sparse import coo_matrix

    coordinates = sparse_coordinates(signal)
    matrix = coo_matrix((value, coordinates), shape=signal.shape)
    return matrix.asformat(signal.initial_value.format)


def _ensemble(
    ensemble: Ensemble,
    built: BuiltEnsemble,
    former_gain: np.ndarray,
    encoders: np.ndarray | None = None,
    bias: np.ndarray | None = None,
) -> BuiltEnsemble:
    """Work out what follows from new scaled encoders and biases, None if unchanged."""
    new: dict[str, Any] = {} if bias is None else {"bias": bias}
    if encoders is not None:
        lengths = np.linalg.norm(built.encoders, axis=-1)
        lengths = np.where(lengths > 0, lengths, 1)
        sign = np.where(former_gain < 0, -1, 1)
        gain = sign * ensemble.radius * np.linalg.norm(encoders, axis=-1) / lengths
        silent = (gain == 0)[..., None]
        unit = ensemble.radius * encoders / np.where(silent, 1, gain[..., None])
        new |= {"gain": gain, "scaled_encoders": encoders}
        new["encoders"] = np.where(silent, built.encoders, unit)
    record = built._replace(**new)
    rates = _tuning(ensemble.neuron_type, record.gain, record.bias)
    if rates is not None:
        new["max_rates"], new["intercepts"] = rates
    for array in new.values():
        array.setflags(write=False)
    return built._replace(**new)


def _tuning(
    neuron_type: NeuronType, gain: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Maximum rates and intercepts; None if the neuron type cannot tell."""
    shape = np.broadcast_shapes(gain.shape, bias.shape)
    gains = np.broadcast_to(gain, shape).reshape(-1, shape[-1]).astype(np.float64)
    biases = np.broadcast_to(bias, shape).reshape(-1, shape[-1]).astype(np.float64)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a silent neuron has no rate or intercept
        try:
            pairs = [
                neuron_type.max_rates_intercepts(*each)
                for each in zip(gains, biases, strict=True)
            ]
        except NotImplementedError:
            return None
    max_rates, intercepts = zip(*pairs, strict=True)
    return np.reshape(max_rates, shape), np.reshape(intercepts, shape)


def _rounded(initial: np.ndarray, now: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return initial.astype(now.dtype)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    # the second comparison takes far longer, and is only needed for what is not finite
    return np.array_equal(one, other) or np.array_equal(one, other, equal_nan=True)
