"""Functions on arrays and Keras layers as parts of a network."""

from .build import build_tensor_node
from .layer import Layer
from .tensor_node import TensorNode

__all__ = ["Layer", "TensorNode", "build_tensor_node"]
