"""Networks to and from the Neuromorphic Intermediate Representation (NIR).

NIR (Pedersen et al., Nature Communications 15, 2024) describes networks as graphs of
equations in continuous time. Most simulators of spiking networks read or write it.

=========== =======================================================================
export      a network or a Simulator -> ``nir.NIRGraph``, and a file of it
load        a graph or a file -> a ``nengo.Network`` with its inputs and outputs
verify      runs a network and what comes back from its export; compares outputs
=========== =======================================================================

What cannot be expressed on the other side is refused, with the reason and the way out:
a graph means what the network means, or there is none. NIR leaves some things open,
and this is how they are read and written here:

- **Spikes.** In NIR a spike is a 1 that lasts one step, as all simulators that use it
  have it; in nengo it is ``amplitude / dt``. Exported weights contain that factor, and
  loaded neurons have the amplitude ``dt``. So both need to know ``dt``, and a loaded
  network is to be simulated with the same.
- **Steps.** A leaky integrator shows in each step its value before the step; neurons
  spike in the step in which they cross the threshold. This is how nengo discretises
  synapses and neurons. What comes back to a neuron in a circle without a synapse
  arrives one step later. Equations are solved exactly for inputs that do not change
  within a step, or with forward Euler (``method``).
- **Units.** Neurons are rescaled so that their voltage is 0 after a spike and 1 at the
  threshold. That changes nothing but rounding: what would come to lie exactly on the
  threshold may fall on either side.
- **Beginnings.** All voltages and currents are 0 at first, as in the tests of NIR.
  Other initial voltages are exported as a shift of voltage, threshold and reset.

The package ``nir`` has to be installed: ``pip install nengo-jax[nir]``.
"""

try:
    import nir as _package  # noqa: F401
except ImportError as error:
    raise ImportError(
        "nengo_jax.nir needs the package nir. Install it: pip install nengo-jax[nir]"
    ) from error

from ..neurons.nir import (
    CurrentBased,
    Heaviside,
    IntegrateAndFire,
    LeakyIntegrateAndFire,
)
from .check import verify
from .export import export
from .load import Loaded, load

__all__ = [
    "CurrentBased",
    "Heaviside",
    "IntegrateAndFire",
    "LeakyIntegrateAndFire",
    "Loaded",
    "export",
    "load",
    "verify",
]
