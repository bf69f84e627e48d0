"""Makes a report of a converted network, calibrated or not."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import Any

from nengo.exceptions import ValidationError

from ...checks import check_clock
from ..converter import Converter
from .examples import check_examples
from .findings import find
from .measure import Network, measure
from .records import Report
from .scoring import READOUTS


def report(
    converted: Any,
    data: Any,
    labels: Any = None,
    *,
    n_steps: int,
    dt: float = 0.001,
    readout: str = "last",
    seed: int = 0,
) -> Report:
    """Measure a converted network on examples, and say what is wrong with it.

    Each example is presented for ``n_steps`` to a network in its initial state. Spikes
    of all layers are looked at, in pieces, so the memory does not depend on the number
    of examples and steps. The network and the model are not changed.

    Parameters
    ----------
    converted : Converter
    data : ndarray, list of ndarray or dict of ndarray
        Inputs as for ``model.predict``. Some hundred examples are enough.
    labels : array or None
        Labels as whole numbers or one-hot rows, or wanted outputs for regression. None:
        what the Keras model gives.
    n_steps : int
        Steps for each example.
    dt : float
        Length of a step in s.
    readout : str
        What the answer is taken from: ``last``, the output of the last step, as the
        probe gives it; ``mean``, its mean over all steps; ``late``, over the second
        half of them. The report has all three; findings are about this one.
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
    >>> from nengo_jax.convert import Converter
    >>> from nengo_jax.convert.reporting import report
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
    if not isinstance(converted, Converter):
        raise TypeError(
            "report takes a nengo_jax.convert.Converter (got "
            f"{type(converted).__name__}). Convert the model first: Converter(model, "
            'swap_activations={"relu": nengo.SpikingRectifiedLinear()}).'
        )
    if not isinstance(n_steps, Integral) or isinstance(n_steps, bool) or n_steps < 1:
        raise ValueError(f"n_steps must be a whole number from 1 on (got {n_steps!r})")
    if readout not in READOUTS:
        raise ValueError(
            f"readout must be one of {', '.join(READOUTS)} (got {readout!r})"
        )
    check_clock(dt, seed)
    if converted.options.temporal:
        raise ValidationError(
            "The inputs of a report are held while they are presented, but this "
            "network was converted with temporal_model=True",
            attr="converted",
        )
    examples = check_examples(converted.model, data, labels)
    probe = converted.outputs[converted.model.outputs[0]]
    network = Network(converted, converted.net, probe, readout)
    measured = measure(network, examples, int(n_steps), dt, seed)
    return replace(measured, findings=find(measured))
