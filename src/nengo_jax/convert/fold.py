"""Makes BatchNormalization part of the linear layer before it.

With weights W and biases b, a (W x + b) + c is W' x + b' with W' = a W, b' = a b + c,
exactly. So it is done where neither layer is trained, nothing lies between them, and
nothing else takes what the first one gives.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import keras

from .activations import choose_activation
from .convolution import channel_axis_of
from .graph import Graph
from .linear import is_trained
from .normalization import channel_affine, channel_axis_of_norm
from .records import LayerCall, Options, Value
from .table import Rule

Choice = list[tuple[LayerCall, Rule | str]]


def fold(choice: Choice, graph: Graph, options: Options) -> Choice:
    """Return the calls of a graph with what can be folded folded.

    Parameters
    ----------
    choice : list of tuple of LayerCall and (Rule or str)
    graph : Graph
    options : Options
    """
    uses = Counter(value for call, _ in choice for value in call.inputs)
    uses.update(graph.outputs)
    result: Choice = []
    made: dict[Value, int] = {}  # which of the result gives a value
    for call, rule in choice:
        if _is_constant_norm(call, rule):
            place = made.get(call.inputs[0])
            if place is not None and uses[call.inputs[0]] == 1:
                before, its_rule = result[place]
                if _takes(before, its_rule, call, options):
                    result[place] = (_join(before, call), its_rule)
                    made[call.outputs[0]] = place
                    continue
        made.update((value, len(result)) for value in call.outputs)
        result.append((call, rule))
    return result


def _is_constant_norm(call: LayerCall, rule: Rule | str) -> bool:
    norm = isinstance(call.layer, keras.layers.BatchNormalization)
    return norm and isinstance(rule, Rule)


def _takes(
    before: LayerCall, rule: Rule | str, norm: LayerCall, options: Options
) -> bool:
    """Whether a layer can take over what follows it."""
    if not isinstance(rule, Rule) or not rule.folds or is_trained(before, options):
        return False
    activation = choose_activation(before.layer.activation, options)
    if activation.neurons is not None or activation.function is not None:
        return False
    dense = isinstance(before.layer, keras.layers.Dense)
    axis = -1 if dense else channel_axis_of(before.layer)
    return channel_axis_of_norm(norm) == axis and before.networks == norm.networks


def _join(before: LayerCall, norm: LayerCall) -> LayerCall:
    factor, offset = channel_affine(norm)
    if before.affine is not None:
        first, shift = before.affine
        factor, offset = factor * first, factor * shift + offset
    return replace(
        before,
        outputs=norm.outputs,
        folded=(*before.folded, norm.layer),
        affine=(factor, offset),
    )
