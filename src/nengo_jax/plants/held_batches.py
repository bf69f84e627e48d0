"""Training data that hold what controllers see for some updates, for ``sim.fit``.

This is :func:`nengo_jax.plants.hold` for networks. The loop is rolled out closed for
all examples, and what was seen of plants is given to their :class:`Observed` nodes as
data, like any other input, until it is recorded anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import keras
import nengo
import numpy as np
from nengo.exceptions import ValidationError

from ..model.batches import ArrayBatches
from ..optimizers.checks import check_count
from ..options import keeps_history
from ..simulator import Simulator
from .observed import Observed


class HeldBatches(keras.utils.PyDataset):
    """Batches in which controllers see what was recorded, instead of their plants.

    Parameters
    ----------
    sim : Simulator
        Of a network with :class:`Observed` nodes, and a probe, without synapse, of each
        of them or of its plant.
    x, y : dict of Node or Probe, or their names, to array
        As for ``sim.fit``.
    updates : int
        For how many updates a recording is held. As all examples are recorded at the
        beginning of an epoch, this must be a multiple of its number of batches.
    n_steps : int or None
        As for ``sim.fit``, which needs to know it, too.
    shuffle : bool
        Whether examples come in a new order in each epoch, and keep their recording.
        ``sim.fit`` shuffles the order of batches, unless it is told not to.

    Raises
    ------
    ValidationError
        If nothing is observed or can be recorded, or the data do not fit; in ``fit``,
        if the call is stateful.

    Notes
    -----
    Recordings are made by ``sim.predict``, in which neurons spike. ``sim.fit`` reports
    the loss with held observations; that of the closed loop is what ``sim.evaluate``
    returns, or ``fit`` for ``validation_data=(x, y)``.

    Examples
    --------
    >>> import nengo, nengo_jax, numpy as np
    >>> from nengo_jax import plants
    >>> with nengo.Network() as network:
    ...     goal, force = nengo.Node([0.0]), nengo.Node(size_in=1)
    ...     mass = plants.PlantNode(plants.damped_mass(dt=0.01))
    ...     seen = plants.Observed(mass)
    ...     _ = nengo.Connection(seen, force, transform=[[-0.1, -0.1]], synapse=0)
    ...     _ = nengo.Connection(goal, force, transform=[[0.1]], synapse=None)
    ...     _ = nengo.Connection(force, mass, synapse=None)
    ...     place = nengo.Probe(mass)
    >>> x, y = {goal: np.ones((1, 100, 1))}, {place: np.ones((1, 100, 2)) * [1, 0]}
    >>> with nengo_jax.Simulator(network, dt=0.01, progress_bar=False) as sim:
    ...     sim.compile("adam", loss={place: "mse"})
    ...     batches = plants.HeldBatches(sim, x, y, updates=4)
    ...     losses = sim.fit(batches, epochs=12, verbose=0).history["loss"]
    >>> losses[-1] < losses[0]
    True
    """

    def __init__(
        self,
        sim: Simulator,
        x: Mapping[Any, Any],
        y: Mapping[Any, Any],
        *,
        updates: int,
        n_steps: int | None = None,
        shuffle: bool = True,
    ):
        super().__init__()
        self._sim, self._n_steps, self._shuffle = sim, n_steps, shuffle
        self._x, self._y = (
            _by_name(sim, data, name) for data, name in ((x, "x"), (y, "y"))
        )
        self._probes = _probes(cast(nengo.Network, sim.model.toplevel))
        self._count = -(-_examples({**self._x, **self._y}) // (sim.minibatch_size or 1))
        check_count("updates", updates, 1)
        if updates % self._count:
            raise ValidationError(
                f"An epoch has {self._count} batches, and observations are recorded at "
                f"its beginning, so this must be a multiple of {self._count} (got "
                f"{updates})",
                attr="updates",
            )
        self._updates = updates
        self._since: tuple[Any, int] | None = None  # optimizer, updates when recorded
        self._batches: ArrayBatches | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Mapping[str, np.ndarray], ...]:
        if self._batches is None:
            self._batches = self._record()
        return self._batches[index]

    def on_epoch_begin(self) -> None:
        """Record anew if it is time; later Keras has the parameters for itself."""
        model = cast(Any, self._sim.keras_model)
        if model.network_layer.stateful_call.value:
            raise ValidationError(
                "Held observations are those of loops that begin at the same state, so "
                "sim.fit cannot be stateful with them",
                attr="stateful",
            )
        optimizer = getattr(model, "optimizer", None)
        now = 0 if optimizer is None else int(np.asarray(optimizer.iterations))
        last, since = self._since or (None, 0)
        holds = self._since is not None and last is optimizer
        if not (holds and 0 <= now - since < self._updates):
            self._since, self._batches = (optimizer, now), self._record()

    def on_epoch_end(self) -> None:
        """Forget the order of this epoch."""
        if self._batches is not None:
            self._batches.on_epoch_end()

    def _record(self) -> ArrayBatches:
        """Roll out the closed loop for all examples, with the present parameters."""
        sim = self._sim
        seen = sim.predict(self._x, n_steps=self._n_steps, verbose=0)
        held = {
            sim.get_name(node.recorded): np.pad(
                seen[probe], [(0, 0), (0, 0), (0, 1)], constant_values=1
            )
            for node, probe in self._probes.items()
        }
        parts = ({**self._x, **held}, self._y)
        return ArrayBatches(parts, sim.minibatch_size or 1, self._shuffle)


def _by_name(sim: Simulator, data: Any, attr: str) -> dict[str, np.ndarray]:
    """Give the keys of data their names."""
    if not isinstance(data, Mapping) or not data:
        raise ValidationError(
            f"Must be a dictionary of arrays, by node or probe (got {data!r})",
            attr=attr,
        )
    return {
        key if isinstance(key, str) else sim.get_name(key): np.asarray(value)
        for key, value in data.items()
    }


def _examples(data: Mapping[str, np.ndarray]) -> int:
    """Return the number of examples, which all data have to agree on."""
    counts = {name: len(np.atleast_1d(value)) for name, value in data.items()}
    if len(set(counts.values())) != 1:
        described = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise ValidationError(
            f"The data differ in their number of examples ({described})", attr="x"
        )
    return next(iter(counts.values()))


def _probes(network: nengo.Network) -> dict[Observed, nengo.Probe]:
    """Find a probe that records what each observed node shows in a closed loop."""
    nodes = [node for node in network.all_nodes if isinstance(node, Observed)]
    if not nodes:
        raise ValidationError(
            "The network has no plants.Observed node. Make one of the plant, and "
            "connect the controller to it.",
            attr="sim",
        )
    sources = {connection.pre_obj for connection in network.all_connections}
    found = {}
    for node in nodes:
        if node not in sources:
            raise ValidationError(
                f"{node} is connected to nothing. Connect the controller to it, "
                "instead of to the plant.",
                attr="sim",
            )
        usable = [
            probe
            for probe in network.all_probes
            if probe.target in (node, node.plant)
            and probe.synapse is None
            and keeps_history(probe, network)
        ]
        if not usable:
            raise ValidationError(
                f"There is no probe to record {node.plant} with. Add "
                "nengo.Probe(plant): of all that is observed, without synapse, with "
                "its history.",
                attr="sim",
            )
        found[node] = usable[0]
    return found
