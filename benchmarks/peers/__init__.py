"""Other packages, measured in interpreters of their own.

Each module of ``FORMS`` trains the spiking networks of ``trained.py`` with the public
API of one package, in the forms that its users write; a worker keeps the fastest of
them. Sizes, data, initial weights, loss (mean square of the readout in each step) and
optimizer (Adam, fused where the package can) are those of nengo_jax, all in float32.
The neurons are the LIF neurons of the package: without a refractory period, and with
spikes that are 1 high, so that the weights behind them are larger by 1 / DT.
"""

from __future__ import annotations

THREADS = 2
FORMS = {
    "snnTorch": "peers.with_snntorch",
    "Norse": "peers.with_norse",
    "SpikingJelly": "peers.with_spikingjelly",
    "KerasSpiking": "peers.with_keras_spiking",
    "NengoDL": "peers.with_nengo_dl",
}
PYTORCH = ("snnTorch", "Norse", "SpikingJelly")
TENSORFLOW = ("KerasSpiking", "NengoDL")
RATE = ("NengoDL",)  # those whose way it is to train LIF neurons by their rates
