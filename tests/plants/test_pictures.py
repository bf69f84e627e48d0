"""Pictures and animations of all plants."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from nengo.exceptions import ValidationError

from nengo_jax import plants

STEPS = 30
PLANTS = [
    plants.two_link_arm(),
    plants.two_link_arm(plants.HUMAN),
    plants.three_link_arm(),
    plants.cart_pole(),
    plants.pendulum(),
    plants.damped_mass(),
]
NAMES = ["rods", "human", "three links", "cart-pole", "pendulum", "mass"]


def trajectory(plant):
    push = jnp.linspace(1, 2, plant.action_size)
    start = plant.reset(jax.random.key(0))
    return plants.run(plant, lambda seen: push, start, STEPS)[0]


def places(plant, states):
    """Where all points are, shape (moments, points, 2)."""
    leaves, form = jax.tree.flatten(states)
    moments = [jax.tree.unflatten(form, moment) for moment in zip(*leaves, strict=True)]
    return np.stack([plant.points(state) for state in moments])


@pytest.mark.parametrize("plant", PLANTS, ids=NAMES)
def test_picture(plant):
    states = trajectory(plant)
    axes = plants.draw(plant, states, Figure().subplots(), count=4)
    *moments, path = axes.lines
    expected = places(plant, states)
    assert len(moments) == 4
    for number, line in zip([0, 10, 20, STEPS], moments, strict=True):
        np.testing.assert_allclose(line.get_xydata(), expected[number], atol=1e-6)
    np.testing.assert_allclose(path.get_xydata(), expected[:, -1], atol=1e-6)
    shades = [line.get_alpha() for line in moments]
    assert shades == sorted(shades)
    assert axes.get_title() == plant.name
    assert "(m)" in axes.get_xlabel()


@pytest.mark.parametrize("plant", PLANTS, ids=NAMES)
def test_animation(plant, tmp_path):
    states = trajectory(plant)
    figure = Figure(figsize=(2, 2), dpi=40)
    film = plants.animate(plant, states, figure, speed=2.0)
    film.save(tmp_path / "film.gif")
    assert (tmp_path / "film.gif").read_bytes().startswith(b"GIF89a")
    expected = places(plant, states)
    (axes,) = figure.axes
    line, path = axes.lines  # as in the last frame
    np.testing.assert_allclose(line.get_xydata(), expected[-1], atol=1e-6)
    np.testing.assert_allclose(path.get_xydata(), expected[:, -1], atol=1e-6)
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    assert np.all((expected >= low) & (expected <= high))
    assert axes.get_title() == f"{plant.name}, {STEPS * plant.dt:.2f} s"
    assert film.event_source.interval == round(1000 * plant.dt / 2)


def test_figures_of_its_own():
    plant = plants.damped_mass()
    states = jnp.zeros((1, 2))  # a single moment, and everything at one place
    plants.draw(plant, states)
    film = plants.animate(plant, states)
    film._draw_was_started = True  # it need not run


def test_what_cannot_be_drawn():
    plant = plants.damped_mass()
    states = trajectory(plant)
    with pytest.raises(ValidationError, match=r"no points to draw.*replace"):
        plants.draw(replace(plant, points=None), states)
    for wrong in (jnp.zeros(2), jnp.zeros((0, 2)), jnp.zeros((5, 3)), (states,)):
        with pytest.raises(ValidationError, match=r"states: .* has shape \(2,\)"):
            plants.draw(plant, wrong, Figure().subplots())
    with pytest.raises(ValidationError, match="count"):
        plants.draw(plant, states, Figure().subplots(), count=0)
    with pytest.raises(ValidationError, match="speed"):
        plants.animate(plant, states, Figure(), speed=0)
