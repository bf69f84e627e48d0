"""Calibration: what makes a converted network accurate in few steps.

==================== ===================================================================
calibrate            scales, voltages, biases, readout and fine-tuning, step by step
Calibrated           the result: a network, what was done, and how to run it
Effect               what one measure did
Readout              how results are read from the outputs
load                 reads a network that ``Calibrated.save`` has written
==================== ===================================================================
"""

from .calibrated import Calibrated
from .files import load
from .procedure import calibrate
from .readout import Readout
from .records import Effect, Settings

__all__ = ["Calibrated", "Effect", "Readout", "Settings", "calibrate", "load"]
