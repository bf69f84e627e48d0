"""Prices, and the rate at which the order of two networks turns."""

import dataclasses

import pytest

from nengo_jax.energy import (
    DEVICES,
    FLOAT32,
    INT8,
    MEMORIES,
    Comparison,
    Device,
    Technology,
    Workload,
)

PICO = 1e-12


def test_device_table():
    table = {name: dataclasses.astuple(device) for name, device in DEVICES.items()}
    expected = {
        "cpu": (8.6e-9, 8.6e-9, False),
        "gpu": (0.3e-9, 0.3e-9, False),
        "arm": (0.9e-9, 0.9e-9, False),
        "loihi": (27.1e-12, 81e-12, True),
        "spinnaker": (13.3e-9, 26e-9, True),
        "spinnaker2": (450e-12, 2.19e-9, True),
    }
    assert table.keys() == expected.keys()
    for name, (synop, neuron, spiking) in expected.items():
        assert table[name] == (pytest.approx(synop), pytest.approx(neuron), spiking)


@pytest.mark.parametrize("value", [-1e-12, float("nan"), float("inf")])
def test_energies_are_not_negative(value):
    with pytest.raises(ValueError, match="energy_per_synop is an energy in joule"):
        Device(value, 0, True)
    with pytest.raises(ValueError, match="memory of a Technology must be 0 or more"):
        Technology(memory=value)


def test_arithmetic_of_horowitz():
    assert Technology(memory=0).value_operation == pytest.approx(0.23 * PICO)
    assert Technology(memory=0).synaptic_operation == pytest.approx(0.03 * PICO)
    bare = dataclasses.replace(FLOAT32, memory=0)
    assert bare.value_operation == pytest.approx(4.6 * PICO)
    assert bare.synaptic_operation == pytest.approx(0.9 * PICO)


def test_memories_are_for_a_byte_of_a_64_bit_access():
    per_access = {name: round(8 * energy / PICO) for name, energy in MEMORIES.items()}
    assert per_access == {
        "SRAM 8 KB": 10,
        "SRAM 32 KB": 20,
        "SRAM 1 MB": 100,
        "DRAM": 1300,
    }


def test_prices_with_memory():
    # 2.5 pJ a byte: weight and value; weight, and 2 bytes of state there and back
    assert INT8.value_operation == pytest.approx((0.23 + 2 * 2.5) * PICO)
    assert INT8.synaptic_operation == pytest.approx((0.03 + 5 * 2.5) * PICO)
    assert INT8.neuron_update == pytest.approx((0.23 + 4 * 2.5) * PICO)
    assert INT8.activation == pytest.approx((0.03 + 2.5) * PICO)


WORKLOADS = {
    "many connections": Workload(5, 0.001, 1e6, 0.1, neurons=100),
    "few connections": Workload(10, 0.001, 1e4, 0.02, 3e3, neurons=900),
    "values and synapses": Workload(8, 0.002, 1e6, 0.3, 10, 1e4, 100, 100),
    "one step": Workload(1, 0.001, 1e3, 0.5, 1e3),
}


@pytest.mark.parametrize("technology", [INT8, FLOAT32, Technology(memory=0)])
@pytest.mark.parametrize("name", WORKLOADS)
def test_order_turns_at_the_crossover(name, technology):
    both = Comparison(WORKLOADS[name], technology)
    crossover = both.crossover
    assert both.spiking_at(crossover) == pytest.approx(both.quantised)
    assert both.spiking_at(crossover - 0.001) < both.quantised
    assert both.spiking_at(crossover + 0.001) > both.quantised
    assert both.crossover_hz == pytest.approx(crossover / WORKLOADS[name].dt)


def test_parts_of_both_energies():
    work = Workload(
        n_steps=4,
        dt=0.001,
        spiking_connections=100,
        spikes_per_step=0.25,
        held_connections=10,
        value_connections=5,
        neurons=7,
        synapse_states=3,
    )
    value, synaptic, update, activation = (
        INT8.value_operation,
        INT8.synaptic_operation,
        INT8.neuron_update,
        INT8.activation,
    )
    both = Comparison(work)
    spikes = 4 * 0.25 * 100
    assert both.spiking == pytest.approx(
        spikes * synaptic + (10 + 4 * 5) * value + 4 * (7 + 3) * update
    )
    assert both.quantised == pytest.approx(115 * value + 7 * activation)


def test_order_of_magnitude_of_the_published_figure():
    # Yan et al. (2024, arXiv:2409.08290): about 6% at 5 to 10 steps
    rates = [
        Comparison(Workload(n, 0.001, 784 * 128, None, neurons=128)).crossover
        for n in (5, 10)
    ]
    assert 0.03 < rates[1] < 0.064 < rates[0] < 0.1


def test_memory_decides():
    work = Workload(5, 0.001, 784 * 128, None, neurons=128)
    assert Comparison(work, Technology(memory=0)).crossover == pytest.approx(1.5, 0.03)


def test_crossover_falls_with_the_number_of_steps():
    five, ten = (Comparison(Workload(n, 0.001, 1e6, None)).crossover for n in (5, 10))
    assert five == pytest.approx(2 * ten)


def test_neurons_alone_may_cost_more():
    both = Comparison(Workload(100, 0.001, 1000, 0.01, neurons=1000))
    assert both.crossover < 0
    assert both.spiking_at(0) > both.quantised
    assert "Spikes cost more at any firing rate" in both.verdict


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0.01, "they cost less."), (0.2, "they cost more."), (None, "is not known")],
)
def test_verdict(rate, words):
    verdict = Comparison(Workload(5, 0.001, 1e6, rate)).verdict
    assert verdict.startswith("Spikes cost less below 0.0835 spikes")
    assert "(83.5 Hz)" in verdict
    assert words in verdict


def test_without_spikes_there_is_no_crossover():
    both = Comparison(Workload(5, 0.001, 0, None, 1000, neurons=10))
    assert both.spiking is None
    assert both.crossover is None
    assert both.crossover_hz is None
    assert "no firing rate to compare" in both.verdict
