"""Makes a report of a converted network, calibrated or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...checks import check_clock
from ..calibration import Calibrated
from ..calibration.checks import check_counts
from ..converter import Converter
from ..graph import functional_of
from .examples import check_examples
from .findings import find
from .measure import Network, measure
from .records import Report
from .scoring import DELAYED, READOUTS

_DT = 0.001


def report(
    converted: Any,
    data: Any,
    labels: Any = None,
    *,
    n_steps: int | None = None,
    dt: float | None = None,
    readout: str | None = None,
    seed: int = 0,
) -> Report:
    """Measure a converted network on examples, and say what is wrong with it.

    Each example is presented for ``n_steps`` to a network in its initial state. Spikes
    of all layers are looked at in pieces, and only those of the first example are kept.
    The network and the model are not changed.

    Parameters
    ----------
    converted : Converter or Calibrated
    data : ndarray, list of ndarray or dict of ndarray
        Inputs as for ``model.predict``. Some hundred examples are enough.
    labels : array or None
        Labels as whole numbers or one-hot rows, or wanted outputs for regression; of
        the first output, if there are several. None: what the Keras model gives.
    n_steps : int or None
        Steps for each example. None: what the network was calibrated for.
    dt : float or None
        Length of a step in s. None: what it was calibrated for, or 1 ms.
    readout : str or None
        What the answer is taken from: ``last``, the output of the last step, as the
        probe gives it; ``mean``, its mean over all steps; ``late``, over the second
        half of them. The report has all three; findings are about this one. None: that
        of the calibration, or the last step.
    seed : int
        Of initial voltages and noise, unless the network has a seed.

    Returns
    -------
    Report
        ``report.findings`` are in the order in which to mend them;
        ``report.to_html(path)`` writes a page, ``report.to_json(path)`` the numbers.

    Raises
    ------
    TypeError
        If this is no converted network.
    ValueError
        If data or labels do not fit the model, or an argument makes no sense.

    Examples
    --------
    >>> import keras, nengo, nengo_jax
    >>> import numpy as np
    >>> from nengo_jax.convert import Converter, report
    >>> _ = keras.utils.set_random_seed(0)
    >>> model = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
    ... )
    >>> spiking = Converter(
    ...     model, swap_activations={"relu": nengo.SpikingRectifiedLinear()}
    ... )
    >>> found = report(spiking, np.random.RandomState(0).rand(10, 4), n_steps=20)
    >>> found.findings[0].cause
    'rates_too_low'
    """
    converter, n_steps, dt = _check(converted, n_steps, dt, readout, seed)
    examples = check_examples(converter.model, data, labels)
    network = _network(converted, converter, readout)
    measured = measure(network, examples, n_steps, dt, seed)
    return replace(measured, findings=find(measured))


def _check(
    converted: Any, n_steps: Any, dt: Any, readout: Any, seed: Any
) -> tuple[Converter, int, float]:
    """Return the converter, the number of steps and their length."""
    calibrated = isinstance(converted, Calibrated)
    converter = converted.converter if calibrated else converted
    if not isinstance(converter, Converter):
        raise TypeError(
            "report takes a Converter, or what calibrate made of a Keras model (got "
            f"{type(converted).__name__}). Convert the model first: Converter(model, "
            'swap_activations={"relu": nengo.SpikingRectifiedLinear()}).'
        )
    if calibrated:
        n_steps = converted.n_steps if n_steps is None else n_steps
        dt = converted.dt if dt is None else dt
    check_counts(1, n_steps=n_steps)
    if readout is not None and readout not in READOUTS:
        raise ValueError(
            f"readout must be one of {', '.join(READOUTS)} (got {readout!r})"
        )
    dt = _DT if dt is None else dt
    check_clock(dt, seed)
    if converter.options.temporal:
        raise ValueError(
            "report takes no temporal models (Converter(temporal_model=True)). Use "
            "Calibrated.error or accuracy."
        )
    return converter, int(n_steps), float(dt)


def _network(converted: Any, converter: Converter, readout: str | None) -> Network:
    if isinstance(converted, Calibrated):
        own, assembled = converted.readout, converted.assembled
        # a filter is part of the probe
        kind = own.kind if own.kind in ("mean", DELAYED) else "last"
        return Network(
            converter,
            converted.net,
            assembled.probes[0],
            kind if readout is None else readout,
            own.start,
            assembled.finals[0],
            converted.effects,
        )
    probe = converter.outputs[functional_of(converter.model).outputs[0]]
    return Network(converter, converter.net, probe, readout or "last")
