"""Time of a training step (forward, backward, Adam) against plain JAX and peers.

    python benchmarks/training.py [--networks a,b] [--repeats R] [--json FILE]
                                  [--peers [FOLDER]] [--tensorflow /path/to/python]

All run in turn, in pieces of a second and a half or more. Times are medians; ratios are
medians of the ratios within a turn, as machines drift between turns. *step* is a call
of Keras' compiled training function, in a loop over batches that lie ready; *fit* the
time per batch of ``sim.fit`` over as many batches, which adds data, metrics and
callbacks. Each network trains with surrogate gradients in all its steps, and with rates
in one step.

``--peers`` adds snnTorch, Norse and SpikingJelly from an environment in FOLDER, which
is made with pip if it does not exist (1.5 GB; without FOLDER it is temporary).
``--tensorflow`` adds KerasSpiking and NengoDL from an environment that has
``keras-spiking==0.3.0 nengo-dl==3.6.0 tensorflow-cpu==2.12.1 numpy<1.24`` (Python
3.11). Their forms are in ``peers/``; the page of results tells which was the fastest.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import nengo_jax  # first of all: it chooses the backend of Keras

# isort: split
import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np
import plain
from harness import HERE, format_table, save
from peers import PYTORCH, RATE, TENSORFLOW, THREADS
from peers.environment import WITH_PYTORCH, prepare
from peers.problem import Problem
from peers.process import Peer
from trained import TRAINED, Trained

_BATCHES = 20  # in an epoch
_SECONDS = 1.5  # of a timed piece, at least; shorter ones profit from the pause
_PAUSE = 0.5  # seconds in which the threads of the one before stop to spin
_REASON = 50  # characters of a failure that a cell shows
PLAIN: dict[str, Callable] = {
    "perceptron": plain.mlp,
    "convolution": plain.convolution,
    "recurrent": plain.recurrent,
}
Form = Callable[[], float]  # trains for some batches; returns the ms of one


def main() -> None:
    """Measure, print, and save."""
    arguments = parse_arguments()
    # As many cores for XLA as the peers get threads.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    with ExitStack() as stack:
        pythons = find_peers(arguments, stack)
        rows = [
            measure(name, mode, arguments.repeats, pythons)
            for mode in ("surrogate", "rate")
            for name in arguments.networks
        ]
    text = describe(rows, list(pythons))
    print(text)
    save(arguments.json, "Time of a training step", rows, text)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--networks", type=lambda t: t.split(","), default=list(TRAINED)
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, default=HERE / "results" / "training.json")
    parser.add_argument("--peers", nargs="?", const="", help="folder of an environment")
    parser.add_argument("--tensorflow", help="python with KerasSpiking and NengoDL")
    return parser.parse_args()


def find_peers(arguments: argparse.Namespace, stack: ExitStack) -> dict[str, str]:
    """Return the interpreter of each peer that is asked for."""
    pythons = {}
    if arguments.peers is not None:
        folder = arguments.peers or stack.enter_context(tempfile.TemporaryDirectory())
        python = prepare(Path(folder).absolute(), *WITH_PYTORCH)
        pythons.update(dict.fromkeys(PYTORCH, python))
    if arguments.tensorflow is not None:
        pythons.update(dict.fromkeys(TENSORFLOW, arguments.tensorflow))
    return pythons


def measure(
    name: str, mode: str, repeats: int, pythons: dict[str, str]
) -> dict[str, Any]:
    """Return the ms of one training step in all forms, and what the peers say."""
    print(f"  {name}, {mode}", file=sys.stderr, flush=True)
    case = TRAINED[name]
    steps = case.steps if mode == "surrogate" else 1
    forms: dict[str, Form] = dict(_keras(case, mode, steps))
    if mode == "surrogate":
        forms["plain"] = _plain(name, case)
    else:
        pythons = {peer: pythons[peer] for peer in RATE if peer in pythons}
    with ExitStack() as stack:
        problem = _write_problem(name, mode, steps, stack)
        peers, errors = _start_peers(pythons, problem, stack)
        for peer, worker in peers.items():
            forms[peer] = partial(worker.step_time, _peer_batches(worker))
        times = _run_in_turn(forms, repeats, errors)
        about = {peer: worker.description for peer, worker in peers.items()}
    median = {form: statistics.median(values) for form, values in times.items()}
    return {
        "network": name,
        "mode": mode,
        "steps": steps,
        "plain": median.get("plain"),
        "step": median["step"],
        "fit": median["fit"],
        "step / plain": _ratio(times, "step", "plain") if "plain" in times else None,
        "fit / step": _ratio(times, "fit", "step"),
        "peers": {peer: median[peer] for peer in peers if peer in median},
        "about peers": about,
        "errors": errors,
    }


def _write_problem(name: str, mode: str, steps: int, stack: ExitStack) -> Path:
    """Write down what the peers are to train, for as long as they run."""
    case = TRAINED[name]
    x, y = case.data()
    parameters = {k: np.asarray(v) for k, v in _parameters(case, name).items()}
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    path = folder / "problem.npz"
    Problem(name, mode, x[:, :steps], y[:, :steps], parameters).save(path)
    return path


def _start_peers(
    pythons: dict[str, str], problem: Path, stack: ExitStack
) -> tuple[dict[str, Peer], dict[str, str]]:
    """Start the workers one after another; a failure does not hinder the others."""
    peers, errors = {}, {}
    for name, python in pythons.items():
        print(f"    {name}", file=sys.stderr, flush=True)
        try:
            peers[name] = Peer(name, python, problem)
        except (RuntimeError, OSError) as error:
            errors[name] = str(error)
        else:
            stack.callback(peers[name].close)
    return peers, errors


def _peer_batches(worker: Peer) -> int:
    """Return how many batches of a peer fill a timed piece."""
    ms = worker.description["forms"][worker.description["form"]]
    return ceil(_SECONDS * 1e3 / ms)


def _run_in_turn(
    forms: dict[str, Form], repeats: int, errors: dict[str, str]
) -> dict[str, list[float]]:
    """Return the times of all forms; add peers that fail on the way to the errors.

    Each turn has another order, because what runs before a form matters.
    """
    times: dict[str, list[float]] = {name: [] for name in forms}
    order = random.Random(0)
    for _ in range(1 + repeats):
        for name in order.sample(list(forms), len(forms)):
            if name in errors:
                continue
            time.sleep(_PAUSE)
            try:
                times[name].append(forms[name]())
            except RuntimeError as error:
                if name not in (*PYTORCH, *TENSORFLOW):
                    raise
                errors[name] = str(error)
    return {
        name: values[1:]  # the first one warms up
        for name, values in times.items()
        if name not in errors
    }


def _ratio(times: dict[str, list[float]], one: str, other: str) -> float:
    """Return the median of the ratios within a turn."""
    pairs = zip(times[one], times[other], strict=True)
    return statistics.median(a / b for a, b in pairs)


def describe(rows: list[dict[str, Any]], peers: list[str]) -> str:
    """Return a table, and what the peers ran, as markdown."""
    header = ["network", "plain JAX (ms)", "step (ms)", "fit (ms)", "step / plain"]
    header += ["fit / step", *(f"{peer} (ms)" for peer in peers)]
    keys = ["plain", "step", "fit", "step / plain", "fit / step"]
    cells = [
        [_title(row), *(row[key] for key in keys), *(_cell(row, p) for p in peers)]
        for row in rows
    ]
    return "\n\n".join([format_table(header, cells), *_remarks(rows)])


def _title(row: dict[str, Any]) -> str:
    steps = f"{row['steps']} step" + "s" * (row["steps"] != 1)
    return f"{row['network']}, {row['mode']}, {steps}"


def _cell(row: dict[str, Any], peer: str) -> float | str | None:
    if peer not in row["errors"]:
        return row["peers"].get(peer)
    return row["errors"][peer].replace("|", "/")[:_REASON]


def _remarks(rows: list[dict[str, Any]]) -> list[str]:
    """Tell the fastest form of each peer, the other forms' times, and the versions."""
    lines, versions = [], {}
    for row in rows:
        for peer, about in row["about peers"].items():
            versions.update(about["versions"])
            forms = [
                *(f"{form} {ms:.3g} ms" for form, ms in about["forms"].items()),
                *(f"{form} failed: {why}" for form, why in about["failed"].items()),
            ]
            lines.append(
                f"- {_title(row)}: {peer} ran {about['form']} ({', '.join(forms)})"
            )
    if not lines:
        return []
    packages = ", ".join(f"{name} {value}" for name, value in versions.items())
    intro = (
        f"Peers: {packages}, {THREADS} threads. Each ran its fastest form, chosen in a "
        "short trial, whose times stand in brackets:"
    )
    return [intro, "\n".join(lines)]


def _timed(run: Callable[[int], Any], epochs: int) -> Form:
    """Return a form from a function that trains for some epochs."""

    def form() -> float:
        started = time.perf_counter()
        run(epochs)
        return (time.perf_counter() - started) / (epochs * _BATCHES) * 1e3

    return form


def _count_epochs(run: Callable[[int], Any]) -> int:
    """Return how many epochs fill a timed piece."""
    run(1)  # compiles
    ms = _timed(run, 1)()
    return ceil(_SECONDS * 1e3 / (_BATCHES * ms))


def _plain(name: str, case: Trained) -> Form:
    x, y = (jnp.asarray(value) for value in case.data())
    x = x[:, 0] if case.still else x
    x = x.reshape(-1, 28, 28, 1) if name == "convolution" else x
    step = plain.adam_step(lambda p, x, y: PLAIN[name](p, x, y, case.steps))
    params = _parameters(case, name)
    zeros = jax.tree.map(jnp.zeros_like, params)

    def run(epochs: int) -> None:
        now, moments = params, (zeros, zeros)
        for k in range(epochs * _BATCHES):
            now, moments, loss = step(now, moments, jnp.float32(k + 1), x, y)
        loss.block_until_ready()

    return _timed(run, _count_epochs(run))


def _parameters(case: Trained, name: str) -> dict[str, jax.Array]:
    """The network's own initial values, as plain JAX uses them."""
    network = case.build()
    values: dict[str, np.ndarray] = {}
    with nengo.Simulator(network, progress_bar=False) as sim:
        for k, connection in enumerate(network.connections, start=1):
            weights = np.asarray(sim.data[connection].weights)
            convolution = isinstance(connection.transform, nengo.Convolution)
            values[f"w{k}"] = (
                weights.reshape(-1, weights.shape[-1]) if convolution else weights.T
            )
        for k, ensemble in enumerate(network.ensembles, start=1):
            values[f"b{k}"] = sim.data[ensemble].bias
    return {key: jnp.asarray(value, jnp.float32) for key, value in values.items()}


def _keras(case: Trained, mode: str, steps: int) -> dict[str, Form]:
    network = case.build()
    with network:
        nengo_jax.configure_settings(training=mode)
    sim = nengo_jax.Simulator(network, minibatch_size=case.batch, progress_bar=False)
    sim.compile(keras.optimizers.Adam(1e-3), loss="mse")
    x, y = case.data()
    x, y = x[:, :steps], y[:, :steps]
    many = (np.tile(x, (_BATCHES, 1, 1)), np.tile(y, (_BATCHES, 1, 1)))

    def fit(epochs: int) -> None:
        sim.fit(*many, n_steps=steps, epochs=epochs, shuffle=False, verbose=0)

    epochs = _count_epochs(fit)
    step = _step_function(sim, x, y, steps)
    return {"step": _timed(step, epochs), "fit": _timed(fit, epochs)}


def _step_function(
    sim: nengo_jax.Simulator, x: np.ndarray, y: np.ndarray, steps: int
) -> Callable[[int], None]:
    """Call Keras' compiled training step in a loop, with nothing around it."""
    model = sim.keras_model
    probe = next(iter(model.network_layer.shapes))
    node = next(iter(model.network_layer.inputs_taken))
    still = np.zeros((len(x), steps, 0), "float32")
    batch = ({node: x, "n_steps": still}, {probe: y})
    model.make_train_function(force=True)
    batches = [jax.tree.map(jnp.array, batch) for _ in range(_BATCHES)]

    def run(epochs: int) -> None:
        state = jax.tree.map(
            jnp.array,
            model._get_jax_state(
                trainable_variables=True,
                non_trainable_variables=True,
                optimizer_variables=True,
                metrics_variables=True,
            ),
        )
        for data in batches * epochs:
            _, state = model.train_function(state, iter([data]))
        jax.block_until_ready(state)

    return run


if __name__ == "__main__":
    main()
