"""Optimizers that see curvature."""

from .curvature import gauss_newton_product
from .hessian_free import (
    HessianFreeReport,
    HessianFreeSettings,
    HessianFreeState,
    hessian_free,
)
from .method import Method

__all__ = [
    "HessianFreeReport",
    "HessianFreeSettings",
    "HessianFreeState",
    "Method",
    "gauss_newton_product",
    "hessian_free",
]
