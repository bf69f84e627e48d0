"""Optimizers that see curvature, for Simulators, Keras models, and loops of one's own.

==================== ==================================================================
HessianFree          for ``sim.compile`` and, after second_order, any Keras model
NaturalGradient      the same
second_order         lets a Keras model be trained by them
hessian_free         pure functions that minimise a loss of a tree of parameters
natural_descent      the same, along the natural gradient
natural_gradient     pure functions that improve a policy, from its score functions
gauss_newton_product products with the Gauss-Newton matrix
==================== ==================================================================

First-order methods are those of Keras and optax.
"""

from .curvature import gauss_newton_product
from .fisher import (
    NaturalGradientReport,
    NaturalGradientSettings,
    natural_gradient,
)
from .hessian_free import (
    HessianFreeReport,
    HessianFreeSettings,
    HessianFreeState,
    hessian_free,
)
from .keras_hessian_free import HessianFree
from .keras_natural_gradient import NaturalGradient
from .method import Method
from .natural_descent import NaturalDescentState, natural_descent
from .second_order import second_order

__all__ = [
    "HessianFree",
    "HessianFreeReport",
    "HessianFreeSettings",
    "HessianFreeState",
    "Method",
    "NaturalDescentState",
    "NaturalGradient",
    "NaturalGradientReport",
    "NaturalGradientSettings",
    "gauss_newton_product",
    "hessian_free",
    "natural_descent",
    "natural_gradient",
    "second_order",
]
