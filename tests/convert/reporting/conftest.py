"""Keras layers promote the ranks of their biases."""

import jax
import pytest


@pytest.fixture(autouse=True)
def lenient():
    with jax.numpy_rank_promotion("allow"):
        yield
