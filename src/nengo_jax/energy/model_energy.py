"""Energy of a Keras model on several devices, and against a network without spikes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, ClassVar

import keras

from ..layers.timestep import check_dt, default
from .comparison import Comparison
from .devices import DEVICES, Device, find_device
from .layer_table import LAYERS
from .pricing import energy_of, workload_of
from .rates import measure_rates
from .rows import not_spiking, rows_of
from .stats import LayerStats, Rule, call_of, count
from .summary import describe_columns, draw_summary
from .technology import INT8, Technology
from .uses import Use, uses_of
from .walk import check_model


class ModelEnergy:
    """Estimates the energy of an inference of a Keras model, as KerasSpiking does.

    On a device that does not spike, each connection costs ``energy_per_synop`` and each
    neuron ``energy_per_neuron``, once per inference. On a spiking device

    - synapses: energy_per_synop * connections * input rate * dt * timesteps
    - neurons: energy_per_neuron * neurons * timesteps

    where the input rate is the mean absolute value of the inputs of a layer, in Hz,
    measured on ``example_data`` (of sums and products, the mean over their operands).
    If a layer is used several times, its rates are added.

    Such numbers leave out memory, and compare devices of different kinds. So
    :meth:`compare` puts the model beside the same network without spikes, both with
    8-bit weights and their memory traffic, and tells at which rate the order turns.

    Parameters
    ----------
    model : keras.Model
        A functional or Sequential model, which may hold others. An axis after the batch
        that is None is time; all numbers are then for one step of it.
    example_data : ndarray, list of ndarray or dict of ndarray, or None
        Inputs as for ``model.predict``, to measure rates on. Only needed for spiking
        devices.
    spiking_input : bool
        Whether the input of the model consists of spikes, as from an event camera. Only
        :meth:`compare` takes notice.

    Raises
    ------
    TypeError
        If the model is a subclass of ``keras.Model`` whose layers are called by code.
    ValueError
        If the model is not built, a shape is not known, or the data do not fit.

    Warns
    -----
    UserWarning
        If layers are not known; they count zero. See :meth:`register_layer`.

    Notes
    -----
    Numbers differ from KerasSpiking's in two points: sums (``Add``, global average
    pooling) are counted, and a layer that is used twice updates its neurons twice.

    Examples
    --------
    >>> import keras
    >>> from nengo_jax.energy import ModelEnergy
    >>> layers = [keras.Input((784,)), keras.layers.Dense(128, activation="relu")]
    >>> energy = ModelEnergy(keras.Sequential(layers))
    >>> f"{energy.total_energy('cpu'):.3g} J"
    '0.000864 J'
    """

    devices: ClassVar[dict[str, Device]] = dict(DEVICES)
    rules: ClassVar[dict[type, Rule]] = dict(LAYERS)

    def __init__(
        self,
        model: keras.Model,
        example_data: Any = None,
        *,
        spiking_input: bool = False,
    ):
        self.model = check_model(model)
        self.spiking_input = spiking_input
        self._uses = uses_of(model, self.rules)
        _warn_unknown([use for use in self._uses if not use.known])
        self._rates: list[float] | None = None
        if example_data is not None:
            self._rates = measure_rates(model, example_data, self.rules)

    @classmethod
    def register_device(
        cls,
        device_name: str,
        energy_per_synop: float,
        energy_per_neuron: float,
        spiking: bool,
    ) -> None:
        """Add a device, for all models.

        Parameters
        ----------
        device_name : str
        energy_per_synop : float
            Energy of one synaptic operation in J.
        energy_per_neuron : float
            Energy of one update of one neuron in J.
        spiking : bool
            Whether synapses cost energy only when a spike arrives.
        """
        cls.devices[device_name] = Device(energy_per_synop, energy_per_neuron, spiking)

    @classmethod
    def register_layer(cls, layer_class: type) -> Callable[[Rule], Rule]:
        """Add a rule that counts layers of a class, for models that are given later.

        Parameters
        ----------
        layer_class : type
            Class of layers. Subclasses without a rule of their own count like it.

        Returns
        -------
        decorator
            For a function ``rule(layer, node)`` that returns a dictionary with some of
            ``connections``, ``neurons``, ``spiking``, ``every_step`` and ``steps``; see
            :class:`LayerStats`. ``node.input_shapes`` and ``node.output_shapes`` are
            tuples that begin with the batch axis (or tuples of them, for several);
            ``node.input_size`` and ``node.output_size`` count the elements of one step.

        Examples
        --------
        >>> class Squares(keras.layers.Layer):
        ...     def call(self, x):
        ...         return x * x
        >>> @ModelEnergy.register_layer(Squares)
        ... def count_squares(layer, node):
        ...     return {"connections": node.output_size}
        """
        if not isinstance(layer_class, type):
            raise TypeError(
                f"register_layer takes the class of a layer, not {layer_class!r}."
            )

        def decorate(rule: Rule) -> Rule:
            cls.rules[layer_class] = rule
            return rule

        return decorate

    @classmethod
    def compute_layer_stats(cls, layer: Any, node: Any) -> dict[str, Any]:
        """Count what one use of a layer takes.

        Parameters
        ----------
        layer : keras.layers.Layer
        node : LayerCall, or node of a Keras graph

        Returns
        -------
        dict
            The fields of :class:`LayerStats`. Zero, with a warning, if the layer is not
            known.
        """
        call = call_of(layer, node)
        stats = count(call, cls.rules)
        if stats is None:
            _warn_unknown([Use((layer,), call, LayerStats(), False, False)])
        return vars(stats or LayerStats()).copy()

    def layer_energy(
        self,
        layer: Any,
        device: str,
        timesteps_per_inference: int = 1,
        dt: float | None = None,
    ) -> dict[str, float]:
        """Return the energy of one layer, or of one model inside the model.

        Parameters
        ----------
        layer : keras.layers.Layer
        device, timesteps_per_inference, dt
            As for :meth:`total_energy`.

        Returns
        -------
        dict
            ``synop_energy`` and ``neuron_energy`` of all uses of the layer, in J.

        Raises
        ------
        ValueError
            If the layer is not part of the model.
        """
        chosen = [
            index
            for index, use in enumerate(self._uses)
            if any(part is layer for part in use.path)
        ]
        if not chosen and layer not in self.model.layers:  # there are inputs, too
            raise ValueError(
                f"The layer {layer.name!r} is not part of the model "
                f"{self.model.name!r}."
            )
        return self._energy(chosen, device, timesteps_per_inference, dt)

    def total_energy(
        self, device: str, timesteps_per_inference: int = 1, dt: float | None = None
    ) -> float:
        """Return the energy of one inference.

        Parameters
        ----------
        device : str
            Name of a device, see :mod:`nengo_jax.energy.devices`.
        timesteps_per_inference : int
            Time steps of one inference on a spiking device; others take one.
        dt : float or None
            Length of a step in seconds; None takes ``nengo_jax.layers.default.dt``.

        Returns
        -------
        float
            Energy in J.

        Raises
        ------
        ValueError
            If the device is not known, or spikes and there are no ``example_data``.
        """
        everything = range(len(self._uses))
        return sum(
            self._energy(everything, device, timesteps_per_inference, dt).values()
        )

    def compare(
        self,
        timesteps_per_inference: int = 1,
        dt: float | None = None,
        technology: Technology = INT8,
    ) -> Comparison:
        """Compare with the same network without spikes, both with memory traffic.

        Layers that see the input of the model, with no neurons between, cost the same
        in both unless it spikes: see :mod:`nengo_jax.energy.comparison`.

        Parameters
        ----------
        timesteps_per_inference : int
            Time steps that the spiking network takes.
        dt : float or None
            Length of a step in seconds; None takes ``nengo_jax.layers.default.dt``.
        technology : Technology
            Prices of arithmetic and memory, and sizes of numbers.

        Returns
        -------
        Comparison
            Its ``spiking`` and ``quantised`` are energies in J, its ``crossover`` the
            spikes per step where they are equal. Without ``example_data`` the first is
            None.
        """
        steps, dt = _check_steps(timesteps_per_inference), _check_dt(dt)
        work = workload_of(self._uses, self._rates, self.spiking_input, steps, dt)
        return Comparison(work, technology)

    def summary(
        self,
        columns: Any = None,
        timesteps_per_inference: int = 1,
        dt: float | None = None,
        line_length: int = 98,
        print_warnings: bool = True,
    ) -> None:
        """Print what :meth:`summary_string` returns."""
        print(
            self.summary_string(
                columns, timesteps_per_inference, dt, line_length, print_warnings
            )
        )

    def summary_string(
        self,
        columns: Any = None,
        timesteps_per_inference: int = 1,
        dt: float | None = None,
        line_length: int = 98,
        print_warnings: bool = True,
    ) -> str:
        """Return a table of the layers, the comparison, and two warnings.

        Parameters
        ----------
        columns : list of str or None
            Some of ``name``, ``output_shape``, ``params``, ``connections``,
            ``neurons``, ``rate`` (Hz), and, with the name of a device,
            ``synop_energy cpu``, ``neuron_energy cpu`` and ``energy cpu`` (J per
            inference). None takes names, counts, and the energies on ``cpu`` and, if
            there are data, on ``loihi``.
        timesteps_per_inference, dt
            As for :meth:`total_energy`.
        line_length : int
            Characters in a line of the table.
        print_warnings : bool
            Whether to say what such estimates leave out.

        Raises
        ------
        ValueError
            If a column is not known.
        """
        steps, dt = _check_steps(timesteps_per_inference), _check_dt(dt)
        if columns is None:
            columns = ["name", "output_shape", "params", "connections", "neurons"]
            columns += ["energy cpu"] + ["energy loihi"] * (self._rates is not None)
        fields = describe_columns(columns, self.devices)
        devices = {name: self.devices[name] for _, name in fields if name is not None}
        for name in devices:
            self._check_rates(name)
        on_spikes = self._rates is not None  # of the comparison, and of devices
        return draw_summary(
            self.model.name,
            fields,
            rows_of(self._uses, self._rates, devices, steps, dt),
            self.compare(steps, dt),
            not_spiking(self._uses) if on_spikes else [],
            line_length,
            print_warnings,
        )

    def _energy(
        self, indices: Sequence[int], device: str, steps: int, dt: float | None
    ) -> dict[str, float]:
        """Return the energy of some of the uses of layers."""
        found = find_device(device, self.devices)
        self._check_rates(device)
        rates = self._rates and [self._rates[index] for index in indices]
        uses = [self._uses[index] for index in indices]
        return energy_of(uses, rates, found, _check_steps(steps), _check_dt(dt))

    def _check_rates(self, device: str) -> None:
        if self.devices[device].spiking and self._rates is None:
            raise ValueError(
                f"The energy on the spiking device {device!r} depends on how active "
                "the model is: make ModelEnergy(model, example_data=...) with inputs "
                "to measure it on."
            )


def _check_steps(steps: Any) -> int:
    if not isinstance(steps, Integral) or isinstance(steps, bool) or steps < 1:
        raise ValueError(
            f"timesteps_per_inference must be a whole number of at least 1, not "
            f"{steps!r}."
        )
    return int(steps)


def _check_dt(dt: float | None) -> float:
    return check_dt(default.dt if dt is None else dt)


def _warn_unknown(uses: list[Use]) -> None:
    if not uses:
        return
    names = dict.fromkeys(f"{u.name} ({type(u.path[-1]).__name__})" for u in uses)
    warnings.warn(
        f"ModelEnergy does not know these layers, so they count as zero: "
        f"{', '.join(names)}. Add rules with ModelEnergy.register_layer.",
        UserWarning,
        stacklevel=3,
    )
