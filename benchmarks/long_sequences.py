"""Memory and time of backpropagation through long sequences.

    python benchmarks/long_sequences.py [--steps N] [--json FILE]

A recurrent network of 1000 LIF neurons is trained with surrogate gradients: one
gradient, with the values of all steps kept, and with ``checkpoint_every="auto"``.
Memory is what XLA plans for intermediate values; time is the median of some runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import nengo
import numpy as np
from harness import HERE, format_table, save

import nengo_jax

_NEURONS = 1000
_REPEATS = 3


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000)
    path = HERE / "results" / "long_sequences.json"
    parser.add_argument("--json", type=Path, default=path)
    arguments = parser.parse_args()
    forms = {"all kept": None, "auto": "auto"}
    rows = [measure(k, every, arguments.steps) for k, every in forms.items()]
    plain, auto = rows
    table = [[r["form"], r["memory"], r["seconds"]] for r in rows]
    memory, seconds = (auto[k] / plain[k] for k in ("memory", "seconds"))
    table.append(["ratio", memory, seconds])
    text = format_table(["form", "memory (MiB)", "time (s)"], table)
    text += "\n\nRequired: less than 0.1 of the memory, at most 1.5 of the time."
    print(text)
    save(arguments.json, f"Backpropagation through {arguments.steps} steps", rows, text)


def make_network(every: Any) -> nengo.Network:
    """Make an integrator that is driven by one number."""
    with nengo.Network(seed=1) as network:
        nengo_jax.configure_settings(training="surrogate", checkpoint_every=every)
        stimulus = nengo.Node([0.0], label="stimulus")
        ensemble = nengo.Ensemble(_NEURONS, 1)
        nengo.Connection(stimulus, ensemble, transform=0.1, synapse=0.1)
        nengo.Connection(ensemble, ensemble, synapse=0.1)
        nengo.Probe(ensemble, synapse=0.01, label="probe")
    return network


def measure(form: str, every: Any, steps: int) -> dict[str, Any]:
    """Return MiB and seconds of one gradient."""
    net = nengo_jax.functional(make_network(every))
    x = jnp.asarray(np.sin(np.arange(steps) / 500)[:, None], jnp.float32)

    def loss(params: dict[str, jax.Array]) -> jax.Array:
        _, outputs = net.run(params, net.state, {"stimulus": x})
        return jnp.mean(jnp.square(outputs["probe"] - x))

    compiled = jax.jit(jax.value_and_grad(loss)).lower(net.params).compile()
    analysis = compiled.memory_analysis()
    assert analysis is not None
    times = []
    for _ in range(_REPEATS + 1):
        started = time.perf_counter()
        jax.block_until_ready(compiled(net.params))
        times.append(time.perf_counter() - started)
    return {
        "form": form,
        "memory": analysis.temp_size_in_bytes / 2**20,
        "seconds": statistics.median(times[1:]),
    }


if __name__ == "__main__":
    main()
