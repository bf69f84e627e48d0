"""Parameters of a simulation: as they are now, in files, and back in the network."""

from .files import load_params, read_extra, save_params
from .freeze import freeze_params, get_nengo_params
from .live import Live
from .nengodl import load_nengodl

__all__ = [
    "Live",
    "freeze_params",
    "get_nengo_params",
    "load_nengodl",
    "load_params",
    "read_extra",
    "save_params",
]
