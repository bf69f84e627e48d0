"""What uses of layers cost on a device, and what they amount to for a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from .comparison import Workload
from .devices import Device
from .uses import Use


def energy_of(
    uses: Sequence[Use],
    rates: Sequence[float] | None,
    device: Device,
    steps: int,
    dt: float,
) -> dict[str, float]:
    """Return the energy that layers take in one inference, by KerasSpiking's formulas.

    Parameters
    ----------
    uses : sequence of Use
    rates : sequence of float, or None
        Input rates of these uses in Hz. Only a spiking device needs them.
    device : Device
    steps : int
        Time steps of one inference; one that does not spike takes a single one.
    dt : float
        Length of a step in seconds.

    Returns
    -------
    dict
        ``synop_energy`` and ``neuron_energy`` in J.
    """
    synops, updates = 0.0, 0.0
    for use, rate in zip(uses, rates or [0.0] * len(uses), strict=True):
        stats = use.stats
        active = rate * dt if device.spiking and not stats.every_step else 1.0
        times = stats.steps * (steps if device.spiking else 1)
        synops += stats.connections * active * times
        updates += stats.neurons * times
    return {
        "synop_energy": device.energy_per_synop * synops,
        "neuron_energy": device.energy_per_neuron * updates,
    }


def workload_of(
    uses: Sequence[Use],
    rates: Sequence[float] | None,
    spiking_input: bool,
    steps: int,
    dt: float,
) -> Workload:
    """Return what a model does in one inference, as :mod:`.comparison` takes it.

    Parameters
    ----------
    uses, rates, steps, dt
        As for :func:`energy_of`.
    spiking_input : bool
        Whether the input of the model consists of spikes.
    """
    spiking, held, values, neurons, spikes = 0, 0, 0, 0, 0.0
    for use, rate in zip(uses, rates or [0.0] * len(uses), strict=True):
        connections = use.stats.connections * use.stats.steps
        neurons += use.stats.neurons * use.stats.steps
        if not (use.spikes or spiking_input):
            held += connections
        elif use.stats.every_step:
            values += connections
        else:
            spiking += connections
            spikes += connections * rate * dt
    known = rates is not None and spiking > 0
    mean = spikes / spiking if known else None
    return Workload(steps, dt, spiking, mean, held, values, neurons)
