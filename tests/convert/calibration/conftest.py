"""Keras is written for the usual promotion of types and ranks."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def usual_promotion():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
