"""The Converter: a Keras model becomes a nengo network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import nengo
from nengo.synapses import SynapseParam

from .activations import check_swaps
from .curves import Curve
from .graph import Graph, read_graph
from .keys import KerasMapping
from .network import make_network
from .records import Converted, Options, Value
from .scaling import check_scales
from .table import TABLE, Rule, Table
from .verify import verify


class Converter:
    """Converts a Keras model to a ``nengo.Network``.

    Layers become connections, nodes and populations of neurons. What connections cannot
    compute, such as a product of two inputs, becomes a
    :class:`~nengo_jax.TensorNode` that computes exactly what Keras does; so does, with
    a warning, every layer that the Converter does not know. Weights are copied, so
    model and network do not change each other.

    Parameters
    ----------
    model : keras.Model
        Sequential or functional, of layers, functions of ``keras.ops``, and models.
    allow_fallback : bool
        Whether a layer that cannot be converted becomes a TensorNode. False: it is an
        error.
    inference_only : bool
        Whether the network is never trained. What matters in training only, such as
        dropout and regularizers, is then left away, and BatchNormalization becomes part
        of the layer before it.
    max_to_avg_pool : bool
        Whether maxima in pooling layers are replaced by averages, which spikes can be
        averaged by.
    split_shared_weights : bool
        Whether a layer that is called several times is copied for each call. Otherwise
        it is an error.
    swap_activations : dict or None
        Activations to replace: from a Keras activation function, its name or a neuron
        type to one of these, as in ``{"relu": nengo.SpikingRectifiedLinear()}``.
    scale_firing_rates : float, dict or None
        Factor on firing rates, for all layers, or by layer; in a dictionary also an
        array with one factor for each channel. Gains are multiplied by it and
        amplitudes divided, so rectified linear neurons give the same as before.
    synapse : nengo.synapses.Synapse, float or None
        Filter on connections out of neurons, and on probes of neurons.
    temporal_model : bool
        Whether the first axis after the batch is time, which the simulation unrolls.
    table : mapping of type to Rule, or None
        Which layer is converted how. None: :data:`~nengo_jax.convert.TABLE`, and what
        has been registered.
    curves : mapping of layer to Curve, or None
        Gain, bias and amplitude of neurons whose rates cannot be scaled, as
        :func:`~nengo_jax.convert.calibrate` chooses them.

    Attributes
    ----------
    model : keras.Model
        As given.
    net : nengo.Network
    inputs : KerasMapping
        The nodes to feed, by input tensor or layer of the model.
    outputs : KerasMapping
        The probes, by output tensor or layer of the model. A tensor that the model
        returns twice has one probe: its loss takes twice the weight.
    layers : KerasMapping
        The object that gives the output of each layer, a node or neurons.
    calls : list of Converted
        What became of each call of a layer, in the order of the network.

    Raises
    ------
    TypeError
        If this is no Keras model, or a layer cannot be converted.
    ValueError
        If the shape of an input is not known, weights are shared, or an argument does
        not fit the model.

    Examples
    --------
    >>> import keras, nengo, nengo_jax
    >>> from nengo_jax.convert import Converter
    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((28, 28, 1)),
    ...         keras.layers.Conv2D(4, 3, activation="relu"),
    ...         keras.layers.Flatten(),
    ...         keras.layers.Dense(10),
    ...     ]
    ... )
    >>> converter = Converter(model)
    >>> converter.verify()
    True
    >>> spiking = Converter(
    ...     model,
    ...     swap_activations={"relu": nengo.SpikingRectifiedLinear()},
    ...     scale_firing_rates=100,
    ...     synapse=0.005,
    ... )
    >>> spiking.layers[model.layers[0]].size_out
    2704
    """

    _registered: ClassVar[dict[Any, Rule]] = {}

    @classmethod
    def register(cls, *kinds: Any) -> Callable[[Any], Any]:
        """Say how all Converters made afterwards convert some types of layers.

        The same can be done for one Converter by ``table={**TABLE, kind: rule}``.

        Parameters
        ----------
        *kinds : type
            Of layers.

        Returns
        -------
        callable
            Decorator of a function ``convert(call, sources, options) -> Converted``, or
            of a :class:`~nengo_jax.convert.Rule`.

        Warns
        -----
        UserWarning
            If there is a rule already.
        """

        def decorate(rule: Any) -> Any:
            for kind in kinds:
                if kind in TABLE or kind in cls._registered:
                    warnings.warn(
                        f"The rule for {kind.__name__} layers is replaced.",
                        stacklevel=2,
                    )
                cls._registered[kind] = rule if isinstance(rule, Rule) else Rule(rule)
            return rule

        return decorate

    def __init__(
        self,
        model: Any,
        allow_fallback: bool = True,
        inference_only: bool = False,
        max_to_avg_pool: bool = False,
        split_shared_weights: bool = False,
        swap_activations: Any = None,
        scale_firing_rates: Any = None,
        synapse: Any = None,
        temporal_model: bool = False,
        *,
        table: Table | None = None,
        curves: Mapping[Any, Curve] | None = None,
    ):
        graph = read_graph(model, temporal=temporal_model)
        options = Options(
            allow_fallback,
            inference_only,
            max_to_avg_pool,
            split_shared_weights,
            check_swaps(swap_activations),
            check_scales(scale_firing_rates, set(graph.layers)),
            _check_synapse(synapse),
            temporal_model,
            {} if curves is None else curves,
        )
        self.model = model
        self.options = options
        table = {**TABLE, **self._registered} if table is None else table
        made = make_network(graph, options, table, model.name)
        self.net: nengo.Network = made.net
        self.calls: list[Converted] = made.calls
        objects = {value: source.obj for value, source in made.sources.items()}
        nodes = {value: objects[value] for value in graph.inputs}
        self.inputs = KerasMapping(graph, nodes, "inputs")
        self.outputs = KerasMapping(graph, made.probes, "outputs")
        self.layers = KerasMapping(graph, objects, "layers", _folded(graph, self.calls))
        self._ends = (
            list(nodes.values()),
            [made.probes[value] for value in graph.outputs],
        )

    def verify(
        self,
        training: bool = False,
        inputs: Any = None,
        atol: float = 1e-8,
        rtol: float | None = None,
    ) -> bool:
        """Check that the network gives what the Keras model gives.

        This makes sense for rates: spikes and synapses give something else on purpose.

        Parameters
        ----------
        training : bool
            Whether to compare after three epochs of training as well, with SGD at a
            learning rate of 0.1 towards ones. Dropout and other noise is the same in
            both. The model is not changed.
        inputs : array, or structure of arrays as the model takes it, or None
            None: a batch of two with random numbers in [-1, 1], of ten steps in a
            temporal model.
        atol : float
        rtol : float or None
            A difference of ``atol + rtol * m`` is allowed, where m is the largest
            absolute value of the output. None: 1e-5; if layers compute in less than
            single precision, as with the policy "mixed_float16", 16 roundings of it.

        Returns
        -------
        bool
            True.

        Raises
        ------
        ValueError
            If outputs differ, or the numbers of trainable parameters do; if noise in
            training cannot be the same in both; or if the inputs do not fit the model.
        """
        nodes, probes = self._ends
        verify(
            self.model,
            self.net,
            nodes,
            probes,
            training=training,
            inputs=inputs,
            temporal=self.options.temporal,
            atol=atol,
            rtol=rtol,
        )
        return True


def _folded(graph: Graph, calls: list[Converted]) -> dict[Value, str]:
    """Say what became of values that the network does not compute."""
    found = {}
    for converted in calls:
        *inner, last = (converted.layer, *converted.call.folded)
        for layer in inner:
            for value in graph.layers[layer][0]:
                found[value] = (
                    f"What {converted.label!r} computes has become part of what "
                    f"{last.name!r} gives, as BatchNormalization is folded. Use that "
                    "layer as the key."
                )
    return found


def _check_synapse(synapse: Any) -> Any:
    """Return a synapse, or None, as nengo's own parameters do."""
    return SynapseParam("synapse").coerce(None, synapse)
