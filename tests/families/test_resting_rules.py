"""Online learning rules that rest in training."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import nengo
import numpy as np
import pytest
from nengo.builder.learning_rules import SimBCM, SimOja, SimPES, SimRLS, SimVoja
from nengo.builder.signal import Signal

import nengo_jax
from nengo_jax.families import FAMILIES, Settings, Training, family_of
from nengo_jax.families.outer import KeepFactors, OuterInc

PRE, POST, COUNT = 4, 3, 2


def signal(*shape):
    return Signal(np.ones(shape), name="x")


def pes():
    return SimPES(signal(PRE), signal(POST), signal(POST, PRE), 0.1)


RULES = {
    "PES": pes,
    "PES in factors": lambda: KeepFactors(pes()),
    "applied PES": lambda: OuterInc(
        signal(POST), signal(PRE), signal(POST, PRE), tag=None
    ),
    "BCM": lambda: SimBCM(
        signal(PRE), signal(POST), signal(POST), signal(POST, PRE), 0.1
    ),
    "Oja": lambda: SimOja(
        signal(PRE), signal(POST), signal(POST, PRE), signal(POST, PRE), 0.1, 1.0
    ),
    "Voja": lambda: SimVoja(
        signal(PRE),
        signal(POST),
        signal(POST, PRE),
        signal(POST, PRE),
        scale=np.ones(POST),
        learning_signal=signal(1),
        learning_rate=0.1,
    ),
    "RLS": lambda: SimRLS(
        signal(PRE), signal(POST), signal(POST, PRE), signal(PRE, PRE)
    ),
}


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("name", RULES)
def test_change_of_weights(name, online):
    """Zero at rest, with the shape that it has otherwise; states stay what they are."""
    ops = [RULES[name]() for _ in range(COUNT)]
    family = family_of(ops[0], FAMILIES)
    rng = np.random.RandomState(1)
    operands = [
        rng.standard_normal((COUNT, *operand.signal.shape)).astype(np.float32)
        for operand in family.reads(ops[0])
    ]
    training = Training(online_rules=online)
    settings = Settings(0.001, np.dtype("float32"), True, training)
    delta, *kept = family.build(ops, settings)(*map(jnp.asarray, operands))
    target, *_ = family.writes(ops[0])
    assert delta.shape == (COUNT, *target.operand.signal.shape)
    assert delta.dtype == np.float32
    assert np.any(np.asarray(delta)) == online
    if name == "RLS":
        assert np.array_equal(kept[0], operands[-1]) == (not online)


def learning_network(online_rules):
    """Make connections that learn by each of the rules, and probe their weights."""
    with nengo.Network(seed=3) as network:
        nengo_jax.configure_settings(online_rules=online_rules)
        stimulus = nengo.Node([0.7], label="x")
        pre = nengo.Ensemble(10, 1, neuron_type=nengo.LIFRate())
        post = nengo.Ensemble(8, 1, neuron_type=nengo.LIFRate())
        nengo.Connection(stimulus, pre, synapse=None)
        weights = np.full((8, 10), 1e-3)
        learned = [
            nengo.Connection(pre, post, learning_rule_type=nengo.PES()),
            nengo.Connection(pre, post, learning_rule_type=nengo.RLS()),
            nengo.Connection(
                pre.neurons,
                post.neurons,
                transform=weights,
                learning_rule_type=nengo.BCM(1e-6),
            ),
            nengo.Connection(
                pre.neurons,
                post.neurons,
                transform=weights,
                learning_rule_type=nengo.Oja(),
            ),
        ]
        for connection in learned[:2]:
            nengo.Connection(stimulus, connection.learning_rule)
        for k, connection in enumerate(learned):
            nengo.Probe(connection, "weights", label=f"weights {k}")
        encoded = nengo.Connection(pre, post, learning_rule_type=nengo.Voja())
        nengo.Probe(encoded.learning_rule, "scaled_encoders", label="encoders")
    return network


@pytest.mark.parametrize("online", [True, False])
def test_weights_in_a_network(online):
    net = nengo_jax.functional(learning_network(online))
    _, outputs = jax.jit(net.run, static_argnames="steps")(
        net.params, net.state, {}, steps=30
    )
    assert len(outputs) == 5
    for label, values in outputs.items():
        moved = np.any(values[-1] != values[0])
        assert moved == online, label
