"""Shows images to a network that reads them: all at once, or one after another.

In ``nengo_jax`` each image is shown to a copy of the network, all at the same time.
``nengo.Simulator`` shows one image after another.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import nengo
import numpy as np

from ..simulator import Simulator

STEPS = 100  # of 1 ms
_N_REFERENCE = 10


class Reader(NamedTuple):
    """A network that reads images, and where to feed and watch it.

    Attributes
    ----------
    network : Network
    pixels : Node
        Takes an image, 64 numbers.
    answer : Probe
        Ten numbers; the largest is the answer.
    spikes : Probe
        Some of the neurons.
    n_neurons : int
        Number of all neurons.
    """

    network: nengo.Network
    pixels: nengo.Node
    answer: nengo.Probe
    spikes: nengo.Probe
    n_neurons: int


class Shown(NamedTuple):
    """What came out when every image was shown for 100 ms.

    Attributes
    ----------
    answers : ndarray, shape (images, steps, 10)
        Decoded output.
    spikes : ndarray, shape (images, steps, neurons)
        Non-zero where a neuron spikes.
    preparing, seconds : float
        Time to build and compile, and time of the run, in seconds.
    """

    answers: np.ndarray
    spikes: np.ndarray
    preparing: float
    seconds: float


def show_all(reader: Reader, images: np.ndarray) -> Shown:
    """Show each image to a copy of the network; the second run is the timed one."""
    started = time.perf_counter()
    with Simulator(
        reader.network, minibatch_size=len(images), progress_bar=False
    ) as sim:
        film = {reader.pixels: np.repeat(images[:, None], STEPS, axis=1)}
        sim.run_steps(STEPS, film)
        preparing = time.perf_counter() - started
        sim.reset()
        started = time.perf_counter()
        sim.run_steps(STEPS, film)
        seconds = time.perf_counter() - started
    return Shown(sim.data[reader.answer], sim.data[reader.spikes], preparing, seconds)


def compare(reader: Reader, images: np.ndarray, shown: Shown) -> list[str]:
    """Show some images in ``nengo.Simulator`` too; say how the two compare."""
    reference, seconds = _show_reference(reader, images[:_N_REFERENCE])
    count = len(reference)
    ours = shown.answers[:count]
    own_time = shown.seconds / (len(images) * STEPS) * 1e6
    reference_time = seconds / (count * STEPS) * 1e6
    agreeing = np.sum(ours[:, -1].argmax(-1) == reference[:, -1].argmax(-1))
    difference = np.abs(ours - reference).mean() / np.abs(reference).mean()
    return [
        f"Time for one step of one image, measured over {STEPS} steps:",
        f"  nengo_jax        {own_time:5.0f} us   all {len(images)} images at once",
        f"  nengo.Simulator  {reference_time:5.0f} us   {count} of them, one by one",
        f"  {reference_time / own_time:.1f} times faster, after "
        f"{shown.preparing:.1f} s to build, compile and run for the first time.",
        f"  Same answer for {agreeing} of {count} images; outputs differ by "
        f"{difference:.1g} of their size on average.",
    ]


def _show_reference(reader: Reader, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Show images to nengo.Simulator, one after another; return answers and seconds."""
    answers, seconds = [], 0.0
    with nengo.Simulator(reader.network, progress_bar=False) as sim:
        for image in images:
            sim.reset()
            assert sim.signals is not None
            sim.signals[sim.model.sig[reader.pixels]["out"]][...] = image
            started = time.perf_counter()
            sim.run_steps(STEPS, progress_bar=False)
            seconds += time.perf_counter() - started
            answers.append(np.array(sim.data[reader.answer]))
    return np.array(answers), seconds
