"""What no family knows runs on the host, through its own ``make_step``.

Each model here runs code of its own, kept in classes of the user, and must give what
the reference gives; one warning names what runs as Python.
"""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from helpers import (
    MERGED,
    assert_close,
    compare_data,
    run_jax,
    run_reference,
)
from nengo.builder import Builder, Model
from nengo.builder.operator import Copy, Operator
from nengo.builder.signal import Signal
from nengo.processes import FilteredNoise, WhiteNoise
from nengo.synapses import LinearFilter, Lowpass, Synapse

import nengo_jax


class Walk(nengo.Process):
    """A random walk: state in a signal, noise from the simulator's seed."""

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {"place": np.zeros(shape_out)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        place = state["place"]

        def step(t):
            place[...] += rng.normal(size=shape_out) * np.sqrt(dt) + t
            return place

        return step


class Counter(nengo.Process):
    """Keeps what it knows in a closure, and uses its input."""

    def make_step(self, shape_in, shape_out, dt, rng, state):
        count = np.zeros(shape_out)

        def step(t, x):
            count[...] += 1 + x
            x[...] = np.nan  # it is a copy, so this does no harm
            return count * dt

        return step


class Doubled(Lowpass):
    """A subclass of a native synapse with a step of its own."""

    def make_step(self, shape_in, shape_out, dt, rng, state):
        step = super().make_step(shape_in, shape_out, dt, rng, state)
        return lambda t, x: 2 * step(t, x)


class Jitter(Synapse):
    """A synapse with noise."""

    def make_state(self, shape_in, shape_out, dt, dtype=None, y0=0):
        return {"last": np.zeros(shape_out)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        last = state["last"]

        def step(t, x):
            last[...] = 0.5 * last + x + rng.uniform(-0.1, 0.1, size=shape_out)
            return last

        return step


class Cubic(nengo.RectifiedLinear):
    """A subclass of a native neuron type with a step of its own."""

    def step(self, dt, J, output):  # noqa: N803
        output[...] = self.amplitude * np.clip(J, 0, 2) ** 3


class Tired(nengo.neurons.NeuronType):
    """A neuron type from scratch, with state."""

    state = {"tiredness": nengo.dists.Uniform(0, 0.5)}  # noqa: RUF012
    negative = False

    def gain_bias(self, max_rates, intercepts):
        return np.ones_like(max_rates), -np.asarray(intercepts)

    def max_rates_intercepts(self, gain, bias):
        return np.ones_like(gain), -bias

    def rates(self, x, gain, bias):
        return np.maximum(self.current(x, gain, bias), 0)

    def step(self, dt, J, output, tiredness):  # noqa: N803
        output[...] = np.maximum(J - tiredness, 0)
        tiredness[...] += dt * 10 * (output - tiredness)


class Careless(nengo.PoissonSpiking):
    """A random neuron type with a step of its own."""

    def step(self, dt, J, output, rng, **base_state):  # noqa: N803
        output[...] = rng.poisson(J * dt, output.size) * rng.uniform(size=output.size)


class Swap(Operator):
    """Sets, increments, reads and updates, each of one signal."""

    def __init__(self, made, summed, source, kept):
        super().__init__(tag="swap")
        self.sets, self.incs = [made], [summed]
        self.reads, self.updates = [source], [kept]

    def make_step(self, signals, dt, rng):
        made, summed = signals[self.sets[0]], signals[self.incs[0]]
        source, kept = signals[self.reads[0]], signals[self.updates[0]]
        calls = [0]

        def step():
            calls[0] += 1
            made[...] = source[::-1] + kept
            summed[...] += made * calls[0]
            kept[...] = source + rng.uniform(size=kept.shape)

        return step


class MyCopy(Copy):
    """A subclass of an operator is not what its parent is."""

    def make_step(self, signals, dt, rng):
        target, source = signals[self.dst], signals[self.src]

        def step():
            target[...] = source + 1

        return step


def compare_on_host(network, steps: int, *names: str, optimize=True, **options) -> None:
    """Compare with the reference, and expect one warning that has all the names."""
    expected = run_reference(network, steps, optimize=False, **options)
    with pytest.warns(UserWarning, match=names[0]) as caught:
        actual = run_jax(network, steps, optimize=optimize, **options)
    assert len(caught) == 1
    message = str(caught[0].message)
    for name in names:
        assert name in message
    assert caught[0].filename.endswith("helpers.py"), "it points to the user's line"
    compare_data(actual, expected)
    assert all(np.any(values) for values in expected.values())


@MERGED
def test_process(optimize):
    with nengo.Network(seed=3) as network:
        walks = [nengo.Node(Walk(seed=s), size_out=2) for s in (None, 5, None)]
        counter = nengo.Node(Counter(), size_in=2, size_out=2)
        noise = nengo.Node(WhiteNoise(), size_out=1)
        nengo.Connection(walks[0], counter)
        for node in (*walks, counter, noise):
            nengo.Probe(node)
            nengo.Probe(node, synapse=0.01)
    compare_on_host(network, 30, "Counter", optimize=optimize)


def test_process_without_input_needs_no_warning():
    """It is run ahead of the loop, as node functions are."""
    with nengo.Network(seed=3) as network:
        probe = nengo.Probe(nengo.Node(Walk(), size_out=2))
    expected = run_reference(network, 30)[probe]
    assert_close(run_jax(network, 30)[probe], expected)


@MERGED
def test_synapse(optimize):
    with nengo.Network(seed=3) as network:
        stimulus = nengo.Node(lambda t: [np.sin(50 * t), 1])
        ensemble = nengo.Ensemble(15, 2)
        nengo.Connection(stimulus, ensemble, synapse=Doubled(0.01))
        nengo.Connection(ensemble, ensemble, synapse=Jitter())
        nengo.Connection(ensemble, ensemble, synapse=Jitter(seed=1), transform=-0.5)
        nengo.Probe(ensemble, synapse=Doubled(0.02))
        nengo.Probe(ensemble.neurons)
    compare_on_host(network, 40, "Doubled", "Jitter", optimize=optimize)


def test_subclass_of_linear_filter_that_inherits_its_step_is_native():
    class Mine(LinearFilter):
        pass

    with nengo.Network(seed=3) as network:
        stimulus = nengo.Node(lambda t: np.sin(50 * t))
        probe = nengo.Probe(stimulus, synapse=Mine([1], [0.02, 1]))
    expected = run_reference(network, 30)[probe]
    assert_close(run_jax(network, 30)[probe], expected)


@MERGED
def test_synapse_of_a_learning_rule(optimize):
    """In the mode without delay."""
    with nengo.Network(seed=3) as network:
        stimulus = nengo.Node(lambda t: np.sin(50 * t))
        pre, post = nengo.Ensemble(10, 1), nengo.Ensemble(10, 1)
        nengo.Connection(stimulus, pre)
        learned = nengo.Connection(
            pre, post, learning_rule_type=nengo.PES(1e-3, pre_synapse=Doubled(0.01))
        )
        nengo.Connection(stimulus, learned.learning_rule, transform=-1)
        nengo.Probe(learned, "weights")
        nengo.Probe(post, synapse=0.01)
    compare_on_host(network, 40, "Doubled", optimize=optimize)


@MERGED
def test_neuron_type(optimize):
    with nengo.Network(seed=3) as network:
        stimulus = nengo.Node(lambda t: np.sin(50 * t))
        options = dict(max_rates=np.ones(12), intercepts=np.linspace(-0.9, 0.5, 12))
        tired = nengo.Ensemble(12, 1, neuron_type=Tired(), **options)
        cubic = nengo.Ensemble(10, 1, neuron_type=Cubic())
        native = nengo.Ensemble(10, 1)
        nengo.Connection(stimulus, tired)
        nengo.Connection(tired, cubic)
        nengo.Connection(cubic, native)
        nengo.Connection(native, tired, transform=0.1)
        nengo.Probe(tired.neurons, "tiredness")
        for ensemble in (tired, cubic, native):
            nengo.Probe(ensemble.neurons)
            nengo.Probe(ensemble, synapse=0.01)
    compare_on_host(network, 40, "Tired", "Cubic", optimize=optimize)


@pytest.mark.parametrize(
    ("base", "optimize"),
    [(nengo.LIFRate(), True), (Cubic(amplitude=1000), False)],
    ids=["LIFRate", "Cubic"],
)
def test_random_neuron_type(base, optimize):
    with nengo.Network(seed=3) as network:
        ensemble = nengo.Ensemble(12, 1, neuron_type=Careless(base))
        other = nengo.Ensemble(12, 1, neuron_type=nengo.StochasticSpiking(base))
        nengo.Connection(ensemble, other)
        nengo.Probe(ensemble.neurons)
        nengo.Probe(ensemble.neurons, "rate_out")
        nengo.Probe(other.neurons)
    compare_on_host(network, 30, "Careless", optimize=optimize)


@MERGED
def test_noise_through_a_synapse_of_ones_own(optimize):
    """The process runs ahead of the loop as a whole, so there is nothing to warn of."""
    with nengo.Network(seed=3) as network:
        node = nengo.Node(FilteredNoise(Doubled(0.01)), size_out=2)
        other = nengo.Node(FilteredNoise(Jitter()), size_out=2)
        ensemble = nengo.Ensemble(10, 1, noise=FilteredNoise(Doubled(0.02)))
        for obj in (node, other, ensemble):
            nengo.Probe(obj)
        nengo.Probe(ensemble.neurons, "input")
    expected = run_reference(network, 30, optimize=False)
    compare_data(run_jax(network, 30, optimize=optimize), expected)


def make_operators(model: Model) -> list[Operator]:
    names = ("made", "summed", "source", "kept", "copied", "twice")
    signals = {
        name: Signal(np.arange(3.0) + k, name=name) for k, name in enumerate(names)
    }
    return [
        Swap(*(signals[n] for n in ("made", "summed", "source", "kept"))),
        MyCopy(signals["made"], signals["copied"]),
        Copy(signals["kept"], signals["source"], inc=True),
        Copy(signals["copied"], signals["twice"], inc=True),
    ]


@MERGED
def test_operator(optimize):
    models = Model(dt=0.001), Model(dt=0.001)
    for model in models:
        for op in make_operators(model):
            model.add_op(op)
    with nengo.Simulator(
        None, model=models[0], seed=4, progress_bar=False, optimize=False
    ) as reference:
        with pytest.warns(UserWarning, match="MyCopy.*Swap|Swap.*MyCopy"):
            sim = nengo_jax.Simulator(
                None,
                model=models[1],
                seed=4,
                progress_bar=False,
                dtype="float64",
                optimize=optimize,
            )
        with sim:
            for steps in (1, 4, 1):
                reference.run_steps(steps)
                sim.run_steps(steps)
                for theirs, ours in zip(
                    models[0].operators[1:], models[1].operators[1:], strict=True
                ):
                    for a, b in zip(theirs.all_signals, ours.all_signals, strict=True):
                        assert_close(sim.signals[b], reference.signals[a], a)
            for s in (reference, sim):
                s.reset()
                s.run_steps(3)
            for a, b in zip(
                models[0].operators[1].all_signals,
                models[1].operators[1].all_signals,
                strict=True,
            ):
                assert_close(sim.signals[b], reference.signals[a], a)


class Reversed(nengo.transforms.Transform):
    """A transform with a builder function of its own."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    size_in = property(lambda self: self.size)
    size_out = property(lambda self: self.size)

    def sample(self, rng=np.random):
        return self


class ReverseInc(Operator):
    def __init__(self, source, target):
        super().__init__(tag="reverse")
        self.sets, self.incs, self.reads, self.updates = [], [target], [source], []

    def make_step(self, signals, dt, rng):
        source, target = signals[self.reads[0]], signals[self.incs[0]]

        def step():
            target[...] += source[::-1]

        return step


def test_transform_with_a_builder_of_its_own():
    def build(model, transform, sig_in, decoders=None, encoders=None, rng=np.random):
        target = Signal(np.zeros(sig_in.shape), name="reversed")
        model.add_op(nengo.builder.operator.Reset(target))
        model.add_op(ReverseInc(sig_in, target))
        return target, None

    Builder.register(Reversed)(build)
    try:
        with nengo.Network(seed=3) as network:
            stimulus = nengo.Node(lambda t: [t, 2 * t, 3 * t])
            target = nengo.Node(size_in=3)
            nengo.Connection(stimulus, target, transform=Reversed(3), synapse=0.01)
            nengo.Probe(target)
        compare_on_host(network, 20, "ReverseInc")
    finally:
        del Builder.builders[Reversed]


def test_each_example_of_a_batch_has_its_own_state():
    with nengo.Network(seed=3) as network:
        stimulus = nengo.Node(np.zeros(2))
        counter = nengo.Node(Counter(), size_in=2, size_out=2)
        ensemble = nengo.Ensemble(8, 2, neuron_type=Cubic())
        random = nengo.Ensemble(8, 2, neuron_type=Careless(nengo.LIFRate()))
        walk = nengo.Node(Walk(), size_out=2)
        nengo.Connection(stimulus, counter)
        nengo.Connection(stimulus, ensemble, synapse=Jitter())
        nengo.Connection(walk, random)
        probes = [nengo.Probe(o) for o in (counter, ensemble, walk, random)]
    data = np.random.RandomState(0).uniform(-1, 1, size=(3, 12, 2))
    with pytest.warns(UserWarning, match="Counter"):
        batch = run_jax(network, 12, {stimulus: data}, minibatch_size=3, seed=20)
    for k in range(3):
        with pytest.warns(UserWarning, match="Counter"):
            alone = run_jax(network, 12, {stimulus: data[k]}, seed=20 + k)
        for probe in probes:
            assert_close(batch[probe][k], alone[probe], probe)
    assert not np.array_equal(batch[probes[0]][0], batch[probes[0]][1])


def test_state_on_the_host_is_reset():
    with nengo.Network(seed=3) as network:
        stimulus = nengo.Node(lambda t: [t, 1])
        counter = nengo.Node(Counter(), size_in=2, size_out=2)
        walk = nengo.Node(Walk(), size_out=2)
        nengo.Connection(stimulus, counter, synapse=Jitter())
        probes = [nengo.Probe(o) for o in (counter, walk)]
    with pytest.warns(UserWarning, match="Counter"):
        sim = nengo_jax.Simulator(network, progress_bar=False, dtype="float64")
    with sim:
        results = []
        for _ in range(2):
            sim.run_steps(10)
            results.append([np.array(sim.data[p]) for p in probes])
            sim.reset()
    assert np.array_equal(results[0], results[1])
