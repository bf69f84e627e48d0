"""Gradients by backpropagation against central finite differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.builder import Model
from nengo.exceptions import SimulationError

from ..compiler import CONSTANTS, compile_model
from ..engine import Engine
from ..forward import Forward, Names
from ..functional import training_of
from ..options import SURROGATE, Options
from ..runtime.step import state_axes

_STEP = 1e-6  # of the finite differences, relative to inputs of size 1


class Gradients(NamedTuple):
    """Derivatives of a probe with respect to the inputs, shape (outputs, inputs)."""

    analytic: np.ndarray
    numeric: np.ndarray


def compare_gradients(
    model: Model,
    engine: Engine,
    names: Names,
    options: Options,
    inputs: Mapping[str, np.ndarray],
    outputs: Sequence[str],
    steps: int,
) -> dict[str, Gradients]:
    """Differentiate some probes with respect to all inputs, in both ways, in float64.

    Parameters
    ----------
    model : nengo.builder.Model
    engine : Engine
        Its present parameters and state are used.
    names : mapping of Node or Probe to str
    options : Options
    inputs : mapping of str to ndarray, shape (steps, size)
        For one example.
    outputs : sequence of str
        Names of the probes.
    steps : int

    Raises
    ------
    SimulationError
        If the network is trained with surrogates, which differ from the derivatives
        on purpose, or cannot be trained.
    """
    if options.inference_only or options.training == SURROGATE:
        raise SimulationError(
            "Gradients can be checked for networks that are trained in rate mode "
            '(configure_settings(training="rate")): surrogate gradients differ from '
            "the derivatives on purpose, and inference_only leaves nothing to check."
        )
    with jax.enable_x64(True):
        trainable = _trained_signals(engine)
        compiled = compile_model(
            model, np.dtype("float64"), batched=True, trainable=trainable
        )
        program = compiled.for_training(training_of(options))
        form = Forward(model, compiled, program, names, options, layerwise=True)
        first = jnp.asarray(engine.n_steps, jnp.int32)
        params = _values(engine.params)
        axes = state_axes(program)
        state = _first_example(_values(engine.state), axes, engine.batch_size)
        constants = engine.peek(CONSTANTS)
        constants = None if constants is None else jnp.asarray(constants, jnp.float64)
        given = {n: jnp.asarray(v, jnp.float64) for n, v in inputs.items()}
        shapes = {n: v.shape for n, v in given.items()}

        def run(flat: Array) -> dict[str, Array]:
            values = _unflatten(flat, shapes)
            # a batch of one, as layers inside the network expect a batch
            result = jax.vmap(
                lambda values: (
                    form.run(params, state, constants, values, first, steps).outputs
                )
            )(jax.tree.map(lambda v: v[None], values))
            return {name: result[name].reshape(-1) for name in outputs}

        flat = jnp.concatenate([v.reshape(-1) for v in given.values()])
        count = flat.shape[0]
        offsets = _STEP * jnp.eye(count)
        moved = jnp.concatenate([flat[None] + offsets, flat[None] - offsets])
        analytic, both = jax.tree.map(
            np.asarray, (jax.jit(jax.jacrev(run))(flat), jax.jit(jax.vmap(run))(moved))
        )
    return {
        name: Gradients(
            analytic[name],
            (both[name][:count] - both[name][count:]).T / (2 * _STEP),
        )
        for name in outputs
    }


def _trained_signals(engine: Engine) -> set[Any]:
    program, slots = engine.compiled.program, engine.compiled.layout.slots
    return {s for s, slot in slots.items() if program.blocks[slot.block].trainable}


def _values(blocks: Mapping[str, Any]) -> dict[str, Array]:
    return {
        name: jnp.asarray(
            value, jnp.float64 if jnp.issubdtype(value.dtype, jnp.floating) else None
        )
        for name, value in blocks.items()
    }


def _first_example(
    state: Mapping[str, Array], axes: Mapping[str, int | None], batch_size: int | None
) -> dict[str, Array]:
    batched = {n for n, axis in axes.items() if batch_size is not None and axis == 0}
    return {n: v[0] if n in batched else v for n, v in state.items()}


def _unflatten(flat: Array, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    values, start = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        values[name] = flat[start : start + size].reshape(shape)
        start += size
    return values


def check(gradients: Mapping[str, Gradients], atol: float, rtol: float) -> None:
    """Raise SimulationError if derivatives differ.

    Raises
    ------
    SimulationError
        If ``abs(analytic - numeric) >= atol + rtol * abs(numeric)`` anywhere, or a
        value is NaN.
    """
    for name, (analytic, numeric) in gradients.items():
        difference = np.abs(analytic - numeric)
        right = difference < atol + rtol * np.abs(numeric)
        if not np.all(right):
            worst = float(np.nanmax(difference, initial=0.0))
            raise SimulationError(
                f"The gradient of probe {name!r} is wrong in "
                f"{np.count_nonzero(~right)} of {right.size} elements, by up to "
                f"{worst:.3g}; {np.count_nonzero(np.isnan(analytic))} are NaN"
            )
