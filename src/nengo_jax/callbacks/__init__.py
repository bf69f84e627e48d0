"""Callbacks that show in TensorBoard how training goes, without TensorFlow.

============== ========================================================================
TensorBoard    losses and metrics, learning rate, and weights of any Keras model
NengoSummaries encoders, biases, weights, firing rates and spikes of a nengo network
============== ========================================================================

Both need the extra: ``pip install "nengo_jax[tensorboard]"``. To look at the results,
run ``tensorboard --logdir`` with the folder that was given to them.
"""

from .summaries import NengoSummaries
from .training import TensorBoard

__all__ = ["NengoSummaries", "TensorBoard"]
