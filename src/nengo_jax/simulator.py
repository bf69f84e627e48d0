"""The Simulator: nengo's interface on top of the engine."""

from __future__ import annotations

import logging
import random
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

import nengo
import numpy as np
from nengo import Node, Probe
from nengo.builder import Model
from nengo.exceptions import (
    ReadonlyError,
    SimulationError,
    SimulatorClosed,
    ValidationError,
)
from nengo.utils.progress import Progress, ProgressBar, ProgressTracker

from .checks import (
    check_batch_size,
    check_clock,
    check_data,
    check_device,
    check_dtype,
    check_network,
    check_outputs,
    check_seed,
    check_steps,
    check_time,
    computing_nodes,
)
from .compiler import build_model, compile_model, host_warning
from .compiler.parameters import parameters_of
from .data import Rows, SimulationData
from .engine import Engine, Recorded
from .feeder import Data
from .names import name_objects, nodes_of
from .options import options_of
from .params import Live
from .signals import Signals
from .trainable import Trainable

if TYPE_CHECKING:
    from .model import Learner

logger = logging.getLogger(__name__)

_MAX_SEED = np.iinfo(np.int32).max


class Simulator(Trainable):
    """Simulates a nengo network; takes the place of :class:`nengo.Simulator`.

    Parameters
    ----------
    network : Network or None
        What to simulate. None if ``model`` is already built.
    dt : float
        Length of a time step in seconds.
    seed : int or None
        Seed of all processes that have none of their own. None means
        ``network.seed + 1``, or a random number if the network has no seed.
    model : nengo.builder.Model or None
        A model to build into, or one that is built.
    progress_bar : bool or ProgressBar
        Whether, or how, to show the progress of building and running.
    optimize : bool
        Whether operators may be merged. False starts faster and runs slower.
    minibatch_size : int or None
        Number of examples that are simulated at once, each with its own inputs,
        noise and learned weights. None means one, and leaves out the batch axis in
        ``sim.data``. Example k has the noise of a simulation with ``seed + k``.
    dtype : str or dtype
        Precision of the simulation: "float32", "float64" or "float16".
    device : str, jax.Device or None
        Where to simulate, for instance "cpu" or "gpu". None leaves it to JAX.
    unroll_simulation : int or None
        Has no effect, and says so; scripts for NengoDL may pass it.

    Attributes
    ----------
    data : SimulationData
        ``data[probe]`` is what was recorded.
    model : nengo.builder.Model
    signals : Signals or None
        Live values of all signals, to read and write between runs; None once closed.
    closed : bool
    listeners : list of callable
        Called with each piece of a run as ``listener(steps, rows)``: the range of its
        steps, and for each probe an array of shape (samples, [batch,] size).
    seed : int
    progress_bar, optimize, minibatch_size
        As given.

    Examples
    --------
    >>> import nengo, nengo_jax
    >>> with nengo.Network(seed=1) as network:
    ...     stimulus = nengo.Node(0.5)
    ...     ensemble = nengo.Ensemble(100, 1)
    ...     _ = nengo.Connection(stimulus, ensemble)
    ...     probe = nengo.Probe(ensemble, synapse=0.05)
    >>> with nengo_jax.Simulator(network, progress_bar=False) as sim:
    ...     sim.run(0.5)
    >>> sim.data[probe].shape
    (500, 1)
    >>> bool(abs(sim.data[probe][-1, 0] - 0.5) < 0.05)
    True
    """

    def __init__(
        self,
        network: nengo.Network | None,
        dt: float = 0.001,
        seed: int | None = None,
        model: Model | None = None,
        progress_bar: bool | ProgressBar = True,
        optimize: bool = True,
        minibatch_size: int | None = None,
        dtype: Any = "float32",
        device: Any = None,
        unroll_simulation: int | None = None,
    ):
        self.closed = True  # until everything has been built
        if unroll_simulation is not None:
            warnings.warn(
                "unroll_simulation has no effect: the compiler chooses how to run the "
                "loop. Leave it out.",
                stacklevel=2,
            )
        self.progress_bar = progress_bar
        self.optimize = optimize
        self.minibatch_size = check_batch_size(minibatch_size)
        self.device = device
        check_network(network, model)
        options = options_of(network if model is None else model.toplevel or network)
        self.dtype = check_dtype(options.dtype or dtype)
        check_clock(dt, seed)
        self.model = build_model(network, model, dt, progress_bar)
        network_seed: Any = None if network is None else network.seed
        if seed is None and network_seed is not None:
            seed = network_seed + 1
        self.seed = random.randrange(_MAX_SEED) if seed is None else seed
        # a built model knows its network
        self._network = self.model.toplevel if network is None else network
        self._options = options
        found = parameters_of(self._network, self.model)
        parameters = [parameter for parameter in found if parameter.trainable]
        compiled = compile_model(
            self.model,
            self.dtype,
            optimize,
            minibatch_size is not None,
            {parameter.signal.base for parameter in parameters},
        )
        host_warning(compiled)
        self._computing = computing_nodes(self.model)
        self._made_learner: Learner | None = None
        self._engine = Engine(compiled, minibatch_size, check_device(device))
        self._engine.start(self.seed)
        self.signals: Signals | None = Signals(self.model, self._engine)
        self._live = Live(self.model, self.signals, _weakly(self._adopt))
        self.data = SimulationData(dict(self.model.params), minibatch_size, self._live)
        self.listeners: list[Callable[[range, Rows], None]] = []
        self.closed = False
        self.clear_probes()

    # -- life cycle

    def __enter__(self) -> Simulator:
        if self.closed:
            raise SimulatorClosed("Cannot re-open after simulator is closed")
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "closed", True):
            warnings.warn(
                f"Simulator with model={self.model} was deallocated while open. Use "
                "it in a with statement, or call its close method.",
                ResourceWarning,
                stacklevel=2,
            )

    def close(self) -> None:
        """End the simulation; recorded data stay readable."""
        self.closed = True
        self.signals = None
        self._engine.hosted.close()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "arguments": {
                "dt": self.dt,
                "seed": self.seed,
                "model": self.model,
                "progress_bar": self.progress_bar,
                "optimize": self.optimize,
                "minibatch_size": self.minibatch_size,
                "dtype": self.dtype.name,
                "device": self.device,
            },
            "memory": self._snapshot(),
            "gains": self._live.gains,
            "closed": self.closed,
            "samples": {probe: self.data.raw[probe] for probe in self.model.probes},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        samples = {probe: list(rows) for probe, rows in state["samples"].items()}
        self.__init__(None, **state["arguments"])
        for probe, rows in samples.items():
            self.data.raw[probe].extend(rows)
        self._engine.restore(state["memory"])
        self._live.gains.update(state["gains"])
        if state["closed"]:
            self.close()

    def _snapshot(self) -> dict[str, Any]:
        if self.signals is not None:
            self._adopt()
            self.signals.push()
        return self._engine.snapshot()

    # -- clock

    @property
    def dt(self) -> float:
        """Length of a time step in seconds."""
        return self.model.dt

    @dt.setter
    def dt(self, value: float) -> None:
        raise ReadonlyError(attr="dt", obj=self)

    @property
    def n_steps(self) -> int:
        """Number of steps since the last reset."""
        return self._engine.n_steps

    @property
    def time(self) -> float:
        """Simulated time since the last reset, in seconds."""
        return float(self.n_steps * self.dt)

    @property
    def step_order(self) -> list[Any]:
        """The model's operators."""
        return list(self.model.operators)

    def trange(
        self, dt: float | None = None, sample_every: float | None = None
    ) -> np.ndarray:
        """Return the times of the steps, or of the samples of a probe.

        Parameters
        ----------
        dt : float or None
            Old name of ``sample_every``.
        sample_every : float or None
            Sampling period in seconds; None means every step.

        Returns
        -------
        ndarray, shape (samples,)
            The first step ends at ``dt``. All steps since the last reset count, as in
            nengo: also those that ``keep=False``, ``step(outputs=...)`` or
            ``clear_probes`` have left out of ``sim.data``.
        """
        if dt is not None:
            if sample_every is not None:
                raise ValidationError(
                    "Cannot specify both `dt` and `sample_every`. Use `sample_every`.",
                    attr="dt",
                    obj=self,
                )
            warnings.warn(
                "`dt` is deprecated. Use `sample_every` instead.",
                DeprecationWarning,
                stacklevel=2,
            )
            sample_every = dt
        period = 1 if sample_every is None else sample_every / self.dt
        steps = np.arange(1, self.n_steps + 1)
        return self.dt * steps[steps % period < 1]

    # -- running

    def step(
        self,
        data: Any = None,
        stateful: bool = True,
        *,
        outputs: Probe | Sequence[Probe] | None = None,
        keep: bool | None = None,
    ) -> Any:
        """Advance by one step.

        Parameters
        ----------
        data, stateful
            As for :meth:`run_steps`.
        outputs : Probe, sequence of Probe, or None
            What to return. :class:`nengo_jax.live.Loop` does so in time with a clock.
        keep : bool or None
            As for :meth:`run_steps`; None means only if there are no ``outputs``.

        Returns
        -------
        ndarray of shape ([batch,] size), dict of Probe to ndarray, or None
            What the probes see after this step, in the form of ``outputs``.

        Raises
        ------
        ValidationError
            As for :meth:`run_steps`, or if ``outputs`` are no probes that see every
            step.
        """
        keep = outputs is None if keep is None else keep
        if outputs is None:
            self.run_steps(1, data, False, stateful, keep)
            return None
        check_outputs(outputs, self.model)
        rows = self._advance(1, data, False, stateful, keep)
        if isinstance(outputs, Probe):
            return rows[outputs][-1]
        return {probe: rows[probe][-1] for probe in outputs}

    def warm_up(self, data: Any = None) -> None:
        """Compile what :meth:`step` with such data needs, without taking the step.

        Parameters
        ----------
        data
            As for :meth:`step`; only the shapes matter.
        """
        self._check_open()
        self._engine.warm_up(self._check_data(data, 1))

    def run(
        self,
        time_in_seconds: float,
        data: Any = None,
        progress_bar: bool | ProgressBar | None = None,
        stateful: bool = True,
        keep: bool = True,
    ) -> None:
        """Advance by some time, rounded to whole steps.

        Parameters
        ----------
        time_in_seconds : float
        data, progress_bar, stateful, keep
            As for :meth:`run_steps`.

        Raises
        ------
        ValidationError
            If the time is negative.
        """
        check_time(time_in_seconds, self)
        steps = int(np.round(float(time_in_seconds) / self.dt))
        if steps == 0:
            self._check_open()
            warnings.warn(
                f"{time_in_seconds} results in running for 0 timesteps. Simulator "
                f"still at time {self.time}.",
                stacklevel=2,
            )
            return
        logger.info(
            "Running %s for %f seconds, or %d steps",
            self.model.label,
            time_in_seconds,
            steps,
        )
        self.run_steps(steps, data, progress_bar, stateful, keep)

    def run_steps(
        self,
        steps: int,
        data: Any = None,
        progress_bar: bool | ProgressBar | None = None,
        stateful: bool = True,
        keep: bool = True,
    ) -> None:
        """Advance by a number of steps.

        Parameters
        ----------
        steps : int
        data : mapping of Node or str to array, shape (batch, steps, size), or None
            Values for input nodes, in place of their own output, by node or by its name
            (:meth:`get_name`); or a list in the order of the nodes; or an array for the
            first one. The batch axis may be left out if ``minibatch_size`` is None, and
            the axis of steps for one step.
        progress_bar : bool, ProgressBar or None
            None means what the simulator was made with.
        stateful : bool
            False: record what happens, then go back to the state and time before.
            Noise goes on.
        keep : bool
            Whether ``sim.data`` gets what the probes see; ``listeners`` do in any case.

        Raises
        ------
        ValidationError
            If ``steps`` is negative or ``data`` do not fit the network.
        SimulatorClosed
            If the simulator has been closed.
        """
        self._check_open()
        if isinstance(data, (bool, ProgressBar)):
            data, progress_bar = None, data  # nengo's order of arguments
        steps = check_steps(steps)
        if steps == 0:
            return
        bar = self.progress_bar if progress_bar is None else progress_bar
        self._advance(steps, data, bar, stateful, keep)

    def _advance(
        self, steps: int, data: Any, bar: bool | ProgressBar, stateful: bool, keep: bool
    ) -> Rows:
        """Run, and return what the probes saw in the last piece."""
        self._check_open()
        pieces = self._engine.run(steps, self._check_data(data, steps))
        assert self.signals is not None
        self._adopt()
        self.signals.push()
        try:
            with nullcontext() if stateful else self._engine.aside():
                if bar is False:  # a tracker takes longer than a step
                    return self._record(pieces, keep)
                progress = Progress("Simulating", "Simulation", steps)
                with ProgressTracker(bar, progress) as tracker:
                    return self._record(pieces, keep, tracker.total_progress)
        finally:
            self.signals.pull()

    def _check_data(self, data: Any, steps: int) -> Data:
        if data is not None:
            data = nodes_of(data, self._names)
        return check_data(data, self.model, steps, self.minibatch_size, self._computing)

    def _record(
        self,
        pieces: Iterable[Recorded],
        keep: bool,
        progress: Progress | None = None,
    ) -> Rows:
        """Hand out what the probes recorded, piece by piece as it comes."""
        rows: Rows = {}
        for recorded in pieces:
            if not recorded.steps:
                continue
            rows = dict(zip(self.model.probes, recorded.rows, strict=True))
            if keep:
                self.data.extend(rows)
            steps = range(self.n_steps - recorded.steps + 1, self.n_steps + 1)
            for listener in self.listeners:
                listener(steps, rows)
            if progress is not None:
                progress.step(recorded.steps)
        return rows

    def clear_probes(self) -> None:
        """Forget all recorded data."""
        for probe in self.model.probes:
            self.data.raw[probe] = []
        self.data.reset()

    def reset(
        self,
        seed: int | None = None,
        include_trainable: bool = True,
        include_probes: bool = True,
        include_processes: bool = True,
    ) -> None:
        """Go back to the state before the first step and forget recorded data.

        Parameters
        ----------
        seed : int or None
            A new seed for processes; None keeps the present one.
        include_trainable : bool
            Whether parameters get their initial values as well. What online rules
            have learned always does.
        include_probes : bool
            Whether to forget recorded data.
        include_processes : bool
            Whether processes start anew as well, or go on.
        """
        self._check_open()
        if seed is not None:
            check_seed(seed)
            self.seed = seed
        assert self.signals is not None
        self._adopt()
        self.signals.push()
        params = self._engine.params
        self._engine.reset(self.seed, include_processes)
        if include_trainable:
            self._live.gains.clear()
        else:
            self._engine.params = params
        self.signals.pull()
        if include_probes:
            self.clear_probes()

    def soft_reset(
        self, include_trainable: bool = False, include_probes: bool = False
    ) -> None:
        """Go back to the initial state; NengoDL's old name for a part of ``reset``."""
        warnings.warn(
            "soft_reset is deprecated. Use reset(include_trainable=False, "
            "include_probes=False, include_processes=False).",
            DeprecationWarning,
            stacklevel=2,
        )
        self.reset(None, include_trainable, include_probes, include_processes=False)

    # -- training and parameters: see Trainable

    @cached_property
    def _names(self) -> dict[Node | Probe, str]:
        """Names of input nodes and probes."""
        if self._network is None:
            return {}
        return name_objects(self._network, self.model, self._engine.compiled)

    @property
    def _learner(self) -> Learner:
        """The Keras side of the simulator, made when it is first needed."""
        self._check_open()
        assert self.signals is not None
        if self._made_learner is None:
            from .model import Learner  # importing Keras takes longer than all the rest

            if self._network is None:
                raise SimulationError(
                    "Only a simulator that was made from a network can be trained. "
                    "Give it the network, not a built model alone."
                )
            self._made_learner = Learner(
                self._network,
                self.model,
                self._engine,
                self._names,
                self._options,
                self.signals.pull,
            )
        self._adopt()
        self.signals.push()
        return self._made_learner

    def _adopt(self) -> None:
        """Take over what was written into the Keras model."""
        if self._made_learner is not None:
            self._made_learner.adopt()

    def _check_open(self) -> None:
        if self.closed:
            raise SimulatorClosed("Simulator cannot run because it is closed.")


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls a method as long as its object is alive.

    A simulator that is left open is noticed when it is deleted, so nothing that it
    holds may hold it.
    """
    reference = weakref.WeakMethod(method)

    def call() -> None:
        bound = reference()
        if bound is not None:
            bound()

    return call
