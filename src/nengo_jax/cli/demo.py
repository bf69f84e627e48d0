"""``nengo-jax demo``: a spiking network learns to read handwritten digits.

It trains the network with a progress bar, prints how the accuracy rises while an image
is shown, compares speed and results with ``nengo.Simulator``, and saves a picture. With
``--untrained`` the network has decoders that are solved, and is ready at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import CommandError

if TYPE_CHECKING:
    from .digits import Digits

_SHOWN_STEPS = (10, 20, 30, 50, 75, 100)
_EPOCHS = 12
_EXTRA = ("matplotlib", "sklearn")


def declare(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="a spiking network learns to read digits, beside nengo.Simulator",
        description=(
            "A spiking convolutional network learns to read the handwritten digits "
            "that ship with scikit-learn. Prints its accuracy over time and its speed "
            "beside nengo.Simulator, and saves a picture. Takes about a minute."
        ),
    )
    parser.add_argument(
        "--untrained",
        action="store_true",
        help="another network, with solved decoders in place of training: it takes a "
        "few seconds",
    )
    parser.add_argument(
        "--epochs",
        type=_positive,
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
        from . import digits, pictures, show, solved, trained
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
    if arguments.untrained:
        reader = solved.make_reader(data, arguments.seed)
        _introduce(reader.n_neurons, data, "Decoders are solved on")
        learned = []
    else:
        reader = trained.make_reader(arguments.seed)
        _introduce(reader.n_neurons, data, "They learn from")
        learned = trained.train(reader, data, arguments.epochs, arguments.seed)
    shown = show.show_all(reader, images)
    accuracy = np.mean(shown.answers.argmax(-1) == labels[:, None], axis=0)
    _say("", *_accuracy_table(accuracy))
    _say("", *show.compare(reader, images, shown))
    pictures.draw(arguments.out, images, labels, shown.answers, shown.spikes, learned)
    _say("", f"Picture: {arguments.out}")


def _introduce(n_neurons: int, data: Digits, how: str) -> None:
    _say(
        f"{n_neurons:,} spiking LIF neurons read handwritten digits.",
        f"{how} {len(data.train_images):,} images; {len(data.test_images)} "
        "others are the test.",
        "",
    )


def _accuracy_table(accuracy: np.ndarray) -> list[str]:
    times = "".join(f"{step:5d} ms" for step in _SHOWN_STEPS)
    shares = "".join(f"{accuracy[step - 1]:7.1%} " for step in _SHOWN_STEPS)
    return [f"image shown for  {times}", f"right answers    {shares.rstrip()}"]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)
