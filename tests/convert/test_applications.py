"""Large architectures with random weights: they convert, and give what Keras gives."""

import keras
import numpy as np
import pytest

from nengo_jax.convert import Converter
from nengo_jax.families.keras_layer import usual_promotion

ARCHITECTURES = {
    "MobileNetV2": (keras.applications.MobileNetV2, 64),
    "ResNet50": (keras.applications.ResNet50, 32),
    "EfficientNetB0": (keras.applications.EfficientNetB0, 32),
}


def vary_statistics(model):
    """Give BatchNormalization more to do than at the beginning of training."""
    rng = np.random.RandomState(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable in layer.weights:
                positive = "gamma" in variable.path or "variance" in variable.path
                low, high = (0.8, 1.2) if positive else (-0.1, 0.1)
                variable.assign(rng.uniform(low, high, size=variable.shape))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*MaxPooling2D")  # in ResNet50
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("inference_only", [True, False], ids=["folded", "trainable"])
def test_architecture(name, inference_only):
    make, size = ARCHITECTURES[name]
    keras.utils.set_random_seed(0)
    with usual_promotion():
        model = make(weights=None, input_shape=(size, size, 3), classes=10)
        vary_statistics(model)
        if inference_only:
            converter = Converter(model, inference_only=True)
            norms = [n for made in converter.calls for n in made.call.folded]
            assert len(norms) > 40
        else:
            with pytest.warns(UserWarning, match="statistics change while"):
                converter = Converter(model)
        assert converter.verify()
