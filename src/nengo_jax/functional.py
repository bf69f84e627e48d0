"""A network as pure functions of parameters and state, for loops of one's own.

Nothing here needs Keras or a Simulator. The functions work on one example, can be
compiled, differentiated in both directions, vectorised and scanned by JAX, and their
parameters are a dictionary, as optimizers such as those of optax take it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import nengo
from jax import Array
from nengo.exceptions import NengoException, ValidationError

from .checks import check_clock, check_dtype, check_network
from .compiler import CONSTANTS, build_model, compile_model
from .compiler.layout import Layout, stored_size
from .compiler.parameters import Parameter, parameters_of, places_of
from .compiler.seeds import seed_layers
from .core import Program, Role
from .families import Training
from .forward import Forward
from .options import RATE, Options, options_of
from .runtime.step import state_axes

Params = Mapping[str, Array]
State = Mapping[str, Any]
_STEP = "step"


@dataclass(frozen=True)
class Functional:
    """A network as pure functions.

    Attributes
    ----------
    params : dict of str to Array
        Initial values of all that is trained, by path of the object and attribute, as
        in ``"memory.Ensemble0/encoders"``. Encoders are scaled, that is, multiplied by
        the gains and divided by the radius.
    state : dict
        Initial state.
    inputs : dict of str to int
        Names and sizes of the nodes that ``step`` and ``run`` take values for. Values
        of constant nodes may be left out.
    outputs : dict of str to int
        Names and sizes of the probes.
    run : callable
        ``run(params, state, inputs, steps=None) -> (state, outputs)``. Inputs have
        shape (steps, size), or (size,) for a value that is held; outputs have shape
        (steps, size), or that of the weights that are probed.
    step : callable
        ``step(params, state, inputs) -> (state, outputs)``: one step; all values have
        shape (size,).
    """

    params: dict[str, Array]
    state: dict[str, Any]
    inputs: dict[str, int]
    outputs: dict[str, int]
    run: Callable[..., tuple[State, dict[str, Array]]]
    step: Callable[..., tuple[State, dict[str, Array]]]


def functional(
    network: nengo.Network,
    dt: float = 0.001,
    *,
    training: bool = True,
    seed: int | None = None,
    dtype: Any = "float32",
) -> Functional:
    """Turn a network into pure functions.

    Parameters
    ----------
    network : Network
        Its options (``configure_settings``) say what is trained, and how.
    dt : float
        Length of a step in seconds.
    training : bool
        Whether neurons behave as in training (see ``Options.training``) or as in a
        plain run, where spikes have no derivative.
    seed : int or None
        Of random states of Keras layers in the network; None: ``network.seed + 1``, as
        in a Simulator, or 0.
    dtype : str or dtype
        float64 needs ``jax.config.update("jax_enable_x64", True)``.

    Raises
    ------
    ValidationError
        If some part of the network can only run as Python, as it has no derivative and
        cannot be compiled; or if JAX is not set up for the precision.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, nengo, nengo_jax
    >>> with nengo.Network(seed=1) as network:
    ...     a = nengo.Node([0.5], label="a")
    ...     ensemble = nengo.Ensemble(50, 1, neuron_type=nengo.LIFRate())
    ...     _ = nengo.Connection(a, ensemble, synapse=None)
    ...     _ = nengo.Probe(ensemble, label="p")
    >>> net = nengo_jax.functional(network)
    >>> state, outputs = net.run(net.params, net.state, {"a": jnp.ones((10, 1))})
    >>> outputs["p"].shape
    (10, 1)
    """
    check_network(network, None)
    check_clock(dt, seed)
    dtype = check_dtype(dtype)
    if dtype.itemsize == 8 and not jax.config.read("jax_enable_x64"):
        raise ValidationError(
            'float64 needs jax.config.update("jax_enable_x64", True) first',
            attr="dtype",
        )
    options = options_of(network)
    model = build_model(network, None, dt, False)
    parameters = [p for p in parameters_of(network, model) if p.trainable]
    compiled = compile_model(
        model, dtype, batched=True, trainable={p.signal.base for p in parameters}
    )
    refuse_host(compiled.program, ValidationError)
    program = compiled.for_training(training_of(options) if training else None)
    names = {place.obj: place.path for place in places_of(network)}
    forward = Forward(model, compiled, program, names, options, layerwise=training)
    if seed is None:
        seed = 0 if network.seed is None else network.seed + 1
    layout = compiled.layout
    seeded = seed_layers(program.initial, compiled.seeds, layout, seed)
    blocks = {n: jnp.asarray(v) for n, v in {**program.initial, **seeded}.items()}
    fixed = {n: blocks[n] for n in program.names(Role.PARAM)}
    state = {n: blocks[n] for n in state_axes(program)}
    initial = split_parameters(layout, parameters, blocks)
    sizes = {name: signal.size for name, signal in forward.inputs.items()}

    def run(
        params: Params, state: State, inputs: Params, steps: int | None = None
    ) -> tuple[State, dict[str, Array]]:
        memory = {name: state[name] for name in state if name != _STEP}
        check_params(params, initial)
        weights = join_parameters(layout, parameters, params)
        inputs = check_inputs(inputs, sizes)
        steps = count_steps(inputs, steps)
        result = forward.run(
            {**fixed, **weights},
            memory,
            blocks.get(CONSTANTS),
            inputs,
            state[_STEP],
            steps,
        )
        return {**result.state, _STEP: state[_STEP] + steps}, result.outputs

    def step(
        params: Params, state: State, inputs: Params
    ) -> tuple[State, dict[str, Array]]:
        state, outputs = run(params, state, inputs, 1)
        return state, {name: value[0] for name, value in outputs.items()}

    return Functional(
        params=initial,
        state={**state, _STEP: jnp.zeros((), jnp.int32)},
        inputs=sizes,
        outputs=forward.outputs,
        run=run,
        step=step,
    )


def check_params(params: Params, initial: Params) -> None:
    """Check names and shapes of parameters.

    Raises
    ------
    ValidationError
    """
    for name, value in params.items():
        if name not in initial:
            raise ValidationError(
                f"{name!r} is no trained parameter. There are: "
                f"{', '.join(initial) or 'none'}",
                attr="params",
            )
        if jnp.shape(value) != initial[name].shape:
            raise ValidationError(
                f"{name!r} has shape {jnp.shape(value)}, but should have shape "
                f"{initial[name].shape}",
                attr="params",
            )


def check_inputs(inputs: Any, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Return values of inputs as arrays, after a look at their names and shapes.

    Raises
    ------
    ValidationError
    """
    if not isinstance(inputs, Mapping):
        raise ValidationError(
            f"Must be a dictionary by name of the input: {', '.join(sizes)} "
            f"(got {type(inputs).__name__})",
            attr="inputs",
        )
    arrays = {}
    for name, value in inputs.items():
        if name not in sizes:
            raise ValidationError(
                f"{name!r} is no input of this network. There are: "
                f"{', '.join(sizes) or 'none'}",
                attr="inputs",
            )
        array = jnp.asarray(value)
        if array.ndim not in (1, 2) or array.shape[-1] != sizes[name]:
            raise ValidationError(
                f"The input {name!r} has shape {array.shape}, but should have shape "
                f"(steps, {sizes[name]}), or ({sizes[name]},) for a value that is "
                "held. For a batch use jax.vmap.",
                attr="inputs",
            )
        arrays[name] = array
    return arrays


def count_steps(inputs: Params, steps: int | None) -> int:
    """Find out the number of steps from the time axes of inputs.

    Raises
    ------
    ValidationError
        If the inputs disagree, nothing tells the number, or it is no whole number.
    """
    if steps is not None and not (isinstance(steps, Integral) and steps >= 0):
        raise ValidationError(
            "Must be a whole number, at least 0, that is known when the function is "
            f"compiled (got {steps!r})",
            attr="steps",
        )
    counts = {name: value.shape[0] for name, value in inputs.items() if value.ndim == 2}
    found = set(counts.values()) | ({steps} if steps is not None else set())
    if len(found) != 1:
        raise ValidationError(
            f"The inputs have {counts or 'no'} steps, and steps={steps}. Give the "
            "number of steps, or inputs of shape (steps, size) that agree.",
            attr="steps",
        )
    return found.pop()


def split_parameters(
    layout: Layout, parameters: Sequence[Parameter], blocks: Mapping[str, Array]
) -> dict[str, Array]:
    """Take the trained values, in their own shapes, out of their blocks."""
    values = {}
    for parameter in parameters:
        base = parameter.signal.base
        if base not in layout.slots:
            continue  # nothing in the network uses it
        name, start, by_column = layout.slots[base]
        flat = blocks[name][start : start + stored_size(base)]
        shape = flat.shape if base.sparse else base.shape
        values[parameter.name] = (
            flat.reshape(shape[::-1]).T if by_column else flat.reshape(shape)
        )
    return values


def join_parameters(
    layout: Layout, parameters: Sequence[Parameter], values: Params
) -> dict[str, Array]:
    """Undo :func:`split_parameters`.

    Raises
    ------
    ValidationError
        If a parameter is missing.
    """
    pieces: dict[str, list[tuple[int, Array]]] = defaultdict(list)
    for parameter in parameters:
        if parameter.signal.base not in layout.slots:
            continue
        if parameter.name not in values:
            raise ValidationError(f"{parameter.name!r} is missing", attr="params")
        name, start, by_column = layout.slots[parameter.signal.base]
        value = values[parameter.name]
        pieces[name].append((start, (value.T if by_column else value).reshape(-1)))
    return {
        name: jnp.concatenate([flat for _, flat in sorted(parts, key=itemgetter(0))])
        for name, parts in pieces.items()
    }


def training_of(options: Options) -> Training:
    """How operators behave in training, by the options of a network."""
    surrogate = None if options.training == RATE else options.surrogate
    return Training(surrogate, options.lif_smoothing, options.online_rules)


def refuse_host(program: Program, kind: type[NengoException]) -> None:
    """Raise an error of some kind if a program calls Python while it runs."""
    calls = [call for group in program.groups for call in group.calls]
    if calls:
        reasons = "; ".join(f"{call.label}: {call.reason}" for call in calls)
        raise kind(
            f"The network has parts that only run as Python: {reasons}. They have no "
            "gradient and cannot be compiled. Replace them by a TensorNode, or by "
            "nodes without input whose values are given.",
            **({"attr": "network"} if kind is ValidationError else {}),
        )
