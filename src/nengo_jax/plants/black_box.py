"""Any Python function as a plant, with derivatives by central differences.

The function runs on the host, in double precision, once for a whole batch. For a
derivative all disturbed states and actions are put into one such call, whatever the
precision of the simulation, so differences are not lost in rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.exceptions import SimulationError, ValidationError

from ..optimizers.checks import check_count, check_range
from ..runtime.exact import call_exactly
from .limits import KEEP_FINITE
from .plant import Plant, check_names

Step = Callable[[np.ndarray, np.ndarray], np.ndarray]


def black_box(
    step: Step,
    *,
    actions: int | Sequence[str],
    observations: int | Sequence[str],
    start: Any,
    dt: float,
    name: str | None = None,
    epsilon: float = 1e-6,
) -> Plant:
    """Return a plant that calls Python.

    Parameters
    ----------
    step : callable
        ``step(states, actions) -> states`` for arrays of shape (batch, size); a
        function of its arguments alone.
    actions, observations : int or sequence of str
        Their number, or their names and units. All of the state is observed.
    start : array, shape (observations,)
        State at the beginning.
    dt : float
        Length of a step in seconds.
    name : str or None
        For messages; None: that of the function.
    epsilon : float
        Step of the central differences.

    Raises
    ------
    ValidationError
        If an argument does not fit, or if the function raises or does not return
        finite states of the right shape.
    SimulationError
        If it does so later, in a simulation. Where JAX alone runs the plant, the same
        message stands at the end of a JaxRuntimeError.

    Notes
    -----
    Only first derivatives exist. The error of a central difference is about
    ``epsilon**2 / 6`` times the third derivative, and that of rounding 1e-16 / epsilon
    times the state; :func:`derivative_error` estimates what remains.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, numpy as np
    >>> from nengo_jax import plants
    >>> def fall(states, actions):
    ...     height, speed = states.T
    ...     speed = speed + 0.01 * (actions[:, 0] - 9.81)
    ...     return np.stack([height + 0.01 * speed, speed], axis=1)
    >>> plant = plants.black_box(
    ...     fall, actions=["thrust (N)"], observations=2, start=[1, 0], dt=0.01
    ... )
    >>> state = plant.step(plant.reset(None), jnp.ones(1))
    >>> jax.jacobian(plant.step, 1)(state, jnp.ones(1)).round(6).tolist()
    [[9.999999747378752e-05], [0.009999999776482582]]
    """
    label = name or _name_of(step)
    action_names = _names("actions", "u", actions, 0)
    state_names = _names("observations", "x", observations, 1)
    check_range("epsilon", epsilon, 0, open_below=True)
    try:
        first = _doubles(start)
    except (TypeError, ValueError) as error:
        raise ValidationError(
            f"The plant {label!r} must start with real numbers (got {start!r})",
            attr="start",
        ) from error
    if first.shape != (len(state_names),):
        raise ValidationError(
            f"The plant {label!r} has {len(state_names)} observations, but starts with "
            f"shape {first.shape}",
            attr="start",
        )
    if not np.isfinite(first).all():
        raise ValidationError(
            f"The plant {label!r} starts with {first}, which is not finite",
            attr="start",
        )
    # JAX may call in several threads at once, and a simulator behind the function has
    # one state.
    turn = Lock()

    def in_turn(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        with turn:
            return step(states, actions)

    call = partial(_call, in_turn, label)
    _try(call, first, len(action_names))

    jacobians = partial(differences, call, epsilon=epsilon)

    @jax.custom_jvp
    def advance(state: Array, action: Array) -> Array:
        return _on_host(call, state.shape, state, action)

    @jax.custom_jvp
    def slopes(state: Array, action: Array) -> Array:
        size = state.shape[0] + action.shape[0]
        return _on_host(jacobians, (state.shape[0], size), state, action)

    @slopes.defjvp
    def refuse(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
        raise SimulationError(
            f"The plant {label!r} calls Python, so it has first derivatives only"
        )

    @advance.defjvp
    def advance_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
        state, action = primals
        tangent = slopes(state, action) @ jnp.concatenate(tangents)
        return advance(state, action), tangent

    return Plant(
        name=label,
        dt=dt,
        actions=action_names,
        observations=state_names,
        reset=lambda key: jnp.asarray(first),
        step=advance,
        observe=jnp.asarray,
    )


def _on_host(call: Step, shape: tuple[int, ...], state: Array, action: Array) -> Array:
    """Call Python, once for all examples of a batch; it returns an array for each."""
    result = jax.ShapeDtypeStruct(shape, state.dtype)
    return call_exactly(
        jax.pure_callback, call, result, state, action, vmap_method="broadcast_all"
    )


def differences(step: Step, states: Any, actions: Any, epsilon: float) -> np.ndarray:
    """Return derivatives of a step by state and action, with one call of it.

    Parameters
    ----------
    step : callable
    states, actions : array, shape (..., size)
    epsilon : float

    Returns
    -------
    ndarray, shape (..., states, states + actions)
    """
    joined = np.concatenate([states, actions], axis=-1, dtype=np.float64)
    count, size = np.shape(states)[-1], joined.shape[-1]
    shifts = epsilon * np.concatenate([np.eye(size), -np.eye(size)])
    disturbed = joined[..., None, :] + shifts
    after = step(disturbed[..., :count], disturbed[..., count:])
    slopes = (after[..., :size, :] - after[..., size:, :]) / (2 * epsilon)
    return np.swapaxes(slopes, -1, -2)


def derivative_error(
    step: Step, states: Any, actions: Any, epsilon: float = 1e-6
) -> float:
    """Estimate the relative error of the derivatives of a black box.

    Derivatives with ``epsilon`` and with half of it are compared: for central
    differences their difference is three quarters of the error (Richardson), as long
    as rounding does not matter; where it does, the difference shows it too.

    Parameters
    ----------
    step : callable
        As for :func:`black_box`.
    states, actions : array, shape (batch, size)
        Where to look.
    epsilon : float

    Returns
    -------
    float
        The largest error, as a part of the largest derivative.
    """
    check_range("epsilon", epsilon, 0, open_below=True)
    call = partial(_call, step, _name_of(step))
    coarse = differences(call, states, actions, epsilon)
    fine = differences(call, states, actions, epsilon / 2)
    return float(np.abs(coarse - fine).max() * 4 / 3 / np.abs(fine).max())


def _call(step: Step, label: str, states: Any, actions: Any) -> np.ndarray:
    """Call the function with one batch axis, and check what it returns."""
    shape = np.shape(states)
    flat = np.asarray(states, np.float64).reshape(-1, shape[-1])
    inputs = np.asarray(actions, np.float64).reshape(len(flat), -1)
    try:  # with copies, as the function may write to its arguments
        after = _doubles(step(flat.copy(), inputs.copy()))
    except Exception as error:  # the function is the user's, and raises what it likes
        raise SimulationError(
            f"The plant {label!r} failed for {len(flat)} states, the first one "
            f"{flat[0]} with the action {inputs[0]}: {type(error).__name__}: {error}"
        ) from error
    if after.shape != flat.shape:
        raise SimulationError(
            f"The plant {label!r} returned states of shape {after.shape} for states of "
            f"shape {flat.shape}. It gets and returns (batch, size)."
        )
    if not np.isfinite(after).all():
        bad = int(np.flatnonzero(~np.isfinite(after).all(axis=1))[0])
        raise SimulationError(
            f"The plant {label!r} returned {after[bad]} for the state {flat[bad]} and "
            f"the action {inputs[bad]}. {KEEP_FINITE}"
        )
    return after.reshape(shape)


def _try(call: Step, start: np.ndarray, actions: int) -> None:
    """Make one step, so that an error is seen before anything compiles."""
    try:
        call(np.stack([start, start]), np.zeros((2, actions)))
    except SimulationError as error:
        raise ValidationError(str(error), attr="step") from error


def _name_of(step: Step) -> str:
    return getattr(step, "__name__", type(step).__name__)


def _names(
    attr: str, letter: str, given: int | Sequence[str], least: int
) -> tuple[str, ...]:
    if not isinstance(given, (int, Integral)):
        check_names(attr, given)
        check_count(f"number of {attr}", len(given), least)
        return tuple(given)
    check_count(attr, given, least)
    return tuple(f"{letter}{number}" for number in range(given))


def _doubles(values: Any) -> np.ndarray:
    """Return real numbers; others raise TypeError or ValueError.

    NumPy would drop an imaginary part, and read text.
    """
    array = np.asarray(values)
    if array.dtype.kind in "cUS":
        raise TypeError(f"these are no real numbers, but {array.dtype}")
    return np.asarray(array, np.float64)
