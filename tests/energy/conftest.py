"""Layers of Keras add biases to arrays of higher rank."""

import jax
import pytest


@pytest.fixture(autouse=True)
def _ranks_may_differ():
    with jax.numpy_rank_promotion("allow"):
        yield
