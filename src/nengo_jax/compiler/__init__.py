"""From a nengo model to a :class:`~nengo_jax.core.Program`, one pass a line."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from nengo.builder import Model
from nengo.builder.signal import Signal

from ..core import Group, Program, Role, Sample
from ..families import FAMILIES, FamilyTable, Settings, Training
from ..families.process import linear
from .build import build_model
from .check import check
from .explain import explain
from .layout import Layout
from .liveness import live_tasks
from .order import Starter, starters_of
from .plan import Planned, plan
from .roles import assign_roles, drop_host_operands, tasks_of
from .seeds import seeds_of
from .simplify import simplify
from .sources import Sampler, Source

CONSTANTS, INPUTS = "constants", "inputs"


@dataclass(frozen=True)
class Compiled:
    """A program together with the links back to the model it was made from.

    Attributes
    ----------
    program : Program
    layout : Layout
        Where each signal of the model lies.
    sources : tuple of Source
        What feeds the input blocks.
    starters : tuple of Starter
        What is started anew at each reset, in the reference's order.
    streams : frozenset of Signal
        Random streams of neurons, which a reset does not turn back.
    seeds : tuple of Signal
        Random states of layers, which are to be set before a run.
    products : mapping of Signal to (Signal, Signal)
        Signals that are kept as two factors of an outer product.
    clock : tuple of Signal
        The model's step and time.
    planned : tuple of Planned
        The groups of the program, with the operators that they were made of.
    settings : Settings
    """

    program: Program
    layout: Layout
    sources: tuple[Source, ...]
    starters: tuple[Starter, ...]
    streams: frozenset[Signal]
    seeds: tuple[Signal, ...]
    products: Mapping[Signal, tuple[Signal, Signal]]
    clock: tuple[Signal, Signal]
    planned: tuple[Planned, ...]
    settings: Settings

    def for_training(self, training: Training | None) -> Program:
        """Return the program for batches that can be differentiated.

        It has the same blocks. ``training`` says how its groups behave; None: as when
        the network is only run.
        """
        settings = self.settings._replace(batched=True, training=training)
        groups = tuple(planned.rebuild(settings) for planned in self.planned)
        return replace(self.program, groups=groups)


def compile_model(
    model: Model,
    dtype: np.dtype,
    optimize: bool = True,
    batched: bool = False,
    trainable: Collection[Signal] = (),
    families: FamilyTable = FAMILIES,
) -> Compiled:
    """Compile a built model.

    Parameters
    ----------
    model : nengo.builder.Model
    dtype : dtype
        Floating-point type of the simulation.
    optimize : bool
        Whether operators may be merged into groups.
    batched : bool
        Whether the program will run many examples at once.
    trainable : collection of Signal
        Parameters that are trained.
    families : mapping
        The operators that can run natively.

    Raises
    ------
    BuildError
        If the operators depend on each other in a cycle, or have shapes that do not
        fit together.
    """
    settings = Settings(model.dt, np.dtype(dtype), batched)
    operators, sources, streams, products = simplify(model)
    tasks = tasks_of(operators, families)
    roles = assign_roles(tasks, model, sources)
    tasks = drop_host_operands(tasks, roles, model)
    layout = Layout(roles, settings.dtype, _parameters(trainable, roles))
    _place_inputs(layout, model, sources)
    live = live_tasks(tasks, roles, model)
    planned = plan(tasks, layout, settings, optimize, live)
    for task in tasks:
        if task.family is linear.LOWPASS and linear.output_is_state(task.op):
            layout.share(task.op.state["X"], task.op.output)
    program = _program(model, [part.group for part in planned], layout)
    check(program)
    starters = starters_of(model, tasks, sources, roles)
    clock = (model.step, model.time)
    return Compiled(
        program=program,
        layout=layout,
        sources=sources,
        starters=starters,
        streams=streams,
        seeds=seeds_of(operators),
        products=products,
        clock=clock,
        planned=tuple(planned),
        settings=settings,
    )


def host_warning(compiled: Compiled) -> None:
    """Warn once about operators that have no native family."""
    reasons = {
        call.reason
        for group in compiled.program.groups
        for call in group.calls
        if call.native_missing
    }
    if reasons:
        warnings.warn(
            "Some parts of the model run as Python in each step, and have no gradient: "
            + "; ".join(sorted(reasons)),
            stacklevel=3,
        )


def _parameters(
    signals: Collection[Signal], roles: Mapping[Signal, Role]
) -> frozenset[Signal]:
    """Those of some signals that nothing writes."""
    return frozenset(s for s in signals if roles.get(s) is Role.PARAM)


def _place_inputs(layout: Layout, model: Model, sources: Sequence[Source]) -> None:
    """Place what is fed: constant nodes in one block, all else in another."""
    roles = layout.roles
    used = [source for source in sources if source.signal in roles]
    constant = [s.signal for s in used if s.start is None]
    varying = [s.signal for s in used if s.start is not None]
    varying += [s for s in (model.step, model.time) if s in roles]
    for name, signals in ((CONSTANTS, constant), (INPUTS, varying)):
        if signals:
            layout.add_block(name, Role.INPUT, signals)


def _program(model: Model, groups: Sequence[Group], layout: Layout) -> Program:
    samples = []
    for probe in model.probes:
        access = layout.access_signal(model.sig[probe]["in"])
        period = 1 if probe.sample_every is None else probe.sample_every / model.dt
        samples.append(Sample(access, period))
    blocks = layout.blocks
    initial = layout.initial()
    return Program(blocks, tuple(groups), initial, tuple(samples), model.dt)


__all__ = [
    "CONSTANTS",
    "INPUTS",
    "Compiled",
    "Sampler",
    "Source",
    "Starter",
    "build_model",
    "check",
    "compile_model",
    "explain",
    "host_warning",
]
