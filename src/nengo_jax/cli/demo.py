"""``nengo-jax demo``: a spiking network reads handwritten digits.

A small Keras model learns to read them, is converted to spiking neurons and
calibrated; a report says how well that went. With ``--how train`` a spiking network
learns by itself, with ``--how solve`` it has decoders that are solved, and is ready at
once. All of them print how the accuracy rises while an image is shown, compare speed
and results with ``nengo.Simulator``, and save a picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .arguments import count
from .errors import CommandError, check_folder
from .output import say

if TYPE_CHECKING:
    from ..convert import Calibrated
    from .digits import Digits
    from .show import Reader

_SHOWN_STEPS = (10, 20, 30, 50, 75, 100)
_EPOCHS = 12
_CONVERT, _TRAIN, _SOLVE = "convert", "train", "solve"
_EXTRA = ("matplotlib", "sklearn")


def declare(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="a spiking network reads handwritten digits, beside nengo.Simulator",
        description=(
            "A Keras model learns to read the handwritten digits that ship with "
            "scikit-learn, and becomes a spiking network. Prints its accuracy over "
            "time and its speed beside nengo.Simulator, and saves a report and a "
            "picture. Takes about a minute."
        ),
    )
    parser.add_argument(
        "--how",
        choices=(_CONVERT, _TRAIN, _SOLVE),
        default=_CONVERT,
        help="convert a Keras model; train a spiking network, through its spikes; or "
        "solve for decoders, which takes a few seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs",
        type=count,
        default=_EPOCHS,
        help="how often to go through the training images (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("nengo-jax-demo.png"),
        help="where to save the picture (default: %(default)s)",
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("nengo-jax-report.html"),
        help="where to save the report on the conversion (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="splits the images and draws the network (default: %(default)s)",
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
        from . import digits, pictures, show
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in _EXTRA:
            raise
        raise CommandError(
            f'{package} is missing. Install it with: pip install "nengo-jax[demo]"'
        ) from error
    pictures.check_writable(arguments.out)
    data = digits.load(arguments.seed)
    make = {_CONVERT: _converted, _TRAIN: _trained, _SOLVE: _solved}[arguments.how]
    made = make(data, arguments)

    images, labels = data.test_images, data.test_labels
    shown = show.show_all(made.reader, images)
    answers = made.read(shown.answers)
    accuracy = np.mean(answers.argmax(-1) == labels[:, None], axis=0)
    say("", *_accuracy_table(accuracy))
    say("", *show.compare(made.reader, images, shown))
    pictures.draw(arguments.out, images, labels, answers, shown.spikes, made.learned)
    say("", *made.closing, f"Picture: {arguments.out}")


class _Made(NamedTuple):
    """A network that is ready, and what to say of it.

    Attributes
    ----------
    reader : Reader
    learned : sequence of float
        Share of right answers in each epoch of training.
    read : callable
        ``read(outputs) -> answers``, shape (images, steps, 10) both.
    closing : sequence of str
        Last lines.
    """

    reader: Reader
    learned: Sequence[float] = ()
    read: Callable[[np.ndarray], np.ndarray] = np.asarray
    closing: Sequence[str] = ()


def _converted(data: Digits, arguments: argparse.Namespace) -> _Made:
    from . import converted

    check_folder(arguments.report)
    say(
        f"A Keras model learns to read digits from {len(data.train_images):,} images; "
        f"{len(data.test_images)} others are the test.",
        "",
    )
    model, learned = converted.train(data, arguments.epochs, arguments.seed)
    pixels = converted.as_images(data.test_images)
    accuracy = np.mean(model.predict(pixels, verbose=0).argmax(-1) == data.test_labels)
    say("", f"The model is right for {accuracy:.1%} of the test images.")
    calibrated = converted.convert(model, data)
    say("Converted to spiking neurons, and calibrated:", *_effects(calibrated))
    found = converted.write_report(calibrated, data, arguments.report)
    reader = converted.make_reader(calibrated)
    say("", f"{reader.n_neurons:,} spiking neurons read the test images.")
    closing = [f"Report: {arguments.report}", *(f"  {line}" for line in found)]
    return _Made(reader, learned, converted.mean_so_far, closing)


def _effects(calibrated: Calibrated) -> list[str]:
    return [
        f"  {effect.name:12} {effect.before:6.1%} -> {effect.after:6.1%} right after "
        f"{calibrated.n_steps} ms, on training images"
        for effect in calibrated.effects
    ]


def _trained(data: Digits, arguments: argparse.Namespace) -> _Made:
    from . import trained

    reader = trained.make_reader(arguments.seed)
    _introduce(reader.n_neurons, data, "They learn from")
    return _Made(reader, trained.train(reader, data, arguments.epochs, arguments.seed))


def _solved(data: Digits, arguments: argparse.Namespace) -> _Made:
    from . import solved

    reader = solved.make_reader(data, arguments.seed)
    _introduce(reader.n_neurons, data, "Decoders are solved on")
    return _Made(reader)


def _introduce(n_neurons: int, data: Digits, how: str) -> None:
    say(
        f"{n_neurons:,} spiking LIF neurons read handwritten digits.",
        f"{how} {len(data.train_images):,} images; {len(data.test_images)} "
        "others are the test.",
        "",
    )


def _accuracy_table(accuracy: np.ndarray) -> list[str]:
    times = "".join(f"{step:5d} ms" for step in _SHOWN_STEPS)
    shares = "".join(f"{accuracy[step - 1]:7.1%} " for step in _SHOWN_STEPS)
    return [f"image shown for  {times}", f"right answers    {shares.rstrip()}"]
