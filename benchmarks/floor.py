"""A step of densely connected rate neurons against a bare product of matrix and vector.

    python benchmarks/floor.py [--steps N] [--repeats R]

Without spikes there is nothing to skip, so the product is what a step costs at least.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from backends import SUBJECT
from harness import format_table
from networks import SPEED
from worker import Trial, timed

NETWORK = "dense_rates"
_SIZE = 5000


def main() -> None:
    """Measure in turn, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="number of timed runs")
    parser.add_argument("--steps", type=int, default=SPEED[NETWORK].steps)
    arguments = parser.parse_args()
    trial = Trial(SPEED[NETWORK], SUBJECT)
    weights = np.random.RandomState(0).standard_normal((_SIZE, _SIZE)) / _SIZE**0.5
    runs: dict[str, Callable[[int], object]] = {
        f"{SUBJECT}, {NETWORK}": trial.run,
        "product in JAX": _jax_products(weights.astype(np.float32)),
        "product in numpy": _numpy_products(weights.astype(np.float32)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(arguments.repeats + 1):
        for name, run in runs.items():
            elapsed, _ = timed(lambda run=run: run(arguments.steps))
            if repeat:  # the first one compiles
                seconds[name].append(elapsed)
    trial.sim.close()
    rows = [
        [name, statistics.median(values) / arguments.steps * 1e6]
        for name, values in seconds.items()
    ]
    print(format_table(["what", "us"], rows))


def _jax_products(weights: np.ndarray) -> Callable[[int], object]:
    matrix = jnp.asarray(weights)

    @jax.jit
    def multiply(matrix: jax.Array, vector: jax.Array, steps: int) -> jax.Array:
        return jax.lax.fori_loop(0, steps, lambda _, v: matrix @ v, vector)

    return lambda steps: multiply(matrix, jnp.ones(_SIZE), steps).block_until_ready()


def _numpy_products(weights: np.ndarray) -> Callable[[int], object]:
    def multiply(steps: int) -> np.ndarray:
        vector = np.ones(_SIZE, np.float32)
        for _ in range(steps):
            vector = weights @ vector
        return vector

    return multiply


if __name__ == "__main__":
    main()
