"""Second-order optimizers of networks, through ``sim.fit``."""

import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_jax
from nengo_jax.callbacks import TensorBoard
from nengo_jax.losses import Regularize, nan_mse
from nengo_jax.optimizers import HessianFree, NaturalGradient

SIZE, STEPS = 16, 3
X = np.linspace(-1, 1, SIZE).reshape(SIZE, 1, 1)
Y = np.tile(np.sin(3 * X), (1, STEPS, 1))


def network(neuron_type, synapse=None, amplitude=1.0):
    """A function of a number, by 12 neurons; (network, input, output, neurons)."""
    with nengo.Network(seed=0) as model:
        a = nengo.Node([0.0], label="a")
        ensemble = nengo.Ensemble(12, 1, neuron_type=neuron_type, label="ensemble")
        b = nengo.Node(size_in=1, label="b")
        nengo.Connection(a, ensemble, synapse=None)
        nengo.Connection(ensemble, b, function=lambda x: 0, synapse=synapse)
        output = nengo.Probe(b, label="output")
        neurons = nengo.Probe(ensemble.neurons, label="neurons")
    return model, a, output, neurons


def simulator(model, **options):
    options = {"minibatch_size": SIZE, "progress_bar": False, **options}
    return nengo_jax.Simulator(model, **options)


@pytest.mark.parametrize("kind", ["rate", "surrogate"])
def test_trains_rates_and_spikes(kind, tmp_path):
    """With callbacks of Keras, and its numbers in logs and in TensorBoard."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator,
    )
    from tensorboard.util.tensor_util import make_ndarray

    spiking = kind == "surrogate"
    model, a, output, _ = network(nengo.LIF(), 0.005 if spiking else None)
    with model:
        nengo_jax.configure_settings(training=kind)
    steps = 20 if spiking else STEPS
    y = np.tile(np.sin(3 * X), (1, steps, 1))
    with simulator(model) as sim:
        sim.compile(HessianFree(iterations=20), loss={output: "mse"})
        history = sim.fit(
            {a: X},
            {output: y},
            n_steps=steps,
            epochs=6,
            verbose=0,
            validation_data=({a: X}, {output: y}),
            callbacks=[
                TensorBoard(tmp_path),
                keras.callbacks.EarlyStopping("loss", patience=10),
                keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            ],
        ).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert len(history["damping"]) == len(history["val_loss"]) == 6
    assert all(n >= 1 for n in history["cg_iterations"])
    assert "reduction_ratio" in (tmp_path / "log.csv").read_text().splitlines()[0]
    events = EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    for name in ("damping", "cg_iterations", "reduction_ratio", "step_length"):
        tensors = [e.tensor_proto for e in events.Tensors(f"epoch_{name}")]
        written = [float(make_ndarray(tensor)) for tensor in tensors]
        np.testing.assert_allclose(written, history[name], rtol=1e-6)


def test_natural_gradient():
    model, a, output, _ = network(nengo.LIFRate())
    with simulator(model) as sim:
        sim.compile(NaturalGradient(radius=1e-2), loss={output: "mse"})
        history = sim.fit(
            {a: X}, {output: Y}, n_steps=STEPS, epochs=10, shuffle=False, verbose=0
        )
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]


def test_missing_targets_sparse_activity_and_structural_damping():
    model, a, output, neurons = network(nengo.LIFRate())
    late = Y.copy()
    late[:, :-1] = np.nan  # only the last step counts
    nothing = np.zeros((SIZE, STEPS, 12))
    rates = {}
    for weight in (1e-9, 1e-2):
        with simulator(model) as sim:
            optimizer = HessianFree(
                iterations=20,
                structural_damping=1e-3,
                damped_outputs=[sim.get_name(neurons)],
            )
            sim.compile(
                optimizer,
                loss={output: nan_mse, neurons: Regularize(order=1)},
                loss_weights={output: 1.0, neurons: weight},
            )
            targets = {output: late, neurons: nothing}
            history = sim.fit(
                {a: X}, targets, n_steps=STEPS, epochs=8, shuffle=False, verbose=0
            )
            found = sim.predict({a: X}, n_steps=STEPS, verbose=0)
        rates[weight] = np.mean(found[neurons])
        losses = history.history["output_loss"]
        assert losses[-1] < 0.8 * losses[0]
    assert rates[1e-2] < 0.8 * rates[1e-9]


def test_frozen_parameters_and_restart(tmp_path):
    model, a, output, _ = network(nengo.LIFRate())
    with model:
        nengo_jax.configure_settings(trainable=None)
        model.config[nengo.Ensemble].trainable = False
    arguments = ({a: X}, {output: Y})
    options = {"n_steps": STEPS, "verbose": 0, "shuffle": False}
    with simulator(model) as sim:
        before = np.array(sim.data[model.ensembles[0]].bias)
        sim.compile(HessianFree(iterations=5), loss={output: "mse"})
        sim.fit(*arguments, epochs=2, **options)
        sim.save_params(tmp_path / "half", include_optimizer=True)
        expected = sim.fit(*arguments, epochs=2, **options).history
        np.testing.assert_array_equal(sim.data[model.ensembles[0]].bias, before)
        assert np.any(sim.data[model.connections[1]].weights != 0)
    with simulator(model) as sim:
        sim.compile(HessianFree(iterations=5), loss={output: "mse"})
        sim.load_params(tmp_path / "half.safetensors", include_optimizer=True)
        found = sim.fit(*arguments, epochs=2, **options).history
    for name in ("loss", "damping", "update_norm"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4)


def test_double_precision_and_batches_that_are_smaller():
    model, a, output, _ = network(nengo.LIFRate())
    order = np.random.RandomState(0).permutation(SIZE)
    with simulator(model, dtype="float64", minibatch_size=10) as sim:
        optimizer = HessianFree(1e5, iterations=10, curvature_share=0.5)
        sim.compile(optimizer, loss={output: "mse"})
        history = sim.fit(
            {a: X[order]},
            {output: Y[order]},
            n_steps=STEPS,
            epochs=5,
            shuffle=False,
            verbose=0,
        )
        assert sim.data[model.connections[1]].weights.dtype == np.float64
    losses = history.history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_loss_without_targets():
    model, a, output, _ = network(nengo.LIFRate())
    with simulator(model) as sim:
        sim.compile(HessianFree(), loss={output: "mse"})
        with pytest.raises(ValidationError, match="target"):
            sim.fit({a: X}, n_steps=STEPS, verbose=0)


def test_damped_output_that_is_none():
    model, a, output, _ = network(nengo.LIFRate())
    with simulator(model) as sim:
        optimizer = HessianFree(structural_damping=1.0, damped_outputs=["hidden"])
        sim.compile(optimizer, loss={output: "mse"})
        with pytest.raises(ValidationError, match="'hidden' is no output of the model"):
            sim.fit({a: X}, {output: Y}, n_steps=STEPS, verbose=0)


def test_dead_end_is_named_as_users_know_it():
    model, a, output, _ = network(nengo.LIFRate())
    with model:
        rounded = nengo_jax.TensorNode(
            keras.ops.round, shape_in=(1,), pass_time=False, label="rounded"
        )
        nengo.Connection(output.target, rounded, synapse=None)
        probe = nengo.Probe(rounded, label="last")
    names = "Connection1/weights, ensemble/bias, ensemble/encoders"
    with simulator(model) as sim:
        sim.compile(HessianFree(), loss={probe: "mse"})
        with pytest.raises(ValidationError, match="only along ways") as caught:
            sim.fit({a: X}, {probe: Y}, n_steps=STEPS, verbose=0)
        for name in names.split(", "):
            assert name in str(caught.value)
        assert "param" not in str(caught.value)


def test_compiling_again_changes_the_optimizer():
    model, a, output, _ = network(nengo.LIFRate())
    found = []
    with simulator(model) as sim:
        for radius in (1e-4, 1e-2):
            sim.reset()
            sim.compile(NaturalGradient(radius), loss={output: "mse"})
            history = sim.fit({a: X}, {output: Y}, n_steps=STEPS, verbose=0).history
            found.append(history["update_norm"][0])
    assert found[1] == pytest.approx(10 * found[0], rel=0.1)
