"""The networks that are measured: one function each, seeded, and the tables of cases.

Each function returns a new network, so that two simulators never share the state of a
Python node. Only nengo and numpy are imported, and only what nengo 3.2 and 4.1 have in
common, so that the same networks run on NengoDL too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import nengo
import numpy as np

SEED = 1
IMAGE_LABEL = "image"
_PIXELS = 28 * 28

InputData = dict[nengo.Node, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A network to measure, and what is asked of nengo_jax.

    Attributes
    ----------
    build : callable
        Makes the network.
    steps : int
        Number of steps of a timed run.
    required : float or None
        How many times faster than the reference nengo_jax has to be at least.
    batch_size : int or None
        Examples at once on backends with batches; the reference runs one example, and
        times of the others are per example.
    inputs : callable or None
        Makes the data of a batched run from network, batch size and steps.
    in_mean : bool
        Whether the ratio counts in the geometric mean.
    """

    build: Callable[[], nengo.Network]
    steps: int
    required: float | None = None
    batch_size: int | None = None
    inputs: Callable[[nengo.Network, int, int], InputData] | None = None
    in_mean: bool = True


def integrator() -> nengo.Network:
    """Integrate a number with one ensemble of 1000 neurons."""
    with nengo.Network(seed=SEED) as network:
        stimulus = nengo.Node(0.5)
        ensemble = nengo.Ensemble(1000, 1)
        nengo.Connection(stimulus, ensemble, transform=0.1, synapse=0.1)
        nengo.Connection(ensemble, ensemble, synapse=0.1)
        nengo.Probe(ensemble, synapse=0.01)
    return network


def integrator_32d() -> nengo.Network:
    """Integrate 32 numbers with an array of 32 ensembles of 100 neurons."""
    with nengo.Network(seed=SEED) as network:
        stimulus = nengo.Node(np.linspace(-0.5, 0.5, 32))
        array = nengo.networks.EnsembleArray(100, 32)
        nengo.Connection(stimulus, array.input, transform=0.1, synapse=0.1)
        nengo.Connection(array.output, array.input, synapse=0.1)
        nengo.Probe(array.output, synapse=0.01)
    return network


def circular_convolution(dimensions: int = 64) -> nengo.Network:
    """Convolve two constant unit vectors, with 50 neurons per dimension."""
    rng = np.random.RandomState(SEED)
    vectors = rng.standard_normal((2, dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with nengo.Network(seed=SEED) as network:
        convolution = nengo.networks.CircularConvolution(50, dimensions)
        nengo.Connection(nengo.Node(vectors[0]), convolution.input_a)
        nengo.Connection(nengo.Node(vectors[1]), convolution.input_b)
        nengo.Probe(convolution.output, synapse=0.01)
    return network


def circular_convolution_512d() -> nengo.Network:
    """Convolve two vectors of 512 numbers."""
    return circular_convolution(512)


def basal_ganglia() -> nengo.Network:
    """Choose among 32 actions, with 50 neurons per ensemble."""
    with nengo.Network(seed=SEED) as network:
        values = nengo.Node(np.linspace(0.2, 0.9, 32))
        ganglia = nengo.networks.BasalGanglia(32, n_neurons_per_ensemble=50)
        nengo.Connection(values, ganglia.input, synapse=None)
        nengo.Probe(ganglia.output, synapse=0.01)
    return network


def learned_channel() -> nengo.Network:
    """Learn a communication channel of 16 numbers, with PES and 2000 neurons."""
    dimensions = 16
    with nengo.Network(seed=SEED) as network:
        stimulus = nengo.Node(np.linspace(-0.5, 0.5, dimensions))
        pre = nengo.Ensemble(2000, dimensions)
        post = nengo.Node(size_in=dimensions)
        error = nengo.Node(size_in=dimensions)
        nengo.Connection(stimulus, pre)
        learned = nengo.Connection(
            pre,
            post,
            function=np.zeros_like,
            learning_rule_type=nengo.PES(learning_rate=1e-4),
        )
        nengo.Connection(post, error)
        nengo.Connection(stimulus, error, transform=-1)
        nengo.Connection(error, learned.learning_rule)
        nengo.Probe(post, synapse=0.01)
    return network


def random_graph() -> nengo.Network:
    """Connect 20 ensembles of 200 neurons, 8 dimensions, with 5 random targets each."""
    count, targets, dimensions = 20, 5, 8
    rng = np.random.RandomState(SEED)
    with nengo.Network(seed=SEED) as network:
        stimulus = nengo.Node(np.linspace(-0.5, 0.5, dimensions))
        ensembles = [nengo.Ensemble(200, dimensions) for _ in range(count)]
        nengo.Connection(stimulus, ensembles[0])
        for ensemble in ensembles:
            for target in rng.choice(count, targets, replace=False):
                matrix = rng.standard_normal((dimensions, dimensions)) / (
                    2 * dimensions
                )
                nengo.Connection(ensemble, ensembles[target], transform=matrix)
        nengo.Probe(ensembles[-1], synapse=0.01)
    return network


def ensembles_equal() -> nengo.Network:
    """Make 1000 separate integrators of 50 neurons."""
    return _separate_integrators([50] * 1000)


def ensembles_ragged() -> nengo.Network:
    """Make 1000 separate integrators of 20 to 100 neurons."""
    return _separate_integrators(np.random.RandomState(SEED).randint(20, 101, 1000))


def ensembles_10000() -> nengo.Network:
    """Make 10,000 separate integrators of 20 neurons."""
    return _separate_integrators([20] * 10_000)


def _separate_integrators(sizes: list[int] | np.ndarray) -> nengo.Network:
    with nengo.Network(seed=SEED) as network:
        stimulus = nengo.Node(np.linspace(-0.5, 0.5, len(sizes)))
        for k, size in enumerate(sizes):
            ensemble = nengo.Ensemble(int(size), 1)
            nengo.Connection(stimulus[k], ensemble, transform=0.1, synapse=None)
            nengo.Connection(ensemble, ensemble, synapse=0.1)
        nengo.Probe(network.ensembles[-1], synapse=0.01)
    return network


def dense_spiking() -> nengo.Network:
    """Connect 5000 spiking neurons with all others; they fire at about 29 Hz."""
    return _dense(nengo.LIF(), weight=2e-5)


def dense_rates() -> nengo.Network:
    """Connect 5000 neurons with rates with all others: no spikes to make use of."""
    return _dense(nengo.LIFRate(), weight=2e-5)


def _dense(neurons: nengo.neurons.NeuronType, weight: float) -> nengo.Network:
    size = 5000
    rng = np.random.RandomState(SEED)
    weights = weight * rng.standard_normal((size, size))
    with nengo.Network(seed=SEED) as network:
        # A LIF neuron with gain 1 fires at 29 Hz if its current is about 1.24.
        bias = rng.uniform(1.14, 1.37, size)
        population = nengo.Ensemble(
            size,
            1,
            neuron_type=neurons,
            gain=np.ones(size),
            bias=bias,
        )
        nengo.Connection(
            population.neurons, population.neurons, transform=weights, synapse=0.005
        )
        nengo.Probe(population.neurons[:100], synapse=0.01)
    return network


def convolution() -> nengo.Network:
    """Show an image of 28 x 28 pixels to a spiking convolutional network."""
    first = nengo.Convolution(
        32, (28, 28, 1), kernel_size=(3, 3), strides=(2, 2), init=_glorot(9, 32 * 9)
    )
    second = nengo.Convolution(
        64,
        first.output_shape,
        kernel_size=(3, 3),
        strides=(2, 2),
        init=_glorot(32 * 9, 64 * 9),
    )
    readout = _glorot(second.output_shape.size, 10).sample(
        10, second.output_shape.size, rng=np.random.RandomState(SEED)
    )
    with nengo.Network(seed=SEED) as network:
        # Spikes of height 0.01 make a neuron at its maximum of 100 Hz send 1.
        network.config[nengo.Ensemble].neuron_type = nengo.LIF(amplitude=0.01)
        network.config[nengo.Ensemble].max_rates = nengo.dists.Choice([100])
        network.config[nengo.Ensemble].intercepts = nengo.dists.Choice([0])
        network.config[nengo.Connection].synapse = None
        image = nengo.Node(_images(1)[0], label=IMAGE_LABEL)
        layer_1 = nengo.Ensemble(first.output_shape.size, 1)
        layer_2 = nengo.Ensemble(second.output_shape.size, 1)
        output = nengo.Node(size_in=10)
        nengo.Connection(image, layer_1.neurons, transform=first)
        nengo.Connection(layer_1.neurons, layer_2.neurons, transform=second)
        nengo.Connection(layer_2.neurons, output, transform=readout)
        nengo.Probe(output, synapse=0.01)
    return network


def image_data(network: nengo.Network, batch_size: int, steps: int) -> InputData:
    """Return one image per example, the first one being the network's own."""
    (node,) = (n for n in network.all_nodes if n.label == IMAGE_LABEL)
    return {node: np.repeat(_images(batch_size)[:, None], steps, axis=1)}


def _images(count: int) -> np.ndarray:
    return np.random.RandomState(SEED).uniform(0, 1, (count, _PIXELS))


def _glorot(inputs: int, outputs: int) -> nengo.dists.Uniform:
    """Return the distribution of Glorot and Bengio (2010), equation 16."""
    limit = np.sqrt(6 / (inputs + outputs))
    return nengo.dists.Uniform(-limit, limit)


def sampled_probes() -> nengo.Network:
    """Record an integrator of 1000 neurons every 10 ms."""
    with nengo.Network(seed=SEED) as network:
        stimulus = nengo.Node(0.5)
        ensemble = nengo.Ensemble(1000, 1)
        nengo.Connection(stimulus, ensemble, transform=0.1, synapse=0.1)
        feedback = nengo.Connection(ensemble, ensemble, synapse=0.1)
        nengo.Probe(ensemble, synapse=0.01, sample_every=0.01)
        nengo.Probe(feedback, sample_every=0.01)
        nengo.Probe(ensemble.neurons, sample_every=0.01)
        nengo.Probe(ensemble.neurons, "voltage", sample_every=0.01)
    return network


class Pendulum:
    """A damped pendulum driven by a torque, in semi-implicit Euler steps of 1 ms."""

    def __init__(self) -> None:
        self.angle = 0.5
        self.velocity = 0.0

    def __call__(self, t: float, torque: np.ndarray) -> tuple[float, float]:
        """Advance by one step; return angle (rad) and angular velocity (rad/s)."""
        acceleration = torque[0] - 9.81 * np.sin(self.angle) - 0.5 * self.velocity
        self.velocity += 0.001 * acceleration
        self.angle += 0.001 * self.velocity
        return self.angle, self.velocity


def closed_loop() -> nengo.Network:
    """Hold a pendulum, which is written in Python, with two ensembles."""
    with nengo.Network(seed=SEED) as network:
        pendulum = nengo.Node(Pendulum(), size_in=1, size_out=2)
        sensor = nengo.Ensemble(1000, 2)
        controller = nengo.Ensemble(1000, 2)
        nengo.Connection(pendulum, sensor)
        nengo.Connection(sensor, controller)
        nengo.Connection(controller, pendulum, transform=[[-8, -4]])
        nengo.Probe(pendulum)
    return network


def tiny() -> nengo.Network:
    """Make ten neurons, to measure what calling costs."""
    with nengo.Network(seed=SEED) as network:
        ensemble = nengo.Ensemble(10, 1)
        nengo.Connection(nengo.Node(0.5), ensemble)
        nengo.Probe(ensemble, synapse=0.01)
    return network


SPEED: dict[str, Case] = {
    "integrator": Case(integrator, 10_000, 20),
    "integrator_32d": Case(integrator_32d, 5000, 15),
    "circular_convolution": Case(circular_convolution, 2000, 8),
    "basal_ganglia": Case(basal_ganglia, 2000, 10),
    "learned_channel": Case(learned_channel, 5000, 10),
    "random_graph": Case(random_graph, 1000, 12),
    "ensembles_equal": Case(ensembles_equal, 500, 40),
    "ensembles_ragged": Case(ensembles_ragged, 100, 40),
    "dense_spiking": Case(dense_spiking, 200, 15),
    "dense_rates": Case(dense_rates, 200, in_mean=False),
    "convolution": Case(convolution, 2000, 5),
    "convolution_batch": Case(convolution, 200, 8, 64, image_data),
    "sampled_probes": Case(sampled_probes, 20_000, 12),
    "closed_loop": Case(closed_loop, 5000, 1, in_mean=False),
}

OTHERS: dict[str, Case] = {
    "tiny": Case(tiny, 10_000),
    "circular_convolution_512d": Case(circular_convolution_512d, 100),
    "ensembles_10000": Case(ensembles_10000, 100),
}

CASES = {**SPEED, **OTHERS}
