"""What the layers have in common: a cell that is run over the time axis."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras
from jax import Array
from nengo.exceptions import SimulationError, ValidationError

from .cell import KerasSpikingCell
from .dynamics import run
from .timestep import TimeStep


@dataclass(frozen=True)
class _Kept:
    """States that a stateful layer keeps; no weights, so Keras must not see a list."""

    variables: list[keras.Variable]


class KerasSpikingLayer(keras.layers.Layer):
    """Runs a cell over the second axis of its input; the base class of the layers.

    A subclass says in ``build_cell`` which cell it runs on inputs of some shape.

    Parameters
    ----------
    dt : float, keras.Variable or None
        Length of a step in seconds; None takes ``nengo_jax.layers.default.dt``. A
        variable is read anew in each call, without compiling again; it is not trained.
        The layer is saved with its value.
    return_sequences : bool
        Whether to return the outputs of all steps, or of the last one.
    return_state : bool
        Whether to return the last states, too: a list of the output and the states.
    stateful : bool
        Whether each call starts where the last one stopped. The batch size must be
        known when the layer is built. In training, give ``shuffle=False``.
    unroll : bool
        Whether to compile the steps one after the other instead of a loop.
    time_major : bool
        Whether the time axis comes before the batch axis.
    **kwargs
        As for ``keras.layers.Layer``.

    Notes
    -----
    Inputs have the shape (batch, steps, ...). The number of steps may differ from call
    to call. Where a mask is False, states stay and the output is that of the step
    before.

    Raises
    ------
    ValidationError
        If ``dt`` is not positive; when it is built, if the input has no time axis, or
        if the layer is stateful and the batch size is unknown.
    """

    def __init__(
        self,
        *,
        dt: Any = None,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        time_major: bool = False,
        **kwargs: Any,
    ):
        # values are rounded to the precision of the layer, states are not
        super().__init__(autocast=False, **kwargs)
        self._time_step = TimeStep(dt)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.stateful = stateful
        self.unroll = unroll
        self.time_major = time_major
        self.supports_masking = True
        self.cell: Any = None  # a KerasSpikingCell, once the layer is built
        self._kept = _Kept([])

    @property
    def _batch_axis(self) -> int:
        return 1 if self.time_major else 0

    @abstractmethod
    def build_cell(self, shape: tuple[int, ...]) -> KerasSpikingCell:
        """Return the cell for inputs of a shape, without batch and time."""

    @property
    def dt(self) -> float | keras.Variable:
        """Length of a step in seconds."""
        return self._time_step.source

    @property
    def states(self) -> list[keras.Variable]:
        """Where the next call starts, if the layer is stateful."""
        return self._kept.variables

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables: weights, ``dt`` if it is one, and the states that are kept."""
        found = [*super().variables, *self._time_step.variables, *self.states]
        return list({id(variable): variable for variable in found}.values())

    def build(self, inputs_shape: Any, initial_state_shape: Any = None) -> None:
        """Make the cell and its weights."""
        shape = self._check_shape(inputs_shape)
        self.cell = self.build_cell(shape)
        batch_size = inputs_shape[self._batch_axis]
        self.cell.build((batch_size, *shape))
        axes = dict(enumerate(shape, start=2))
        self.input_spec = keras.layers.InputSpec(ndim=len(inputs_shape), axes=axes)
        if self.stateful:
            if batch_size is None:
                raise ValidationError(
                    f"{self.name} is stateful, so it has to know the batch size; give "
                    "the model keras.Input(batch_shape=(batch, steps, ...))",
                    attr="stateful",
                    obj=self,
                )
            self._kept = _Kept(
                [
                    keras.Variable(value, trainable=False, autocast=False, name="state")
                    for value in self.cell.get_initial_state(batch_size)
                ]
            )

    def _check_shape(self, inputs_shape: Any) -> tuple[int, ...]:
        shape = tuple(inputs_shape)
        if len(shape) < 3:
            raise ValidationError(
                f"The input of {self.name} has the shape {shape}, but needs a time "
                "axis: (batch, steps, ...). If it does not change over time, repeat it "
                "with keras.layers.RepeatVector, or make it one step with "
                "keras.layers.Reshape((1, ...)).",
                attr="inputs",
                obj=self,
            )
        if None in shape[2:]:
            raise ValidationError(
                f"The input of {self.name} has the shape {shape}, but only the numbers "
                "of examples and of steps may be unknown",
                attr="inputs",
                obj=self,
            )
        return shape[2:]

    def call(
        self,
        inputs: Array,
        initial_state: Any = None,
        mask: Array | None = None,
        training: bool | None = False,
    ) -> Any:
        """Run the cell over all steps, from the initial state of the cell or another.

        Parameters
        ----------
        inputs : tensor, shape (batch, steps, ...)
        initial_state : tensor or list of tensors, shape (batch, ...), or None
        mask : tensor of bool, shape (batch, steps), or None
        training : bool

        Returns
        -------
        tensor, shape (batch, steps, ...) or (batch, ...), or a list with the states
        """
        values = jnp.asarray(inputs, self.compute_dtype)
        outputs, states = run(
            self.cell.dynamics(bool(training)),
            values,
            self._first_state(values.shape[self._batch_axis], initial_state),
            None if mask is None else jnp.asarray(mask, bool),
            axis=1 - self._batch_axis,
            last_only=not self.return_sequences,
            unroll=self.unroll,
        )
        for variable, state in zip(self.states, states, strict=False):
            variable.assign(state)
        if self.return_state:
            return [outputs, *(s.astype(self.compute_dtype) for s in states)]
        return outputs

    def _first_state(self, batch_size: int, given: Any) -> list[Array]:
        """Return the states before the first step."""
        expected = jax.eval_shape(lambda: self.cell.get_initial_state(batch_size))
        if given is not None:
            return _check_states(given, expected, self.name)
        if not self.stateful:
            return self.cell.get_initial_state(batch_size)
        kept = [variable.value for variable in self.states]
        if kept[0].shape[0] != batch_size:
            raise ValueError(
                f"{self.name} is stateful and was built for {kept[0].shape[0]} "
                f"examples, but got {batch_size}. Give batches of the same size."
            )
        return kept

    def reset_states(self, states: Any = None) -> None:
        """Go back to the initial states of the cell, or to given ones.

        Parameters
        ----------
        states : array or list of arrays, shape (batch, ...), or None

        Raises
        ------
        SimulationError
            If the layer keeps no states.
        ValueError
            If the number of states or their shapes are wrong.
        """
        if not self.states:
            raise SimulationError(
                f"{self.name} keeps no states to be reset. Make it with stateful=True, "
                "and call it, or build it, once."
            )
        batch_size = self.states[0].shape[0]
        values = self.cell.get_initial_state(batch_size)
        if states is not None:
            values = _check_states(states, values, self.name)
        for variable, value in zip(self.states, values, strict=True):
            variable.assign(value)

    def reset_state(self) -> None:
        """Go back to the initial states; Keras's name for ``reset_states``."""
        self.reset_states()

    def compute_output_shape(
        self, inputs_shape: Any, initial_state_shape: Any = None
    ) -> Any:
        """Return the shape of the outputs, and of the states if they are returned."""
        size = self._check_shape(inputs_shape)
        cell = self.cell or self.build_cell(size)
        batch_size = inputs_shape[self._batch_axis]
        times = tuple(inputs_shape[:2]) if self.return_sequences else (batch_size,)
        shape = (*times, *cell.size)
        if not self.return_state:
            return shape
        return [shape, *((batch_size, *state) for state in cell.state_shapes)]

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Return the mask of the outputs: that of the inputs, if all are returned."""
        mask = previous_mask if self.return_sequences else None
        if not self.return_state:
            return mask
        return [mask, *(None for _ in self.cell.state_shapes)]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same layer."""
        return {
            **super().get_config(),
            "dt": self._time_step.to_config(),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "time_major": self.time_major,
        }


def _check_states(given: Any, expected: Sequence[Any], name: str) -> list[Array]:
    states = keras.tree.flatten(given)
    shapes = [tuple(state.shape) for state in states]
    wanted = [tuple(like.shape) for like in expected]
    if shapes != wanted:
        raise ValueError(
            f"The states of {name} have the shapes {wanted}, but {shapes} were given"
        )
    return [jnp.asarray(s, e.dtype) for s, e in zip(states, expected, strict=True)]
