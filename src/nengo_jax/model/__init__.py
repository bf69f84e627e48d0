"""Networks under Keras."""

from .layer import NetworkLayer, NetworkModel
from .learner import Learner
from .nengo_layer import NengoLayer

__all__ = ["Learner", "NengoLayer", "NetworkLayer", "NetworkModel"]
