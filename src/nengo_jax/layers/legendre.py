r"""The Legendre Delay Network: a linear memory of the last theta seconds.

Of all linear systems of that order, it is the best approximation of a delay (Voelker,
Kajić and Eliasmith, 2019). Its state m holds the coefficients of the input over the
window in shifted Legendre polynomials P: with r from 0 (now) to 1 (theta ago),

.. math:: u(t - r \theta) \approx \sum_i P_i(2 r - 1) m_i(t)

and

.. math::
   \theta \dot m = A m + B u, \quad
   A_{ij} = (2i + 1) \begin{cases} -1 & i < j \\ (-1)^{i - j + 1} & i \ge j
   \end{cases}, \quad B_i = (2i + 1) (-1)^i .

An input that is held for a step (zero-order hold) gives

.. math:: m \leftarrow \bar A m + \bar B u, \qquad
   \begin{pmatrix} \bar A & \bar B \\ 0 & 1 \end{pmatrix} =
   \exp \left( \frac{dt}{\theta} \begin{pmatrix} A & B \\ 0 & 0 \end{pmatrix} \right) .
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import scipy.linalg
from jax.typing import DTypeLike
from numpy.typing import NDArray


def legendre_matrices(order: int) -> tuple[NDArray, NDArray]:
    """Return A, shape (order, order), and B, shape (order,), for a theta of 1 s."""
    i = np.arange(order)[:, None]
    j = np.arange(order)[None]
    a = (2.0 * i + 1) * np.where(i < j, -1, (-1.0) ** (i - j + 1))
    b = (2.0 * i + 1) * (-1.0) ** i
    return a, b[:, 0]


def discretise(order: int, theta: float, dt: Any, dtype: DTypeLike) -> tuple[Any, Any]:
    """Return the matrices of a step, for an input that is held.

    Parameters
    ----------
    order : int
    theta : float
        Length of the window in seconds.
    dt : float or Array
        Length of a step in seconds. For a float, the matrices are worked out in double
        precision, before anything is compiled.
    dtype : DTypeLike
        Precision of the results.

    Returns
    -------
    A : array, shape (order, order)
    B : array, shape (order,)
    """
    a, b = legendre_matrices(order)
    both = np.zeros((order + 1, order + 1))
    both[:order, :order], both[:order, order] = a / theta, b / theta
    if isinstance(dt, jax.Array):
        step = jax.scipy.linalg.expm(both.astype(dtype) * dt)
    else:
        step = scipy.linalg.expm(both * dt).astype(dtype)
    return step[:order, :order], step[:order, order]
