"""Names, arguments and defaults of KerasSpiking, so that scripts for it move over."""

import inspect

import pytest

from nengo_jax import layers

RUN = {
    "dt": None,
    "return_sequences": True,
    "return_state": False,
    "stateful": False,
    "unroll": False,
    "time_major": False,
}
FILTER = {
    "tau_initializer": inspect.Parameter.empty,
    "dt": None,
    "apply_during_training": True,
    "level_initializer": "zeros",
    "initial_level_constraint": None,
    "tau_constraint": None,
}
SPIKING = {
    "activation": inspect.Parameter.empty,
    "dt": None,
    "seed": None,
    "spiking_aware_training": True,
}
SIZE = {"size": inspect.Parameter.empty}

ARGUMENTS = {
    "KerasSpikingLayer": RUN,
    "SpikingActivation": SPIKING,
    "SpikingActivationCell": {**SIZE, **SPIKING},
    "Lowpass": FILTER,
    "LowpassCell": {**SIZE, **FILTER},
    "Alpha": FILTER,
    "AlphaCell": {**SIZE, **FILTER},
    "regularizers.L1L2": {"l1": 0.0, "l2": 0.0, "target": 0},
    "regularizers.L1": {"l1": 0.01, "target": 0},
    "regularizers.L2": {"l2": 0.01, "target": 0},
    "regularizers.Percentile": {
        "percentile": 100,
        "axis": 0,
        "target": 0,
        "l1": 0,
        "l2": 0,
    },
    "constraints.Mean": {"axis": -1},
    "callbacks.DtScheduler": {
        "dt": inspect.Parameter.empty,
        "scheduler": inspect.Parameter.empty,
        "verbose": False,
    },
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(name):
    found = layers
    for part in name.split("."):
        found = getattr(found, part)
    # of a class, early versions of Python 3.11 give the signature of __new__
    _, *parameters = inspect.signature(found.__init__).parameters.values()
    named = [p for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD]
    assert {p.name: p.default for p in named} == ARGUMENTS[name]
    assert [p.name for p in named] == list(ARGUMENTS[name])


@pytest.mark.parametrize("kind", ["SpikingActivation", "Lowpass", "Alpha"])
def test_layers_take_the_arguments_of_all_layers(kind):
    layer = getattr(layers, kind)
    first = {"SpikingActivation": "relu"}.get(kind, 0.1)
    others = {"return_sequences": False, "unroll": True, "time_major": True}
    config = layer(first, name="given", **others).get_config()
    assert config.items() >= {**others, "name": "given"}.items()
