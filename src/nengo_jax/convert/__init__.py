"""From Keras models to spiking networks."""

from .converter import Converter
from .records import Converted, LayerCall, Options, Source
from .table import TABLE, Rule, Table

__all__ = [
    "TABLE",
    "Converted",
    "Converter",
    "LayerCall",
    "Options",
    "Rule",
    "Source",
    "Table",
]
