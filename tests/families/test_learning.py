"""Learning rules against their own ``make_step``, and within networks."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from helpers import (
    MERGED,
    WIRES,
    check_operators,
    compare_networks,
    with_wires,
)
from nengo.builder.learning_rules import SimBCM, SimOja, SimPES, SimRLS, SimVoja
from nengo.builder.operator import Copy
from nengo.builder.signal import Signal

SIZES = [(5, 3), (5, 3), (5, 3), (1, 1), (4, 7)]  # of pre and post, or error


def signal(name: str, *shape: int, number: int = 0) -> Signal:
    return Signal(np.random.RandomState(number).standard_normal(shape), name=name)


def pes(pre: int, post: int, k: int) -> SimPES:
    return SimPES(
        signal("pre", pre), signal("error", post), signal("delta", post, pre), 0.1 + k
    )


def bcm(pre: int, post: int, k: int) -> SimBCM:
    return SimBCM(
        signal("pre", pre),
        signal("post", post),
        signal("theta", post),
        signal("delta", post, pre),
        learning_rate=0.1 + k,
    )


def oja(pre: int, post: int, k: int) -> SimOja:
    return SimOja(
        signal("pre", pre),
        signal("post", post),
        signal("weights", post, pre),
        signal("delta", post, pre),
        learning_rate=0.1 + k,
        beta=0.5 * k,
    )


def voja(pre: int, post: int, k: int) -> SimVoja:
    return SimVoja(
        signal("pre", pre),
        signal("post", post),
        signal("encoders", post, pre),
        signal("delta", post, pre),
        scale=np.random.RandomState(k).uniform(0.5, 2, size=post),
        learning_signal=signal("learning", 1),
        learning_rate=0.1 + k,
    )


def rls(pre: int, post: int, k: int) -> SimRLS:
    gamma = Signal(np.eye(pre) * (0.1 + k), name="gamma")
    return SimRLS(
        signal("pre", pre), signal("error", post), signal("delta", post, pre), gamma
    )


@MERGED
@WIRES
@pytest.mark.parametrize("rule", [pes, bcm, oja, voja, rls])
def test_rule(rule, wires, optimize):
    def make(model):
        return [rule(*sizes, k) for k, sizes in enumerate(SIZES)]

    check_operators(
        with_wires(make) if wires else make, optimize=optimize, dt=0.002, steps=4
    )


@MERGED
def test_change_is_applied_in_the_next_step(optimize):
    """The weights that a rule reads are those that its last change has gone into."""

    def make(model):
        operators = []
        for k, (pre, post) in enumerate(SIZES):
            rule = oja(pre, post, k)
            operators += [rule, Copy(rule.delta, rule.weights, inc=True)]
        return operators

    check_operators(make, optimize=optimize, dt=0.1)


def learning_network(rule, solver=None, pre_neurons=False, post_neurons=False):
    """Make a network with one learned connection, for every way to learn one."""
    with nengo.Network(seed=9) as network:
        stimulus = nengo.Node(lambda t: [np.sin(30 * t), np.cos(20 * t)])
        pre = nengo.Ensemble(25, 2, seed=1)
        post = nengo.Ensemble(20, 2, seed=2)
        nengo.Connection(stimulus, pre)
        options = {} if solver is None else {"solver": solver}
        if pre_neurons or post_neurons:
            rows = post.n_neurons if post_neurons else 2
            columns = pre.n_neurons if pre_neurons else 2
            values = np.random.RandomState(6).uniform(-1e-2, 1e-2, (rows, columns))
            options["transform"] = values
        connection = nengo.Connection(
            pre.neurons if pre_neurons else pre,
            post.neurons if post_neurons else post,
            learning_rule_type=rule,
            **options,
        )
        learned = connection.learning_rule
        targets = [learned]
        if isinstance(rule, dict):
            targets = [learned[key] for key in rule]
        elif isinstance(rule, list):
            targets = [learned[key] for key in range(len(rule))]
        for target in targets:
            if target.size_in == 1:
                nengo.Connection(stimulus[0], target, synapse=None)
            elif target.size_in == 2:
                nengo.Connection(post, target)
                nengo.Connection(stimulus, target, transform=-1)
            elif target.size_in:
                nengo.Connection(post.neurons, target, transform=1e-3)
            for what in target.probeable:
                if what != "error":
                    nengo.Probe(target, what, sample_every=0.003)
        nengo.Probe(connection, "weights", sample_every=0.002)
        nengo.Probe(connection, "output", synapse=0.01)
        nengo.Probe(post, synapse=0.01)
        if isinstance(rule, nengo.Voja):
            nengo.Probe(post, "scaled_encoders")
    return network


NETWORKS = {
    "PES": dict(rule=nengo.PES(1e-3)),
    "PES, no filter": dict(rule=nengo.PES(1e-3, pre_synapse=None)),
    "PES, alpha filter": dict(rule=nengo.PES(1e-3, pre_synapse=nengo.Alpha(0.01))),
    "PES, triangle filter": dict(
        rule=nengo.PES(1e-3, pre_synapse=nengo.synapses.Triangle(0.01))
    ),
    "PES, weights": dict(
        rule=nengo.PES(1e-3), solver=nengo.solvers.LstsqL2(weights=True)
    ),
    "PES, from neurons": dict(rule=nengo.PES(1e-3), pre_neurons=True),
    "PES, between neurons": dict(
        rule=nengo.PES(1e-4), pre_neurons=True, post_neurons=True
    ),
    "BCM": dict(
        rule=nengo.BCM(1e-7, theta_synapse=0.05),
        solver=nengo.solvers.LstsqL2(weights=True),
    ),
    "BCM, between neurons": dict(
        rule=nengo.BCM(1e-7, pre_synapse=0.01, post_synapse=nengo.Alpha(0.02)),
        pre_neurons=True,
        post_neurons=True,
    ),
    "Oja": dict(rule=nengo.Oja(1e-4), solver=nengo.solvers.LstsqL2(weights=True)),
    "Oja, between neurons": dict(
        rule=nengo.Oja(1e-4, beta=0.5), pre_neurons=True, post_neurons=True
    ),
    "Voja": dict(rule=nengo.Voja(learning_rate=0.05)),
    "Voja, no filter": dict(rule=nengo.Voja(learning_rate=0.05, post_synapse=None)),
    "RLS": dict(rule=nengo.RLS(1e-3)),
    "RLS, from neurons": dict(rule=nengo.RLS(1e-3), pre_neurons=True),
    "several": dict(
        rule=[nengo.Oja(1e-5), nengo.BCM(1e-8)],
        solver=nengo.solvers.LstsqL2(weights=True),
    ),
    "named": dict(rule={"slow": nengo.PES(1e-4), "fast": nengo.PES(1e-3)}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_network(name):
    network = learning_network(**NETWORKS[name])
    recorded = compare_networks(network, 60)
    weights = next(p for p in network.probes if p.attr == "weights")
    encoders = [p for p in network.probes if p.attr == "scaled_encoders"]
    learned = recorded[encoders[0] if encoders else weights]
    assert np.ptp(learned, axis=0).max() > 0, "nothing was learned"


def test_rules_of_one_kind_learn_together():
    """Many learned connections with their own rates, sizes and errors."""
    with nengo.Network(seed=4) as network:
        stimulus = nengo.Node(lambda t: np.sin(40 * t))
        for k, rule in enumerate(
            [nengo.PES(1e-3), nengo.PES(1e-4), nengo.PES(2e-4, pre_synapse=0.02)] * 2
        ):
            pre, post = nengo.Ensemble(10 + k // 3, 1), nengo.Ensemble(8, 1)
            error = nengo.Node(size_in=1)
            learned = nengo.Connection(pre, post, learning_rule_type=rule)
            nengo.Connection(stimulus, pre, transform=1 / (k + 1))
            nengo.Connection(post, error)
            nengo.Connection(stimulus, error, transform=-1)
            nengo.Connection(error, learned.learning_rule)
            nengo.Probe(learned, "weights")
    for optimize in (True, False):
        compare_networks(network, 40, optimize=optimize)
