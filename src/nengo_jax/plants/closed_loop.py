r"""Closed loops: a controller and a plant, rolled out as one function to train through.

.. math:: y_k = o(x_k), \quad (m_{k+1}, u_k) = c(m_k, y_k, r_k), \quad
          x_{k+1} = f(x_k, u_k)

with the state x and observation y of the plant, the memory m and action u of the
controller, and what it is given from outside, r, such as a goal.

There are two regimes of training. Anew: each update rolls the loop out, and the
gradient takes all ways from an action to the future. Held: for some updates the
controller is shown observations that were recorded. The plant still follows the
actions, but what it does no longer comes back to the controller, neither in the loss
nor in its gradient. The hessianfree package does so (Rasmussen, 2016), and names
stability as the reason: a step that fits held observations cannot throw the loop off
while it is looked for. But it is another problem, near the closed one only as long as
the parameters are near those of the recording.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from nengo.exceptions import ValidationError

from ..optimizers.checks import check_count
from ..optimizers.method import Method
from .plant import Plant, State

Control = Callable[[Any, Array, Any], tuple[Any, Array]]


class Trajectory(NamedTuple):
    """What happened in a closed loop.

    Attributes
    ----------
    states : pytree of Array, shape (steps + 1, ...)
        Of the plant; the first one is that of the start.
    seen : Array, shape (steps, observations)
        What the controller saw before each action.
    actions : Array, shape (steps, actions)
    outcomes : Array, shape (steps, observations)
        What is observed after each action.
    """

    states: State
    seen: Array
    actions: Array
    outcomes: Array


def roll_out(
    plant: Plant,
    control: Control,
    memory: Any,
    state: State,
    steps: int,
    *,
    given: Any = None,
    held: Array | None = None,
) -> Trajectory:
    """Let a controller with a memory act on a plant; one example.

    Parameters
    ----------
    plant : Plant
    control : callable
        ``control(memory, seen, given) -> (memory, action)``, in JAX.
    memory : pytree of Array
        Of the controller, at the beginning.
    state : pytree of Array
        Of the plant, at the beginning.
    steps : int
    given : pytree of Array, shape (steps, ...), or None
        What the controller is given in each step.
    held : Array, shape (steps, observations), or None
        What the controller sees, such as ``seen`` of an earlier trajectory; None: the
        plant. The derivatives of held observations are zero.

    Raises
    ------
    ValidationError
        If ``steps`` is no positive whole number, something has another number of
        steps, or what is held or done has another shape than the plant says.

    Examples
    --------
    A controller that adds up what is missing; the derivative is that of the loop.

    >>> import jax, jax.numpy as jnp
    >>> from nengo_jax import plants
    >>> mass = plants.damped_mass()
    >>> def final(gain, held=None):
    ...     def control(total, seen, goal):
    ...         total = total + goal - seen[0]
    ...         return total, gain * total[None]
    ...     goals, start = jnp.ones(50), jnp.zeros(2)
    ...     loop = plants.roll_out(
    ...         mass, control, jnp.zeros(()), start, 50, given=goals, held=held
    ...     )
    ...     return loop.outcomes[-1, 0], loop.seen
    >>> slope, seen = jax.grad(final, has_aux=True)(0.5)
    >>> held_slope, _ = jax.grad(final, has_aux=True)(0.5, held=seen)
    >>> bool(slope < held_slope)  # what moves on is pushed less
    True
    """
    check_count("steps", steps, 1)
    _check_steps("given", given, steps)
    if held is not None:
        _check_shape("held", held, (steps, plant.observation_size))

    def step(carry: tuple[State, Any], now: tuple[Any, Array | None]) -> tuple:
        state, memory = carry
        given, seen = now
        seen = plant.observe(state) if seen is None else seen
        memory, action = control(memory, seen, given)
        _check_shape("action of `control`", action, (plant.action_size,))
        after = plant.step(state, action)
        return (after, memory), (state, seen, action, plant.observe(after))

    (last, _), (states, seen, actions, outcomes) = lax.scan(
        step, (state, memory), (given, lax.stop_gradient(held)), length=steps
    )
    states = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), states, last)
    return Trajectory(states, seen, actions, outcomes)


def run(
    plant: Plant, policy: Callable[[Array], Array], state: State, steps: int
) -> tuple[State, Array, Array]:
    """Let a policy without a memory control a plant.

    Parameters
    ----------
    plant : Plant
    policy : callable
        ``policy(observation) -> action``, in JAX.
    state : pytree of Array
        From which to start.
    steps : int

    Returns
    -------
    states : pytree of Array, shape (steps + 1, ...)
        The first one is ``state``.
    observations : Array, shape (steps, observations)
        What the policy saw.
    actions : Array, shape (steps, actions)

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from nengo_jax import plants
    >>> arm = plants.two_link_arm()
    >>> start = arm.reset(jax.random.key(0))
    >>> states, seen, torques = plants.run(arm, lambda seen: -seen[2:], start, 50)
    >>> seen.shape, torques.shape
    ((50, 4), (50, 2))
    """

    def control(memory: None, seen: Array, given: None) -> tuple[None, Array]:
        return memory, policy(seen)

    states, seen, actions, _ = roll_out(plant, control, None, state, steps)
    return states, seen, actions


class HoldState(NamedTuple):
    """What is remembered between updates with held observations.

    Attributes
    ----------
    inner : pytree of Array
        State of the method.
    held : pytree of Array
        What was recorded last.
    updates : Array, shape ()
        Number of updates so far.
    """

    inner: Any
    held: Any
    updates: Array


def hold(method: Method, record: Callable[[Any, Any], Any], updates: int) -> Method:
    """Let an optimizer hold what is recorded in a closed loop for some updates.

    Parameters
    ----------
    method : Method
        Such as :func:`nengo_jax.optimizers.hessian_free`, of functions whose batch is a
        pair ``(batch, held)``.
    record : callable
        ``record(params, batch) -> held``, for instance the ``seen`` of closed loops.
    updates : int
        After how many updates to record anew.

    Returns
    -------
    Method
        ``init(params, batch) -> HoldState`` and ``update(state, params, batch) ->
        (params, state, report)``. The batch may only change where it is recorded.

    Raises
    ------
    ValidationError
        If ``updates`` is no positive whole number.
    """
    check_count("updates", updates, 1)

    def init(params: Any, batch: Any) -> HoldState:
        held = jax.tree.map(jnp.zeros_like, jax.eval_shape(record, params, batch))
        return HoldState(method.init(params), held, jnp.zeros((), jnp.int32))

    @jax.jit
    def update(state: HoldState, params: Any, batch: Any) -> tuple[Any, HoldState, Any]:
        held = lax.cond(
            state.updates % updates == 0,
            lambda: record(params, batch),
            lambda: state.held,
        )
        params, inner, report = method.update(state.inner, params, (batch, held))
        return params, HoldState(inner, held, state.updates + 1), report

    return Method(init, update)


def _check_shape(name: str, value: Any, shape: tuple[int, ...]) -> None:
    if jnp.shape(value) != shape:
        raise ValidationError(
            f"Must have shape {shape} (got {jnp.shape(value)})", attr=name
        )


def _check_steps(name: str, values: Any, steps: int) -> None:
    """Check that there is something for each step."""
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(values)]
    wrong = [shape for shape in shapes if shape[:1] != (steps,)]
    if wrong:
        raise ValidationError(
            f"Must have shape ({steps}, ...), one for each step (got {wrong[0]})",
            attr=name,
        )
