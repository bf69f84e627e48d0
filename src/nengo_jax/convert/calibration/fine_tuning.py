"""Training after the conversion, with surrogate gradients through the spikes.

The loss is that of the result after the last step of each frame. With labels it is
cross-entropy. Without, the network learns to give what the model gives: by
cross-entropy where the model ends with softmax, otherwise by the mean squared error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ...options import SURROGATE, configure_settings
from ...simulator import Simulator
from .keras_subject import weights_of
from .readout import FILTERED, LAST, Readout
from .records import Assembled, Final
from .trial import Target

_SEED = 0  # of the order of the examples


def fine_tune_weights(
    assembled: Assembled,
    target: Target,
    readout: Readout,
    *,
    epochs: int,
    learning_rate: float,
    dt: float,
    minibatch_size: int,
) -> dict[str, np.ndarray]:
    """Train a network that was made for this; return its kernels and biases.

    Data of several frames are repeated for all steps of all of them at once, so they
    take ``n_steps`` times as much memory as the data of a temporal model themselves.

    Parameters
    ----------
    assembled : Assembled
    target : Target
        All examples.
    readout : Readout
    epochs : int
    learning_rate : float
        Of Adam.
    dt : float
        Length of a step in seconds.
    minibatch_size : int
    """
    net, weights = assembled.net, weights_of(assembled.converter)
    with net:
        configure_settings(training=SURROGATE, inference_only=False)
    for connection in weights.values():
        net.config[connection].trainable = True
    order = np.random.RandomState(_SEED).permutation(len(target.arrays[0]))
    frames, steps = target.arrays[0].shape[1], target.n_steps
    x = {
        # what is held for all steps is given once
        node: array[order] if frames == 1 else array[order].repeat(steps, axis=1)
        for node, array in zip(assembled.nodes, target.arrays, strict=True)
    }
    y, losses = {}, {}
    for place, probe in enumerate(assembled.probes):
        final = assembled.finals[place]
        wanted = target.outputs[place].reshape(len(order), frames, -1)
        if target.labels is not None:
            wanted = _one_hot(target.labels, probe.size_in)
        y[probe] = np.asarray(wanted[order], np.float32)  # for results, not for steps
        classes = probe.size_in if target.labels is not None else 0
        losses[probe] = _loss(readout, final, classes, steps)
    with Simulator(net, dt, minibatch_size=minibatch_size, progress_bar=False) as sim:
        sim.compile(keras.optimizers.Adam(learning_rate), loss=losses)
        sim.fit(x, y, n_steps=frames * steps, epochs=epochs, shuffle=False, verbose=0)
        sim.freeze_params(list(weights.values()))
    return {
        name: np.asarray(connection.transform.init)
        for name, connection in weights.items()
    }


def _loss(
    readout: Readout, final: Final, classes: int, n_steps: int
) -> Callable[[Any, Any], Any]:
    """Return a loss of outputs in all steps, shape (examples, frames * steps, size)."""
    crossentropy = _crossentropy_of(final, classes)

    def loss(y_true: Any, y_pred: Any) -> Any:
        rows = ops.reshape(y_pred, (-1, n_steps, y_pred.shape[-1]))
        wanted = ops.reshape(y_true, (-1, y_pred.shape[-1]))
        if readout.kind in (LAST, FILTERED):
            result = rows[:, -1]
        else:
            result = ops.mean(rows[:, readout.start :], axis=1)
        if crossentropy is not None:
            return crossentropy(wanted, result, from_logits=True)
        if final is not None:
            result = final(result)
        return ops.mean(ops.square(wanted - result), axis=-1)

    return loss


def _crossentropy_of(final: Final, classes: int) -> Callable[..., Any] | None:
    """Return the cross-entropy that goes with the last activation of a model.

    Without an activation, several outputs with labels are taken for logits, and one for
    a value that should be 0 or 1.
    """
    if final is keras.activations.sigmoid:
        return keras.losses.binary_crossentropy
    softmax = final is not None and "softmax" in str(final)
    logits = softmax or (final is None and classes > 1)
    return keras.losses.categorical_crossentropy if logits else None


def _one_hot(labels: np.ndarray, size: int) -> np.ndarray:
    """Return one number for each class, or the label itself if there is one number."""
    return labels[..., None] if size == 1 else np.eye(size)[labels]
