"""``nengo-jax demo``: spiking neurons read handwritten digits, all images at once.

It prints how the accuracy rises while an image is shown, compares the speed and the
results with ``nengo.Simulator``, and saves a picture.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import nengo
import numpy as np

from ..simulator import Simulator
from .errors import CommandError

if TYPE_CHECKING:
    from .digits import Reader

_STEPS = 100  # of 1 ms
_SHOWN_STEPS = (10, 20, 30, 50, 75, 100)
_N_REFERENCE = 10
_EXTRA = ("matplotlib", "sklearn")


class Run(NamedTuple):
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


def declare(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="spiking neurons read handwritten digits, beside nengo.Simulator",
        description=(
            "A spiking network reads the handwritten digits that ship with "
            "scikit-learn. Prints its accuracy over time and its speed beside "
            "nengo.Simulator, and saves a picture. Takes less than a minute."
        ),
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("nengo-jax-demo.png"),
        help="where to save the picture (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="splits the images and draws the neurons (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the demo.

    Raises
    ------
    CommandError
        If the packages of the extra are missing, or the picture cannot be saved.
    """
    try:
        from . import digits, pictures
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in _EXTRA:
            raise
        raise CommandError(
            f'{package} is missing. Install it with: pip install "nengo-jax[demo]"'
        ) from error
    pictures.check_writable(arguments.out)

    data = digits.load(arguments.seed)
    images, labels = data.test_images, data.test_labels
    reader = digits.make_reader(data.train_images, data.train_labels, arguments.seed)
    _say(
        f"{reader.n_neurons:,} spiking LIF neurons read handwritten digits.",
        f"Decoders are solved on {len(data.train_images):,} images, without "
        f"backpropagation; {len(images)} others are the test.",
    )
    shown = _show_all(reader, images)
    accuracy = np.mean(shown.answers.argmax(-1) == labels[:, None], axis=0)
    _say("", *_accuracy_table(accuracy))
    _say("", *_comparison(reader, images, shown))
    pictures.draw(arguments.out, images, labels, shown.answers, shown.spikes)
    _say("", f"Picture: {arguments.out}")


def _show_all(reader: Reader, images: np.ndarray) -> Run:
    """Show each image to a copy of the network; the second run is the timed one."""
    started = time.perf_counter()
    with Simulator(
        reader.network, minibatch_size=len(images), progress_bar=False
    ) as sim:
        film = {reader.pixels: np.repeat(images[:, None], _STEPS, axis=1)}
        sim.run_steps(_STEPS, film)
        preparing = time.perf_counter() - started
        sim.reset()
        started = time.perf_counter()
        sim.run_steps(_STEPS, film)
        seconds = time.perf_counter() - started
    return Run(sim.data[reader.answer], sim.data[reader.spikes], preparing, seconds)


def _show_reference(reader: Reader, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Show images to nengo.Simulator, one after another; return answers and seconds."""
    answers, seconds = [], 0.0
    with nengo.Simulator(reader.network, progress_bar=False) as sim:
        for image in images:
            sim.reset()
            assert sim.signals is not None
            sim.signals[sim.model.sig[reader.pixels]["out"]][...] = image
            started = time.perf_counter()
            sim.run_steps(_STEPS, progress_bar=False)
            seconds += time.perf_counter() - started
            answers.append(np.array(sim.data[reader.answer]))
    return np.array(answers), seconds


def _accuracy_table(accuracy: np.ndarray) -> list[str]:
    times = "".join(f"{step:5d} ms" for step in _SHOWN_STEPS)
    shares = "".join(f"{accuracy[step - 1]:7.1%} " for step in _SHOWN_STEPS)
    return [f"image shown for  {times}", f"right answers    {shares.rstrip()}"]


def _comparison(reader: Reader, images: np.ndarray, shown: Run) -> list[str]:
    reference, seconds = _show_reference(reader, images[:_N_REFERENCE])
    count = len(reference)
    ours = shown.answers[:count]
    own_time = shown.seconds / (len(images) * _STEPS) * 1e6
    reference_time = seconds / (count * _STEPS) * 1e6
    agreeing = np.sum(ours[:, -1].argmax(-1) == reference[:, -1].argmax(-1))
    difference = np.abs(ours - reference).max()
    return [
        f"Time for one step of one image, measured over {_STEPS} steps:",
        f"  nengo_jax        {own_time:5.0f} us   all {len(images)} images at once",
        f"  nengo.Simulator  {reference_time:5.0f} us   {count} of them, one by one",
        f"  {reference_time / own_time:.1f} times faster, after "
        f"{shown.preparing:.1f} s to build, compile and run for the first time.",
        f"  Same answer for {agreeing} of {count} images; decoded outputs differ by "
        f"{difference:.0e} at most.",
    ]


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)
