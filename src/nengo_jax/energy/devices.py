"""Devices, and what they are said to spend on a synaptic operation and a neuron update.

The table is that of KerasSpiking. The figures are measurements of whole chips, or come
from data sheets, so the accesses to their own memory that belong to one operation are
part of them; fetching from other chips and idling are not. Never compare devices of
different years and process sizes to learn about spikes: :mod:`.comparison` does that
within one technology.

========== ======= ========== =========== ============================================
device     spiking J / synop  J / update  source
========== ======= ========== =========== ============================================
cpu        no      8.6e-9     8.6e-9      Intel i7-4960X, Degnan et al. (2015)
gpu        no      0.3e-9     0.3e-9      Nvidia GTX Titan Black, Degnan et al. (2015)
arm        no      0.9e-9     0.9e-9      ARM Cortex-A, Degnan et al. (2015)
loihi      yes     27.1e-12   81e-12      Davies et al. (2018): 23.6 + 3.5 pJ, 81 pJ
spinnaker  yes     13.3e-9    26e-9       Hoeppner et al. (2019)
spinnaker2 yes     450e-12    2.19e-9     Hoeppner et al. (2019)
========== ======= ========== =========== ============================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """A device, by the energy of what it does.

    Attributes
    ----------
    energy_per_synop : float
        Energy of one synaptic operation in J: a multiply-add, or the arrival of a spike
        at one neuron.
    energy_per_neuron : float
        Energy of one update of one neuron in J.
    spiking : bool
        Whether synapses cost energy only when a spike arrives. A device that does not
        spike computes each synapse once per inference.

    Raises
    ------
    ValueError
        If an energy is negative or not finite.
    """

    energy_per_synop: float
    energy_per_neuron: float
    spiking: bool

    def __post_init__(self) -> None:
        for name in ("energy_per_synop", "energy_per_neuron"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(
                    f"{name} is an energy in joule, so it must be 0 or more, "
                    f"not {value!r}."
                )


DEVICES: Mapping[str, Device] = {
    "cpu": Device(8.6e-9, 8.6e-9, spiking=False),
    "gpu": Device(0.3e-9, 0.3e-9, spiking=False),
    "arm": Device(0.9e-9, 0.9e-9, spiking=False),
    "loihi": Device(23.6e-12 + 3.5e-12, 81e-12, spiking=True),
    "spinnaker": Device(13.3e-9, 26e-9, spiking=True),
    "spinnaker2": Device(450e-12, 2.19e-9, spiking=True),
}


def find_device(name: str, devices: Mapping[str, Device] = DEVICES) -> Device:
    """Return a device by name.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in devices:
        raise ValueError(
            f"There is no device {name!r}. Known are {', '.join(devices)}; add others "
            "with ModelEnergy.register_device."
        )
    return devices[name]
