"""A Keras model and how it is converted."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import nengo
import numpy as np

from ...layers.qcfs import QCFS
from ..converter import Converter
from ..curves import Curve, decode_curve, join_curves
from ..graph import functional_of, shape_of
from ..objects import channel_means, per_element
from ..quantized import threshold_of
from ..records import Converted, Options
from ..table import TABLE, Table
from .assemble import finish, set_weights
from .finals import Finals, find_finals
from .records import Assembled, Part, Settings
from .reference import Reference, key_of, measure_model
from .subject import Subject


@dataclass(frozen=True, eq=False)
class KerasSubject(Subject):
    """A Keras model, and the arguments of its conversion.

    Parameters
    ----------
    model : keras.Model
    options : Options
    table : mapping of type to Rule
    seed : int
        Of the network.

    Attributes
    ----------
    finals : Finals
    """

    model: Any
    options: Options
    table: Table = field(default_factory=lambda: TABLE)
    seed: int = 0
    finals: Finals = field(init=False, default_factory=Finals)

    def __post_init__(self) -> None:
        """Find the functions that are applied to results."""
        whole = self._convert(self.options.scales, self.options.curves, fold=False)
        object.__setattr__(self, "finals", find_finals(whole))

    def assemble(
        self, settings: Settings, *, fold: bool = True, shifted: bool = False
    ) -> Assembled:
        """Make a network; see :meth:`Subject.assemble`."""
        scales, curves = self._responses(settings)
        converter = self._convert(scales, curves, fold=fold)
        converter.net.seed = self.seed
        model = functional_of(self.model)
        probes = [converter.outputs[tensor] for tensor in model.outputs]
        ends = {probe.target for probe in probes}
        found = (_part(converted, ends, curves) for converted in converter.calls)
        finals = {c.obj: self.finals.functions.get(key_of(c)) for c in converter.calls}
        assembled = Assembled(
            converter.net,
            [converter.inputs[tensor] for tensor in model.inputs],
            probes,
            [part for part in found if part is not None],
            [finals.get(probe.target) for probe in probes],
            [shape_of(tensor, 1 + self.options.temporal) for tensor in model.outputs],
            converter.inputs,
            converter.outputs,
            converter=converter,
            temporal=self.options.temporal,
        )
        for name, connection in weights_of(converter).items():
            if name in settings.weights:
                set_weights(connection, settings.weights[name])
        return finish(assembled, settings, shifted=shifted)

    def check(self, data: Any) -> list[np.ndarray]:
        """Return data as arrays, in the order of the inputs of the model."""
        tensors = functional_of(self.model).inputs
        if isinstance(data, Mapping):
            names = [tensor.name for tensor in tensors]
            if set(names) != set(data):
                raise ValueError(
                    f"data must have the inputs of the model: {', '.join(names)} (got "
                    f"{', '.join(map(str, data)) or 'none'})"
                )
            data = [data[name] for name in names]
        several = isinstance(data, (list, tuple)) and len(data) == len(tensors) > 1
        arrays = [np.asarray(array) for array in (data if several else [data])]
        shapes = [tuple(tensor.shape) for tensor in tensors]
        check_arrays(arrays, shapes, temporal=self.options.temporal)
        return arrays

    def measure(
        self,
        arrays: Sequence[np.ndarray],
        percentile: float,
        *,
        per_channel: bool,
        mean_examples: int,
    ) -> Reference:
        """Measure activations of the model."""
        assembled = self.assemble(Settings())
        return measure_model(
            self.model,
            assembled.converter.calls,
            [part.label for part in assembled.parts],
            list(self.finals.functions),
            arrays,
            percentile,
            per_channel=per_channel,
            mean_examples=mean_examples,
            temporal=self.options.temporal,
        )

    def differs_by_folding(self, folded: Assembled) -> bool:
        """Whether a layer is folded that would not be otherwise."""
        calls = folded.converter.calls
        return not self.options.inference_only and any(c.call.folded for c in calls)

    def check_trainable(self) -> None:
        """Networks made of Keras models can always be fine-tuned."""

    def _responses(self, settings: Settings) -> tuple[Any, dict[Any, Curve]]:
        """Return scales and curves by layer: those of the settings, the rest as given.

        Of several calls of a layer, that with the largest activations counts.

        Raises
        ------
        ValueError
            If calls of a layer need other numbers of scales or curves.
        """
        given, curves = self.options.scales, dict(self.options.curves)
        if not (settings.scales or settings.curves):
            return given, curves
        arrays: dict[Any, np.ndarray] = {}
        scales = dict(given) if isinstance(given, Mapping) else {}
        chosen: dict[Any, Any] = {}
        for converted in self._convert(given, curves, fold=True).calls:
            label, layer = key_of(converted), converted.layer
            if label in settings.curves:
                array = np.asarray(settings.curves[label])
                other = arrays.get(layer, array)
                _check_calls(layer, array.shape[1:], other.shape[1:])
                arrays[layer] = join_curves(array, other)
                curves[layer] = decode_curve(arrays[layer])
                chosen[layer] = 1.0
            elif label in settings.scales:
                scale = settings.scales[label]
                other = chosen.get(layer, scale)
                _check_calls(layer, np.shape(scale), np.shape(other))
                chosen[layer] = np.minimum(scale, other)
            elif converted.neurons is not None:
                scales.setdefault(layer, converted.scale)
        return scales | chosen, curves

    def _convert(
        self, scales: Any, curves: Mapping[Any, Curve], *, fold: bool
    ) -> Converter:
        options = self.options
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user has seen them before
            return Converter(
                self.model,
                options.allow_fallback,
                options.inference_only or fold,
                options.max_to_avg_pool,
                options.split_shared_weights,
                {**options.swaps, **self.finals.swaps},
                scales,
                options.synapse,
                options.temporal,
                table={**self.table, **self.finals.rules},
                curves=curves,
            )


def check_arrays(
    arrays: Sequence[np.ndarray],
    shapes: Sequence[tuple[int | None, ...]],
    *,
    temporal: bool = False,
) -> None:
    """Raise ValueError unless arrays are numbers in given shapes.

    Parameters
    ----------
    arrays : sequence of ndarray
    shapes : sequence of tuple
        The first axis is that of examples, of which there may be any number.
    temporal : bool
        Whether the second axis is time, which may be None, too.
    """
    given = ", ".join(str(array.shape) for array in arrays)
    shapes = [(None, *shape[1:]) for shape in shapes]  # whatever the batch of the model
    fitting = len(arrays) == len(shapes) and all(
        array.ndim == len(shape)
        and all(w in (None, n) for w, n in zip(shape, array.shape, strict=True))
        for array, shape in zip(arrays, shapes, strict=True)
    )
    leading = {array.shape[: 1 + temporal] for array in arrays}
    if not fitting or len(leading) != 1:
        unknown = "number of examples"
        if temporal:
            unknown += ", or of time steps if it is the second axis"
        raise ValueError(
            f"data have shape {given}, but should have {', '.join(map(str, shapes))}, "
            f"where None is the {unknown}"
        )
    if 0 in leading.pop():
        what = "examples or no time steps" if temporal else "examples"
        raise ValueError(f"data have no {what}: their shape is {given}")
    numbers = all(array.dtype.kind in "biuf" for array in arrays)
    if not numbers or not all(np.all(np.isfinite(array)) for array in arrays):
        raise ValueError("data must be numbers, and none may be NaN or infinite")


def _check_calls(layer: Any, size: tuple[int, ...], other: tuple[int, ...]) -> None:
    """Raise ValueError unless two calls of a layer have as many scales or curves."""
    if size != other:
        numbers = " and ".join(str(math.prod(shape)) for shape in (size, other))
        raise ValueError(
            f"Calls of the layer {layer.name!r} have other sizes, {numbers}, so their "
            "channels cannot be scaled together. Give each call an activation layer of "
            "its own, or use per_channel=False."
        )


def weights_of(converter: Converter) -> dict[str, nengo.Connection]:
    """Return connections with kernels and biases, by label and what they are."""
    found = {}
    for converted in converter.calls:
        label = key_of(converted)
        if converted.weights is not None:
            found[f"{label}/kernel"] = converted.weights
        if converted.bias is not None:
            found[f"{label}/bias"] = converted.bias
    return found


def _part(
    converted: Converted, ends: set[Any], curves: Mapping[Any, Curve]
) -> Part | None:
    """Return what can be measured and shifted, if a call made it."""
    label, obj, shape = key_of(converted), converted.obj, converted.shape
    axis = converted.channel_axis
    channels = per_element(np.arange(shape[axis]), shape, axis)
    if converted.neurons is not None:
        layer = converted.layer
        threshold = threshold_of(layer) if isinstance(layer, QCFS) else None
        curve = curves.get(layer)
        neurons = converted.neurons
        return Part(
            label,
            neurons,
            obj,
            neurons,
            channels,
            # what is added to neurons with a curve is not divided
            _slope(curve, converted),
            threshold,
            rectifies=any(map(_is_rectifier, converted.swaps)),
            opposite=converted.opposite,
        )
    linear = type(obj) is nengo.Node and obj in ends and converted.weights is not None
    return Part(label, None, obj, obj, channels) if linear else None


def _slope(curve: Curve | None, converted: Converted) -> np.ndarray | float:
    """Return by how much an activation rises with what its neurons get, by channel."""
    if curve is None:
        return 1.0
    if not curve.differs:
        return curve.top
    tops = np.broadcast_to(curve.top, np.shape(curve.amplitude))
    return channel_means(tops, converted.shape, converted.channel_axis)


def _is_rectifier(swapped: Any) -> bool:
    """Whether an activation that was replaced is relu."""
    return swapped is keras.activations.relu or type(swapped) is nengo.RectifiedLinear
