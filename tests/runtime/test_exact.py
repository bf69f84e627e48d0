"""Python called out of compiled code: doubles stay doubles in any thread."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import io_callback

from nengo_jax.runtime.exact import call_exactly

THIRD = 1 / 3  # not a single-precision number


def python(parts, whole):
    """Ask for what was given, and return it a little larger."""
    (double, single) = parts
    assert (double.dtype, single.dtype, whole.dtype) == ("float64", "float32", "int32")
    assert np.all(double == THIRD)
    return [double + 1e-12, single + whole]


def ask(callback, **options):
    like = [jax.ShapeDtypeStruct((3,), "float64"), jax.ShapeDtypeStruct((2,), "int32")]

    def function(parts, whole):
        return call_exactly(callback, python, like, parts, whole, **options)

    return function


@pytest.mark.parametrize("callback", [jax.pure_callback, io_callback])
@pytest.mark.parametrize("batch", [(), (4,)], ids=["one", "batch"])
def test_where_double_precision_is_off(callback, batch):
    """The compiled function runs outside of the context, as threads of JAX do."""
    pure = callback is jax.pure_callback
    function = ask(callback, **({"vmap_method": "broadcast_all"} if pure else {}))
    with jax.enable_x64(True):
        given = (
            [jnp.full((*batch, 3), THIRD), jnp.ones((*batch, 2), "float32")],
            jnp.full((*batch, 2), 7, "int32"),
        )
        function = jax.vmap(function) if batch else function
        compiled = jax.jit(function).lower(*given).compile()
    double, whole = compiled(*given)
    assert double.dtype == "float64"
    np.testing.assert_array_equal(
        np.asarray(double), np.full((*batch, 3), THIRD) + 1e-12
    )
    np.testing.assert_array_equal(np.asarray(whole), np.full((*batch, 2), 8))


def test_no_derivative():
    like = jax.ShapeDtypeStruct((1,), "float32")
    call = partial(call_exactly, jax.pure_callback, lambda x: 2 * x, like)
    value, slope = jax.value_and_grad(lambda x: (call(x) + x)[0])(jnp.ones(1))
    assert (float(value), slope.tolist()) == (3.0, [1.0])
