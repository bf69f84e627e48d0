"""A Nengo network as a layer of a larger Keras model."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import keras
import nengo
from nengo import Node, Probe
from nengo.exceptions import ValidationError

from ..checks import check_clock, check_dtype, check_network
from ..compiler import build_model, compile_model
from ..compiler.parameters import parameters_of
from ..functional import refuse_host
from ..names import by_name, name_objects
from ..options import options_of
from .layer import STEPS, NetworkLayer


@keras.saving.register_keras_serializable("nengo_jax")
class NengoLayer(keras.layers.Layer):
    """Runs a Nengo network inside a Keras model.

    Its parameters are trained with those of the model, and saved and loaded with them.
    Each call starts from the initial state of the network.

    Parameters
    ----------
    network : Network or callable
        The network, or a function without arguments that makes it. With a function
        that is registered by ``keras.saving.register_keras_serializable``, a model can
        be saved and loaded as a whole. With a network, ``save_weights`` and
        ``load_weights`` work; a whole model is saved with a pickle in it, so loading
        it needs ``safe_mode=False``.
    dt : float
        Length of a step in seconds.
    n_steps : int or None
        Number of steps to run for inputs of shape (batch, size), which are held.
    **kwargs
        As for ``keras.layers.Layer``.

    Notes
    -----
    Inputs are a tensor (for the first input node), a list, or a dictionary by name of
    the node, of shape (batch, steps, size), or (batch, size) with ``n_steps``. The
    output is a tensor of shape (batch, steps, size) if the network has one probe, and a
    dictionary by name of the probe otherwise.

    Raises
    ------
    ValidationError
        If the network has no probe or no input node.
    """

    def __init__(
        self,
        network: nengo.Network | Callable[[], nengo.Network],
        dt: float = 0.001,
        n_steps: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._source = network
        self.dt, self.n_steps = dt, n_steps
        self.network = network() if not _is_network(network) else network
        check_network(self.network, None)
        check_clock(dt, None)
        model = build_model(self.network, None, dt, False)
        parameters = [p for p in parameters_of(self.network, model) if p.trainable]
        compiled = compile_model(
            model,
            check_dtype(self.compute_dtype),
            batched=True,
            trainable={p.signal.base for p in parameters},
        )
        refuse_host(compiled.program, ValidationError)
        self.names = name_objects(self.network, model, compiled)
        for kind, word in ((Probe, "probe"), (Node, "input node")):
            if not any(isinstance(obj, kind) for obj in self.names):
                raise ValidationError(f"The network has no {word}", attr="network")
        options = options_of(self.network)
        self.network_layer = NetworkLayer(
            self.network, model, compiled, self.names, options, parameters
        )
        self.built = True

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the network; see the class for shapes."""
        # here and not in ``call``, where Keras would change the type of an error
        return super().__call__(self._by_name(inputs), *args, **kwargs)

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> Any:
        """Run the network on inputs by name."""
        return self._single(self.network_layer(inputs, training=training))

    def compute_output_spec(self, inputs: Mapping[str, Any], training: Any = None):
        """Shapes of the outputs, for the shapes of the inputs."""
        return self._single(self.network_layer.compute_output_spec(inputs))

    def _by_name(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, Mapping) and STEPS in inputs:
            return dict(inputs)  # a functional model calls with what it has recorded
        given = by_name(inputs, self.names, Node, "inputs")
        for obj, name in self.names.items():
            if isinstance(obj, Node) and name in given:
                _check_shape(given[name], name, obj.size_out)
        flat = {name: len(value.shape) == 2 for name, value in given.items()}
        if any(flat.values()):
            if self.n_steps is None:
                raise ValidationError(
                    "Inputs of shape (batch, size) need NengoLayer(..., n_steps=...); "
                    "give (batch, steps, size) otherwise",
                    attr="inputs",
                )
            given = {
                name: keras.ops.expand_dims(v, 1) if flat[name] else v
                for name, v in given.items()
            }
            first = next(iter(given.values()))
            nothing = keras.ops.zeros_like(first[:, :1, :0])
            given[STEPS] = keras.ops.repeat(nothing, self.n_steps, axis=1)
        return given

    def _single(self, outputs: Mapping[str, Any]) -> Any:
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to make the layer again."""
        if _is_network(self._source):
            network: Any = {"pickle": base64.b64encode(_pickle(self._source)).decode()}
        else:
            network = keras.saving.serialize_keras_object(self._source)
        own = {"network": network, "dt": self.dt, "n_steps": self.n_steps}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> NengoLayer:
        """Make the layer again; a pickled network only outside of Keras' safe mode."""
        network = config["network"]
        if isinstance(network, dict) and "pickle" in network:
            if keras.src.saving.serialization_lib.in_safe_mode() is not False:
                raise ValueError(
                    "This NengoLayer holds a pickled network, which may run any code "
                    "when it is loaded. If you trust the file, load it with "
                    "safe_mode=False; or make the layer from a registered function."
                )
            network = pickle.loads(base64.b64decode(network["pickle"]))
        elif isinstance(network, dict):
            network = keras.saving.deserialize_keras_object(network)
        return cls(**{**config, "network": network})


def _check_shape(value: Any, name: str, size: int) -> None:
    shape = tuple(value.shape)
    if len(shape) not in (2, 3) or shape[-1] != size:
        raise ValidationError(
            f"The input {name!r} has shape {shape}, but should have shape (batch, "
            f"steps, {size}), or (batch, {size}) with n_steps",
            attr="inputs",
        )


def _pickle(network: nengo.Network) -> bytes:
    try:
        return pickle.dumps(network)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise ValueError(
            f"The network of this NengoLayer cannot be pickled ({error}). Make the "
            "layer from a function that is registered by "
            "keras.saving.register_keras_serializable, or use save_weights and "
            "load_weights."
        ) from error


def _is_network(value: Any) -> bool:
    return isinstance(value, nengo.Network)
