"""A compiled network as a Keras layer.

The blocks of the program are the layer's variables: what is trained, what is fixed,
and the state. A call runs all steps of its input for the whole batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import Array
from nengo import Network, Probe
from nengo.builder import Model
from nengo.exceptions import ValidationError

from ..compiler import CONSTANTS, Compiled
from ..compiler.parameters import Parameter
from ..core import Role
from ..families.layer import LAYER
from ..forward import Forward, Names
from ..functional import training_of
from ..options import Options, keeps_history
from ..runtime.callbacks import Python, with_callbacks
from ..runtime.compiler_options import options_for
from ..runtime.parts import map_examples, part_size
from ..runtime.step import state_axes
from .layer_weights import constraint_of, layer_weights

NAME = "network"
STEPS = "n_steps"  # an input of width 0 whose time axis says how many steps to run


class NetworkLayer(keras.layers.Layer):
    """Runs a network for all steps of its inputs.

    Parameters
    ----------
    network : Network
    model : nengo.builder.Model
    compiled : Compiled
    names : mapping of Node or Probe to str
    options : Options
    parameters : sequence of Parameter
        What is trained.
    batch_size : int or None
        Number of examples whose states are kept apart. None: all examples of all calls
        start from the same state.
    python : callable or None
        Runs the parts of the network that are Python; see ``runtime/callbacks.py``.
    """

    def __init__(
        self,
        network: Network,
        model: Model,
        compiled: Compiled,
        names: Names,
        options: Options,
        parameters: Sequence[Parameter],
        batch_size: int | None = None,
        python: Python | None = None,
        **kwargs: Any,
    ):
        super().__init__(dtype=compiled.layout.dtype.name, name=NAME, **kwargs)
        self.batch_size = batch_size
        self._options = options
        self._program = compiled.program
        self.calls_python = python is not None  # which wants it in the order of steps

        def make(training: bool) -> Forward:
            program = compiled.for_training(training_of(options) if training else None)
            if python is not None:
                program = with_callbacks(program, python)
            return Forward(model, compiled, program, names, options, training)

        self._make_form = make
        self._forms: dict[bool, Forward] = {}
        form = self.form(training=False)
        self.inputs_taken = form.inputs
        self.required = form.required
        self.shapes = form.shapes
        self.last_only = {
            names[p]
            for p in model.probes
            if isinstance(p, Probe) and not keeps_history(p, network)
        }
        self.compiler_options = options_for(self._program)
        self.has_checks = any(g.family == LAYER.name for g in self._program.groups)
        self.layer_weights = layer_weights(model, compiled)
        self.parameter_names = _by_block(parameters, compiled)
        self.blocks: dict[str, keras.Variable] = {}
        self._make_variables()

    def form(self, training: bool) -> Forward:
        """Return the network as it is run or trained; made when it is first needed.

        Raises
        ------
        BuildError
            If it is to be trained by rates, and some neurons have no rate form.
        """
        if training not in self._forms:
            with jax.ensure_compile_time_eval():  # it outlives the call that needs it
                self._forms[training] = self._make_form(training)
        return self._forms[training]

    def _make_variables(self) -> None:
        lead = () if self.batch_size is None else (self.batch_size,)
        for name, block in self._program.blocks.items():
            if name not in self._program.initial or block.role is Role.INPUT:
                continue
            value = self._program.initial[name]
            if block.role is Role.STATE:
                value = np.broadcast_to(value, (*lead, block.size))
            here = [weight for weight in self.layer_weights if weight.block == name]
            constraint = constraint_of(here)
            self.blocks[name] = self._variable(name, value, block.trainable, constraint)
        if CONSTANTS in self._program.initial:
            value = self._program.initial[CONSTANTS]
            self.blocks[CONSTANTS] = self._variable(CONSTANTS, value, False)
        self.step_count = self._variable("step_count", np.zeros((), np.int32), False)
        self.stateful_call = self._variable("stateful", np.zeros((), bool), False)
        self.built = True

    def _variable(
        self, name: str, value: np.ndarray, trainable: bool, constraint: Any = None
    ) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=value.shape,
            dtype=value.dtype.name,
            initializer=lambda shape, dtype=None: jnp.asarray(value, dtype),
            trainable=trainable,
            constraint=constraint,
            autocast=False,
        )

    def call(self, inputs: Mapping[str, Array], training: bool | None = None) -> dict:
        """Run the network.

        Parameters
        ----------
        inputs : mapping of str to Array, shape (batch, steps, size)
            By name of the input node. Values of one step are held if others have more.
        training : bool
            Whether neurons behave as in training.

        Returns
        -------
        dict of str to Array, shape (batch, steps, size)
            By name of the probe; with the shape of the weights for a probe of weights.
        """
        phase = self._options.learning_phase
        training = bool(training) if phase is None else phase
        form = self.form(training and not self._options.inference_only)
        given = dict(inputs)
        steps = max(value.shape[1] for value in given.values())
        examples = next(iter(given.values())).shape[0]
        given.pop(STEPS, None)
        given = {
            name: value[:, 0] if value.shape[1] == 1 < steps else value
            for name, value in given.items()
        }
        state = self._read_state(examples)
        params = {n: self.blocks[n].value for n in self._program.names(Role.PARAM)}
        constants = self.blocks[CONSTANTS].value if CONSTANTS in self.blocks else None
        first = self.step_count.value

        def one(state: dict, given: dict, number: Array) -> tuple[Mapping, dict]:
            result = form.run(
                params, state, constants, given, first, steps, examples, number
            )
            return result.state, result.outputs

        axes = state_axes(self._program)
        values = (state, given, jnp.arange(examples))
        part = examples if training else part_size(self._program, examples)
        if part < examples:
            after, outputs = map_examples(one, values, part)
        else:
            after, outputs = jax.vmap(one, (axes, 0, 0), (axes, 0))(*values)
        self._write_state(after, examples, steps)
        for weight in self.layer_weights:
            if weight.regularizer is not None:
                self.add_loss(weight.regularizer(weight.read(params)))
        return {
            name: value[:, -1:] if name in self.last_only else value
            for name, value in outputs.items()
        }

    def _read_state(self, examples: int) -> dict[str, Array]:
        names = self._program.names(Role.STATE)
        shared = {n: self.blocks[n].value for n in self._program.names(Role.SHARED)}
        if self.batch_size is None:
            return shared | {
                n: jnp.broadcast_to(
                    self.blocks[n].value, (examples, *self.blocks[n].shape)
                )
                for n in names
            }
        if examples > self.batch_size:
            raise ValidationError(
                f"A batch of {examples} examples was given, but the state is kept for "
                f"minibatch_size={self.batch_size}",
                attr="inputs",
            )
        return shared | {n: self.blocks[n].value[:examples] for n in names}

    def _write_state(self, after: Mapping[str, Array], examples: int, steps: int):
        """Keep the state after the call, if the call is stateful."""
        for name in self._program.names(Role.SHARED):
            self.blocks[name].assign(after[name])
        if self.batch_size is None:
            return
        keep = self.stateful_call.value
        for name in self._program.names(Role.STATE):
            value = after[name]
            old = self.blocks[name].value
            new = old.at[:examples].set(value) if examples < self.batch_size else value
            self.blocks[name].assign(jnp.where(keep, new, old))
        count = self.step_count.value
        self.step_count.assign(jnp.where(keep, count + steps, count))

    def compute_output_spec(self, inputs: Mapping[str, Any], training: Any = None):
        """Shapes of the outputs, for the shapes of the inputs."""
        shapes = [value.shape for value in inputs.values()]
        examples = shapes[0][0] if shapes else None
        counts = [shape[1] for shape in shapes]
        steps = None if None in counts else max(counts)
        return {
            name: keras.KerasTensor(
                (examples, 1 if name in self.last_only else steps, *shape),
                dtype=self.compute_dtype,
            )
            for name, shape in self.shapes.items()
        }


def _by_block(
    parameters: Iterable[Parameter], compiled: Compiled
) -> dict[str, list[str]]:
    """Return the names of the parameters that lie in each block."""
    slots, names = compiled.layout.slots, defaultdict(list)
    for parameter in parameters:
        if parameter.signal.base in slots:
            names[slots[parameter.signal.base].block].append(parameter.name)
    return dict(names)
