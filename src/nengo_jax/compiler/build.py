"""From a network to nengo's own model of signals and operators.

nengo's builder runs unchanged, so parameters are bit for bit those of the reference.
"""

from __future__ import annotations

import nengo
from nengo.builder import Model
from nengo.cache import get_default_decoder_cache
from nengo.utils.progress import Progress, ProgressTracker


def build_model(
    network: nengo.Network | None, model: Model | None, dt: float, progress_bar: object
) -> Model:
    """Build ``network`` into ``model``, or into a new one.

    Parameters
    ----------
    network : Network or None
        None if ``model`` is complete.
    model : Model or None
        A model to build into; its own dt counts.
    dt : float
        Length of a step in seconds.
    progress_bar : bool or ProgressBar
        As for :class:`nengo.Simulator`.
    """
    built = model if model is not None else _new_model(network, dt)
    tracker = ProgressTracker(progress_bar, Progress("Building", "Build"))
    if network is not None:
        with tracker:
            built.build(network, progress=tracker.next_stage("Building", "Build"))
    return built


def _new_model(network: nengo.Network | None, dt: float) -> Model:
    return Model(
        dt=float(dt),
        label=f"{network}, dt={dt:f}",
        decoder_cache=get_default_decoder_cache(),
    )
