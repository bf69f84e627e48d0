"""What can be set on a network with ``configure_settings``.

The options of a simulation are one record, kept in the configuration of the top
network. Whether objects are trained, and whether probes keep their history, is set on
types and instances, like everything else in nengo's configuration system.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo import Connection, Ensemble, Network, Probe
from nengo.config import Config
from nengo.ensemble import Neurons
from nengo.exceptions import ConfigError, NetworkContextError, ValidationError
from nengo.params import BoolParam, Parameter

from .surrogates import FastSigmoid, Surrogate

RATE, SURROGATE = "rate", "surrogate"
AUTOMATIC = "auto"
_KEY = "nengo_jax"
_UNSET: Any = object()

_GONE = {
    "planner": "there is one planner, and it needs no choice",
    "sorter": "signals are placed while planning, in the order of first use",
    "simplifications": "XLA removes what does nothing, without being told",
    "use_loop": "runs of any length share one compiled loop",
}


@dataclass(frozen=True)
class Options:
    """Options of training and running a network.

    Attributes
    ----------
    training : str
        "rate": spiking neurons use the rate form of their equations while a network is
        trained. "surrogate": they spike, and a surrogate takes the place of the
        derivative of a spike.
    surrogate : callable
        ``surrogate(x) -> derivative`` at distance x from the threshold, for instance an
        object of :mod:`nengo_jax.surrogates`.
    lif_smoothing : float or None
        Width, in units of the threshold, over which the rate form of LIF neurons is
        smoothed at the threshold; None for no smoothing.
    online_rules : bool
        Whether online learning rules act while a network is trained.
    checkpoint_every : int, "auto" or None
        Number of steps after which backpropagation keeps the state; the steps between
        are computed again. None keeps all steps. "auto" keeps all as long as they take
        little memory. Where a part of the network is Python all are kept, as Python is
        called once in each step.
    truncation : int or None
        Number of steps through which errors are propagated back; None for all.
    inference_only : bool
        Whether the network is never trained.
    stateful : bool
        Whether ``run``, and calls with ``stateful=True``, keep the state of the
        network for the next call.
    learning_phase : bool or None
        Let neurons and layers behave as in training (True) or inference (False) in all
        calls; None: as the call does.
    dtype : str or None
        Precision, where the Simulator is not told another one.
    """

    training: str = RATE
    surrogate: Surrogate = field(default_factory=FastSigmoid)
    lif_smoothing: float | None = None
    online_rules: bool = True
    checkpoint_every: int | str | None = AUTOMATIC
    truncation: int | None = None
    inference_only: bool = False
    stateful: bool = True
    learning_phase: bool | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        _check(
            self.training in (RATE, SURROGATE),
            self,
            "training",
            "'rate' or 'surrogate'",
        )
        _check(
            not isinstance(self.surrogate, type)
            and (
                callable(self.surrogate)
                or hasattr(type(self.surrogate), "__dataclass_fields__")
            ),
            self,
            "surrogate",
            "a function of the distance to the threshold, or an object of a class in "
            "nengo_jax.surrogates, as in Arctan()",
        )
        if callable(self.surrogate):
            _check_surrogate(self.surrogate)
        smoothing = self.lif_smoothing
        _check(
            smoothing is None or (_is_number(smoothing) and smoothing > 0),
            self,
            "lif_smoothing",
            "a positive number or None",
        )
        for name in ("online_rules", "inference_only", "stateful"):
            _check(isinstance(getattr(self, name), bool), self, name, "True or False")
        every = self.checkpoint_every
        _check(
            every is None or every == AUTOMATIC or _is_count(every),
            self,
            "checkpoint_every",
            "a number of steps, 'auto' or None",
        )
        _check(
            self.truncation is None or _is_count(self.truncation),
            self,
            "truncation",
            "a number of steps or None",
        )
        _check(
            self.learning_phase in (None, True, False),
            self,
            "learning_phase",
            "True, False or None",
        )
        _check(
            self.dtype in (None, "float16", "float32", "float64"),
            self,
            "dtype",
            "'float16', 'float32', 'float64' or None",
        )


def _check(right: bool, options: Options, name: str, expected: str) -> None:
    if not right:
        value = getattr(options, name)
        raise ValidationError(f"Must be {expected} (got {value!r})", attr=name)


def _check_surrogate(surrogate: Callable[[Array], Array]) -> None:
    """Raise ValidationError unless JAX can compile a surrogate."""
    distance = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    try:
        slope = jax.eval_shape(surrogate, distance)
    except Exception as error:
        raise ValidationError(
            f"{surrogate!r} cannot be compiled. Write it with jax.numpy, not numpy, "
            f"for arrays of any shape ({type(error).__name__}: "
            f"{str(error).partition(chr(10))[0]})",
            attr="surrogate",
        ) from error
    if getattr(slope, "shape", None) != distance.shape:
        raise ValidationError(
            f"{surrogate!r} must return an array of the shape of its argument, "
            f"{distance.shape} (got {getattr(slope, 'shape', slope)})",
            attr="surrogate",
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and bool(value > 0)


def configure_settings(
    *, trainable: bool | None = _UNSET, keep_history: bool = _UNSET, **settings: Any
) -> None:
    """Set options of the network in whose context this is called.

    Parameters
    ----------
    trainable : bool or None
        Adds ``trainable`` to the configuration of ensembles, neurons and connections of
        the nearest network, with this value. Then ``network.config[nengo.Ensemble]
        .trainable`` and ``network.config[connection].trainable`` can be set as well.
        What is set on an instance counts before what is set on its type, and an inner
        network before an outer one. None: weights, decoders, encoders and biases are
        trained, unless an online rule changes them.
    keep_history : bool
        Adds ``keep_history`` to the configuration of probes of the top network, with
        this value. False: ``predict`` and the losses see only the last step.
    **settings
        The attributes of :class:`~nengo_jax.options.Options`, for the top network.

    Raises
    ------
    NetworkContextError
        If this is not called inside a network.
    ConfigError
        If there is no such option.
    ValidationError
        If a value makes no sense.

    Examples
    --------
    >>> import nengo, nengo_jax
    >>> with nengo.Network() as network:
    ...     nengo_jax.configure_settings(training="surrogate", trainable=None)
    ...     ensemble = nengo.Ensemble(10, 1)
    >>> network.config[ensemble].trainable = False
    """
    if not Network.context:
        raise NetworkContextError(
            "configure_settings must be called inside a network: with network: ..."
        )
    nearest, top = Network.context[-1], Network.context[0]
    known = {field.name for field in fields(Options)}
    for name in settings:
        if name in _GONE:
            raise ConfigError(f"{name!r} is no option of nengo_jax: {_GONE[name]}.")
        if name not in known:
            options = ", ".join(sorted(known | {"trainable", "keep_history"}))
            raise ConfigError(f"{name!r} is not an option. Options are: {options}.")
    if trainable is not _UNSET:
        for kind in (Ensemble, Neurons, Connection):
            _set_flag(nearest.config, kind, "trainable", trainable)
    if keep_history is not _UNSET:
        _set_flag(top.config, Probe, "keep_history", keep_history)
    if settings:
        new = replace(options_of(top), **settings)
        _configures(top.config, Network)
        if _KEY not in top.config[Network].extra_params:
            top.config[Network].set_param(_KEY, Parameter(_KEY, default=Options()))
        setattr(top.config[Network], _KEY, new)


def options_of(network: Network | None) -> Options:
    """Return the options of a network; the defaults if none have been set."""
    if network is None or Network not in network.config.params:
        return Options()
    params = network.config[Network]
    return getattr(params, _KEY) if _KEY in params.extra_params else Options()


def is_trainable(objects: Sequence[Any], networks: list[Network]) -> bool | None:
    """Look up what is configured for an object, or for its owner.

    Parameters
    ----------
    objects : sequence of Ensemble, Neurons or Connection
        The object, and the ensemble that it belongs to if there is one.
    networks : list of Network
        The networks that contain it, the innermost first.

    Returns
    -------
    bool or None
        None if nothing is set.
    """
    for on_instance in (True, False):
        for network in networks:
            flags = [
                _flag(network.config, obj, "trainable", on_instance) for obj in objects
            ]
            known = [flag for flag in flags if flag is not None]
            if known:  # a type of owner that is not trained keeps its parts from it
                return known[0] if on_instance else all(known)
    return None


def keeps_history(probe: Probe, network: Network | None) -> bool:
    """Whether a probe keeps all steps of a call, or only the last."""
    if network is None:
        return True
    for on_instance in (True, False):
        value = _flag(network.config, probe, "keep_history", on_instance)
        if value is not None:
            return value
    return True


def _configures(config: Config, kind: type) -> None:
    if kind not in config.params:
        config.configures(kind)


def _set_flag(config: Config, kind: type, name: str, value: bool | None) -> None:
    if value not in (None, True, False):
        raise ValidationError(f"Must be True, False or None (got {value!r})", attr=name)
    _configures(config, kind)
    if name not in config[kind].extra_params:
        config[kind].set_param(name, BoolParam(name, default=None, optional=True))
    setattr(config[kind], name, value)


def _flag(config: Config, obj: Any, name: str, on_instance: bool) -> bool | None:
    kind = next((k for k in type(obj).__mro__ if k in config.params), None)
    if kind is None or name not in config[kind].extra_params:
        return None
    if not on_instance:
        return getattr(config[kind], name)
    if obj not in config.params:
        return None
    instance = config[obj]
    param = config[kind].get_param(name)
    return getattr(instance, name) if instance in param else None
