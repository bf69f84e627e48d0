"""What a controller inside a network sees of a plant: the plant, or a recording of it.

The node here stands between a plant and its controller. It passes on what is observed.
Where a recording is given as data, it shows that instead, and no derivative goes back
to the plant; a probe of the plant itself still sees what the plant does.
"""

from __future__ import annotations

import jax.numpy as jnp
import nengo
import numpy as np
from jax import Array
from nengo.exceptions import ValidationError
from nengo.params import Parameter

from ..nodes import TensorNode
from .node import PlantNode


class Observed(TensorNode):
    """A node that shows a controller what is observed of a plant, or was recorded.

    Connect it to all of the controller in the place of the plant: a connection from the
    plant itself would still be trained through. In a run it is the plant,
    as seen in the same step. :class:`HeldBatches` gives it recordings in training.

    Parameters
    ----------
    plant : PlantNode
    label : str or None
        None: that of the plant, and "observed".

    Attributes
    ----------
    recorded : nengo.Node
        An input node for recordings, shape (examples, steps, observations + 1): in the
        last column 1 where there is one, and 0, the value of the node, where not.

    Raises
    ------
    ValidationError
        If it is not made of a plant.

    Examples
    --------
    >>> import nengo
    >>> from nengo_jax import plants
    >>> with nengo.Network() as network:
    ...     mass = plants.PlantNode(plants.damped_mass())
    ...     seen = plants.Observed(mass)
    ...     force = nengo.Node(size_in=1)
    ...     _ = nengo.Connection(seen, force, transform=[[-1.0, -1.0]], synapse=0)
    ...     _ = nengo.Connection(force, mass, synapse=None)
    """

    plant = Parameter("plant", readonly=True)
    recorded = Parameter("recorded", readonly=True)

    def __init__(self, plant: PlantNode, label: str | None = None):
        if not isinstance(plant, PlantNode):
            raise ValidationError(f"Must be a PlantNode (got {plant!r})", attr="plant")
        size = plant.size_out
        label = f"{plant.label} observed" if label is None else label
        self.plant = plant
        super().__init__(_choose, 2 * size + 1, size, pass_time=False, label=label)
        self.recorded = nengo.Node(np.zeros(size + 1), label=f"{label}, recorded")
        nengo.Connection(plant, self[:size], synapse=None)
        nengo.Connection(self.recorded, self[size:], synapse=None)


def _choose(inputs: Array) -> Array:
    """Return what is recorded if there is anything, else what is seen."""
    size = inputs.shape[1] // 2
    seen, recorded, there = jnp.split(inputs, (size, 2 * size), axis=1)
    return jnp.where(there > 0, recorded, seen)
