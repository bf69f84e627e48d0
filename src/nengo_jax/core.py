"""The frozen records that every other module speaks in.

A :class:`Program` is all that is left of a model once it is compiled: blocks of
memory, groups of operators in the order in which they run, and initial values.
It knows neither nengo nor Keras, so it can be run by JAX alone.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Role(enum.Enum):
    """How long the value of a signal lives."""

    PARAM = "param"  # never written in a step
    STATE = "state"  # needed by the next step, one copy for each example
    SHARED = "shared"  # needed by the next step, one copy for the whole batch
    WIRE = "wire"  # made anew in each step
    INPUT = "input"  # given from outside in each step
    HOST = "host"  # touched by one Python operator only; never leaves the host


class Mode(enum.Enum):
    """What a group does to the elements it writes."""

    SET = "set"
    INC = "inc"


@dataclass(frozen=True)
class Block:
    """One array of memory: ``size`` elements of ``dtype`` that share a role.

    A block of parameters is ``trainable`` as a whole, or not at all.
    """

    name: str
    role: Role
    size: int
    dtype: np.dtype
    trainable: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of one copy of the block."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class Access:
    """Which elements of a block an operand consists of.

    Attributes
    ----------
    block : str
        Name of the block.
    shape : tuple of int
        Shape of the operand, in C order.
    start : int
        First element, when the operand is one contiguous run.
    rows : ndarray of int or None
        When the operand is not contiguous: numbers of rows of the block, seen as
        a matrix with ``width`` columns. Joined, they are the operand.
    width : int
        Elements in a row.
    order : tuple of int or None
        The axes of the operand in the order in which they are stored, outermost
        first. None means C order.
    """

    block: str
    shape: tuple[int, ...]
    start: int = 0
    rows: np.ndarray | None = None
    width: int = 1
    order: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def describe(self, blocks: Mapping[str, Block]) -> str:
        """Say in a few characters how the operand lies in its block."""
        if self.rows is not None:
            kind = "elements" if self.width == 1 else f"rows of {self.width}"
            return f"{self.block}[{len(self.rows)} {kind}]"
        if self.start == 0 and self.size == blocks[self.block].size:
            return self.block
        return f"{self.block}[{self.start}:{self.start + self.size}]"


@dataclass(frozen=True)
class Write:
    """An access together with what is done to it."""

    access: Access
    mode: Mode


Run = Callable[..., tuple[Any, ...]]
Prepare = Callable[[Any], Any]


@dataclass(frozen=True)
class HostCall:
    """One Python function that a host group calls in every step.

    Attributes
    ----------
    number : int
        Which of the program's host calls this is.
    label, reason : str
        What it belongs to and why it runs on the host.
    native_missing : bool
        Whether it runs there only because nengo_jax has no native form of it.
    reads, writes : slice
        Which operands of the group belong to this call.
    """

    number: int
    label: str
    reason: str
    native_missing: bool
    reads: slice
    writes: slice


@dataclass(frozen=True)
class Group:
    """Operators that run as one batched computation.

    ``run`` maps the arrays of ``reads`` to the arrays of ``writes``; ``prepare`` holds
    functions that are applied to some operands first. A group with
    ``calls`` runs on the host instead and has no ``run``. A group that is not
    ``live`` makes wires that no state, probe or host call depends on; it is run only
    to look at them.
    """

    family: str
    members: tuple[str, ...]
    reads: tuple[Access, ...]
    writes: tuple[Write, ...]
    run: Run | None = None
    prepare: Mapping[int, Prepare] = field(default_factory=dict)
    calls: tuple[HostCall, ...] = ()
    live: bool = True


@dataclass(frozen=True)
class Sample:
    """A probed operand and the number of steps from one sample to the next."""

    access: Access
    period: float = 1.0


@dataclass(frozen=True)
class Program:
    """A compiled model.

    Attributes
    ----------
    blocks : mapping of str to Block
    groups : tuple of Group
        In the order in which they run.
    initial : mapping of str to ndarray
        Initial value of every block that has one (all roles but WIRE).
    samples : tuple of Sample
        What is recorded, in the order of the model's probes.
    dt : float
        Length of a step in seconds.
    """

    blocks: Mapping[str, Block]
    groups: tuple[Group, ...]
    initial: Mapping[str, np.ndarray]
    samples: tuple[Sample, ...] = ()
    dt: float = 0.001

    def names(self, role: Role) -> tuple[str, ...]:
        """Names of the blocks that have ``role``."""
        return tuple(n for n, b in self.blocks.items() if b.role is role)

    @property
    def trainable(self) -> tuple[str, ...]:
        """Names of the blocks that are trained."""
        return tuple(n for n, b in self.blocks.items() if b.trainable)

    @property
    def on_host(self) -> bool:
        """Whether any group calls Python in each step."""
        return any(g.calls for g in self.groups)
