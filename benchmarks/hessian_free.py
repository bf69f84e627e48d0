"""Time of an update of Hessian-free optimization against the hessianfree package.

    python benchmarks/hessian_free.py [--tasks a,b] [--repeats R] [--json FILE]
                                      [--peer FOLDER]

The package (version 0.4.0, NumPy) runs in an environment of its own in FOLDER, which is
made with pip if it does not exist (200 MB; without FOLDER it is temporary). Both train
the same networks on the same data, with the same largest number of CG iterations, rule
to end them and first damping; initial weights are drawn alike, but not the same. They
run in turn, seed by seed; all updates of nengo_jax are one compiled loop. Compilation
is left out; the page tells how long it took. On large batches nengo_jax runs once more
with a share of the batch for the curvature, which Martens (2010, section 4.3) advises.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

# First of all: nengo_jax sets up JAX.
from nengo_jax.optimizers import HessianFreeSettings, hessian_free
from nengo_jax.optimizers.keras_loss import first_examples

# isort: split
import jax
import jax.numpy as jnp
import numpy as np
from harness import HERE, format_table, save
from peers.environment import prepare
from peers.process import Worker
from second_order import DEMOS, Demo

_PACKAGES = ("hessianfree==0.4.0", "numpy==1.23.5", "matplotlib<3.8")
_WORKER = ("-m", "peers.hessianfree_worker")
_TOLERANCE = 5e-6  # that of the package
_FLOOR = (
    "With the whole batch, an update of the adding problem is about 25 GFLOP: 2.5 "
    "for a product with the curvature, 1.9 for the gradient, 0.6 for the loss. The "
    "largest of its matrix products (51200 x 64 x 64) runs at 480 GFLOP/s on the "
    "processor that was measured, so 53 ms are the least if nothing else took time;"
    " but the recurrent ones (1024 x 64 x 64) come one after the other, at 100 to "
    "170 GFLOP/s. The curvature takes most of it, and that of a sixteenth of the "
    "batch does as well."
)


def main() -> None:
    """Measure, print, and save."""
    arguments = parse_arguments()
    with ExitStack() as stack:
        folder = arguments.peer or stack.enter_context(tempfile.TemporaryDirectory())
        python = prepare(Path(folder).absolute(), _PACKAGES)
        worker = Worker(python, *_WORKER, environment={"MPLBACKEND": "Agg"})
        peer = stack.enter_context(closing(worker))
        tables = [measure(name, arguments.repeats, peer) for name in arguments.tasks]
    rows = [row for table in tables for row in table]
    header = ["task", "curvature from", "nengo_jax (ms)", "hessianfree (ms)"]
    header += ["times faster", "CG iterations", "of hessianfree"]
    header += ["error", "of hessianfree", "to compile (s)"]
    text = format_table(header, [list(row.values()) for row in rows])
    text += (
        "\n\nMedians over seeds. nengo_jax computes products with the curvature with a "
        "share of the batch, the package with all of it. The error is the root mean "
        "square of what is left after all updates; tasks are the demos of the package "
        f"({_PACKAGES[0]}, {_PACKAGES[1]}).\n\n{_FLOOR}"
    )
    print(text)
    save(arguments.json, "Time of an update of Hessian-free optimization", rows, text)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=lambda t: t.split(","), default=list(DEMOS))
    parser.add_argument("--repeats", type=int, default=5)
    results = HERE / "results" / "hessian_free.json"
    parser.add_argument("--json", type=Path, default=results)
    parser.add_argument("--peer", help="folder of an environment")
    return parser.parse_args()


def train_with(peer: Worker, name: str, seed: int) -> dict[str, float]:
    """Train one network with the package; return what its worker measured."""
    demo = DEMOS[name]
    x, y = demo.data()
    request = {"task": name, "seed": seed, "updates": demo.updates}
    request |= {"iterations": demo.iterations, "damping": demo.damping}
    request |= {"x": x.tolist(), "y": y.tolist()}
    return peer.ask(json.dumps(request))


def measure(name: str, repeats: int, peer: Worker) -> list[dict[str, Any]]:
    """Let both train a task with some seeds, in turn; return a row for each share."""
    print(f"  {name}", file=sys.stderr, flush=True)
    demo = DEMOS[name]
    trainers = [compiled(demo, share) for share in demo.shares]
    ours: list[list[dict[str, float]]] = [[] for _ in trainers]
    theirs = []
    for seed in range(repeats):
        for found, (train, _) in zip(ours, trainers, strict=True):
            found.append(train(seed))
        theirs.append(train_with(peer, name, seed))

    def median(found: list[dict[str, float]], key: str) -> float:
        return statistics.median(run[key] for run in found)

    return [
        {
            "task": name,
            "share": share,
            "ms": median(found, "ms"),
            "peer ms": median(theirs, "ms"),
            "ratio": median(theirs, "ms") / median(found, "ms"),
            "cg": median(found, "cg"),
            "peer cg": median(theirs, "cg"),
            "error": median(found, "error"),
            "peer error": median(theirs, "error"),
            "compile s": compiling,
        }
        for share, found, (_, compiling) in zip(
            demo.shares, ours, trainers, strict=True
        )
    ]


def compiled(demo: Demo, share: float) -> tuple[Any, float]:
    """Return the function that trains with a seed, and the seconds to compile it."""
    settings = HessianFreeSettings(
        demo.damping,
        demo.iterations,
        _TOLERANCE,
        structural_damping=demo.structural,
    )
    hidden = (lambda outputs: outputs["hidden"]) if demo.structural else None
    method = hessian_free(demo.predict, demo.loss, settings, hidden=hidden)
    batch = tuple(map(jnp.asarray, demo.data()))
    part = first_examples(batch, share) if share < 1 else None

    @jax.jit
    def optimize(params: Any, batch: Any, part: Any) -> Any:
        def update(carry: Any, _: None) -> tuple[Any, jax.Array]:
            params, state, report = method.update(carry[1], carry[0], batch, part)
            return (params, state), report.cg_iterations

        start = (params, method.init(params))
        (params, _), counts = jax.lax.scan(update, start, length=demo.updates)
        return params, counts

    def train(seed: int) -> dict[str, float]:
        params = demo.start(np.random.RandomState(seed))
        started = time.perf_counter()
        params, counts = jax.block_until_ready(optimize(params, batch, part))
        seconds = time.perf_counter() - started
        output = demo.output(demo.predict(params, batch)["output"])
        error = np.sqrt(np.nanmean(np.square(np.asarray(output) - batch[1])))
        count = float(np.mean(counts))
        return {"ms": seconds / demo.updates * 1e3, "cg": count, "error": float(error)}

    started = time.perf_counter()
    optimize.lower(demo.start(np.random.RandomState(0)), batch, part).compile()
    compiling = time.perf_counter() - started
    train(0)
    return train, compiling


if __name__ == "__main__":
    main()
