"""The page and the JSON of a report."""

import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from keras import layers
from reporting_cases import convert, dense, look

from nengo_jax.convert.calibration import Effect
from nengo_jax.convert.reporting import CAUSES, Finding, report
from nengo_jax.convert.reporting.page import _TITLES, make_page, summarise

VOID = {"meta", "br", "img", "hr", "link"}
NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
STRANGE = "a<b>&$x_1$"


class Page(HTMLParser):
    """Checks that tags are closed, and collects what a page consists of."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.text = [], [], [], ""
        self.attributes = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@cache
def poor():
    """A network with findings: no scales."""
    return look(convert(scale_firing_rates=None), n_steps=20)


def named(found, name):
    """Return a report whose first layer has a strange name."""
    first, *others = found.layers
    raster, *rasters = found.rasters
    return replace(
        found,
        model=name,
        layers=(replace(first, label=name, inherited=0.0), *others),
        rasters=(replace(raster, label=name), *rasters),
        findings=(Finding("rates_too_low", (name,), f"Layer {name}", name),),
        origin=name,
    )


def test_a_page_needs_nothing_else():
    """No scripts, no addresses but names of formats, no files."""
    text = make_page(poor())
    addresses = set(re.findall(r"https?://[^\"'\s<)]+", text))
    assert addresses <= NAMESPACES
    assert "@import" not in text
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "iframe", "img"} & set(page.tags)
    links = [v for _, name, v in page.attributes if name in ("href", "xlink:href")]
    assert links
    assert all(link.startswith("#") for link in links)
    # what is referred to is there, and each name stands for one thing
    assert {link[1:] for link in links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    urls = re.findall(r"url\(([^)]*)\)", text)
    assert {url.strip("\"'#") for url in urls} <= set(page.ids)


def test_a_page_shows_what_the_report_has():
    found = poor()
    page = Page(make_page(found))
    assert summarise(found) in page.text
    for finding in found.findings:
        assert finding.problem in page.text
        assert finding.remedy in page.text
    # accuracy, errors, rates of both layers, spikes
    assert page.tags.count("figure") == page.tags.count("svg") == 5
    labelled = [v for tag, name, v in page.attributes if name == "aria-label"]
    assert len(labelled) == 5
    for layer in found.layers:
        assert layer.label in page.text
    assert found.energy.verdict in page.text
    assert "loihi" in page.text


def test_names_are_shown_as_they_are():
    """Neither as tags nor as formulas."""
    page = Page(make_page(named(poor(), STRANGE)))
    assert page.open == []
    assert "b" not in page.tags[: page.tags.index("figure")]
    assert f"Layer {STRANGE}" in page.text


def test_pages_are_the_same_each_time():
    assert make_page(poor()) == make_page(poor())


def test_a_network_without_spikes_has_a_page():
    page = Page(make_page(look(convert(swap_activations=None), n_steps=3)))
    assert "Values, not spikes, come from first and second" in page.text
    assert "Energy" not in page.text
    assert page.tags.count("svg") == 2


def test_a_page_for_regression_without_labels():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), dense(5, "first"), layers.Dense(2)])
    inputs = np.random.RandomState(0).rand(5, 3)
    found = report(convert(model, scale_firing_rates=300), inputs, n_steps=10)
    page = Page(make_page(found))
    assert "Error over time" in page.text
    assert "the output differs from the Keras model by" in page.text
    assert "guessing" not in page.text


def test_effects_are_shown():
    found = replace(poor(), effects=(Effect("scales", 0.1, 0.95, "accuracy"),))
    page = Page(make_page(found))
    assert "Firing rates scaled" in page.text
    assert "95.0%" in page.text


def test_every_cause_has_a_title():
    assert set(_TITLES) == {*CAUSES, "unexplained"}


def test_json_has_all_numbers(tmp_path):
    found = poor()
    found.to_json(tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    read = json.loads(text)
    assert read == json.loads(json.dumps(found.to_dict()))
    assert read["ann_score"] == found.ann_score
    assert read["layers"][0]["population"]["rates"]["mean"] == pytest.approx(
        found.layer("first").population.rates.mean
    )
    assert read["findings"][0]["cause"] == found.findings[0].cause


def test_files(tmp_path):
    poor().to_html(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    with pytest.raises(FileNotFoundError):
        poor().to_html(tmp_path / "no" / "report.html")


def test_layers_by_label():
    assert poor().layer("second").kind == "Dense"
    with pytest.raises(KeyError, match="no layer 'third'; it has first, second"):
        poor().layer("third")
