"""From Keras models to spiking networks.

==================== ===================================================================
Converter            makes a nengo network of a Keras model
calibrate            makes it accurate in few steps
report               measures it, and says what is wrong and what to change
load                 reads a calibrated network that was saved
==================== ===================================================================
"""

from .calibration import Calibrated, calibrate, load
from .converter import Converter
from .records import Converted, LayerCall, Options, Source
from .reporting import Report, report
from .table import TABLE, Rule, Table

__all__ = [
    "TABLE",
    "Calibrated",
    "Converted",
    "Converter",
    "LayerCall",
    "Options",
    "Report",
    "Rule",
    "Source",
    "Table",
    "calibrate",
    "load",
    "report",
]
