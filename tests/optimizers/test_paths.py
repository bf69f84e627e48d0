"""Parameters without a derivative are found, and named."""

import jax
import jax.numpy as jnp
import pytest
from nengo.exceptions import ValidationError

from nengo_jax.optimizers.paths import check_paths, dependencies

ONES = {"a": jnp.ones(2), "b": jnp.ones(2)}


def through_scan(params):
    def step(x, _):
        return jax.lax.stop_gradient(params["b"]) * x + params["a"], None

    return jnp.sum(jax.lax.scan(step, jnp.zeros(2), None, 3)[0])


DEAD = {
    "stop_gradient": lambda p: jnp.sum(p["a"] * jax.lax.stop_gradient(p["b"])),
    "rounding": lambda p: jnp.sum(p["a"] * jnp.round(p["b"])),
    "comparing": lambda p: jnp.sum(jnp.where(p["b"] > 0, p["a"], 0)),
    "scan": through_scan,
    "jit": lambda p: jnp.sum(p["a"]) + jax.jit(lambda b: jnp.sum(jnp.sign(b)))(p["b"]),
}


@pytest.mark.parametrize("function", DEAD.values(), ids=DEAD)
def test_dead_end_is_named(function):
    with pytest.raises(ValidationError, match="depends on b only along ways"):
        check_paths(function, ONES)


@pytest.mark.parametrize(
    "function",
    [
        lambda p: jnp.sum(p["a"] * p["b"]),
        lambda p: jnp.sum(p["a"] * 0 * p["b"]),  # zero gradients are no dead end
        lambda p: jnp.sum(jax.nn.relu(p["a"] - 5) + p["b"]),  # nor are dead units
        lambda p: jnp.sum(p["a"] ** 2),  # b is not used at all
        lambda p: jnp.sum(p["a"] * p["b"] + jnp.round(p["b"])),  # one way is enough
    ],
)
def test_others_pass(function):
    check_paths(function, ONES)


def test_loss_that_depends_on_nothing():
    with pytest.raises(ValidationError, match="depends on none of the parameters: a"):
        check_paths(lambda p: jnp.ones(()), ONES)


def test_names_of_nested_parameters():
    params = {"layer": [jnp.ones(1), {"w": jnp.ones(1)}]}
    with pytest.raises(ValidationError, match="depends on layer/1/w only"):
        check_paths(
            lambda p: jnp.sum(p["layer"][0] * jnp.floor(p["layer"][1]["w"])), params
        )


def test_inside_a_compiled_function():
    @jax.jit
    def inside(x):
        return dependencies(lambda p: jnp.sum(p["a"] * x + jnp.floor(p["b"])), ONES)

    assert jax.eval_shape(lambda x: jnp.asarray(inside.__wrapped__(x)), jnp.ones(2))
    uses, differentiates = inside.__wrapped__(jnp.ones(2))
    assert (uses, differentiates) == ([True, True], [True, False])
