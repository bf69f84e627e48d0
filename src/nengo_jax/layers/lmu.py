r"""Legendre Memory Units, with or without spikes (Voelker, Kajić and Eliasmith, 2019).

For each step, with input x, hidden state h and memory m (see
:mod:`nengo_jax.layers.legendre` for the matrices):

.. math::
   u &= e_x x + e_h h + e_m m \\
   m &\leftarrow \bar A m + \bar B u \\
   h &\leftarrow f(W_x x + W_h h + W_m m)

with the new m in the last line, and m one memory for each element of u. If f is a cell
of this package, as SpikingActivationCell or LIFCell, the unit spikes: h is what the
cell emits in this step, and its states are states of the unit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import keras
from jax import Array
from nengo.exceptions import ValidationError

from .cell import KerasSpikingCell
from .dynamics import Dynamics, States, advance
from .layer import KerasSpikingLayer
from .legendre import discretise
from .spiking_activation import (
    build_activation,
    call_activation,
    check_activation,
    serialize_activation,
)

_ENCODER, _KERNEL = "lecun_uniform", "glorot_normal"  # those of the paper


@keras.saving.register_keras_serializable(package="nengo_jax")
class LMUCell(KerasSpikingCell):
    """One step of an :class:`LMU`.

    Its states are h, shape (batch, units); m, shape (batch, memory_d * order); and
    those of ``activation``, if it is a cell.

    Parameters
    ----------
    units, order, theta, memory_d, activation, hidden_to_memory, memory_to_memory, \
input_to_hidden, use_bias, dt
        As for :class:`LMU`.
    **kwargs
        As for ``keras.layers.Layer``.
    """

    def __init__(
        self,
        units: int,
        order: int,
        theta: float,
        memory_d: int = 1,
        activation: str | Callable[[Array], Array] | KerasSpikingCell = "tanh",
        *,
        hidden_to_memory: bool = True,
        memory_to_memory: bool = True,
        input_to_hidden: bool = True,
        use_bias: bool = False,
        dt: Any = None,
        **kwargs: Any,
    ):
        super().__init__(units, dt=dt, **kwargs)
        _check_sizes(order, theta, memory_d)
        self.order, self.theta, self.memory_d = order, theta, memory_d
        self.activation = _check_activation(activation, self.size)
        self.hidden_to_memory = hidden_to_memory
        self.memory_to_memory = memory_to_memory
        self.input_to_hidden = input_to_hidden
        self.use_bias = use_bias
        inner = keras.tree.flatten(self.activation.state_size) if self._spikes else []
        self.state_size = [units, memory_d * order, *inner]

    @property
    def _spikes(self) -> bool:
        return isinstance(self.activation, KerasSpikingCell)

    def build(self, input_shape: Any) -> None:
        """Make the weights: encoders of the memory, kernels of the hidden state."""
        if len(input_shape) != 2:
            raise ValidationError(
                f"The input of one step has the shape {tuple(input_shape[1:])}, but "
                "must have one axis, of features; use keras.layers.TimeDistributed("
                "keras.layers.Flatten()) before",
                attr="inputs",
                obj=self,
            )
        (units,), size, memory = self.size, input_shape[-1], self.memory_d * self.order
        add = self._add_matrix
        self.input_encoders = add("input_encoders", size, self.memory_d, _ENCODER)
        self.memory_kernel = add("memory_kernel", memory, units, _KERNEL)
        self.hidden_kernel = add("hidden_kernel", units, units, _KERNEL)
        if self.hidden_to_memory:
            name = "hidden_encoders"
            self.hidden_encoders = add(name, units, self.memory_d, _ENCODER)
        if self.memory_to_memory:
            name = "memory_encoders"
            self.memory_encoders = add(name, memory, self.memory_d, "zeros")
        if self.input_to_hidden:
            self.input_kernel = add("input_kernel", size, units, _KERNEL)
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(units,), initializer="zeros", name="bias"
            )
        if self._spikes:
            self.activation.build((input_shape[0], units))
        else:
            build_activation(self.activation, (input_shape[0], units))

    def _add_matrix(self, name: str, rows: int, columns: int, initializer: str) -> Any:
        shape = (rows, columns)
        return self.add_weight(shape=shape, initializer=initializer, name=name)

    def get_initial_state(self, batch_size: int) -> list[Array]:
        """Return zeros, and the initial states of ``activation`` if it is a cell."""
        hidden = jnp.zeros((batch_size, *self.size), self.variable_dtype)
        shape = (batch_size, self.memory_d * self.order)
        memory = jnp.zeros(shape, self.variable_dtype)
        inner = self.activation.get_initial_state(batch_size) if self._spikes else []
        return [hidden, memory, *inner]

    def dynamics(self, training: bool) -> Dynamics:
        """Return the equations of this module."""
        dtype = self.variable_dtype
        remember = self._make_memory(self._time_step.read(dtype), dtype)
        if self._spikes:
            respond = self.activation.dynamics(training)
        else:
            respond = Dynamics(before=partial(call_activation, self.activation))
        encode, drive = self._make_encode(), self._make_drive()

        def step(inputs: Array, states: States) -> tuple[Array, States]:
            hidden, memory, *inner = states
            before = hidden.astype(inputs.dtype)
            signal = encode(inputs, before, memory.astype(inputs.dtype))
            memory = remember(memory, signal.astype(dtype))
            drives = drive(inputs, before, memory.astype(inputs.dtype))
            output, inner = advance(respond, drives, inner)
            return output, [output.astype(dtype), memory, *inner]

        return Dynamics(step)

    def _make_memory(self, dt: Any, dtype: str) -> Callable[[Array, Array], Array]:
        a, b = discretise(self.order, self.theta, dt, dtype)

        def remember(memory: Array, signal: Array) -> Array:
            shaped = memory.reshape(-1, self.memory_d, self.order)
            shaped = shaped @ a.T + signal[..., None] * b[None, None]
            return shaped.reshape(memory.shape)

        return remember

    def _make_encode(self) -> Callable[[Array, Array, Array], Array]:
        encoders = [self.input_encoders.value, None, None]
        if self.hidden_to_memory:
            encoders[1] = self.hidden_encoders.value
        if self.memory_to_memory:
            encoders[2] = self.memory_encoders.value
        return lambda *parts: _products(parts, encoders)

    def _make_drive(self) -> Callable[[Array, Array, Array], Array]:
        kernels = [None, self.hidden_kernel.value, self.memory_kernel.value]
        if self.input_to_hidden:
            kernels[0] = self.input_kernel.value
        bias = self.bias.value[None] if self.use_bias else 0
        return lambda *parts: _products(parts, kernels) + bias

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same cell."""
        config = {**super().get_config(), **_config(self)}
        config["units"] = config.pop("size")
        return config


def _products(parts: tuple[Array, ...], matrices: list[Array | None]) -> Array:
    """Sum the products of inputs, hidden state and memory with their matrices."""
    terms = [
        part @ matrix.astype(part.dtype)
        for part, matrix in zip(parts, matrices, strict=True)
        if matrix is not None
    ]
    return sum(terms[1:], terms[0])


@keras.saving.register_keras_serializable(package="nengo_jax")
class LMU(KerasSpikingLayer):
    """A Legendre Memory Unit: a recurrent layer that knows its last ``theta`` seconds.

    Parameters
    ----------
    units : int
        Size of the hidden state, which is the output.
    order : int
        Number of polynomials that represent the window.
    theta : float
        Length of the window in seconds.
    memory_d : int
        Number of signals that are remembered.
    activation : str, callable or cell
        The activation function of the hidden state, as for ``keras.layers.Activation``,
        or a cell of this package of the size ``units``, as SpikingActivationCell or
        LIFCell, which spikes inside the unit. Give it the same ``dt``.
    hidden_to_memory, memory_to_memory : bool
        Whether the memory gets the hidden state, and itself, beside the input.
    input_to_hidden : bool
        Whether the hidden state gets the input, beside memory and itself.
    use_bias : bool
        Whether to add a bias before ``activation``; there is none in the paper.
    dt : float, keras.Variable or None
        Length of a step in seconds; None takes ``nengo_jax.layers.default.dt``.
    **kwargs
        ``return_sequences=True``, ``return_state=False``, ``stateful=False``,
        ``unroll=False``, ``time_major=False``, see :class:`KerasSpikingLayer`; and as
        for ``keras.layers.Layer``.

    Raises
    ------
    ValidationError
        If a size or ``theta`` is not positive, or the cell has another size.

    Notes
    -----
    Weights are initialised as in the paper: encoders of input and hidden state
    "lecun_uniform", of the memory "zeros", kernels "glorot_normal".

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_jax.layers import LMU, SpikingActivationCell
    >>> spiking = SpikingActivationCell(8, "relu")
    >>> LMU(8, order=6, theta=0.1, activation=spiking)(np.ones((2, 50, 3))).shape
    (2, 50, 8)
    """

    def __init__(
        self,
        units: int,
        order: int,
        theta: float,
        memory_d: int = 1,
        activation: str | Callable[[Array], Array] | KerasSpikingCell = "tanh",
        *,
        hidden_to_memory: bool = True,
        memory_to_memory: bool = True,
        input_to_hidden: bool = True,
        use_bias: bool = False,
        dt: Any = None,
        **kwargs: Any,
    ):
        super().__init__(dt=dt, **kwargs)
        _check_sizes(order, theta, memory_d)
        self.units = units
        self.order, self.theta, self.memory_d = order, theta, memory_d
        self.activation = _check_activation(activation, (units,))
        self.hidden_to_memory = hidden_to_memory
        self.memory_to_memory = memory_to_memory
        self.input_to_hidden = input_to_hidden
        self.use_bias = use_bias

    def build_cell(self, shape: tuple[int, ...]) -> LMUCell:
        """Return the cell; the shape of the input does not matter here."""
        return LMUCell(
            self.units,
            self.order,
            self.theta,
            self.memory_d,
            self.activation,
            hidden_to_memory=self.hidden_to_memory,
            memory_to_memory=self.memory_to_memory,
            input_to_hidden=self.input_to_hidden,
            use_bias=self.use_bias,
            dt=self.dt,
            dtype=self.dtype_policy,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same layer."""
        return {**super().get_config(), "units": self.units, **_config(self)}


def _check_sizes(order: int, theta: float, memory_d: int) -> None:
    for name, value in (("order", order), ("theta", theta), ("memory_d", memory_d)):
        if not value > 0:
            raise ValidationError(f"Must be positive, got {value!r}", attr=name)


def _check_activation(activation: Any, size: tuple[int, ...]) -> Any:
    if not isinstance(activation, KerasSpikingCell):
        activation = check_activation(activation)
    if isinstance(activation, KerasSpikingCell) and activation.size != size:
        raise ValidationError(
            f"The cell {activation.name} has the size {activation.size}, but the unit "
            f"has the size {size}",
            attr="activation",
        )
    return activation


def _config(owner: LMUCell | LMU) -> dict[str, Any]:
    if isinstance(owner.activation, KerasSpikingCell):
        activation = keras.saving.serialize_keras_object(owner.activation)
    else:
        activation = serialize_activation(owner.activation)
    return {
        "order": owner.order,
        "theta": owner.theta,
        "memory_d": owner.memory_d,
        "activation": activation,
        "hidden_to_memory": owner.hidden_to_memory,
        "memory_to_memory": owner.memory_to_memory,
        "input_to_hidden": owner.input_to_hidden,
        "use_bias": owner.use_bias,
    }
