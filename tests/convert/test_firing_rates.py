"""A loss on the neurons of a hidden layer moves their firing rates."""

import keras
import nengo
import numpy as np
import pytest
from keras import layers

import nengo_jax
from nengo_jax.cli.digits import load, moved
from nengo_jax.convert import Converter

LOW, HIGH = 200, 300  # Hz
SCALE = 100  # Hz for an activation of 1
STEPS, BATCH = 32, 64


def outside(wanted, outputs):
    """How far rates are outside the range on average, in Hz."""
    rates = SCALE * outputs
    below, above = keras.ops.relu(LOW - rates), keras.ops.relu(rates - HIGH)
    return keras.ops.mean(below + above, axis=-1)


def small_model():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu", name="hidden"),
            layers.Flatten(),
            layers.Dense(10, name="answer"),
        ]
    )


def batches(images, labels):
    """Cut off what fills no batch; add an axis of one step."""
    count = len(images) // BATCH * BATCH
    flat = np.reshape(images[:count], (count, 1, 64)).astype(np.float32)
    return flat, np.reshape(labels[:count], (count, 1, 1))


@pytest.mark.slow
@pytest.mark.usefixtures("seeded")
def test_a_loss_moves_rates_into_a_range(tmp_path):
    data = load(0)
    x, y = batches(*moved(data.train_images, data.train_labels))
    new, answers = batches(data.test_images, data.test_labels)
    model = small_model()
    hidden = model.get_layer("hidden")
    converter = Converter(model, scale_firing_rates={hidden: SCALE})
    (node,), (output,) = converter.inputs.values(), converter.outputs.values()
    with converter.net:
        probe = nengo.Probe(converter.layers[hidden])

    def measure(sim):
        found = sim.predict({node: new}, verbose=0)
        rates = SCALE * found[probe]
        right = found[output].argmax(axis=-1) == answers[..., 0]
        return right.mean(), np.mean((rates >= LOW) & (rates <= HIGH))

    with nengo_jax.Simulator(
        converter.net, minibatch_size=BATCH, progress_bar=False, seed=0
    ) as sim:
        _, before = measure(sim)
        entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        schedule = keras.optimizers.schedules.CosineDecay(0.01, 25 * len(x) // BATCH)
        sim.compile(
            keras.optimizers.Adam(schedule),
            loss={output: entropy, probe: outside},
            loss_weights={output: 1, probe: 0.01},
        )
        targets = {output: y, probe: np.zeros((len(x), 1, probe.size_in))}
        sim.fit({node: x}, targets, epochs=25, verbose=0)
        accuracy, after = measure(sim)
        sim.save_params(tmp_path / "weights")
    assert before < 0.01
    assert after > 0.6
    half = {"voltage": nengo.dists.Choice([0.5])}
    spiking = Converter(
        model,
        swap_activations={"relu": nengo.SpikingRectifiedLinear(initial_state=half)},
        scale_firing_rates={hidden: SCALE},
    )
    with nengo_jax.Simulator(
        spiking.net, minibatch_size=BATCH, progress_bar=False
    ) as sim:
        sim.load_params(tmp_path / "weights")
        found = sim.predict(np.repeat(new, STEPS, axis=1), verbose=0)
    (outputs,) = found.values()
    right = outputs.mean(axis=1).argmax(axis=-1) == answers[:, 0, 0]
    assert right.mean() >= accuracy - 0.005 > 0.96
