"""Time of a training step (forward, backward, Adam) against plain JAX.

    python benchmarks/training.py [--networks a,b] [--repeats R] [--json FILE]

Both run in turn in one process. *step* is a call of Keras' compiled training function,
*fit* the time per batch of ``sim.fit``, which adds data, metrics and callbacks.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
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
from trained import TRAINED, Trained

_BATCHES = 5  # in one timed piece
PLAIN: dict[str, Callable] = {
    "perceptron": plain.mlp,
    "convolution": plain.convolution,
    "recurrent": plain.recurrent,
}


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--networks", type=lambda t: t.split(","), default=list(TRAINED)
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, default=HERE / "results" / "training.json")
    arguments = parser.parse_args()
    rows = [measure(name, arguments.repeats) for name in arguments.networks]
    header = ["network", "plain JAX (ms)", "step (ms)", "fit (ms)", "step / plain"]
    header += ["fit / step", "rate mode, 1 step (ms)"]
    text = format_table(header, [list(row.values()) for row in rows])
    print(text)
    save(arguments.json, "Time of a training step", rows, text)


def measure(name: str, repeats: int) -> dict[str, Any]:
    """Return the milliseconds of one training step in all forms."""
    case = TRAINED[name]
    forms = {
        "plain": _plain(name, case),
        **_keras(case, "surrogate", case.steps),
        "rate": _keras(case, "rate", 1)["fit"],
    }
    for run in forms.values():
        run()
    times = {form: [] for form in forms}
    for _ in range(repeats):
        for form, run in forms.items():
            started = time.perf_counter()
            run()
            times[form].append((time.perf_counter() - started) / _BATCHES * 1e3)
    median = {form: statistics.median(values) for form, values in times.items()}
    return {
        "network": name,
        "plain": median["plain"],
        "step": median["step"],
        "fit": median["fit"],
        "step / plain": median["step"] / median["plain"],
        "fit / step": median["fit"] / median["step"],
        "rate": median["rate"],
    }


def _plain(name: str, case: Trained) -> Callable[[], None]:
    x, y = (jnp.asarray(value) for value in case.data())
    x = x[:, 0] if case.still else x
    x = x.reshape(-1, 28, 28, 1) if name == "convolution" else x
    step = plain.adam_step(lambda p, x, y: PLAIN[name](p, x, y, case.steps))
    params = _parameters(case, name)
    zeros = jax.tree.map(jnp.zeros_like, params)

    def run() -> None:
        now, moments = params, (zeros, zeros)
        for k in range(_BATCHES):
            now, moments, loss = step(now, moments, jnp.float32(k + 1), x, y)
        loss.block_until_ready()

    return run


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


def _keras(case: Trained, mode: str, steps: int) -> dict[str, Callable[[], Any]]:
    network = case.build()
    with network:
        nengo_jax.configure_settings(training=mode)
    sim = nengo_jax.Simulator(network, minibatch_size=case.batch, progress_bar=False)
    sim.compile(keras.optimizers.Adam(1e-3), loss="mse")
    x, y = case.data()
    x, y = x[:, :steps], y[:, :steps]
    many = (np.tile(x, (_BATCHES, 1, 1)), np.tile(y, (_BATCHES, 1, 1)))
    options = {"n_steps": steps, "verbose": 0, "shuffle": False}
    sim.fit(*many, **options)
    step = _step_function(sim, x, y, steps)
    return {"step": step, "fit": lambda: sim.fit(*many, **options)}


def _step_function(
    sim: nengo_jax.Simulator, x: np.ndarray, y: np.ndarray, steps: int
) -> Callable[[], None]:
    """Call Keras' compiled training step in a loop, with nothing around it."""
    model = sim.keras_model
    probe = next(iter(model.network_layer.shapes))
    node = next(iter(model.network_layer.inputs_taken))
    still = np.zeros((len(x), steps, 0), "float32")
    batch = ({node: x, "n_steps": still}, {probe: y})
    model.make_train_function(force=True)
    data = jax.tree.map(jnp.asarray, batch)

    def run() -> None:
        state = jax.tree.map(
            jnp.array,
            model._get_jax_state(
                trainable_variables=True,
                non_trainable_variables=True,
                optimizer_variables=True,
                metrics_variables=True,
            ),
        )
        for _ in range(_BATCHES):
            _, state = model.train_function(state, iter([data]))
        jax.block_until_ready(state)

    return run


if __name__ == "__main__":
    main()
