"""The function that calibrates: checks, then the stages one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import nengo
from nengo.neurons import NeuronType

from ...neurons import (
    BoundedReLU,
    LeakyReLU,
    SoftResetIntegrateAndFire,
    SpikingLeakyReLU,
)
from ..converter import Converter
from ..table import TABLE, Table
from .calibrated import Calibrated
from .checks import check_memory, check_spiking, choose_voltages
from .keras_subject import KerasSubject
from .network_subject import NetworkSubject, find_inputs
from .readout import check_readout
from .records import Settings
from .scores import check_labels
from .stages import Measures, Run
from .subject import Subject
from .trial import Target


def calibrate(
    model: Any,
    data: Any,
    labels: Any = None,
    *,
    n_steps: int = 32,
    dt: float = 0.001,
    scale: bool = True,
    rate: float | None = None,
    percentile: float = 99.9,
    per_channel: bool = False,
    voltage: str | None = "half",
    bias: bool = True,
    fold: bool = True,
    readout: Any = "mean",
    fine_tune: int = 0,
    learning_rate: float = 1e-4,
    measure: bool = True,
    trial_examples: int = 256,
    minibatch_size: int = 64,
    seed: int = 0,
    table: Table | None = None,
) -> Calibrated:
    """Make a spiking network that gives what its model gives, in few steps.

    Each measure can be switched off, and what each one does is part of the result.
    Nothing that is given is changed.

    Parameters
    ----------
    model : Converter, keras.Model or nengo.Network
        Where a model has "relu", it is converted to ``SoftResetIntegrateAndFire``
        neurons, where it has "relu6" or "leaky_relu", to spiking forms of them. Of a
        network of ensembles, rates stand for what it should compute.
    data : array or structure of arrays, shape (examples, ...)
        Some hundred inputs, as the model takes them: (examples, time steps, ...) for a
        Converter with ``temporal_model=True``. For a network, values of its input node,
        or a dictionary by node.
    labels : array_like of int, shape (examples,), or None
        Of a temporal model (examples, time steps). If given, effects are measured in
        accuracy, otherwise as the error against what the model gives.
    n_steps : int
        For how many steps an example is presented, or each time step of a temporal
        model, whose state goes on from one to the next.
    dt : float
        Length of a step in seconds.
    scale : bool
        Whether to choose ``scale_firing_rates``; for LIF neurons in place of "relu" the
        gain, bias and amplitude that come nearest to it.
    rate : float or None
        Firing rate in Hz that the percentile of the activations gets. None: one spike
        in each step for ``SoftResetIntegrateAndFire`` neurons and four for others, or
        as much more as it takes for 16 spikes in the time of presentation (with
        ``n_steps=1``, 16 in each step); four times that without labels. For neurons
        that spike once in a step at most, such as LIF, 0.4 of their highest rate.
    percentile : float
        Of the activations on the data, in (0, 100].
    per_channel : bool
        Whether each channel is scaled apart.
    voltage : str or None
        Initial voltages: "half" the threshold, "zero", "random", or None, as they are.
    bias : bool
        Whether to correct biases by the mean error, layer after layer.
    fold : bool
        Whether BatchNormalization becomes part of the layer before it.
    readout : str or Readout
        "mean" of all steps, "last" step, "delayed" mean, or "filtered". With
        ``n_steps=1``, when the data change in each step, a filter is what averages:
        ``Readout("filtered", synapse=0.05)``. Then give a rate, such as ``rate=1000``.
    fine_tune : int
        Number of epochs of training on the data with surrogate gradients at the end.
        Memory then holds each time step of a temporal model ``n_steps`` times.
    learning_rate : float
        Of Adam, for fine-tuning.
    measure : bool
        Whether to measure effects; without, it is faster.
    trial_examples : int
        With how many examples the spiking network is run.
    minibatch_size : int
        How many examples are run at once.
    seed : int
        Of the network, and of random voltages.
    table : mapping of type to Rule, or None
        What the Converter was given, if it was given a table.

    Returns
    -------
    Calibrated

    Raises
    ------
    TypeError
        If there is nothing that can be calibrated.
    ValueError
        If data or an argument do not fit, nothing spikes, or layers or neurons of a
        temporal model remember earlier time steps.

    Warns
    -----
    UserWarning
        If spiking neurons cannot be scaled, as their rates are not proportional to the
        current, and they are no LIF neurons in place of "relu".

    Examples
    --------
    >>> import keras, numpy as np
    >>> from nengo_jax.convert import calibrate
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((4,)),
    ...         keras.layers.Dense(16, activation="relu"),
    ...         keras.layers.Dense(2),
    ...     ]
    ... )
    >>> x = np.random.RandomState(0).normal(size=(100, 4))
    >>> calibrated = calibrate(model, x, n_steps=16)
    >>> [effect.name for effect in calibrated.effects]
    ['scales', 'voltages', 'bias', 'readout']
    >>> bool(calibrated.effects[-1].after < 0.1)
    True
    >>> calibrated.predict(x).shape
    (100, 2)
    """
    measures = Measures(
        n_steps,
        dt,
        scale,
        rate,
        percentile,
        per_channel,
        voltage,
        bias,
        fold,
        fine_tune,
        learning_rate,
        measure,
        trial_examples,
        minibatch_size,
        seed,
    )
    settings = Settings(readout=check_readout(readout, n_steps, dt))
    subject = _subject(model, data, measures, table)
    arrays = subject.check(data)
    given = subject.assemble(settings, fold=False)
    known = None
    if labels is not None:
        leading = arrays[0].shape[: 1 + given.temporal]
        known = check_labels(labels, leading, given.shapes)
        known = known.reshape(len(known), -1)
    check_spiking(given.parts)
    if fine_tune:
        subject.check_trainable()
    voltages = choose_voltages(voltage, given.parts, seed)
    reference = subject.measure(
        arrays, percentile, per_channel=per_channel, mean_examples=trial_examples
    )
    outputs = reference.outputs
    if not given.temporal:
        outputs = [array[:, None] for array in outputs]
    whole = Target(given.frames_of(arrays), outputs, known, n_steps)
    run = Run(subject, measures, reference, whole)
    return run.finish(run.tune(run.correct(run.start(settings, given), voltages)))


def _subject(model: Any, data: Any, measures: Measures, table: Table | None) -> Subject:
    """Return what can be calibrated.

    Raises
    ------
    TypeError, ValueError
    """
    if isinstance(model, nengo.Network):
        return NetworkSubject(
            model,
            find_inputs(model, data),
            measures.n_steps,
            measures.dt,
            measures.seed,
        )
    table, options = TABLE if table is None else table, None
    if isinstance(model, keras.Model):
        model = Converter(model, inference_only=True, table=table)
        options = replace(model.options, swaps=spiking_forms(model))
    if not isinstance(model, Converter):
        raise TypeError(
            "calibrate takes a Converter, a Keras model or a nengo.Network (got "
            f"{type(model).__name__})"
        )
    check_memory(model)
    return KerasSubject(
        model.model,
        model.options if options is None else options,
        table,
        measures.seed,
    )


def spiking_forms(converter: Converter) -> dict[NeuronType, NeuronType]:
    """Return neuron types that spike, by those of a network that do not.

    They are for ``swap_activations``. Types that cannot be scaled are left out.

    Parameters
    ----------
    converter : Converter
        Made without swaps.
    """
    kinds = {c.neurons.ensemble.neuron_type for c in converter.calls if c.neurons}
    forms: dict[NeuronType, NeuronType] = {}
    for kind in kinds:
        if type(kind) is nengo.RectifiedLinear:
            forms[kind] = SoftResetIntegrateAndFire(kind.amplitude)
        elif isinstance(kind, LeakyReLU):
            forms[kind] = SpikingLeakyReLU(kind.negative_slope, kind.amplitude)
        elif isinstance(kind, BoundedReLU):
            forms[kind] = nengo.RegularSpiking(kind)
    return forms
