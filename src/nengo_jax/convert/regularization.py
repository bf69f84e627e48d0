"""Layers that act in training only: dropout and noise."""

from __future__ import annotations

from .fallback import convert_exact
from .records import Converted, LayerCall, Options, Source
from .reshaping import convert_same


def convert_noise(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Leave a layer away if the network is never trained."""
    if options.inference_only:
        return convert_same(call, sources, options)
    return convert_exact(call, sources, options)
