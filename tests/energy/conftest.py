"""Settings of these tests."""

import jax
import pytest


@pytest.fixture(autouse=True)
def _ranks_may_differ():
    """Layers of Keras add biases to arrays of higher rank."""
    with jax.numpy_rank_promotion("allow"):
        yield
