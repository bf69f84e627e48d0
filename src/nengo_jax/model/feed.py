"""What a user gives to ``fit``, ``evaluate`` and ``predict``, as Keras takes it.

Arrays become batches (``batches.py``), sources of batches are adapted (``sources.py``),
and both are checked and completed (``inputs.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from nengo.exceptions import ValidationError

from .batches import ArrayBatches, split
from .inputs import Arrays, Inputs
from .layer import STEPS
from .sources import adapt


class Feed:
    """Turns data of a user into arguments for Keras.

    Parameters
    ----------
    inputs : Inputs
    batch_size : int

    Attributes
    ----------
    targets : mapping of str to Any
        By name of the probe: its loss, or None if it only has metrics.
    """

    def __init__(self, inputs: Inputs, batch_size: int):
        self._inputs = inputs
        self._batch_size = batch_size
        self.targets: Mapping[str, Any] = {}

    def arguments(
        self,
        x: Any,
        y: Any,
        n_steps: int | None,
        kwargs: dict,
        training: bool = False,
    ) -> dict:
        """Arguments for Keras: arrays in batches, or an adapted source of batches."""
        for argument in ("batch_size", "validation_batch_size"):
            if kwargs.pop(argument, None) not in (None, self._batch_size):
                raise ValidationError(
                    f"The size of batches is the simulator's minibatch_size, "
                    f"{self._batch_size}. Make the simulator with another one.",
                    attr=argument,
                )
        source = adapt(x, self._convert(n_steps))
        if source is not None:
            if training and not isinstance(x, keras.utils.PyDataset):
                kwargs["shuffle"] = False  # their batches come in an order of their own
            return {"x": source, **kwargs}
        if y is None:
            parts: tuple = (self._inputs.complete(x, n_steps, self._batch_size),)
        else:
            weight = kwargs.pop("sample_weight", None)
            parts = self.prepare(x, y, weight, n_steps=n_steps)
        if share := kwargs.pop("validation_split", None):
            parts, held_out = split(parts, share)
            kwargs["validation_data"] = ArrayBatches(held_out, self._batch_size)
        shuffle = False
        if training:
            shuffle = kwargs.pop("shuffle", True)
            kwargs["shuffle"] = False  # not the batches as well
        return {"x": ArrayBatches(parts, self._batch_size, shuffle), **kwargs}

    def validation(self, data: Any, n_steps: int | None) -> Any:
        """What to give to Keras for validation."""
        if isinstance(data, (tuple, list)) and len(data) in (2, 3):
            prepared = self.prepare(*data, n_steps=n_steps)
            return ArrayBatches(prepared, self._batch_size)
        source = adapt(data, self._convert(n_steps))
        if source is None:
            raise ValidationError(
                "Must be (x, y), (x, y, sample_weight) or a source of such batches "
                f"(got {type(data).__name__})",
                attr="validation_data",
            )
        return source

    def prepare(
        self, x: Any, y: Any, sample_weight: Any = None, *, n_steps: int | None
    ) -> tuple[Arrays, ...]:
        """Inputs, targets, and weights of the examples if there are any."""
        examples = None
        if x is None and y is not None:
            first = next(iter(y.values())) if isinstance(y, Mapping) else y
            examples = len(first)
        inputs = self._inputs.complete(x, n_steps, examples)
        targets = self._inputs.targets(y, self.targets, *inputs[STEPS].shape[:2])
        if sample_weight is None:
            return inputs, targets
        return inputs, targets, self._inputs.weights(sample_weight, targets)

    def check_one_batch(self, x: Arrays) -> None:
        """Raise ValidationError if there are more examples than in a batch."""
        if len(x[STEPS]) > self._batch_size:
            raise ValidationError(
                f"There are {len(x[STEPS])} examples, but minibatch_size is "
                f"{self._batch_size}",
                attr="x",
            )

    def _convert(self, n_steps: int | None) -> Callable:
        """Make the function that checks and completes a batch of a source."""

        def convert(batch: Any) -> tuple:
            if not isinstance(batch, (tuple, list)):
                converted: tuple = (self._inputs.complete(batch, n_steps),)
            elif len(batch) == 1:
                converted = (self._inputs.complete(batch[0], n_steps),)
            else:
                converted = self.prepare(*batch, n_steps=n_steps)
            self.check_one_batch(converted[0])
            return converted

        return convert
