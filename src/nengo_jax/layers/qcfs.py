r"""An activation function for models that are to run as spikes in few steps.

Quantization, clip, floor and shift: with L levels and the threshold :math:`\theta`,

.. math:: y = \theta \, \mathrm{clip}\left(
   \frac{1}{L} \left\lfloor \frac{x L}{\theta} + \frac{1}{2} \right\rfloor, 0, 1\right).

That is the mean over L steps of an integrate-and-fire neuron with threshold
:math:`\theta` and a soft reset that starts at half the threshold and gets the constant
current x. In the derivative, the floor counts as the identity, so with u = x /
:math:`\theta` and q = y / :math:`\theta`

.. math:: \frac{\partial y}{\partial x} = 1, \quad
   \frac{\partial y}{\partial \theta} = q - u \quad \text{for } 0 \le u \le 1;
   \qquad 0 \text{ and } q \text{ elsewhere.}

Bu, Fang, Ding, Dai, Yu and Huang, "Optimal ANN-SNN conversion for high-accuracy and
ultra-low-latency spiking neural networks" (ICLR 2022).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import keras
import numpy as np
from jax import Array
from nengo.exceptions import ValidationError

from ..surrogates import straight_through

_LEAST = 1e-3  # a threshold of zero has no levels


@keras.saving.register_keras_serializable(package="nengo_jax")
class QCFS(keras.layers.Layer):
    """A rectifier with a few levels up to a threshold that is learned.

    Train a model with it in place of "relu". The Converter makes integrate-and-fire
    neurons with this threshold of it, which give the same after as many steps as there
    are levels, if their input is even.

    Parameters
    ----------
    levels : int
        Number of levels above zero; 4 to 16 are usual.
    threshold_initializer : str or keras.initializers.Initializer
        Of the threshold, one number for the whole layer; None: 8.
    threshold_regularizer : str, keras.regularizers.Regularizer or None
        Keeps the threshold, and with it the steps between levels, small.
    **kwargs
        As for ``keras.layers.Layer``.

    Raises
    ------
    ValidationError
        If ``levels`` is no positive whole number.

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_jax.layers.qcfs import QCFS
    >>> layer = QCFS(levels=4, threshold_initializer="ones")
    >>> np.asarray(layer(np.array([[-1.0, 0.1, 0.2, 0.6, 3.0]]))).tolist()
    [[0.0, 0.0, 0.25, 0.5, 1.0]]
    """

    def __init__(
        self,
        levels: int = 8,
        threshold_initializer: Any = None,
        threshold_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        whole = isinstance(levels, (int, np.integer)) and not isinstance(levels, bool)
        if not whole or levels < 1:
            raise ValidationError(
                f"Must be a whole number of at least 1 (got {levels!r})",
                attr="levels",
                obj=self,
            )
        self.levels = int(levels)
        if threshold_initializer is None:
            threshold_initializer = keras.initializers.Constant(8.0)
        self.threshold_initializer = keras.initializers.get(threshold_initializer)
        self.threshold_regularizer = keras.regularizers.get(threshold_regularizer)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Make the threshold."""
        self.threshold = self.add_weight(
            shape=(),
            initializer=self.threshold_initializer,
            regularizer=self.threshold_regularizer,
            name="threshold",
        )

    def call(self, inputs: Array) -> Array:
        """Return a level for each input."""
        values = jnp.asarray(inputs, self.compute_dtype)
        threshold = jnp.asarray(self.threshold, self.compute_dtype)
        threshold = jnp.maximum(threshold, jnp.asarray(_LEAST, threshold.dtype))
        share = jnp.clip(values / threshold, 0, 1)
        level = share * self.levels + 0.5
        level = straight_through(jnp.floor(level), level)
        return level / self.levels * threshold

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same layer."""
        initializer = keras.initializers.serialize(self.threshold_initializer)
        regularizer = keras.regularizers.serialize(self.threshold_regularizer)
        return {
            **super().get_config(),
            "levels": self.levels,
            "threshold_initializer": initializer,
            "threshold_regularizer": regularizer,
        }
