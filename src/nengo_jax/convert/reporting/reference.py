"""The activations of a Keras model, layer by layer: what the rates should be.

The same model converted without spikes, scales and synapses gives them, in one step.
So nested models and layers that are called twice need no treatment of their own. What
the conversion has replaced, such as maxima by averages, is not replaced here, but for
activations that are left away, as a softmax that is applied to what is read out.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

from ..activations import LINEAR
from ..calibration.reference import key_of
from ..converter import Converter
from ..records import Converted


def make_reference(converter: Converter) -> dict[str, tuple[Converter, Converted]]:
    """Convert the model of a converter again, exactly.

    Returns
    -------
    dict of str to tuple of Converter and Converted
        By key of the calls. Calls that are split otherwise, as a normalisation that
        is part of a layer in one and not in the other, are left out.
    """
    options = converter.options
    left_away = {old: new for old, new in options.swaps.items() if new is LINEAR}
    with warnings.catch_warnings():  # those of the user's own conversion are enough
        warnings.simplefilter("ignore", UserWarning)
        exact = Converter(
            converter.model,
            inference_only=options.inference_only,
            split_shared_weights=options.split_shared_weights,
            swap_activations=left_away,
        )
    folded = {key_of(call): call.call.folded for call in converter.calls}
    return {
        key_of(call): (exact, call)
        for call in exact.calls
        if folded.get(key_of(call)) == call.call.folded
    }


def names_of(calls: Sequence[Converted]) -> dict[str, str]:
    """Return what a report calls each call, by key.

    That is its label; where models inside the model have layers of the same name, also
    the names of these models.
    """
    count = Counter(call.label for call in calls)
    return {
        key_of(call): call.label if count[call.label] == 1 else key_of(call)
        for call in calls
    }
