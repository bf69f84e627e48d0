"""The page of a report: one HTML file with all pictures in it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ...version import version
from .causes.words import hertz, milliseconds, number, percent
from .drawing import own_names
from .pictures import MOST_BARS, draw_errors, draw_raster, draw_rates, draw_scores
from .records import CLASSIFICATION, Finding, Report
from .style import STYLE
from .tables import effects_table, energy_table, layer_table

_MOST_PICTURES = 12  # of rates
_MOST_RASTERS = 8
_TITLES = {
    "input_range": "Inputs look as if they were not scaled",
    "ann_at_chance": "The Keras model itself does not work on these data",
    "dead_layer": "Neurons that are dead in the Keras model",
    "not_spiking": "Layers that do not spike",
    "rates_too_low": "Firing rates are too low for the time",
    "clipping": "Firing rates are cut off",
    "quantisation": "Too few spikes to tell values apart",
    "not_homogeneous": "Neurons that do not follow the activation",
    "max_pooling": "Maxima of spikes",
    "synapse_too_long": "Synapses are slower than the presentation",
    "zero_start": "Initial voltages are zero",
    "unevenness": "Spikes arrive unevenly",
    "fallback": "Layers that could not be converted",
    "batch_normalization": "BatchNormalization is not folded",
    "noisy_readout": "The last step alone is noisy",
    "late_spikes": "The first spikes come late",
    "unexplained": "A loss without a known cause",
}


def make_page(report: Report) -> str:
    """Return the page as HTML."""
    sections = [
        _head(report),
        _findings(report.findings),
        _scores(report),
        _effects(report),
        _layers(report),
        _rates(report),
        _raster(report),
        _energy(report),
        _foot(report),
    ]
    title = escape(f"{report.model} as a spiking network")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


def summarise(report: Report) -> str:
    """Say in one sentence how the network does."""
    time = milliseconds(report.seconds)
    if report.task != CLASSIFICATION:
        score = number(report.score)
        if report.ann_score is None:
            return f"After {time} the output differs from the Keras model by {score}."
        ann = number(report.ann_score)
        return f"After {time} the error is {score}; that of the Keras model is {ann}."
    if report.ann_score is None:
        return (
            f"After {time} the spiking network gives the answer of the Keras model for "
            f"{_exact(report.score)} of {report.n_examples} examples."
        )
    return (
        f"After {time} the spiking network is right for {_exact(report.score)} of "
        f"{report.n_examples} examples, the Keras model for "
        f"{_exact(report.ann_score)}."
    )


def _exact(share: float) -> str:
    return f"{share:.1%}"


def _value(report: Report, value: float) -> str:
    return _exact(value) if report.task == CLASSIFICATION else number(value)


def _head(report: Report) -> str:
    what = "right answers" if report.task == CLASSIFICATION else "error"
    if not report.labelled:
        what = (
            "same answer as Keras"
            if report.task == CLASSIFICATION
            else "distance from Keras"
        )
    facts = {f"Spiking network: {what}": _value(report, report.score)}
    if report.ann_score is not None:
        facts[f"Keras model: {what}"] = _value(report, report.ann_score)
    facts[f"Presentation, {report.n_steps} steps"] = milliseconds(report.seconds)
    facts["Examples"] = str(report.n_examples)
    cells = "".join(
        f"<div{' class=main' if not place else ''}><dt>{escape(name)}</dt>"
        f"<dd>{escape(value)}</dd></div>"
        for place, (name, value) in enumerate(facts.items())
    )
    return (
        '<header><p class="kicker">Conversion report</p>'
        f"<h1>{escape(report.model)} as a spiking network</h1>"
        f'<p class="lead">{escape(summarise(report))}</p>'
        f'<dl class="facts">{cells}</dl></header>'
    )


def _findings(findings: Iterable[Finding]) -> str:
    items = [
        f"<li><h3>{escape(_TITLES.get(finding.cause, finding.cause))}</h3>"
        f"<p>{escape(finding.problem)}</p>"
        f'<p class="change"><span>What to change:</span> {escape(finding.remedy)}</p>'
        "</li>"
        for finding in findings
    ]
    if not items:
        return (
            "<h2>Nothing to mend</h2><p>None of the known problems was found in what "
            "was measured.</p>"
        )
    lead = (
        '<p class="soft">In the order in which to mend them: what comes first may '
        "cause what follows.</p>"
        if len(items) > 1
        else ""
    )
    return f'<h2>What to change</h2>{lead}<ol class="findings">{"".join(items)}</ol>'


def _figure(svg: str, name: str, label: str, caption: str, title: str = "") -> str:
    svg = own_names(svg, name).replace(
        "<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1
    )
    head = f"<h3>{escape(title)}</h3>" if title else ""
    return f"<figure>{head}{svg}<figcaption>{caption}</figcaption></figure>"


def _scores(report: Report) -> str:
    what = "Right answers" if report.task == CLASSIFICATION else "Error"
    if not report.labelled:
        what = (
            "Share of examples with the answer of the Keras model"
            if report.task == CLASSIFICATION
            else "Root mean square distance from the output of the Keras model"
        )
    caption = (
        f"{what} after each step. <b>last</b>: output of that step; <b>mean</b>: mean "
        "until then; <b>late</b>: mean over the second half of the time until then. "
        f"The network is read out as <b>{escape(report.readout)}</b> (bold line)."
    )
    picture = _figure(
        draw_scores(report), "scores", f"{what} against presentation time", caption
    )
    title = "Accuracy" if report.task == CLASSIFICATION else "Error"
    return f'<h2>{title} over time</h2><div class="grid few">{picture}</div>'


def _effects(report: Report) -> str:
    if not report.effects:
        return ""
    return (
        "<h2>What calibration did</h2><p>Each step is measured with all steps before "
        f"it.</p>{effects_table(report)}"
    )


def _layers(report: Report) -> str:
    if not any(layer.error is not None for layer in report.layers):
        return ""
    begins = (
        "No layer stands out."
        if report.origin is None
        else f"The error begins in <b>{escape(report.origin)}</b>: its inputs are "
        "better than its output."
    )
    only = (
        " Of this large model, layers with neurons are shown; the table has all."
        if len(report.layers) > MOST_BARS
        else ""
    )
    picture = _figure(
        draw_errors(report),
        "errors",
        "Relative error of each layer",
        "Difference of the mean output of a layer from the activation of the Keras "
        "model, as a share of the latter (root mean squares over examples and "
        f"elements).{only}",
    )
    return (
        f"<h2>Where the error appears</h2><p>{begins}</p>"
        f'<div class="grid few">{picture}</div>{layer_table(report)}'
    )


def _rates(report: Report) -> str:
    spiking = [
        layer
        for layer in report.layers
        if layer.population is not None and layer.population.spiking
    ]
    pictures = []
    for place, layer in enumerate(spiking[:_MOST_PICTURES]):
        neurons = layer.population
        assert neurons is not None
        first = (
            ""
            if neurons.first is None
            else f" First spike after {milliseconds(neurons.first[0])} (median)."
        )
        pictures.append(
            _figure(
                draw_rates(layer),
                f"rates{place}",
                f"Firing rates of layer {layer.label}",
                f"{percent(neurons.silent)} of the neurons are silent while an example "
                f"is shown; the busiest fire at {hertz(neurons.rates.largest)}.{first}",
                layer.label,
            )
        )
    if not pictures:
        return ""
    more = (
        f" The first {_MOST_PICTURES} of {len(spiking)} layers are shown."
        if len(spiking) > _MOST_PICTURES
        else ""
    )
    fastest = max(x.population.rates.largest for x in spiking if x.population)
    if fastest * report.dt > 1:
        more += (
            f" Rates above {hertz(1 / report.dt)} mean several spikes in a step, which "
            "the simulation allows and most chips do not."
        )
    few = " few" if len(pictures) == 1 else ""
    return (
        "<h2>Firing rates</h2><p>Share of neurons, over all examples, that fire at "
        "each rate (filled), and that would have to fire at it to give the activations "
        "of the Keras model (line). Neurons at zero are left out. A dashed line is the "
        f'highest rate that is possible.{more}</p><div class="grid{few}">'
        + "".join(pictures)
        + "</div>"
    )


def _raster(report: Report) -> str:
    shown = report.rasters[:_MOST_RASTERS]
    if not shown:
        return ""
    caption = (
        "Each row is a neuron, each mark a spike, while the first example is shown. Of "
        "each layer, some neurons that spike, spread evenly over the layer."
    )
    picture = _figure(
        draw_raster(report, shown), "raster", "Spikes of some neurons", caption
    )
    return f'<h2>Spikes</h2><div class="grid few">{picture}</div>'


def _energy(report: Report) -> str:
    energy = report.energy
    if energy is None:
        return ""
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in energy.notes)
    return (
        f"<h2>Energy of one inference</h2><p>{escape(energy.verdict)}</p>"
        f"{energy_table(energy)}"
        '<p class="note">Figures of devices count operations and leave memory out. '
        "They are of different years and processes, so they say little about spikes. "
        "The last two rows price both networks in one technology, with their memory "
        f"traffic, the one without spikes in 8 bits.</p>{notes}"
    )


def _foot(report: Report) -> str:
    return (
        f"<footer>Measured by nengo_jax {escape(version)} on {report.n_examples} "
        f"examples of {report.n_steps} steps of {milliseconds(report.dt)} each. "
        "Quantiles of rates are exact to 5%.</footer>"
    )
