"""What a report consists of: plain numbers and texts, nothing that refers to a network.

================ =====================================================================
Report           everything
Score            how well the network does after each step, for one readout
LayerReport      one layer: its error against the Keras model, and its neurons
Population       the neurons of a layer: rates, silence, clipping, first spikes
Distribution     a histogram with quantiles
Raster           the spikes of some neurons for one example
Energy           what an inference costs
Finding          a known problem that was recognised, and the change that mends it
================ =====================================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ..calibration import Effect

CLASSIFICATION = "classification"
REGRESSION = "regression"


@dataclass(frozen=True)
class Distribution:
    """A histogram of rates, over neurons and examples.

    Attributes
    ----------
    mean, median, high, largest : float
        In Hz; ``high`` is the 99.9th percentile of those that are not zero, ``median``
        their middle. Quantiles are exact to 5%, means and maxima to rounding.
    zero : float
        Share that is zero.
    edges : tuple of float
        Of the bins, in Hz; one more than there are shares. Empty if all are zero.
    shares : tuple of float
        Of all values in each bin; with ``zero`` they add up to 1.
    """

    mean: float
    median: float
    high: float
    largest: float
    zero: float
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Population:
    """The neurons of a layer.

    A pair is one neuron while it sees one example. It is active if the activation of
    the Keras model is above zero.

    Attributes
    ----------
    neurons : str
        Name of the neuron type.
    size : int
    spiking : bool
    homogeneous : bool
        Whether the response is proportional to the current, but for bounds, so that
        rates can be scaled.
    scale : tuple of float
        Smallest and largest firing-rate scale of the channels.
    start : tuple of float, or None
        Smallest and largest initial voltage; None if there is none.
    limit : float or None
        Highest rate in Hz that LIF, Izhikevich or NIR neurons can have; None for
        others, most of which can spike several times in a step.
    rates, wanted : Distribution
        Firing rates, and those that would give the activations of the Keras model, over
        pairs. Of neurons that do not spike, output over amplitude.
    silent : float
        Share of pairs without a spike.
    missed : float
        Share of active pairs without a spike.
    never : float
        Share of neurons without a spike for any example.
    dead : float
        Share of neurons whose activation in the Keras model is zero or less for all
        examples.
    saturated : float
        Share of pairs with a rate of at least 95% of the limit.
    clipped : float
        Share of active pairs that would need a rate above the limit.
    spurious : float
        Share of the spikes that come from pairs that are not active.
    shift : float
        Mean error of active pairs that need no rate above the limit, in spikes in the
        whole presentation.
    first : tuple of float, or None
        Time of the first spike in s: median, and 90th percentile, over pairs that
        spike. None if no neuron spikes.
    """

    neurons: str
    size: int
    spiking: bool
    homogeneous: bool
    scale: tuple[float, float]
    start: tuple[float, float] | None
    limit: float | None
    rates: Distribution
    wanted: Distribution
    silent: float
    missed: float
    never: float
    dead: float
    saturated: float
    clipped: float
    spurious: float
    shift: float
    first: tuple[float, float] | None


@dataclass(frozen=True)
class LayerReport:
    """One layer.

    Attributes
    ----------
    label : str
    kind : str
        Class of the Keras layer.
    shape : tuple of int
    native : bool
        False if a TensorNode computes it, for want of a conversion.
    folded : tuple of str
        Layers whose effect is part of this one.
    last : bool
        Whether it gives an output of the model.
    spikes_in : bool
        Whether spikes arrive, unfiltered.
    delay : float
        Time in s that synapses delay values on the way from the input, on the slowest
        path: the sum of their mean delays.
    error : float or None
        Root mean square of the difference between the mean output and the activation of
        the Keras model, as a share of the root mean square of the latter. None if the
        model has nothing to compare with.
    inherited : float
        The largest error among its inputs.
    population : Population or None
    """

    label: str
    kind: str
    shape: tuple[int, ...]
    native: bool
    folded: tuple[str, ...]
    last: bool
    spikes_in: bool
    delay: float
    error: float | None
    inherited: float
    population: Population | None


@dataclass(frozen=True)
class Score:
    """How well the network does after each step, read out in one way.

    Attributes
    ----------
    readout : str
        ``last``: the output in that step; ``mean``: its mean until then; ``late``: the
        mean over the second half of the time until then; ``delayed``: from some step
        on, if the network is read out so.
    values : tuple of float
        Accuracy, or root mean square error for regression, after each step.
    agreement : tuple of float
        Share of examples with the answer of the Keras model; for regression, the
        root mean square difference from its output.
    """

    readout: str
    values: tuple[float, ...]
    agreement: tuple[float, ...]


@dataclass(frozen=True)
class Raster:
    """Spikes of some neurons for the first example.

    Attributes
    ----------
    label : str
        Of the layer.
    neurons : tuple of int
        Which ones, in the order of the rows.
    rows, steps : tuple of int
        One element for each spike: its row, and its step, from 1.
    """

    label: str
    neurons: tuple[int, ...]
    rows: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Energy:
    """What one inference costs, in J; see :mod:`nengo_jax.energy`.

    Attributes
    ----------
    devices : dict of str to float
        By device: the network on those that spike, the Keras model on the others. As
        KerasSpiking counts it, without memory traffic.
    spiking, quantised : float or None
        With memory traffic, in one technology: the network, and the same network
        without spikes in 8 bits.
    crossover : float or None
        Rate in Hz below which spikes cost less.
    verdict : str
    notes : tuple of str
        What is left out.
    """

    devices: Mapping[str, float]
    spiking: float | None
    quantised: float | None
    crossover: float | None
    verdict: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A known problem that was recognised.

    Attributes
    ----------
    cause : str
        Name of the cause, as in :data:`~.findings.CAUSES`.
    layers : tuple of str
        Where; empty if it concerns the whole.
    problem : str
        What was measured, in words.
    remedy : str
        What to change.
    changes : tuple of dict
        The same for programs, one for each way to mend it, for instance
        ``{"scale_firing_rates": {"conv2d": 10.0}}`` (factors on the present scales) and
        ``{"n_steps": 100}``. Empty if a person has to decide.
    """

    cause: str
    layers: tuple[str, ...]
    problem: str
    remedy: str
    changes: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Report:
    """What a converted network does, against its Keras model.

    Attributes
    ----------
    model : str
        Name of the Keras model.
    task : str
        ``classification`` or ``regression``.
    n_examples, n_steps : int
    dt : float
        Length of a step in s.
    labelled : bool
        Whether labels were given. Without them scores compare with the Keras model.
    chance : float or None
        Accuracy of always giving the most frequent label, or the root mean square error
        of always giving the mean; None without labels.
    ann_score : float or None
        Accuracy, or root mean square error, of the Keras model.
    readout : str
        The readout that the network is meant to be used with.
    scores : tuple of Score
    output_synapse : float
        Mean delay in s of the filter on the output.
    input_range : tuple of float
        Smallest and largest value in the data.
    rescales : bool
        Whether the model has a layer that normalises its inputs.
    inference_only : bool
        Whether the network was converted for inference alone.
    layers : tuple of LayerReport
    origin : str or None
        Label of the first layer where the error jumps.
    rasters : tuple of Raster
    energy : Energy or None
    effects : tuple of nengo_jax.convert.calibration.Effect
        What each step of the calibration has changed, if there was one.
    findings : tuple of Finding
    """

    model: str
    task: str
    n_examples: int
    n_steps: int
    dt: float
    labelled: bool
    chance: float | None
    ann_score: float | None
    readout: str
    scores: tuple[Score, ...]
    output_synapse: float
    input_range: tuple[float, float]
    rescales: bool
    inference_only: bool
    layers: tuple[LayerReport, ...]
    origin: str | None
    rasters: tuple[Raster, ...]
    energy: Energy | None
    effects: tuple[Effect, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def seconds(self) -> float:
        """Presentation time of an example in s."""
        return self.n_steps * self.dt

    @property
    def score(self) -> float:
        """Accuracy or error of the network at the end, with its own readout."""
        return self.curve(self.readout).values[-1]

    @property
    def loss(self) -> float:
        """How much worse the network is than the Keras model, in its own units.

        Points of accuracy from 0 to 1, or root mean square error. Without labels, the
        share of examples with another answer, or the difference of outputs.
        """
        if self.task == REGRESSION:
            return self.score - (self.ann_score or 0.0)
        return (1.0 if self.ann_score is None else self.ann_score) - self.score

    def curve(self, readout: str) -> Score:
        """Return the scores of a readout, by its name as in :class:`Score`."""
        return next(score for score in self.scores if score.readout == readout)

    def layer(self, label: str) -> LayerReport:
        """Return what is known about a layer, by its label.

        Raises
        ------
        KeyError
            If there is none.
        """
        for layer in self.layers:
            if layer.label == label:
                return layer
        known = ", ".join(layer.label for layer in self.layers)
        raise KeyError(f"The network has no layer {label!r}; it has {known}")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dictionaries, lists, numbers and texts."""
        return asdict(self)

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write everything to a JSON file."""
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write a page that needs nothing else: no network, no other files.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib, which draws the pictures, is not installed.
        """
        try:
            from .page import make_page  # matplotlib takes long to import
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "matplotlib, which draws the pictures of a report, is missing. Install "
                'it with: pip install "nengo-jax[demo]". to_json does without it.'
            ) from error

        Path(path).write_text(make_page(self), encoding="utf-8")
