"""All plants of nengo_jax, each under a controller of a few lines, in one picture.

A plant is a record of pure functions, so a controller is a function from what is
observed to an action, and ``plants.run`` is all it takes. Here are the two-link arm
with both sets of parameters and the three-link arm, whose joints are pulled to their
places as by springs; the pole on a cart, which a linear feedback keeps upright; the
pendulum, which is pumped up until it can be caught; and a mass, which is pushed to
0.5 m.

Each panel shows a plant at twelve moments, darker as time goes on, and the way of its
last point: of hand, tip or mass. With ``films`` each of them is saved as an animation,
too.

Run it with ``python examples/plants.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from nengo_jax import plants

# isort: split
import jax
import jax.numpy as jnp
from jax import Array
from matplotlib.figure import Figure

Policy = Callable[[Array], Array]
TURN = 1.0, -0.6, 0.4  # of the joints of an arm, in rad
PLACE = 0.5  # of the mass, in m


class Show(NamedTuple):
    """A plant with its controller."""

    plant: plants.Plant
    policy: Policy
    seconds: float
    start: Array | None = None  # None: that of the plant


class Figures(NamedTuple):
    """How the plants do, in the end."""

    turned: tuple[float, ...]  # largest error of a joint of each arm, in rad
    pole: float  # angle, in rad
    pendulum: float  # angle, in rad
    mass: float  # distance from its place, in m


def goal_of(arm: plants.Arm) -> Array:
    """Where the joints of an arm should be, in rad."""
    return jnp.array(arm.start) + jnp.array(TURN[: len(arm.start)])


def spring(arm: plants.Arm) -> Policy:
    """Pull the joints to where they should be, as strongly as they are heavy."""
    goal = goal_of(arm)

    def policy(seen: Array) -> Array:
        angles, speeds = jnp.split(seen, 2)
        return plants.inertia(arm, angles) @ (30 * (goal - angles) - 8 * speeds)

    return policy


def upright(seen: Array) -> Array:
    """Push the cart under the pole, and back to the middle."""
    return jnp.array([[2.0, 4.0, 60.0, 12.0]]) @ seen


def pump(seen: Array) -> Array:
    """Turn with the swing until the pendulum can be caught."""
    cosine, sine, spin = seen
    swing = 2.0 * jnp.where(spin < 0, -1.0, 1.0)
    energy = spin**2 / 6 + 5 * (cosine - 1)  # 0 at rest upright
    swing = jnp.where(energy > 0, -swing, swing)
    catch = -(20.0 * sine + 5.0 * spin) * (cosine > 0)
    return jnp.where(cosine > 0.95, catch, swing)[None]


def push(seen: Array) -> Array:
    """Push the mass to its place."""
    return 4.0 * (PLACE - seen[:1]) - 2.0 * seen[1:]


def all_plants() -> list[Show]:
    """Return what to show."""
    arms = [
        ("two-link arm, rods", plants.RODS, plants.two_link_arm),
        ("two-link arm, human", plants.HUMAN, plants.two_link_arm),
        ("three-link arm", plants.THREE_LINKS, plants.three_link_arm),
    ]
    shows = [
        Show(replace(make(arm), name=name), spring(arm), 2.0)
        for name, arm, make in arms
    ]
    leaning, hanging = jnp.array([0.5, 0.0, 0.1, 0.0]), jnp.array([3.0, 0.0])
    return [
        *shows,
        Show(plants.cart_pole(), upright, 4.0, leaning),
        Show(plants.pendulum(), pump, 8.0, hanging),
        Show(plants.damped_mass(), push, 6.0),
    ]


def states_of(show: Show) -> Any:
    """Let the controller act; return the states, those of the start first."""
    plant = show.plant
    start = plant.reset(jax.random.key(0)) if show.start is None else show.start
    steps = round(show.seconds / plant.dt)
    return jax.jit(lambda: plants.run(plant, show.policy, start, steps)[0])()


def main(out: Path, films: Path | None = None) -> Figures:
    """Run and draw all plants; save animations to a folder if there is one."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    last = []
    for show, axes in zip(all_plants(), figure.subplots(2, 3).flat, strict=True):
        states = states_of(show)
        plants.draw(show.plant, states, axes)
        last.append(jax.tree.map(lambda leaf: leaf[-1], states))
        if films is not None:
            film = plants.animate(show.plant, states, Figure(figsize=(4, 4)))
            film.save(films / f"{show.plant.name}.gif")
    figure.savefig(out, dpi=80)
    arms = [plants.RODS, plants.HUMAN, plants.THREE_LINKS]
    turned = tuple(
        float(jnp.max(jnp.abs(angles - goal_of(arm))))
        for (angles, _), arm in zip(last[:3], arms, strict=True)
    )
    pole, pendulum, mass = last[3:]
    angle = jnp.arctan2(jnp.sin(pendulum[0]), jnp.cos(pendulum[0]))
    return Figures(turned, float(pole[2]), float(angle), float(mass[0] - PLACE))


if __name__ == "__main__":
    print(main(Path("plants.png"), Path(".")))
