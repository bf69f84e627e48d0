"""A spiking model of reaching, and a second network that foresees the arm.

The model follows REACH (DeWolf et al. 2016). An arm with two links, a ``PlantNode``,
is moved by populations of spiking neurons that are named after the areas of the brain
whose part they play:

- *premotor*: a ramp runs up in each reach, and from ramp and direction the path of the
  hand is decoded, straight and of minimum jerk;
- *motor* (M1): the torques that pull the hand towards that path, which depend on the
  posture (operational space control, Khatib 1987);
- *cerebellum*: the torques that damp the arm and make up for Coriolis forces;
- *sensory* (S1): passes on angles, velocities, and the place of the hand.

The second network is trained offline. It knows nothing of all this but the spikes of
200 neurons of the motor population, recorded while 16 arms reach for random places; it
learns where the hand will be in 0.15 s. It is a GRU, a cell of Keras in a
``TensorNode``, and keeps its state from step to step. So it is trained in a network of
its own with ``sim.fit(..., stateful=True)``; ``freeze_params`` writes what it learns
to the layers, and the same layers go into the model, where they see the spikes as they
come. While the arm reaches for eight targets on a circle, which was not part of the
training, they are always 0.15 s ahead.

The picture shows the reaches with what was foreseen, and spikes of the populations.

Run it with ``python examples/reach.py``; it also saves an animation.

References: DeWolf, Stewart, Slotine and Eliasmith, Proc. R. Soc. B 283 (2016),
20162134; Khatib, IEEE J. Robotics and Automation 3 (1987), 43.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import nengo
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nengo_jax
from nengo_jax import plants
from nengo_jax.nodes import TensorNode

import keras  # after nengo_jax, which chooses the backend  # isort: skip

DT = 0.001  # s
CENTRE = np.array([0.0, 1.25])  # m, from the shoulder
DISTANCE = 0.25  # m, of the targets
MOVE = 1.0  # s
STEPS = 1800  # of a reach: the pulse, the movement, and a pause
PULSE = 0.2  # s, for which the ramp is held down
STIFFNESS, DAMPING = 100.0, 18.0  # 1/s^2, 1/s
SYNAPSE, MEMORY = 0.005, 0.05  # s, of most connections, of the ramp to itself

# What stands for 1 in the populations.
PLACE = 0.3  # m, from the centre or from the start of a reach
ANGLE = 0.3  # rad, from those at the centre
VELOCITY = 1.0  # rad/s
ACCELERATION = 12.0  # m/s^2

SHOWN = 15  # neurons of each population whose spikes are drawn
RATE, CLIP = 1e-3, 1.0  # of learning; of the norm of gradients
ELECTRODES = 200  # neurons of the motor population that are recorded
AHEAD = 150  # steps
SMOOTH = 0.02  # s, of the recorded spikes
LENGTH = 300  # steps of a piece of the recording
WARM_UP = 200  # steps that do not count at the start of the live run

# The arm of REACH: uniform rods of 1.5 m and 1.3 m. At the start the hand is at CENTRE.
ARM = plants.Arm(
    lengths=(1.5, 1.3),
    masses=(1.98, 1.32),
    centres=(0.75, 0.65),
    inertias=(1.98 * 1.5**2 / 12, 1.32 * 1.3**2 / 12),
    start=(0.602, 2.226),
)

Layers = tuple[keras.layers.GRUCell, keras.layers.Dense]
State = tuple[jax.Array, jax.Array]  # angles and velocities of the joints


class Plan(NamedTuple):
    """Reaches one after another, for each arm of a batch."""

    starts: np.ndarray  # in m, shape (arms, reaches, 2)
    goals: np.ndarray  # the same


class Model(NamedTuple):
    """The network, what it is given, and what is recorded."""

    network: nengo.Network
    task: nengo.Node  # start from CENTRE and way in m, speed of the ramp in 1/s
    electrodes: nengo.Node
    populations: tuple[nengo.Ensemble, ...]
    arm: nengo.Probe  # angles, velocities, place of the hand
    activity: nengo.Probe  # at the electrodes, smoothed; 1 for 100 Hz


class Live(NamedTuple):
    """What happened to one arm while the second network ran."""

    plan: Plan
    arm: np.ndarray  # angles, velocities, place of the hand; shape (steps, 6)
    foreseen: np.ndarray  # in m, shape (steps, 2)
    spikes: dict[str, np.ndarray]  # by population, shape (steps, SHOWN)


class Figures(NamedTuple):
    """How well the arm reaches, and how well it is foreseen; in cm, if not stated."""

    missed: float  # mean distance from the target at the end of a reach
    bent: float  # mean over reaches of the furthest distance from the straight line
    foreseen: float  # RMS error of where the hand will be
    stays: float  # the same if one supposes that the hand stays where it is
    live_differs: float  # at most, from what Keras says about the same activity
    recording: float  # seconds of computing
    training: float  # seconds of computing


def arm_with_hand() -> plants.Plant:
    """The arm, that also shows where its hand is."""
    arm = plants.two_link_arm(ARM, DT)

    def observe(state: State) -> jax.Array:
        return jnp.concatenate([*state, plants.hand(ARM, state[0])])

    return replace(
        arm, observations=(*arm.observations, "x (m)", "y (m)"), observe=observe
    )


def out_and_back() -> Plan:
    """Reaches of one arm to eight targets on a circle."""
    angles = 2 * np.pi * np.arange(8) / 8
    out = CENTRE + DISTANCE * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    back = np.broadcast_to(CENTRE, out.shape)
    pairs = np.stack([back, out], axis=1), np.stack([out, back], axis=1)
    return Plan(*(pair.reshape(1, -1, 2) for pair in pairs))


def anywhere(arms: int, reaches: int) -> Plan:
    """Reaches from place to place in and around the circle, for several arms."""
    rng = np.random.RandomState(3)
    places = [np.broadcast_to(CENTRE, (arms, 2))]
    for _ in range(reaches):
        angle = rng.uniform(0, 2 * np.pi, arms)
        radius = 1.2 * DISTANCE * np.sqrt(rng.uniform(0, 1, arms))
        offset = radius * np.stack([np.cos(angle), np.sin(angle)])
        places.append(CENTRE + offset.T)
    trail = np.stack(places, axis=1)
    return Plan(trail[:, :-1], trail[:, 1:])


def task_of(plan: Plan) -> np.ndarray:
    """What the model is given, shape (arms, steps, 5)."""
    pulse = np.arange(STEPS)[:, None] < round(PULSE / DT)
    starts, goals = (places[:, :, None] - CENTRE for places in plan)
    way = np.where(pulse, 0, goals - starts)
    parts = starts + 0 * way, way, np.where(pulse, -30, 2 / MOVE) + 0 * way[..., :1]
    return np.concatenate(parts, axis=-1).reshape(len(starts), -1, 5)


def decode(
    source: nengo.Ensemble, target: nengo.Node, function: Callable, seed: int
) -> None:
    """Connect a population with a function in JAX, most precise around zero."""
    size = source.dimensions
    points = np.random.RandomState(seed).normal(0, 0.5, (2500, size))
    nengo.Connection(
        source,
        target,
        eval_points=points,
        scale_eval_points=False,
        function=np.asarray(jax.jit(jax.vmap(function))(points)),
        synapse=SYNAPSE,
    )


def path(x: jax.Array) -> jax.Array:
    """Along the direction x[1:], with the ramp at x[0]; of minimum jerk."""
    s = jnp.clip((x[0] + 1) / 2, 0, 1)
    return (10 * s**3 - 15 * s**4 + 6 * s**5) * x[1:]


def pull(x: jax.Array) -> jax.Array:
    """Torques for the accelerations x[2:] of the hand, with the angles x[:2]."""
    angles = jnp.asarray(ARM.start) + ANGLE * x[:2]
    jacobian = jax.jacfwd(lambda q: plants.hand(ARM, q))(angles)
    joints = jnp.linalg.solve(jacobian, ACCELERATION * x[2:])
    return plants.inertia(ARM, angles) @ joints


def damp(x: jax.Array) -> jax.Array:
    """Torques against velocities x[1:] and Coriolis forces, with the elbow at x[0]."""
    elbow = ARM.start[1] + ANGLE * x[0]
    angles, velocities = jnp.stack([jnp.zeros_like(elbow), elbow]), VELOCITY * x[1:]
    free = plants.acceleration(ARM, angles, velocities, jnp.zeros_like(velocities))
    return plants.inertia(ARM, angles) @ (-DAMPING * velocities - free)


def build() -> Model:
    with nengo.Network("reaching", seed=1) as network:
        task = nengo.Node(np.zeros(5), label="task")
        arm = plants.PlantNode(arm_with_hand())
        sensory = add_sensory(arm)
        ramp, premotor, wish = add_premotor(task)

        motor = nengo.Ensemble(1000, 4, radius=1.5, label="motor")
        share = STIFFNESS * PLACE / ACCELERATION
        nengo.Connection(sensory[:2], motor[:2], synapse=SYNAPSE)
        nengo.Connection(wish, motor[2:], transform=share, synapse=None)
        nengo.Connection(sensory[4:], motor[2:], transform=-share, synapse=SYNAPSE)
        decode(motor, arm, pull, seed=3)

        cerebellum = nengo.Ensemble(1000, 3, radius=1.2, label="cerebellum")
        nengo.Connection(sensory[1:4], cerebellum, synapse=SYNAPSE)
        decode(cerebellum, arm, damp, seed=4)

        electrodes = nengo.Node(size_in=ELECTRODES, label="electrodes")
        recorded = motor.neurons[:ELECTRODES]
        nengo.Connection(recorded, electrodes, transform=0.01, synapse=SMOOTH)
        populations = ramp, premotor, motor, cerebellum
        probes = nengo.Probe(arm), nengo.Probe(electrodes)
        return Model(network, task, electrodes, populations, *probes)


def add_sensory(arm: nengo.Node) -> nengo.Node:
    """Add S1; return all that the arm shows, in the units of the populations."""
    sensory = nengo.networks.EnsembleArray(100, 6, label="sensory")
    scales = np.array([ANGLE, ANGLE, VELOCITY, VELOCITY, PLACE, PLACE])
    rest = nengo.Node(-np.array([*ARM.start, 0, 0, *CENTRE]) / scales)
    nengo.Connection(rest, sensory.input, synapse=None)
    nengo.Connection(arm, sensory.input, transform=np.diag(1 / scales), synapse=SYNAPSE)
    return sensory.output


def add_premotor(
    task: nengo.Node,
) -> tuple[nengo.Ensemble, nengo.Ensemble, nengo.Node]:
    """Add the ramp, the population with the path, and where the hand should be."""
    ramp = nengo.Ensemble(500, 1, label="ramp")
    nengo.Connection(ramp, ramp, synapse=MEMORY)
    nengo.Connection(task[4], ramp, transform=MEMORY, synapse=None)
    premotor = nengo.Ensemble(1000, 3, radius=1.5, label="premotor")
    nengo.Connection(ramp, premotor[0], synapse=SYNAPSE)
    nengo.Connection(task[2:4], premotor[1:], transform=1 / PLACE, synapse=None)
    wish = nengo.Node(size_in=2, label="wish")
    decode(premotor, wish, path, seed=2)
    nengo.Connection(task[:2], wish, transform=1 / PLACE, synapse=SYNAPSE)
    return ramp, premotor, wish


def add_second(source: nengo.Node, layers: Layers) -> nengo.Probe:
    """Add the second network; it returns where the hand will be, in units of PLACE.

    It is a network of its own, or what is added would change the seeds of the neurons.
    """
    cell, readout = layers
    with nengo.Network("second network"):
        memory = TensorNode(cell, shape_in=ELECTRODES, pass_time=False)
        foreseen = TensorNode(readout, shape_in=cell.units, pass_time=False)
        nengo.Connection(source, memory, synapse=None)
        nengo.Connection(memory, foreseen, synapse=None)
        return nengo.Probe(foreseen)


def make_alone(layers: Layers) -> tuple[nengo.Network, nengo.Node, nengo.Probe]:
    """The second network without the model, with a node for what was recorded."""
    with nengo.Network() as alone:
        source = nengo.Node(np.zeros(ELECTRODES))
        probe = add_second(source, layers)
    return alone, source, probe


def train(activity: np.ndarray, hand: np.ndarray, epochs: int) -> Layers:
    """Train the layers of the second network on recordings, shape (arms, steps, ...).

    It goes through them piece by piece and keeps its state in between: trained on
    pieces that start from zero, it drifts away as soon as it runs for longer.
    """
    keras.utils.set_random_seed(0)
    layers = keras.layers.GRUCell(64), keras.layers.Dense(2)
    alone, source, probe = make_alone(layers)
    starts = range(0, hand.shape[1] - LENGTH - AHEAD + 1, LENGTH)
    inputs = np.concatenate([activity[:, start:][:, :LENGTH] for start in starts])
    wanted = np.concatenate([hand[:, start + AHEAD :][:, :LENGTH] for start in starts])
    rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * len(starts))
    with nengo_jax.Simulator(
        alone, DT, minibatch_size=len(hand), progress_bar=False
    ) as sim:
        sim.compile(keras.optimizers.Adam(rate, clipnorm=CLIP), loss="mse")
        for _ in range(epochs):
            sim.fit(
                {source: inputs},
                {probe: (wanted - CENTRE) / PLACE},
                shuffle=False,
                stateful=True,
                verbose=0,
            )
            sim.reset(include_trainable=False)
        sim.freeze_params(alone)
    return layers


def run(model: Model, plan: Plan) -> nengo_jax.Simulator:
    data = task_of(plan)
    arms, steps, _ = data.shape
    with nengo_jax.Simulator(
        model.network, DT, minibatch_size=arms, progress_bar=False
    ) as sim:
        sim.run_steps(steps, data={model.task: data})
    return sim


def main(
    out: Path,
    arms: int = 16,
    reaches: int = 7,
    epochs: int = 20,
    animation: Path | None = None,
) -> Figures:
    """Record, train, put back, compare, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    arms, reaches : int
        How many arms are recorded, and for how many reaches of 1.8 s each.
    epochs : int
        How often training goes through the recording.
    animation : Path or None
        Where to save an animation of the first reaches, if at all.
    """
    begin = perf_counter()
    model = build()
    sim = run(model, anywhere(arms, reaches))
    recorded = perf_counter()
    layers = train(sim.data[model.activity], sim.data[model.arm][..., 4:], epochs)
    trained = perf_counter()

    model, plan = build(), out_and_back()
    with model.network:
        foreseen = add_second(model.electrodes, layers)
        spikes = [nengo.Probe(e.neurons[:SHOWN]) for e in model.populations]
    sim = run(model, plan)
    cell, readout = layers
    memory = keras.layers.RNN(cell, return_sequences=True)
    again = readout(memory(sim.data[model.activity]))
    live = Live(
        plan,
        sim.data[model.arm][0],
        CENTRE + PLACE * sim.data[foreseen][0],
        {
            e.label: sim.data[p][0]
            for e, p in zip(model.populations, spikes, strict=True)
        },
    )
    figures = Figures(
        *errors(live),
        float(100 * PLACE * np.abs(sim.data[foreseen] - again).max()),
        recorded - begin,
        trained - recorded,
    )
    draw(out, live, figures)
    if animation is not None:
        animate(animation, live)
    return figures


def errors(live: Live) -> tuple[float, float, float, float]:
    """Return the first four figures."""
    hand = live.arm[:, 4:]
    starts, goals = live.plan.starts[0], live.plan.goals[0]
    paths = hand.reshape(len(goals), -1, 2)
    missed = np.linalg.norm(paths[:, -1] - goals, axis=-1)
    left = (goals - starts)[:, ::-1] * [-1, 1] / DISTANCE
    aside = np.einsum("rta,ra->rt", paths - starts[:, None], left)
    later = hand[WARM_UP + AHEAD :]
    rms = [
        np.sqrt(np.mean(np.sum((now[WARM_UP:-AHEAD] - later) ** 2, axis=-1)))
        for now in (live.foreseen, hand)
    ]
    figures = missed.mean(), np.abs(aside).max(axis=1).mean(), *rms
    return tuple(float(100 * figure) for figure in figures)


def draw(out: Path, live: Live, figures: Figures) -> None:
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    axes = figure.subplot_mosaic("ax;ry;rs", width_ratios=(1, 1.25))
    shown = slice(0, 6 * STEPS)
    times = DT * np.arange(len(live.arm))[shown]
    draw_arm(axes["a"], live)
    draw_reaches(axes["r"], live, figures)
    for name, axis in (("x", 0), ("y", 1)):
        hand = live.arm[AHEAD:, 4 + axis][shown]
        axes[name].plot(times, 100 * hand, color="0.8", lw=6, label="hand")
        axes[name].plot(
            times,
            100 * live.foreseen[shown, axis],
            color="tab:red",
            lw=1,
            label="foreseen",
        )
        axes[name].set_ylabel(f"{name} of the hand in {AHEAD * DT:.2f} s (cm)")
        axes[name].set_xlim(times[0], times[-1])
    axes["x"].legend(frameon=False, ncols=2)
    axes["x"].set_title(
        f"Foreseen: off by {figures.foreseen:.1f} cm (RMS), a hand that stays by "
        f"{figures.stays:.1f} cm",
        loc="left",
    )
    draw_spikes(axes["s"], live.spikes)
    figure.savefig(out, dpi=85)


def draw_arm(axes: Axes, live: Live) -> None:
    states = live.arm[:STEPS, :2], live.arm[:STEPS, 2:4]
    plants.draw(arm_with_hand(), states, axes, count=4)
    axes.set_title("The arm in the first reach")


def draw_reaches(axes: Axes, live: Live, figures: Figures) -> None:
    axes.plot(*live.arm[:, 4:].T, color="0.8", lw=6, solid_capstyle="round")
    axes.plot(*live.foreseen[WARM_UP:].T, color="tab:red", lw=0.8)
    goals = live.plan.goals[0]
    axes.scatter(*goals.T, s=90, facecolors="none", edgecolors="black", zorder=3)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(
        f"Reaches of 25 cm end {figures.missed:.1f} cm from the target", loc="left"
    )


def draw_spikes(axes: Axes, spikes: dict[str, np.ndarray]) -> None:
    for place, heights in enumerate(spikes.values()):
        step, neuron = np.nonzero(heights[:STEPS])
        rows = neuron + place * SHOWN
        axes.scatter(DT * step, rows, s=12, marker="|", lw=0.8, color=f"C{place}")
    axes.set_yticks([(k + 0.5) * SHOWN for k in range(len(spikes))], list(spikes))
    axes.set(xlim=(0, DT * STEPS), xlabel="time (s)")
    axes.set_title(f"Spikes of {SHOWN} neurons each in the first reach", loc="left")


def animate(out: Path, live: Live) -> None:
    """Show the first reaches; the last line is from the hand to where it will be."""
    every = 80
    arm = replace(
        arm_with_hand(),
        dt=every * DT,
        points=lambda state: jnp.vstack([plants.joints(ARM, state[0]), state[1]]),
    )
    shown = slice(WARM_UP, 4 * STEPS, every)
    states = jnp.asarray(live.arm[shown, :2]), jnp.asarray(live.foreseen[shown])
    figure = Figure(figsize=(4, 4), dpi=60)
    film = plants.animate(arm, states, figure)
    goals = live.plan.goals[0]
    figure.axes[0].scatter(*goals.T, s=50, facecolors="none", edgecolors="black")
    figure.axes[0].set_xlim(-0.4, 1.6)
    film.save(out, writer="pillow")


if __name__ == "__main__":
    print(main(Path("reach.png"), animation=Path("reach.gif")))
