"""A compiled Keras model as the pure functions that second-order optimizers need."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
from jax import Array
from nengo.exceptions import ValidationError

from ..model.layer import NetworkLayer

Params = Mapping[str, Array]  # by variable_names
Batch = tuple[Any, Any, Any]  # inputs, targets, weights of examples

_OUTPUTS, _ADDED = "outputs", "added losses"
_SHOWN = 6  # parameters of a block in messages


class KerasLoss(NamedTuple):
    """The loss of a model as functions of its trainable variables.

    Attributes
    ----------
    predict : callable
        ``predict(params, batch) -> outputs``.
    loss : callable
        ``loss(outputs, batch) -> value``.
    penalty : callable or None
        ``penalty(params) -> value``: what the regularizers of variables add.
    """

    predict: Callable[[Params, Batch], dict[str, Any]]
    loss: Callable[[dict[str, Any], Batch], Array]
    penalty: Callable[[Params], Array] | None


def keras_loss(
    model: keras.Model,
    trained: Sequence[Array],
    others: Sequence[Array],
    metrics: Sequence[Array],
) -> KerasLoss:
    """Take the loss of a model apart.

    Parameters
    ----------
    model : keras.Model
        Compiled.
    trained, others, metrics : sequence of Array
        Values of the variables that are trained, of those that are not, and of those
        of metrics.
    """
    names = variable_names(model)
    regularized = {
        name: variable.regularizer
        for name, variable in zip(names, model.trainable_variables, strict=True)
        if variable.regularizer is not None
    }
    trained, others, metrics = list(trained), list(others), list(metrics)
    options = {"training": True} if model._call_has_training_arg else {}

    def predict(params: Params, batch: Batch) -> dict[str, Any]:
        outputs, _, added = model.stateless_call(
            [params[name] for name in names],
            others,
            batch[0],
            return_losses=True,
            **options,
        )
        # The last ones are those of the regularizers, see penalty.
        return {_OUTPUTS: outputs, _ADDED: added[: len(added) - len(regularized)]}

    def loss(outputs: dict[str, Any], batch: Batch) -> Array:
        x, y, sample_weight = batch
        with _added_losses(model, outputs[_ADDED]):
            value, _ = model.stateless_compute_loss(
                trained,
                others,
                metrics,
                x=x,
                y=y,
                y_pred=outputs[_OUTPUTS],
                sample_weight=sample_weight,
                training=True,
            )
        return value

    def penalty(params: Params) -> Array:
        values = [keep(params[name]) for name, keep in regularized.items()]
        return jnp.sum(jnp.stack(values))

    return KerasLoss(predict, loss, penalty if regularized else None)


def hidden_outputs(chosen: Sequence[str | int]) -> Callable[[dict[str, Any]], Any]:
    """Make the function that picks some outputs of a model, by name or position."""

    def pick(outputs: dict[str, Any]) -> list[Any]:
        found: Any = outputs[_OUTPUTS]
        if not isinstance(found, Mapping):
            several = isinstance(found, (list, tuple))
            found = dict(enumerate(found if several else [found]))
        for name in chosen:
            if name not in found:
                raise ValidationError(
                    f"{name!r} is no output of the model. There are: "
                    f"{', '.join(map(repr, found))}",
                    attr="damped_outputs",
                )
        return [found[name] for name in chosen]

    return pick


def first_examples(batch: Batch, share: float) -> Batch:
    """Return the first part of a batch, at least one example."""
    return jax.tree.map(lambda a: a[: math.ceil(share * a.shape[0])], batch)


def check_targets(model: keras.Model, y: Any) -> None:
    """Raise ValidationError if there is a loss, but nothing to compare with."""
    if model.loss is not None and y is None:
        raise ValidationError(
            "There is a loss, but there are no targets to compare the outputs with. "
            "Give y to fit.",
            attr="y",
        )


def check_batch(model: keras.Model, batch: Batch) -> None:
    """Raise ValidationError if targets are missing, or are not one per example."""
    x, y, sample_weight = batch
    check_targets(model, y)
    counts = {a.shape[0] for a in jax.tree.leaves((x, y, sample_weight))}
    if len(counts) != 1:
        raise ValidationError(
            "Inputs, targets and weights must have the same number of examples, but "
            f"have {', '.join(map(str, sorted(counts)))}.",
            attr="x",
        )


def variable_names(model: keras.Model) -> list[str]:
    """Return a unique name for each trainable variable.

    That is its path; of a block of a network, what lies in it. Names that are taken get
    a number.
    """
    blocks = {
        id(layer.blocks[block]): ", ".join(_shortened(parameters))
        for layer in model._flatten_layers()
        if isinstance(layer, NetworkLayer)
        for block, parameters in layer.parameter_names.items()
    }
    taken: Counter[str] = Counter()
    names = []
    for variable in model.trainable_variables:
        name = blocks.get(id(variable)) or str(variable.path)
        taken[name] += 1
        names.append(name if taken[name] == 1 else f"{name}#{taken[name]}")
    return names


def _shortened(names: Sequence[str]) -> list[str]:
    rest = len(names) - _SHOWN
    return [*names[:_SHOWN], f"and {rest} more"] if rest > 0 else list(names)


@contextmanager
def _added_losses(model: keras.Model, losses: Sequence[Array]) -> Iterator[None]:
    """Give a model the losses that its layers added, in place of those it would find.

    Keras' own training step does the same; an empty list would mean "look yourself".
    """
    model._losses_override.clear()
    model._losses_override = [*losses, jnp.zeros(())]
    try:
        yield
    finally:
        model._losses_override.clear()
