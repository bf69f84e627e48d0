"""From a Keras model to a network that is calibrated and measured, for the commands."""

from __future__ import annotations

import argparse
import warnings
from typing import TYPE_CHECKING, Any

import nengo

from .data_file import Examples
from .errors import CommandError

if TYPE_CHECKING:
    from ..convert import Converter
    from ..convert.reporting import Report

# what can take the place of rectified linear neurons, by the names that users type
NEURONS = {
    "spiking-relu": nengo.SpikingRectifiedLinear,
    "poisson": lambda: nengo.PoissonSpiking(nengo.RectifiedLinear()),
    "stochastic": lambda: nengo.StochasticSpiking(nengo.RectifiedLinear()),
    "lif": nengo.LIF,
}


def convert_model(model: Any, arguments: argparse.Namespace) -> Converter:
    """Convert a model, with spiking neurons wherever there are any that fit.

    Raises
    ------
    CommandError
        If a layer cannot be converted, or nothing spikes.
    """
    from ..convert import Converter  # imports Keras

    options = {
        "allow_fallback": not arguments.no_fallback,
        "inference_only": True,
        "max_to_avg_pool": arguments.max_to_avg_pool,
        "split_shared_weights": True,
        "synapse": arguments.synapse,
    }
    try:
        with warnings.catch_warnings():  # the second conversion says it, too
            warnings.simplefilter("ignore")
            plain = Converter(model, **options)
        swaps = _swaps(plain, arguments.neurons)
        scales = {}
        if arguments.no_calibration and arguments.rate is not None:
            scales = {
                call.layer: arguments.rate
                for call in plain.calls
                if call.neurons is not None
                and call.neurons.ensemble.neuron_type in swaps
            }
        converter = Converter(
            model, swap_activations=swaps, scale_firing_rates=scales, **options
        )
    except (TypeError, ValueError) as error:
        raise CommandError(f"{arguments.model}: {error}") from error
    _check_spiking(converter)
    return converter


def _swaps(plain: Converter, neurons: str) -> dict[Any, Any]:
    """Choose spiking neurons for those of a network that has rectified linear ones."""
    from ..convert.calibration.procedure import spiking_forms

    return {
        kind: NEURONS[neurons]() if type(kind) is nengo.RectifiedLinear else form
        for kind, form in spiking_forms(plain).items()
    }


def _check_spiking(converter: Converter) -> None:
    if not any(e.neuron_type.spiking for e in converter.net.all_ensembles):
        raise CommandError(
            f"nothing in the model {converter.model.name!r} can spike: it has no relu "
            "or similar activation. Use relu in hidden layers, or name neuron types in "
            "Python: nengo_jax.convert.Converter(model, swap_activations=...)."
        )


def calibrate_network(
    converter: Converter, fitting: Examples | None, arguments: argparse.Namespace
) -> Any:
    """Calibrate a network, if there are examples to do it on.

    Raises
    ------
    CommandError
        If the examples do not fit.
    """
    if fitting is None:
        return converter
    from ..convert.calibration import calibrate
    from ..convert.reporting.examples import check_examples

    try:
        found = check_examples(converter.model, fitting.inputs, fitting.labels)
        classes = (
            found.task == "classification"
            and len(converter.model.outputs) == 1
            and found.expected.shape[1] > 1
        )
        return calibrate(
            converter,
            fitting.inputs,
            found.targets if classes else None,
            n_steps=arguments.steps,
            dt=arguments.dt,
            rate=arguments.rate,
        )
    except (TypeError, ValueError) as error:
        where = arguments.calibration_data or arguments.data
        raise CommandError(f"{where}: {error}") from error


def measure_network(
    network: Any, test: Examples, arguments: argparse.Namespace
) -> Report:
    """Make the report.

    Raises
    ------
    CommandError
        If the examples do not fit.
    """
    from ..convert.reporting import report

    try:
        return report(
            network, test.inputs, test.labels, n_steps=arguments.steps, dt=arguments.dt
        )
    except (TypeError, ValueError) as error:
        raise CommandError(f"{arguments.data}: {error}") from error
