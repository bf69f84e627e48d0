"""``nengo-jax convert MODEL.keras --data TEST.npz``: a spiking network and its report.

The model is converted and calibrated, the result is measured, and what was found is
printed and written as a page. The network can be saved, to be run in a few lines.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import count, positive
from .conversion import NEURONS, calibrate_network, convert_model, measure_network
from .data_file import Examples, read_examples
from .errors import CommandError, check_folder
from .keras_file import load_model
from .output import say

if TYPE_CHECKING:
    from ..convert.reporting import Report

_STEPS = 32
_SHOWN = 6  # columns of the table
_CALIBRATION = 512  # examples at most
_PART = 4  # a quarter of the data, if no others are given


def declare(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "convert",
        help="turn a Keras model into a spiking network, with a report",
        description=(
            "Convert a trained Keras model to a spiking network, calibrate it, and "
            "measure it. Prints the accuracy over time and what is wrong, with the "
            "change that mends it."
        ),
    )
    parser.add_argument("model", type=Path, metavar="MODEL.keras")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="TEST.npz",
        help="examples: inputs x (or one array for each input, by its name) and, if "
        "there are, labels y",
    )
    parser.add_argument(
        "--calibration-data",
        type=Path,
        metavar="TRAIN.npz",
        help="examples to calibrate on (default: the first quarter of --data, which is "
        "then no part of the report)",
    )
    parser.add_argument(
        "--report", type=Path, metavar="OUT.html", help="where to write the page"
    )
    parser.add_argument(
        "--json", type=Path, metavar="OUT.json", help="where to write the numbers"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where to save the network"
    )
    parser.add_argument(
        "--steps",
        type=count,
        default=_STEPS,
        help="steps for which an example is presented (default: %(default)s)",
    )
    parser.add_argument(
        "--dt",
        type=positive,
        default=0.001,
        help="length of a step in seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        type=positive,
        help="firing rate in Hz of the most active neurons; without calibration, of an "
        "activation of 1 (default: chosen by the calibration)",
    )
    parser.add_argument(
        "--synapse",
        type=positive,
        metavar="SECONDS",
        help="time constant of a lowpass on spikes (default: none)",
    )
    parser.add_argument(
        "--neurons",
        choices=sorted(NEURONS),
        default="spiking-relu",
        help="what takes the place of relu (default: %(default)s)",
    )
    parser.add_argument(
        "--max-to-avg-pool",
        action="store_true",
        help="replace maxima in pooling layers by averages",
    )
    parser.add_argument(
        "--no-calibration",
        action="store_true",
        help="only convert, to see what is lost",
    )
    parser.add_argument(
        "--no-fallback",
        action="store_true",
        help="refuse layers that cannot be converted",
    )
    parser.add_argument(
        "--unsafe",
        action="store_true",
        help="let code in the model file run; only for files whose author you trust",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Convert, calibrate, measure and write.

    Raises
    ------
    CommandError
        If a file cannot be read or written, or the model cannot be converted.
    """
    _check_outputs(arguments)
    model = load_model(arguments.model, unsafe=arguments.unsafe)
    names = [tensor.name for tensor in model.inputs or ()]
    examples = read_examples(arguments.data, names)
    fitting, test = _split(arguments, examples, names)
    with _notes():
        converter = convert_model(model, arguments)
        network = calibrate_network(converter, fitting, arguments)
        report = measure_network(network, test, arguments)
    say(*_table(report), "")
    say(*_findings(report))
    if arguments.report is not None:
        _write(report.to_html, arguments.report)
        say("", f"Report: {arguments.report}")
    if arguments.json is not None:
        _write(report.to_json, arguments.json)
        say(f"Numbers: {arguments.json}")
    if arguments.out is not None:
        _write(network.save, arguments.out)
        say("", *_how_to_run(arguments.out))


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Check first what would be a pity to notice in the end."""
    if arguments.no_calibration and arguments.out is not None:
        raise CommandError(
            "--out saves a calibrated network; leave out --no-calibration"
        )
    for path in (arguments.report, arguments.json, arguments.out):
        if path is not None:
            check_folder(path)
    if arguments.report is not None and find_spec("matplotlib") is None:
        raise CommandError(
            "matplotlib, which draws the report, is missing. Install it with: "
            'pip install "nengo-jax[demo]"'
        )


def _split(
    arguments: argparse.Namespace, examples: Examples, names: list[str]
) -> tuple[Examples | None, Examples]:
    """Return what to calibrate on, and what to measure with."""
    if arguments.no_calibration:
        return None, examples
    if arguments.calibration_data is not None:
        others = read_examples(arguments.calibration_data, names)
        return others.part(0, _CALIBRATION), examples
    size = min(len(examples) // _PART, _CALIBRATION)
    if size < 1:
        raise CommandError(
            f"{arguments.data} has {len(examples)} examples, too few to put some aside "
            "for the calibration. Give others with --calibration-data, or use "
            "--no-calibration."
        )
    return examples.part(0, size), examples.part(size)


def _table(report: Report) -> list[str]:
    """Accuracy, or error, after some steps."""
    places = np.unique(np.geomspace(1, report.n_steps, _SHOWN).round().astype(int))
    accuracy = report.task == "classification"

    def write(value: float) -> str:
        return f"{value:9.1%}" if accuracy else f"{value:9.3g}"

    what = "right answers" if accuracy else "error"
    if not report.labelled:
        what = "as the model" if accuracy else "difference"
    own = report.curve(report.readout).values
    times = "".join(f"{1000 * report.dt * place:6.4g} ms" for place in places)
    values = "".join(write(own[place - 1]) for place in places)
    lines = [
        f"{report.n_examples} examples, read out as {report.readout}",
        f"presented for   {times}",
        f"{what:<16}{values}",
    ]
    if report.ann_score is not None:
        lines.append(f"{'Keras model':<16}{write(report.ann_score)}")
    return lines


def _findings(report: Report) -> list[str]:
    if not report.findings:
        return ["Nothing to mend: none of the known problems was found."]
    lines = ["What to change:"]
    for place, finding in enumerate(report.findings, 1):
        lines += [f"{place}. {finding.problem}", f"   -> {finding.remedy}"]
    return lines


def _how_to_run(path: Path) -> list[str]:
    return [
        f"Network: {path}. To run it:",
        "",
        "    from nengo_jax.convert import load",
        f'    network = load("{path}")',
        "    results = network.predict(x)",
    ]


def _write(write: Any, path: Path) -> None:
    try:
        write(path)
    except (OSError, ValueError) as error:
        known = isinstance(error, OSError) and error.strerror
        raise CommandError(f"{path} cannot be written: {known or error}") from error


@contextmanager
def _notes() -> Iterator[None]:
    """Print warnings as lines, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        yield
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        say(f"Note: {text}")
    if caught:
        say("")
