"""Reports on converted networks: what they do, where they err, and what to change.

A report is measured in one run on examples. Known problems are recognised from what was
measured, each by a function of its own, and come with the change that mends them. In
the literature and in the threads of other converters these are: rates too low for the
presentation, clipping, too few steps, initial voltages, late spikes, unevenness, maxima
of spikes, and normalisation (Rueckauer et al., 2017; Bu et al., 2022; Li et al., 2021).
"""

from .findings import CAUSES
from .make import report
from .records import (
    Distribution,
    Energy,
    Finding,
    LayerReport,
    Population,
    Raster,
    Report,
    Score,
)

__all__ = [
    "CAUSES",
    "Distribution",
    "Energy",
    "Finding",
    "LayerReport",
    "Population",
    "Raster",
    "Report",
    "Score",
    "report",
]
