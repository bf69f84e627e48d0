"""Which form of its equations a neuron type uses.

===================== ==================================================================
a plain run           ``make``
rate mode             ``rate``; its states do not change, except for an adaptation
surrogate             ``make``: spikes as in a plain run, the surrogate's derivative
RateDerivative        outputs of ``make``, derivative of ``rate``, none through states
===================== ==================================================================

Types that do not spike have a derivative of their own, and use ``make`` in all of them;
only the threshold of LIFRate and AdaptiveLIFRate can be smoothed in rate mode.
"""

from __future__ import annotations

from jax import Array, lax
from nengo.builder.neurons import SimNeurons
from nengo.exceptions import BuildError

from ...surrogates import RateDerivative, straight_through
from ..base import Settings
from .model import Maker, NeuronModel, Step


def choose_form(model: NeuronModel, settings: Settings, op: SimNeurons) -> Maker:
    """Return the maker of the form that a neuron type uses under some settings.

    Raises
    ------
    BuildError
        If the rate form is needed and there is none.
    """
    training = settings.training
    if training is None:
        return model.make
    spiking = model.neuron_type.spiking
    derivative_only = isinstance(training.surrogate, RateDerivative)
    if not (training.surrogate is None or (derivative_only and spiking)):
        return model.make
    if model.rate is None:
        if spiking:
            raise BuildError(_no_rate_form(op, derivative_only))
        return model.make
    return _rate_derivative(model.make, model.rate) if derivative_only else model.rate


def _rate_derivative(spike: Maker, rate: Maker) -> Maker:
    def make(constants, settings, neurons) -> Step:
        run = spike(constants, settings, neurons)
        respond = rate(constants, settings, neurons)

        def step(current: Array, *state: Array) -> tuple[Array, ...]:
            fixed = [lax.stop_gradient(value) for value in state]
            spikes, *after = run(lax.stop_gradient(current), *fixed)
            rates, *_ = respond(current, *fixed)
            return straight_through(spikes, rates), *after

        return step

    return make


def _no_rate_form(op: SimNeurons, derivative_only: bool) -> str:
    asked = "RateDerivative()" if derivative_only else "training='rate'"
    return (
        f"{op.output.name} belongs to neurons of type {op.neurons}, whose firing rate "
        f"has no closed form, so they cannot be trained with {asked}. Use a surrogate "
        "gradient instead: nengo_jax.configure_settings(training='surrogate', "
        "surrogate=nengo_jax.surrogates.FastSigmoid()), which is the default surrogate."
    )
