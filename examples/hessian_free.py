"""Three small tasks for an optimizer that sees curvature: xor, a sum, and memory.

Hessian-free optimization (Martens, 2010; Martens and Sutskever, 2011) solves in each
update for a whole step, by products with the curvature. The tasks are three that the
hessianfree package ships:

- xor: two inputs, five logistic units, one output.
- The integrator: ten recurrent logistic units sum up a constant input over time.
- The adding problem: 50 steps with a number each, two of which are marked; a recurrent
  network answers with the sum of the two when all are over.

Adam gets the same networks, initial weights and data, and as many passes over a batch;
it may choose the best of three learning rates. A pass is a gradient, a product with the
curvature, or a loss that is looked at; the losses of a line search that has to go back
are not counted. How long updates take is in ``benchmarks/results/hessian_free.md``.

The picture shows the learning curves, and the errors that are left.

Run it with ``python examples/hessian_free.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# nengo_jax sets up JAX.
from nengo_jax.optimizers import HessianFreeSettings, hessian_free

# isort: split
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.axes import Axes
from matplotlib.figure import Figure

RATES = 1e-3, 1e-2, 1e-1  # that Adam may choose from
STEPS, BATCHES, EXAMPLES = 50, 4, 512  # of the adding problem
LEAK = 20  # steps, time constant of its recurrent units

FREE, ADAM = "tab:blue", "tab:orange"
TITLES = "xor", "integrator", "adding problem, 50 steps"

Params = dict[str, jax.Array]
Batch = tuple[jax.Array, jax.Array]  # inputs and targets
Outputs = tuple[jax.Array, jax.Array]  # of the hidden units, and of the network


class Task(NamedTuple):
    """What to learn."""

    predict: Callable[[Params, Batch], Outputs]
    params: Params
    batches: Batch  # the leading axis is that of the batches
    unseen: Batch
    settings: HessianFreeSettings


class Curve(NamedTuple):
    """How a network learned; the last loss is that of the unseen examples."""

    passes: np.ndarray  # over a batch, before each loss
    losses: np.ndarray
    params: Params


class Learned(NamedTuple):
    """How well a task is learned; losses are half the squared error of an example."""

    hessian_free: float
    adam: float
    rate: float  # of Adam
    passes: int  # of both


class Figures(NamedTuple):
    """The adding problem is measured with examples that were not trained."""

    xor: Learned
    integrator: Learned
    adding: Learned


def draw_params(rng: np.random.RandomState, shapes: dict[str, tuple]) -> Params:
    """Gaussian weights, and biases of zero."""
    params = {}
    for name, (rows, columns) in shapes.items():
        weights = rng.standard_normal((rows, columns)) / np.sqrt(rows)
        params[name] = jnp.asarray(weights, jnp.float32)
        if name != "recurrent":
            params[f"{name} bias"] = jnp.zeros(columns)
    return params


def dense(params: Params, name: str, x: jax.Array) -> jax.Array:
    return x @ params[name] + params[f"{name} bias"]


def half_squared(outputs: Outputs, batch: Batch) -> jax.Array:
    """The loss of all tasks."""
    return jnp.sum((outputs[1] - batch[1]) ** 2) / 2 / len(batch[1])


def xor() -> Task:
    def predict(params: Params, batch: Batch) -> Outputs:
        hidden = jax.nn.sigmoid(dense(params, "in", batch[0]))
        return hidden, jax.nn.sigmoid(dense(params, "out", hidden))

    inputs = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    batch = inputs, jnp.array([[0.0], [1.0], [1.0], [0.0]])
    params = draw_params(np.random.RandomState(0), {"in": (2, 5), "out": (5, 1)})
    batches = batch[0][None], batch[1][None]  # just one
    return Task(predict, params, batches, batch, HessianFreeSettings(iterations=2))


def integrator() -> Task:
    def predict(params: Params, batch: Batch) -> Outputs:
        def step(state: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            state = jax.nn.sigmoid(dense(params, "in", x) + state @ params["recurrent"])
            return state, state

        start = jnp.zeros((len(batch[0]), 10))
        _, hidden = jax.lax.scan(step, start, jnp.swapaxes(batch[0], 0, 1))
        hidden = jnp.swapaxes(hidden, 0, 1)
        return hidden, jax.nn.sigmoid(dense(params, "out", hidden))

    slopes = jnp.linspace(0.1, 0.9, 15)
    inputs = jnp.repeat(slopes[:, None, None], 10, axis=1)
    batch = inputs, jnp.cumsum(inputs, axis=1) / 10
    shapes = {"in": (1, 10), "recurrent": (10, 10), "out": (10, 1)}
    params = draw_params(np.random.RandomState(0), shapes)
    batches = batch[0][None], batch[1][None]
    return Task(predict, params, batches, batch, HessianFreeSettings(iterations=100))


def adding() -> Task:
    def predict(params: Params, batch: Batch) -> Outputs:
        def step(state: jax.Array, given: jax.Array) -> tuple[jax.Array, jax.Array]:
            given = given + jax.nn.relu(state) @ params["recurrent"]
            state = state + (given - state) / LEAK
            return state, jax.nn.relu(state)

        first = jax.nn.relu(dense(params, "in", jnp.swapaxes(batch[0], 0, 1)))
        start = jnp.zeros((len(batch[0]), 64))
        _, hidden = jax.lax.scan(step, start, dense(params, "middle", first))
        return jnp.swapaxes(hidden, 0, 1), dense(params, "out", hidden[-1])

    rng = np.random.RandomState(0)
    x, y = marked_numbers(rng, BATCHES * EXAMPLES)
    batches = x.reshape(BATCHES, EXAMPLES, STEPS, 2), y.reshape(BATCHES, EXAMPLES, 1)
    shapes = {"in": (2, 32), "middle": (32, 64), "recurrent": (64, 64), "out": (64, 1)}
    params = draw_params(rng, shapes)
    radius = np.max(np.abs(np.linalg.eigvals(params["recurrent"])))
    params["recurrent"] /= radius.astype("float32")  # it neither fades nor explodes
    settings = HessianFreeSettings(20.0, 60, structural_damping=1e-4)
    return Task(predict, params, batches, marked_numbers(rng, 1024), settings)


def marked_numbers(rng: np.random.RandomState, examples: int) -> Batch:
    """One mark is in the first tenth, the other one in the rest of the first half."""
    values, marks = rng.uniform(0, 1, (examples, STEPS)), np.zeros((examples, STEPS))
    rows = np.arange(examples)
    marks[rows, rng.randint(STEPS // 10, size=examples)] = 1
    marks[rows, rng.randint(STEPS // 10, STEPS // 2, size=examples)] = 1
    sums = np.sum(values * marks, axis=1, keepdims=True)
    inputs = np.stack([values, marks], axis=-1)
    return jnp.asarray(inputs, jnp.float32), jnp.asarray(sums, jnp.float32)


TASKS = xor, integrator, adding


def unseen_loss(task: Task, params: Params) -> float:
    return float(half_squared(task.predict(params, task.unseen), task.unseen))


def batch_of(task: Task, number: jax.Array) -> Batch:
    x, y = task.batches
    return x[number % len(x)], y[number % len(y)]


def with_curvature(task: Task, updates: int) -> Curve:
    """Hessian-free optimization; all updates are one compiled loop."""
    method = hessian_free(
        task.predict, half_squared, task.settings, hidden=lambda outputs: outputs[0]
    )

    def train(params: Params) -> tuple[Params, Any]:
        def update(carry: tuple, number: jax.Array) -> tuple:
            state, params = carry
            batch = batch_of(task, number)
            params, state, report = method.update(state, params, batch)
            return (state, params), report

        start = (method.init(params), params)
        (_, params), report = jax.lax.scan(update, start, jnp.arange(updates))
        return params, report

    params, report = jax.jit(train)(task.params)
    # and the gradient, the product with the start, and losses of the last two iterates
    passes = 4 + np.asarray(report.cg_iterations + report.backtracked)
    losses = np.append(report.loss, unseen_loss(task, params))
    return Curve(np.append(0, np.cumsum(passes)), losses, params)


def with_adam(task: Task, passes: int, rate: float) -> Curve:
    optimizer = optax.adam(rate)

    def loss_of(params: Params, batch: Batch) -> jax.Array:
        return half_squared(task.predict(params, batch), batch)

    def train(params: Params) -> tuple[Params, jax.Array]:
        def update(carry: tuple, number: jax.Array) -> tuple:
            params, state = carry
            loss, slope = jax.value_and_grad(loss_of)(params, batch_of(task, number))
            change, state = optimizer.update(slope, state, params)
            return (optax.apply_updates(params, change), state), loss

        start = (params, optimizer.init(params))
        (params, _), losses = jax.lax.scan(update, start, jnp.arange(passes))
        return params, losses

    params, losses = jax.jit(train)(task.params)
    losses = np.append(losses, unseen_loss(task, params))
    return Curve(np.arange(passes + 1), losses, params)


def main(out: Path, updates: Sequence[int] = (40, 30, 60)) -> Figures:
    """Train all networks in both ways, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    updates : sequence of int
        Hessian-free updates for xor, the integrator, and the adding problem.
    """
    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.subplots(2, 3)
    figures = []
    for column, (make, count) in enumerate(zip(TASKS, updates, strict=True)):
        task = make()
        curve = with_curvature(task, count)
        passes = int(curve.passes[-1])
        adams = {rate: with_adam(task, passes, rate) for rate in RATES}
        rate = min(RATES, key=lambda r: np.nan_to_num(adams[r].losses[-1], nan=np.inf))
        adam = adams[rate]
        losses = float(curve.losses[-1]), float(adam.losses[-1])
        learned = Learned(*losses, rate, passes)
        figures.append(learned)
        draw_curves(axes[0, column], curve, adam, learned)
        draw_errors(axes[1, column], task, adam.params, curve.params)
        axes[0, column].set_title(TITLES[column], loc="left")
    figure.savefig(out, dpi=80)
    return Figures(*figures)


def draw_curves(axes: Axes, curve: Curve, adam: Curve, learned: Learned) -> None:
    label = f"Adam, rate {learned.rate:g}"
    axes.loglog(adam.passes + 1, adam.losses, color=ADAM, lw=1, label=label)
    axes.loglog(curve.passes + 1, curve.losses, ".-", color=FREE, label="Hessian-free")
    axes.set(xlabel="passes over a batch", ylabel="loss")
    axes.legend(frameon=False, loc="lower left")


def draw_errors(axes: Axes, task: Task, *found: Params) -> None:
    """Draw errors of the two networks, for what is right."""
    right = np.ravel(task.unseen[1])
    axes.axhline(0, color="0.7", lw=1)
    for params, colour in zip(found, (ADAM, FREE), strict=True):
        answers = np.ravel(task.predict(params, task.unseen)[1])
        axes.plot(right, answers - right, ".", color=colour, ms=3)
    axes.set(xlabel="right answer", ylabel="error at the end")


if __name__ == "__main__":
    print(main(Path("hessian_free.png")))
