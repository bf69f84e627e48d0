"""A plant inside a Nengo network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import Array, lax
from nengo.builder import Builder, Model
from nengo.exceptions import BuildError, SimulationError, ValidationError
from nengo.params import Parameter

from ..nodes import TensorNode
from ..nodes.build import build_tensor_node
from ..runtime.exact import call_exactly
from .limits import KEEP_FINITE
from .plant import Plant, State

_TOLERANCE = 1e-6  # of the ratio of steps
_PRECISIONS = ("float32", "float64")


class PlantNode(TensorNode):
    """A node whose input acts on a plant and whose output is what is observed.

    In each step of the simulation the plant makes one step, and the node shows it
    afterwards. Its state is part of the simulation: each example of a batch has its
    own, a reset starts it anew, and gradients flow through it, also around a loop.

    All of the state must be floating-point numbers. Noise comes in as an action, for
    instance from a node with ``nengo.processes.WhiteNoise``: so each example of a batch
    has its own.

    Parameters
    ----------
    plant : Plant
    start : pytree of array or None
        State at the beginning, of all examples; None: ``plant.reset`` with ``seed``.
    seed : int
    label : str or None
        None: the name of the plant.
    dtype : str
        Precision in which the plant computes. "float32" holds in all simulations;
        "float64" needs one in double precision.

    Raises
    ------
    ValidationError
        If the plant does not fit what it says of itself.
    BuildError
        When a simulator is made, if its ``dt`` is not that of the plant.
    SimulationError
        In a run, if a state is no longer finite. In training the loss tells, because
        optimizers try steps that they do not take.

    Examples
    --------
    >>> import nengo, nengo_jax
    >>> from nengo_jax import plants
    >>> with nengo.Network() as network:
    ...     mass = plants.PlantNode(plants.damped_mass(dt=0.001))
    ...     push = nengo.Node(0.5)
    ...     _ = nengo.Connection(push, mass, synapse=None)
    ...     probe = nengo.Probe(mass)
    >>> with nengo_jax.Simulator(network, progress_bar=False) as sim:
    ...     sim.run(1.0)
    >>> sim.data[probe].shape
    (1000, 2)
    """

    plant = Parameter("plant", readonly=True)

    def __init__(
        self,
        plant: Plant,
        start: State = None,
        seed: int = 0,
        label: str | None = None,
        dtype: str = "float32",
    ):
        if not isinstance(plant, Plant):
            raise ValidationError(
                f"Must be a Plant (got {plant!r}). For an environment of Gymnasium "
                "there is plants.gymnasium_node",
                attr="plant",
            )
        if dtype not in _PRECISIONS:
            raise ValidationError(
                f"Must be one of {_PRECISIONS} (got {dtype!r})", attr="dtype"
            )
        with jax.enable_x64(dtype == "float64"):
            first = _first_state(plant, start, seed, dtype)
            check_plant(plant, first)
        self.plant = plant
        cell = _PlantCell(plant, first, dtype)
        super().__init__(
            cell,
            shape_in=(plant.action_size,),
            pass_time=False,
            label=plant.name if label is None else label,
        )


def _first_state(plant: Plant, start: State, seed: int, dtype: str) -> State:
    """Return the state at the beginning.

    Raises
    ------
    ValidationError
        If there is none, it is not finite, or not like that of the plant.
    """
    with _naming(plant, "cannot be reset"):
        own = plant.reset(jax.random.key(seed))
    _check_kinds(plant, own, "plant", jnp.floating)
    first = own if start is None else start
    shapes = [jax.tree.map(np.shape, part) for part in (first, own)]
    if shapes[0] != shapes[1]:
        raise ValidationError(
            f"The state of the plant {plant.name!r} has shape {shapes[1]}, but it "
            f"starts with shape {shapes[0]}",
            attr="start",
        )
    _check_kinds(plant, first, "start", jnp.floating, jnp.integer)
    first = jax.tree.map(lambda value: np.asarray(value, dtype), first)
    leaves = jax.tree.leaves(first)
    if not leaves or not all(np.isfinite(leaf).all() for leaf in leaves):
        raise ValidationError(
            f"The plant {plant.name!r} starts with {first}, but its state must be "
            "finite numbers",
            attr="start",
        )
    return first


def _check_kinds(plant: Plant, state: State, attr: str, *kinds: Any) -> None:
    """Check what a state consists of, as it is cast to one precision."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        # of random keys NumPy knows no arrays
        dtype = leaf.dtype if isinstance(leaf, Array) else np.asarray(leaf).dtype
        if not any(jnp.issubdtype(dtype, kind) for kind in kinds):
            raise ValidationError(
                f"All of the state of the plant {plant.name!r} must be floating-point "
                f"numbers in a network, but state{jax.tree_util.keystr(path)} is "
                f"{dtype}. For noise, have an action that adds it, and connect a node "
                "with nengo.processes.WhiteNoise",
                attr=attr,
            )


def check_plant(plant: Plant, state: State) -> None:
    """Check that a plant returns what it says, without running it.

    Raises
    ------
    ValidationError
    """
    dtype = jax.tree.leaves(state)[0].dtype
    action = jax.ShapeDtypeStruct((plant.action_size,), dtype)
    with _naming(plant, f"fails for {plant.action_size} actions"):
        after = jax.eval_shape(plant.step, state, action)
        seen = jax.eval_shape(plant.observe, state)
    shapes = [jax.tree.map(np.shape, part) for part in (state, after)]
    if shapes[0] != shapes[1]:
        raise ValidationError(
            f"A step of the plant {plant.name!r} makes a state of shape {shapes[1]} "
            f"from one of shape {shapes[0]}",
            attr="plant",
        )
    shown = jax.tree.map(np.shape, seen)
    if shown != (plant.observation_size,):
        raise ValidationError(
            f"The plant {plant.name!r} names {plant.observation_size} observations, "
            f"but shows an array of shape {shown}",
            attr="plant",
        )
    for part in (*jax.tree.leaves(after), seen):
        if not jnp.issubdtype(part.dtype, jnp.floating):
            raise ValidationError(
                f"States and observations of the plant {plant.name!r} must be "
                f"floating-point numbers, but some are {part.dtype}",
                attr="plant",
            )


@contextmanager
def _naming(plant: Plant, what: str) -> Iterator[None]:
    """Call functions of a plant; an error says which plant it is, and what it does."""
    try:
        yield
    except Exception as error:  # functions of the user raise what they like
        raise ValidationError(
            f"The plant {plant.name!r} {what}: {type(error).__name__}: {error}",
            attr="plant",
        ) from error


def _checked(plant: Plant, before: list[Array], actions: Array, after: list[Array]):
    """Return states if they are finite; otherwise raise an error that names the plant.

    Python is called only then, or if there is a vmap around the batch. Derivatives
    pass.
    """

    def refuse(before: Any, actions: np.ndarray, after: Any) -> Any:
        old, new = (np.concatenate(parts, axis=-1) for parts in (before, after))
        for place in np.argwhere(~np.isfinite(new).all(axis=-1)):
            example = tuple(place)
            raise SimulationError(
                f"The plant {plant.name!r} returned {new[example]} for the state "
                f"{old[example]} and the action {actions[example]}. {KEEP_FINITE}"
            )
        return after

    def call(after: list[Array]) -> list[Array]:
        shapes = [jax.ShapeDtypeStruct(part.shape, part.dtype) for part in after]
        return call_exactly(
            jax.pure_callback,
            refuse,
            shapes,
            before,
            actions,
            after,
            vmap_method="broadcast_all",
        )

    finite = jnp.all(jnp.stack([jnp.isfinite(part).all() for part in after]))
    return lax.cond(finite, lambda after: after, call, after)


class _PlantCell(keras.layers.Layer):
    """A plant in the form of an RNN cell of Keras, for a batch."""

    def __init__(self, plant: Plant, start: State, dtype: str):
        super().__init__(name="plant", dtype=dtype)
        self.plant = plant
        leaves, self._form = jax.tree.flatten(start)
        self._start = [np.asarray(leaf) for leaf in leaves]
        self.state_size = [leaf.size for leaf in self._start]
        self.output_size = plant.observation_size
        self.built = True

    def get_initial_state(self, batch_size: int | None = None) -> list[Array]:
        return [
            jnp.broadcast_to(
                jnp.asarray(leaf, self.compute_dtype).reshape(-1),
                (batch_size or 1, leaf.size),
            )
            for leaf in self._start
        ]

    def call(
        self, actions: Array, states: list[Array], training: bool | None = None
    ) -> tuple[Array, list[Array]]:
        def one(action: Array, *flat: Array) -> tuple[Array, ...]:
            state = self.plant.step(self._unflatten(flat), action)
            return tuple(leaf.reshape(-1) for leaf in jax.tree.leaves(state))

        def observe(*flat: Array) -> Array:
            return self.plant.observe(self._unflatten(flat))

        after = list(jax.vmap(one)(actions, *states))
        if not training:
            after = _checked(self.plant, states, actions, after)
        return jax.vmap(observe)(*after), after

    def _unflatten(self, flat: Sequence[Array]) -> State:
        leaves = [
            part.reshape(leaf.shape)
            for part, leaf in zip(flat, self._start, strict=True)
        ]
        return jax.tree.unflatten(self._form, leaves)


@Builder.register(PlantNode)
def build_plant_node(model: Model, node: PlantNode) -> None:
    """Build a plant, whose steps have to be those of the model.

    Raises
    ------
    BuildError
    """
    if not math.isclose(model.dt, node.plant.dt, rel_tol=_TOLERANCE):
        raise BuildError(
            f"{node}: a step takes {model.dt} s in the simulation and "
            f"{node.plant.dt} s in the plant. Make the plant with dt={model.dt}, or "
            f"the simulator with dt={node.plant.dt}; plants.repeat joins several steps "
            "of a plant."
        )
    build_tensor_node(model, node)
