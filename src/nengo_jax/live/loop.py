"""A network in a loop with something outside: an observation in, an action out."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from nengo import Node, Probe
from nengo.exceptions import ValidationError

from ..checks import check_outputs
from ..simulator import Simulator
from .latency import Latency, Report
from .pace import Pace


class Loop:
    """Runs a simulator step by step and measures how long each step takes.

    All is compiled before the first step. In a ``with`` statement, what exists already
    is left out when Python collects garbage (``gc.freeze``), which may take 0.2 s
    otherwise.

    Parameters
    ----------
    sim : Simulator
        Stays open when the loop ends. Other ways to run it may be mixed with steps.
    inputs : Node or sequence of Node
        What each step has to be given. Other nodes have their own values.
    outputs : Probe or sequence of Probe
        What each step returns. Of a probe without synapse it is the value after this
        step, so each connection without synapse takes no time.
    period : float or None
        Seconds of wall-clock time from tick to tick of :meth:`ticks`, for instance
        ``sim.dt``. None: as fast as possible.
    keep : bool
        Whether ``sim.data`` gets what the probes see.

    Raises
    ------
    ValidationError
        If an input cannot be given or is there twice, an output does not see every
        step, there is none, or the period is not positive.
    SimulatorClosed
        If the simulator has been closed.

    Examples
    --------
    >>> import nengo, nengo_jax
    >>> with nengo.Network(seed=1) as network:
    ...     angle = nengo.Node(0)
    ...     neurons = nengo.Ensemble(100, 1)
    ...     _ = nengo.Connection(angle, neurons, synapse=None)
    ...     force = nengo.Probe(neurons, synapse=0.02)
    >>> with (
    ...     nengo_jax.Simulator(network, progress_bar=False) as sim,
    ...     nengo_jax.live.Loop(sim, angle, force) as loop,
    ... ):
    ...     position = 1.0
    ...     for tick in loop.ticks(1000):
    ...         action = loop.step(position)
    ...         position -= 0.01 * float(action[0])
    >>> abs(position) < 0.2, loop.latency.steps
    (True, 1000)
    """

    def __init__(
        self,
        sim: Simulator,
        inputs: Node | Sequence[Node],
        outputs: Probe | Sequence[Probe],
        period: float | None = None,
        keep: bool = False,
    ):
        self._sim = sim
        check_outputs(outputs, sim.model)
        self._outputs = outputs if isinstance(outputs, Probe) else tuple(outputs)
        self._keep = keep
        self._pace = Pace(period)
        self._latency = Latency()
        self._single = isinstance(inputs, Node)
        nodes: list[Any] = [inputs] if isinstance(inputs, Node) else list(inputs)
        self._names = {sim.get_name(node): node for node in nodes}
        if len(self._names) < len(nodes):
            raise ValidationError(
                f"Each input can be given once (got {', '.join(map(str, nodes))})",
                attr="inputs",
            )
        lead = () if sim.minibatch_size is None else (sim.minibatch_size,)
        sim.warm_up({node: np.zeros((*lead, node.size_out)) for node in nodes})

    def __enter__(self) -> Loop:
        gc.freeze()
        return self

    def __exit__(self, *error: object) -> None:
        gc.unfreeze()

    def step(self, data: Any = None) -> Any:
        """Take a step, and return what the outputs show after it.

        Parameters
        ----------
        data : mapping of Node or str to array, shape ([batch,] size)
            Values of all inputs, by node or by its name. If the loop was made with one
            node, not a sequence, the array alone will do; a number, if its size is 1.

        Returns
        -------
        ndarray of shape ([batch,] size), or dict of Probe to ndarray
            In the form in which the outputs were given.

        Raises
        ------
        ValidationError
            If an input is missing or unknown, has the wrong shape, or is not finite.
            The network stays as it was, so one may go on with other values.
        SimulatorClosed
            If the simulator has been closed.
        """
        started = time.perf_counter()
        values = self._by_node(data)
        action = self._sim.step(values, outputs=self._outputs, keep=self._keep)
        self._latency.add(time.perf_counter() - started)
        return action

    def ticks(self, steps: int | None = None) -> Iterator[int]:
        """Yield 0, 1, ... in time with the clock.

        Observe, step and act between two ticks: so observations are fresh and actions
        come at once.

        Parameters
        ----------
        steps : int or None
            Number of ticks. None: without end.
        """
        return self._pace.ticks(steps)

    @property
    def latency(self) -> Report:
        """How long the steps took, from observation to action, and deadlines missed."""
        return self._latency.report(self._pace.missed, self._pace.late)

    def _by_node(self, data: Any) -> dict[Node, Any]:
        if not isinstance(data, Mapping):
            if not self._single or data is None:
                raise ValidationError(
                    "Give a value for each input, as in "
                    f"loop.step({{{', '.join(f'{n!r}: ...' for n in self._names)}}}) "
                    f"(got {type(data).__name__})",
                    attr="data",
                )
            return dict.fromkeys(self._names.values(), data)
        values = {self._names.get(key, key): value for key, value in data.items()}
        missing = [name for name, node in self._names.items() if node not in values]
        if missing or len(values) > len(self._names):
            unknown = [k for k in values if k not in self._names.values()]
            raise ValidationError(
                f"The inputs of this loop are {', '.join(self._names) or 'none'}. "
                f"Missing: {', '.join(missing) or 'none'}; unknown: "
                f"{', '.join(map(str, unknown)) or 'none'}",
                attr="data",
            )
        return values
