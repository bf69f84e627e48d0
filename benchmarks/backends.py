"""The simulators that are compared, as functions from a network to a simulator.

The package of a backend is imported when it is used: NengoDL lives in an environment
of its own, without nengo_jax.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nengo

REFERENCE = "nengo"
SUBJECT = "nengo_jax"
PEER = "nengo_dl"


def make_reference(network: nengo.Network, batch_size: int | None) -> Any:
    """Return a ``nengo.Simulator``, which has no batches."""
    assert batch_size is None, "the reference runs one example"
    return nengo.Simulator(network, progress_bar=False)


def make_subject(network: nengo.Network, batch_size: int | None) -> Any:
    """Return a ``nengo_jax.Simulator``."""
    from nengo_jax import Simulator

    return Simulator(network, progress_bar=False, minibatch_size=batch_size)


def make_peer(network: nengo.Network, batch_size: int | None) -> Any:
    """Return a ``nengo_dl.Simulator`` that can forget its samples."""
    from nengo_dl import Simulator

    class Peer(Simulator):
        def clear_probes(self) -> None:
            for probe in self.model.probes:
                self.model.params[probe] = []

    return Peer(network, progress_bar=False, minibatch_size=batch_size)


BACKENDS: dict[str, Callable[[nengo.Network, int | None], Any]] = {
    REFERENCE: make_reference,
    SUBJECT: make_subject,
    PEER: make_peer,
}
