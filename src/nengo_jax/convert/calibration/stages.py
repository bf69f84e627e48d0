"""The stages of a calibration: each one takes progress and returns new progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .bias import find_shifts
from .calibrated import Calibrated
from .checks import check_counts, check_percentile, check_positive
from .fine_tuning import fine_tune_weights
from .rates import choose_scales
from .records import Assembled, Effect, Settings
from .reference import Reference
from .subject import Subject
from .trial import Target, open_trial


@dataclass(frozen=True)
class Measures:
    """Which measures to take; see :func:`nengo_jax.convert.calibration.calibrate`."""

    n_steps: int
    dt: float
    scale: bool
    rate: float | None
    percentile: float
    per_channel: bool
    voltage: str | None
    bias: bool
    fold: bool
    fine_tune: int
    learning_rate: float
    measure: bool
    trial_examples: int
    minibatch_size: int
    seed: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_counts(
            1,
            n_steps=self.n_steps,
            trial_examples=self.trial_examples,
            minibatch_size=self.minibatch_size,
        )
        check_counts(0, fine_tune=self.fine_tune, seed=self.seed)
        check_positive(dt=self.dt, learning_rate=self.learning_rate)
        if self.rate is not None:
            check_positive(rate=self.rate)
        check_percentile(self.percentile)


@dataclass(frozen=True)
class Progress:
    """How far a calibration is.

    Attributes
    ----------
    settings : Settings
    score : float or None
        Of the network with these settings.
    effects : tuple of Effect
    """

    settings: Settings
    score: float | None = None
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, eq=False)
class Run:
    """A calibration of some subject.

    Attributes
    ----------
    subject : Subject
    measures : Measures
    reference : Reference
    whole : Target
        All examples.
    target : Target
        Those that the spiking network is run with.
    """

    subject: Subject
    measures: Measures
    reference: Reference
    whole: Target
    target: Target = field(init=False)

    def __post_init__(self) -> None:
        """Choose the examples for the spiking network."""
        target = self.whole.first(self.measures.trial_examples)
        object.__setattr__(self, "target", target)

    @property
    def _batch(self) -> int:
        return min(self.measures.minibatch_size, len(self.target.arrays[0]))

    def _score(self, assembled: Assembled, settings: Settings) -> float | None:
        if not self.measures.measure:
            return None
        with open_trial(assembled, self.measures.dt, self._batch) as trial:
            return trial.score(self.target, Settings(readout=settings.readout))[1]

    def _after(
        self,
        progress: Progress,
        name: str,
        score: float | None,
        settings: Settings | None = None,
        before: float | None = None,
    ) -> Progress:
        """Return progress after a measure."""
        settings = progress.settings if settings is None else settings
        before = progress.score if before is None else before
        if score is None or before is None:
            return replace(progress, settings=settings)
        effect = Effect(name, before, score, self.target.metric)
        return Progress(settings, score, (*progress.effects, effect))

    def start(self, settings: Settings, given: Assembled) -> Progress:
        """Look at the network as given, and with BatchNormalization folded."""
        progress = Progress(settings, self._score(given, settings))
        if not self.measures.fold or not self.measures.measure:
            return progress
        folded = self.subject.assemble(settings, fold=True)
        if not self.subject.differs_by_folding(folded):
            return progress
        return self._after(progress, "folding", self._score(folded, settings))

    def correct(self, progress: Progress, voltages: Mapping[str, Any]) -> Progress:
        """Scale, and try voltages and biases in one simulator."""
        measures, target = self.measures, self.target
        settings = progress.settings
        parts = self.subject.assemble(settings, fold=measures.fold).parts
        if measures.scale:
            scales, curves = choose_scales(
                parts,
                self.reference.tops,
                measures.rate,
                measures.n_steps,
                measures.dt,
                exact=target.labels is None,
            )
            settings = replace(settings, scales=scales, curves=curves)
        if not (measures.measure or measures.bias):
            return Progress(replace(settings, voltages=voltages))
        assembled = self.subject.assemble(settings, fold=measures.fold, shifted=True)
        with open_trial(
            assembled, measures.dt, self._batch, means=measures.bias
        ) as trial:

            def score(settings: Settings) -> tuple[float, float] | tuple[None, None]:
                if not measures.measure:
                    return None, None
                return trial.score(target, settings)

            last, result = score(settings)
            if measures.scale:
                progress = self._after(progress, "scales", result, settings)
            if voltages:
                settings = replace(settings, voltages=voltages)
                last, result = score(settings)
                progress = self._after(progress, "voltages", result, settings)
            if measures.bias:
                shifts = find_shifts(trial, target, self.reference.means, settings)
                settings = replace(settings, shifts=shifts)
                last, result = score(settings)
                progress = self._after(progress, "bias", result, settings)
        return self._after(progress, "readout", result, settings, last)

    def tune(self, progress: Progress) -> Progress:
        """Train with surrogate gradients."""
        measures, settings = self.measures, progress.settings
        if not measures.fine_tune:
            return progress
        weights = fine_tune_weights(
            self.subject.assemble(settings, fold=measures.fold),
            self.whole,
            settings.readout,
            epochs=measures.fine_tune,
            learning_rate=measures.learning_rate,
            dt=measures.dt,
            minibatch_size=self._batch,
        )
        settings = replace(settings, weights=weights)
        tuned = self.subject.assemble(settings, fold=measures.fold)
        return self._after(
            progress, "fine_tuning", self._score(tuned, settings), settings
        )

    def finish(self, progress: Progress) -> Calibrated:
        """Make the network."""
        measures, settings = self.measures, progress.settings
        return Calibrated(
            self.subject,
            settings,
            self.subject.assemble(settings, fold=measures.fold),
            measures.n_steps,
            measures.dt,
            measures.fold,
            progress.effects,
        )
