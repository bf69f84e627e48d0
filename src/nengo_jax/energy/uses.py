"""The uses of all layers of a model, with their shapes and counts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import keras

from .stats import LayerCall, LayerStats, Rule, count, scaled, steps_in
from .walk import inner_model, tensors_in, walk


class Use(NamedTuple):
    """One use of a layer, with its count.

    Attributes
    ----------
    path : tuple of Layer
        The layer, after the models that it lies in.
    call : LayerCall
    stats : LayerStats
        Zero if no rule knows the layer.
    known : bool
        Whether a rule knows the layer.
    spikes : bool
        Whether there are neurons between the input of the model and this layer.
    """

    path: tuple[Any, ...]
    call: LayerCall
    stats: LayerStats
    known: bool
    spikes: bool

    @property
    def name(self) -> str:
        """Names of the models and of the layer, joined by slashes."""
        return "/".join(layer.name for layer in self.path)


def uses_of(model: keras.Model, rules: Mapping[type, Rule]) -> list[Use]:
    """List the uses of all layers of a model, in the order in which they are called.

    Shapes are worked out anew from the inputs of the whole model, as a model that lies
    in it may have been made for open shapes.

    Raises
    ------
    ValueError
        If the sizes of a layer that is counted are not known.
    """
    uses: list[Use] = []
    # Outputs that have neurons before them, by id, kept so that no id is used again.
    behind: dict[int, Any] = {}

    def mark(spikes: bool, outputs: Any) -> None:
        behind.update((id(x), x) for x in keras.tree.flatten(outputs) if spikes)

    def visit(path: Any, args: Any, kwargs: Any, repeats: int = 1) -> Any:
        layer, inputs = path[-1], tensors_in(args, kwargs)
        outputs = layer.compute_output_spec(*args, **kwargs)
        spikes = any(id(x) in behind for x in inputs)
        inner = inner_model(layer)
        if inner is not None:
            step = _specs([(s[0], *s[2:]) for s in (x.shape for x in inputs)], inputs)
            mark(spikes, step)
            inside = partial(visit, repeats=repeats * steps_in(inputs[0].shape))
            last = walk(inner, step[0], inside, path)
            mark(any(id(x) in behind for x in keras.tree.flatten(last)), outputs)
            return outputs
        shapes = (tuple(x.shape) for x in inputs)
        results = (tuple(x.shape) for x in keras.tree.flatten(outputs))
        call = LayerCall(layer, tuple(shapes), tuple(results))
        counted = scaled(count(call, rules), repeats)
        stats = counted or LayerStats()
        uses.append(Use(path, call, stats, counted is not None, spikes))
        mark(spikes or stats.neurons > 0, outputs)
        return outputs

    given = keras.tree.flatten(model.inputs)
    walk(model, _packed(model, _specs([x.shape for x in given], given)), visit)
    return uses


def _specs(shapes: list[Any], likes: list[Any]) -> list[Any]:
    """Make placeholders that belong to no graph."""
    return [
        keras.KerasTensor(shape, like.dtype)
        for shape, like in zip(shapes, likes, strict=True)
    ]


def _packed(model: keras.Model, inputs: list[Any]) -> Any:
    """Give a Sequential model its only input as it is."""
    return inputs[0] if isinstance(model, keras.Sequential) else inputs
