"""Settings of these tests."""

import jax
import nengo
import pytest

# Workers that run at the same time would wait for each other's lock.
nengo.rc.set("decoder_cache", "enabled", "False")


@pytest.fixture(autouse=True)
def _ranks_may_differ():
    """Layers of Keras add biases to arrays of higher rank."""
    with jax.numpy_rank_promotion("allow"):
        yield
