"""Networks under Keras."""

from .layer import NetworkLayer
from .learner import Learner
from .nengo_layer import NengoLayer
from .network_model import NetworkModel

__all__ = ["Learner", "NengoLayer", "NetworkLayer", "NetworkModel"]
