"""Communication channel: spikes carry a signal from one group of neurons to the next.

A slowly varying random signal drives ensemble A; ensemble A is connected to ensemble B.
No neuron knows the signal: each fires the more, the more the signal points in its own
preferred direction, and the connection weights the spikes so that their sum is the
signal again. That sum is noisy, and each connection smooths it with a synapse, which
delays it a little.

The picture shows the signal, what is decoded from the spikes of A and of B, and the
spikes of B: neurons that prefer positive values are above, those that prefer negative
values below.

Run it with ``python examples/communication_channel.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import nengo
import numpy as np
from matplotlib.figure import Figure

import nengo_jax

N_NEURONS = 100
SYNAPSE = 0.01  # s


class Channel(NamedTuple):
    """The network with its probes."""

    network: nengo.Network
    receiver: nengo.Ensemble
    signal: nengo.Probe
    decoded: tuple[nengo.Probe, nengo.Probe]
    spikes: nengo.Probe


class Figures(NamedTuple):
    """How well the signal arrives."""

    rmse: float  # root of the mean squared error, at the best delay
    delay: float  # s


def build() -> Channel:
    with nengo.Network("communication channel", seed=1) as network:
        stimulus = nengo.Node(nengo.processes.WhiteSignal(10.0, high=3, rms=0.5))
        sender = nengo.Ensemble(N_NEURONS, dimensions=1)
        receiver = nengo.Ensemble(N_NEURONS, dimensions=1)
        nengo.Connection(stimulus, sender, synapse=SYNAPSE)
        nengo.Connection(sender, receiver, synapse=SYNAPSE)
        decoded = (
            nengo.Probe(sender, synapse=SYNAPSE),
            nengo.Probe(receiver, synapse=SYNAPSE),
        )
        probe, spikes = nengo.Probe(stimulus), nengo.Probe(receiver.neurons)
    return Channel(network, receiver, probe, decoded, spikes)


def best_delay(signal: np.ndarray, received: np.ndarray, dt: float) -> Figures:
    """Shift the signal until it fits best what was received."""
    errors = [
        np.sqrt(np.mean((received[shift:] - signal[: len(signal) - shift]) ** 2))
        for shift in range(min(100, len(signal)))
    ]
    return Figures(float(np.min(errors)), float(np.argmin(errors) * dt))


def main(out: Path, time: float = 2.0) -> Figures:
    """Run the channel and save its picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    time : float
        Simulated time in seconds.
    """
    channel = build()
    with nengo_jax.Simulator(channel.network, progress_bar=False) as sim:
        sim.run(time)
    signal = sim.data[channel.signal][:, 0]
    decoded = [sim.data[probe][:, 0] for probe in channel.decoded]
    figures = best_delay(signal, decoded[-1], sim.dt)
    preferred = sim.data[channel.receiver].encoders[:, 0]
    thresholds = sim.data[channel.receiver].intercepts * preferred
    spikes = sim.data[channel.spikes][:, np.lexsort((thresholds, preferred))]
    draw(out, sim.trange(), signal, decoded, spikes, figures)
    return figures


def draw(
    out: Path,
    times: np.ndarray,
    signal: np.ndarray,
    decoded: list[np.ndarray],
    spikes: np.ndarray,
    figures: Figures,
) -> None:
    figure = Figure(figsize=(10, 7), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(times, signal, color="black", linewidth=2.5, label="signal")
    above.plot(times, decoded[0], color="tab:orange", label="decoded from A", alpha=0.8)
    above.plot(times, decoded[1], color="tab:blue", label="decoded from B")
    above.legend(loc="upper right", ncols=3, frameon=False)
    above.set_ylim(-1.1, 1.3)
    above.set_title(
        f"B repeats the signal {figures.delay * 1000:.0f} ms later, "
        f"with an error of {figures.rmse:.3f} (RMS)",
        loc="left",
    )
    step, neuron = np.nonzero(spikes)
    below.scatter(
        times[step], neuron, s=6, marker="|", color="tab:blue", linewidths=0.8
    )
    below.set_ylabel("neurons of B")
    below.set_xlabel("time (s)")
    below.set_xlim(0, times[-1])
    below.set_title("Spikes of B", loc="left")
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    print(main(Path("communication_channel.png")))
