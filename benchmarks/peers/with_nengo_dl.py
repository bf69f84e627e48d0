"""NengoDL: the very networks of ``trained.py``, trained by its simulator.

It has no surrogate gradients: while it trains, neurons give their rates, in all steps
or in one. ``stateful=False`` saves the copies of states between batches.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# isort: split
from collections.abc import Callable

import nengo_dl
import numpy as np
import tensorflow as tf
from trained import TRAINED

from peers import THREADS
from peers.problem import LEARNING_RATE, Problem

PACKAGES = ("nengo-dl", "nengo", "tensorflow")
Run = Callable[[int], None]


def forms(problem: Problem) -> dict[str, Run]:
    """Return ``fit``, and the compiled step of Keras without what ``fit`` adds."""
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    network = TRAINED[problem.network].build()
    with network:
        nengo_dl.configure_settings(stateful=False)
    x = np.broadcast_to(
        problem.x, (len(problem.x), problem.steps, problem.x.shape[-1])
    ).copy()
    sim = nengo_dl.Simulator(network, minibatch_size=len(x), progress_bar=False)
    sim.compile(tf.optimizers.Adam(LEARNING_RATE), loss="mse")

    def fit(steps: int) -> None:
        many = (np.tile(value, (steps, 1, 1)) for value in (x, problem.y))
        sim.fit(*many, shuffle=False, verbose=0)

    count = np.full((len(x), 1), problem.steps, np.int32)
    batch = ((x, count), problem.y)
    data = iter(tf.data.Dataset.from_tensors(batch).cache().repeat())
    train = sim.keras_model.make_train_function()

    def step(steps: int) -> None:
        for _ in range(steps):
            logs = train(data)
        float(logs["loss"])

    return {"fit": fit, "step": step}
