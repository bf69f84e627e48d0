"""Trains the tasks of ``second_order.py`` with the hessianfree package.

``python -m peers.hessianfree_worker`` reads lines of JSON: ``task``, ``seed``,
``updates``, ``x``, ``y``, the largest number of CG iterations and the damping. It
answers each with the ms of one update, its CG iterations, and the root mean square of
what is left of the error after all updates. It needs NumPy before 1.24, which still has
the names that the package uses.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import hessianfree as hf
import numpy as np


def build(task: str, optimizer: Any, rng: np.random.RandomState) -> Any:
    """Return the network of a task, as in the demos of the package."""
    if task == "xor":
        return hf.FFNet([2, 5, 1], rng=rng)
    if task == "crossentropy":
        return hf.FFNet(
            [2, 5, 2],
            layers=[hf.nl.Linear(), hf.nl.Tanh(), hf.nl.Softmax()],
            loss_type=hf.loss_funcs.CrossEntropy(),
            rng=rng,
        )
    if task == "connections":
        skips = {0: [1, 2], 1: [2, 3], 2: [3]}
        return hf.FFNet([2, 5, 5, 1], layers=hf.nl.Tanh(), conns=skips, rng=rng)
    if task == "integrator":
        return hf.RNNet([1, 10, 1], layers=hf.nl.Logistic(), rng=rng)
    return adding(optimizer, rng)


def adding(optimizer: Any, rng: np.random.RandomState) -> Any:
    """Return the recurrent network of the adding problem."""
    relu = hf.nl.ReLU()
    leaky = hf.nl.Continuous(hf.nl.ReLU(), tau=20)
    damping = hf.loss_funcs.StructuralDamping(1e-4, layers=[2], optimizer=optimizer)
    network = hf.RNNet(
        shape=[2, 32, 64, 1],
        layers=[hf.nl.Linear(), relu, leaky, hf.nl.ReLU()],
        W_init_params={"coeff": 0.25},
        loss_type=[hf.loss_funcs.SquaredError(), damping],
        rec_layers=[2],
        rng=rng,
    )
    weights, _ = network.get_weights(network.W, (2, 2))
    weights *= 1.0 / np.max(np.abs(np.linalg.eigvals(weights)))
    return network


def run(request: dict[str, Any]) -> dict[str, float]:
    """Train for some updates with the whole batch."""
    rng = np.random.RandomState(request["seed"])
    x, y = (np.asarray(request[name], dtype=np.float32) for name in "xy")
    optimizer = hf.opt.HessianFree(request["iterations"], request["damping"])
    network = build(request["task"], optimizer, rng)
    started = time.perf_counter()
    network.run_epochs(
        x,
        y,
        optimizer=optimizer,
        max_epochs=request["updates"],
        target_err=0,
        print_period=10**9,
    )
    seconds = time.perf_counter() - started
    error = np.asarray(network.forward(x)[-1]) - y
    return {
        "ms": seconds / request["updates"] * 1e3,
        "cg": float(np.mean(optimizer.plots["CG iterations"])),
        "error": float(np.sqrt(np.nanmean(np.square(error)))),
    }


def main() -> None:
    """Answer requests; what the package prints goes elsewhere."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
