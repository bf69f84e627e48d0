"""What all tests of the conversion need: names and weights that do not vary."""

import keras
import pytest

from nengo_jax.families.keras_layer import usual_promotion


@pytest.fixture
def seeded():
    """Names and weights that do not depend on other tests; Keras promotes ranks."""
    keras.utils.clear_session(free_memory=False)  # which would take a second
    keras.utils.set_random_seed(0)
    with usual_promotion():
        yield
