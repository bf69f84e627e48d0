"""What arithmetic and memory cost in one technology, and so what an operation costs.

Horowitz (2014), "Computing's energy problem (and what we can do about it)", ISSCC,
gives these figures for 45 nm and 0.9 V. DRAM is said to take 1.3 to 2.6 nJ; the lower
figure is used.

============== ================ ================== =======================
operation      8-bit integer    32-bit float       access to 64 bits
============== ================ ================== =======================
add            0.03 pJ          0.9 pJ
multiply       0.2 pJ           3.7 pJ
SRAM 8 KB                                          10 pJ
SRAM 32 KB                                         20 pJ
SRAM 1 MB                                          100 pJ
DRAM                                               1300 pJ
============== ================ ================== =======================

From them follow the prices of four operations, where m is the energy per byte:

=================== ==================================================================
value operation     multiply + add + m (weight + value): in a network without spikes.
                    The sum stays in a register.
synaptic operation  add + m (weight + 2 state): a spike arrives at a neuron. Spikes come
                    in any order, so the sum is read from memory and written back.
neuron update       multiply + add + 2 m state: a leak or a threshold, in each step
activation          add + m value: the result of a neuron without spikes is written
=================== ==================================================================

Nothing is reused between operations, in either network; sending spikes or values
through a chip, clocks and leakage are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

# J per byte
MEMORIES: Mapping[str, float] = {
    "SRAM 8 KB": 10e-12 / 8,
    "SRAM 32 KB": 20e-12 / 8,
    "SRAM 1 MB": 100e-12 / 8,
    "DRAM": 1300e-12 / 8,
}


@dataclass(frozen=True)
class Technology:
    """Prices of arithmetic and memory, and the sizes of numbers.

    The defaults are 8-bit weights and values, states (membrane voltages) of 16 bits,
    and banks of 32 KB beside the arithmetic, as chips for either kind of network have.

    Attributes
    ----------
    multiply, add : float
        Energy of one operation in J.
    weight_bytes, value_bytes, state_bytes : float
        Sizes of a weight, of an input or output, and of a state variable of a neuron.
    memory : float
        Energy to read or write one byte, in J; see ``MEMORIES``. With 0 only the
        arithmetic counts.

    Raises
    ------
    ValueError
        If a figure is negative or not finite.
    """

    multiply: float = 0.2e-12
    add: float = 0.03e-12
    weight_bytes: float = 1
    value_bytes: float = 1
    state_bytes: float = 2
    memory: float = MEMORIES["SRAM 32 KB"]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(
                    f"{field.name} of a Technology must be 0 or more, not {value!r}."
                )

    @property
    def value_operation(self) -> float:
        """Energy in J to multiply a value by a weight and add it up."""
        traffic = self.memory * (self.weight_bytes + self.value_bytes)
        return self.multiply + self.add + traffic

    @property
    def synaptic_operation(self) -> float:
        """Energy in J to add the weight of a spike to the state of a neuron."""
        return self.add + self.memory * (self.weight_bytes + 2 * self.state_bytes)

    @property
    def neuron_update(self) -> float:
        """Energy in J of one step of one state variable."""
        return self.multiply + self.add + 2 * self.memory * self.state_bytes

    @property
    def activation(self) -> float:
        """Energy in J to compute and write the output of a neuron without spikes."""
        return self.add + self.memory * self.value_bytes


INT8 = Technology()
FLOAT32 = Technology(3.7e-12, 0.9e-12, weight_bytes=4, value_bytes=4, state_bytes=4)
