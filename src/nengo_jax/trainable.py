"""Training and parameters, as a simulator offers them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nengo import Node, Probe
from nengo.exceptions import ValidationError

from .params import (
    Live,
    freeze_params,
    get_nengo_params,
    load_nengodl,
    load_params,
    read_extra,
    save_params,
)
from .params.store import FilePath

if TYPE_CHECKING:  # importing Keras takes longer than all the rest
    import keras

    from .model import Learner


class Trainable(ABC):
    """A running network that can be trained, and whose parameters can be kept."""

    _live: Live

    @property
    @abstractmethod
    def _learner(self) -> Learner:
        """The network as Keras sees it, with its present parameters."""

    @property
    @abstractmethod
    def _names(self) -> dict[Node | Probe, str]:
        """Names of input nodes and probes."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raise SimulatorClosed unless parameters can still be changed."""

    # -- parameters

    def save_params(
        self,
        path: FilePath,
        include_state: bool = False,
        *,
        include_optimizer: bool = False,
        example: int | None = None,
    ) -> Path:
        """Save all parameters to a safetensors file, completely or not at all.

        Parameters
        ----------
        path : path
            Without a suffix, ``.safetensors`` is appended.
        include_state, include_optimizer : bool
            Whether to save the state of the network, and that of the optimizer, as
            well, so that a simulation or training goes on as if it had not ended.
        example : int or None
            Which example of a batch to take the weights of online rules from. None:
            all, if they differ.

        Returns
        -------
        Path
            Where they were saved.
        """
        extra = self._learner.optimizer_state() if include_optimizer else None
        return save_params(
            self._live, path, include_state=include_state, example=example, extra=extra
        )

    def load_params(
        self,
        path: FilePath,
        include_state: bool = False,
        *,
        include_optimizer: bool = False,
        partial: bool = False,
        keep_gain: bool = False,
        example: int | None = None,
    ) -> None:
        """Load parameters that were saved by this method's counterpart, or by NengoDL.

        Parameters
        ----------
        path : path
            A file of NengoDL ends in ``.npz``.
        include_state, include_optimizer : bool
            Whether to go on with the state, or the optimizer, of the file.
        partial : bool
            Whether to load what fits, and leave the rest as it is.
        keep_gain : bool
            Whether to keep the network's gains and rescale what was saved.
        example : int or None
            Which example of a file to take.

        Raises
        ------
        SimulationError
            If the file does not fit the network. The message names every parameter
            that is missing, that is too many, or has another shape; nothing changes.
        """
        self._check_open()
        if include_optimizer:  # before anything changes
            self._learner.check_optimizer(read_extra(path))
        extra = load_params(
            self._live,
            path,
            include_state=include_state,
            partial=partial,
            keep_gain=keep_gain,
            example=example,
        )
        if include_optimizer:
            self._learner.restore_optimizer(extra)

    def load_nengodl(
        self,
        path: FilePath,
        *,
        order: Mapping[str, Sequence[str]] | None = None,
        partial: bool = False,
    ) -> list[str]:
        """Load a file of NengoDL; see :func:`nengo_jax.params.load_nengodl`."""
        self._check_open()
        return load_nengodl(self._live, path, order=order, partial=partial)

    def freeze_params(self, objects: Any, example: int | None = None) -> None:
        """Write parameters into nengo objects, in place, to run them in any simulator.

        Parameters
        ----------
        objects : Network, Ensemble, Connection, Neurons, or a sequence of them
        example : int or None
            Which example of a batch to take the weights of online rules from.
        """
        freeze_params(self._live, objects, example)

    def get_nengo_params(
        self, objects: Any, as_dict: bool = False, example: int | None = None
    ) -> Any:
        """Return the arguments that make the same objects with their parameters.

        Parameters
        ----------
        objects : Ensemble, Connection, Neurons, or a sequence of them
        as_dict : bool
            Whether to return a dictionary by label.
        example : int or None
            Which example of a batch to take the weights of online rules from.
        """
        return get_nengo_params(self._live, objects, as_dict, example)

    # -- Keras

    @property
    def keras_model(self) -> keras.Model:
        """The network as a Keras model.

        It maps a dictionary of inputs, by name of the node, to a dictionary of outputs,
        by name of the probe; all arrays have shape (batch, steps, size).
        """
        return self._learner.model

    def get_name(self, obj: Node | Probe) -> str:
        """Return the name of an input node or probe in the Keras model."""
        self._check_open()
        names = self._names
        if obj not in names:
            raise ValidationError(
                f"{obj!r} is no input node or probe of the network", attr="obj"
            )
        return names[obj]

    def compile(
        self,
        *args: Any,
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        """Say how to train the network.

        Parameters
        ----------
        optimizer : str or keras.optimizers.Optimizer
            The first argument.
        loss, metrics, loss_weights : Any
            What Keras takes: for all probes, as a list in the order of the probes, or
            as a dictionary by probe or its name. Metrics that are no
            dictionary are for all probes that have a loss.
        **kwargs
            As for ``keras.Model.compile``.

        Raises
        ------
        ValidationError
            If the network has no probes, or one that is named is not part of it.
        """
        self._learner.compile(
            *args, loss=loss, metrics=metrics, loss_weights=loss_weights, **kwargs
        )

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        n_steps: int | None = None,
        stateful: bool = False,
        *,
        validation_data: Any = None,
        callbacks: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train the network.

        Parameters
        ----------
        x : array, list, dict, or a source of batches
            Values of input nodes, shape (examples, steps, size): for the first node, in
            the order of the nodes, or by node or name. Nodes that are left out have
            their own values. Or a generator, ``keras.utils.PyDataset``,
            ``tf.data.Dataset`` or PyTorch ``DataLoader`` of batches ``(x, y)``.
        y : array, list or dict
            Targets of the probes that have a loss, in the same forms.
        n_steps : int or None
            Number of steps; inputs of one step are held for all. None: as in ``x``.
        stateful : bool
            Whether the state of the network goes on from batch to batch, and to the
            next call. Otherwise each batch starts from the present state.
        validation_data, callbacks, **kwargs
            As for ``keras.Model.fit``; the size of batches is ``minibatch_size``.

        Returns
        -------
        keras.callbacks.History

        Raises
        ------
        ValidationError
            If data do not fit the network.
        SimulationError
            If the loss stops to be finite, or the network cannot be trained.
        """
        return self._learner.fit(
            x, y, n_steps, stateful, validation_data, callbacks, **kwargs
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        n_steps: int | None = None,
        stateful: bool = False,
        **kwargs: Any,
    ) -> dict[str, float]:
        """Compute losses and metrics; arguments as for :meth:`fit`.

        Neurons behave as in a plain run.

        Returns
        -------
        dict of str to float
            ``"loss"``, and losses and metrics of the probes by name.
        """
        return self._learner.evaluate(x, y, n_steps, stateful, **kwargs)

    def predict(
        self,
        x: Any = None,
        n_steps: int | None = None,
        stateful: bool = False,
        **kwargs: Any,
    ) -> dict[Probe, np.ndarray]:
        """Run the network on any number of examples; arguments as for :meth:`fit`.

        Nothing is added to ``sim.data``, and all steps are returned, whatever the
        ``sample_every`` of a probe.

        Returns
        -------
        dict of Probe to ndarray, shape (examples, steps, size)
            In place of the size, the shape of the weights for a probe of weights.
        """
        return self._learner.predict(x, n_steps, stateful, **kwargs)

    def predict_on_batch(
        self, x: Any = None, n_steps: int | None = None, stateful: bool = False
    ) -> dict[Probe, np.ndarray]:
        """As :meth:`predict`, for one batch."""
        return self._learner.predict_on_batch(x, n_steps, stateful)

    def train_on_batch(
        self,
        x: Any = None,
        y: Any = None,
        n_steps: int | None = None,
        stateful: bool = False,
        **kwargs: Any,
    ) -> dict[str, float]:
        """Make one step of training with one batch; returns losses and metrics."""
        return self._learner.train_on_batch(x, y, n_steps, stateful, **kwargs)

    def check_gradients(
        self,
        inputs: Any = None,
        outputs: Iterable[Probe] | None = None,
        atol: float = 1e-5,
        rtol: float = 1e-3,
    ) -> dict[Probe, dict[str, np.ndarray]]:
        """Compare gradients of probes by the inputs with finite differences.

        Both are worked out in float64.

        Parameters
        ----------
        inputs : array, list, dict or None
            Values for one example, in the forms of :meth:`fit`. None: zeros.
        outputs : sequence of Probe or None
            None: all probes.
        atol, rtol : float
            Allowed is ``atol + rtol * abs(numeric)``.

        Returns
        -------
        dict of Probe to dict
            ``"analytic"`` and ``"numeric"``, shape (outputs, inputs).

        Raises
        ------
        SimulationError
            If the two differ; or in surrogate mode, where they differ on purpose.
        """
        return self._learner.check_gradients(inputs, outputs, atol, rtol)
