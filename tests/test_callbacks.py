"""What the callbacks write, read back by TensorBoard itself."""

from nengo_jax import Simulator  # before Keras, to set its backend

# isort: split
import io
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import jax
import keras
import nengo
import numpy as np
import pytest
from helpers import assert_close
from matplotlib.image import imread
from nengo.exceptions import SimulatorClosed, ValidationError
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from nengo_jax.callbacks import NengoSummaries, TensorBoard
from nengo_jax.callbacks.events import EventFile, histogram, image, scalar
from nengo_jax.callbacks.pictures import draw_raster, draw_weights


@pytest.fixture(autouse=True)
def _keras_promotes_ranks():
    """The biases of Keras' layers are added to batches."""
    with jax.numpy_rank_promotion("allow"):
        yield


class Run:
    """A folder of event files, as TensorBoard understands it."""

    def __init__(self, folder):
        self.events = EventAccumulator(str(folder), {"tensors": 0})
        self.events.Reload()
        self.tags = self.events.Tags()["tensors"]

    def plugin(self, tag):
        return self.events.SummaryMetadata(tag).plugin_data.plugin_name

    def steps(self, tag):
        return [event.step for event in self.events.Tensors(tag)]

    def values(self, tag):
        return [make_ndarray(e.tensor_proto) for e in self.events.Tensors(tag)]

    def pictures(self, tag):
        """Width and height that were written, and the decoded pictures."""
        assert self.plugin(tag) == "images"
        for width, height, png in self.values(tag):
            yield (int(width), int(height)), imread(io.BytesIO(png))


def small_model(optimizer="sgd"):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(optimizer, loss="mse", metrics=["mae"])
    return model


def small_data(examples=12):
    rng = np.random.RandomState(0)
    inputs = rng.standard_normal((examples, 3)).astype(np.float32)
    return inputs, inputs.sum(axis=1, keepdims=True)


def train(callback, optimizer="sgd", epochs=2, **options):
    """Train for some epochs of three batches."""
    model = small_model(optimizer)
    inputs, targets = small_data()
    history = model.fit(
        inputs,
        targets,
        batch_size=4,
        epochs=epochs,
        callbacks=[callback],
        verbose=0,
        **options,
    )
    return model, history.history


# -- TensorBoard


def test_logs_of_epochs(tmp_path):
    rates = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
    callback = TensorBoard(tmp_path)
    optimizer = keras.optimizers.SGD(rates)
    _, history = train(callback, optimizer, validation_data=small_data())
    assert {path.name for path in tmp_path.iterdir()} == {"train", "validation"}
    run, validation = Run(tmp_path / "train"), Run(tmp_path / "validation")
    assert set(run.tags) == {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
    for name in ("loss", "mae"):
        assert run.plugin(f"epoch_{name}") == "scalars"
        assert run.steps(f"epoch_{name}") == [0, 1]
        assert_close(run.values(f"epoch_{name}"), history[name], rtol=1e-6)
        values = validation.values(f"epoch_{name}")
        assert_close(values, history[f"val_{name}"], rtol=1e-6)
        updates = validation.steps(f"evaluation_{name}_vs_iterations")
        assert updates == [3, 6]
    assert_close(run.values("epoch_learning_rate"), [0.05, 0.025], rtol=1e-6)


@pytest.mark.parametrize(
    ("update_freq", "steps"),
    [("batch", [1, 2, 3, 4, 5, 6]), (1, range(1, 7)), (2, [2, 4, 6])],
)
def test_logs_of_batches(tmp_path, update_freq, steps):
    train(TensorBoard(tmp_path, update_freq=update_freq))
    run = Run(tmp_path / "train")
    assert run.steps("batch_loss") == list(steps)
    assert run.steps("epoch_loss") == [0, 1]
    # Keras logs the mean of the batches of an epoch so far.
    assert run.values("batch_loss")[-1] == run.values("epoch_loss")[-1]


def test_speed(tmp_path):
    train(TensorBoard(tmp_path, write_steps_per_second=True))
    speeds = Run(tmp_path / "train").values("epoch_steps_per_second")
    assert len(speeds) == 2
    assert 0 < speeds[1] < 1e6


def test_histograms_show_the_weights_of_the_epoch(tmp_path):
    model, _ = train(TensorBoard(tmp_path, histogram_freq=1))
    run = Run(tmp_path / "train")
    for weight in model.weights:
        tag = f"{weight.path}/histogram"
        assert run.plugin(tag) == "histograms"
        first, last = run.values(tag)
        assert first[0, 0] != last[0, 0]
        values = np.asarray(weight.value)
        assert_close(last[0, 0], values.min(), rtol=1e-6)
        assert_close(last[-1, 1], values.max(), rtol=1e-6)
        assert last[:, 2].sum() == values.size


def test_pictures_of_weights(tmp_path):
    train(TensorBoard(tmp_path, histogram_freq=2, write_images=True), epochs=3)
    run = Run(tmp_path / "train")
    tag = next(tag for tag in run.tags if tag.endswith("kernel/image"))
    assert run.steps(tag) == [0, 2]
    for size, picture in run.pictures(tag):
        assert size == (4, 3)
        assert picture.shape[:2] == (3, 4)
        assert (picture[..., 0].min(), picture[..., 0].max()) == (0, 1)


def test_evaluation_alone(tmp_path):
    model = small_model()
    callback = TensorBoard(tmp_path / "not" / "yet")
    loss, _ = model.evaluate(*small_data(), callbacks=[callback], verbose=0)
    run = Run(tmp_path / "not" / "yet" / "validation")
    assert_close(run.values("evaluation_loss_vs_iterations"), [loss], rtol=1e-6)


def test_each_training_has_its_own_file(tmp_path):
    callback = TensorBoard(tmp_path)
    train(callback, epochs=1)
    train(callback, epochs=1)
    assert len(list((tmp_path / "train").iterdir())) == 2


def test_nothing_is_lost_when_training_stops_with_an_error(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    callbacks = keras.callbacks.CallbackList([TensorBoard(tmp_path), Stop()])
    with pytest.raises(KeyboardInterrupt):
        small_model().fit(
            *small_data(), epochs=2, callbacks=callbacks.callbacks, verbose=0
        )
    assert Run(tmp_path / "train").steps("epoch_loss") == [0]


@pytest.mark.parametrize("wrapper", ["LossScaleOptimizer", "MultiOptimizer"])
def test_learning_rates_of_wrapped_optimizers(tmp_path, wrapper):
    inner = keras.optimizers.SGD(0.125, name="inner")
    if wrapper == "LossScaleOptimizer":
        optimizer, name = keras.optimizers.LossScaleOptimizer(inner), "learning_rate"
    elif hasattr(keras.optimizers, wrapper):
        optimizer = keras.optimizers.MultiOptimizer(lambda variable: inner)
        name = "learning_rate_inner"
    else:
        pytest.skip("This Keras has no MultiOptimizer")
    train(TensorBoard(tmp_path), optimizer, epochs=1)
    assert Run(tmp_path / "train").values(f"epoch_{name}") == [0.125]


@pytest.mark.parametrize("value", ["never", 0, -1, 1.5, True, None])
def test_wrong_update_freq(tmp_path, value):
    with pytest.raises(ValidationError, match=r"update_freq: .*'epoch'.*got"):
        TensorBoard(tmp_path, update_freq=value)


@pytest.mark.parametrize("value", [-1, 1.5, "epoch"])
def test_wrong_histogram_freq(tmp_path, value):
    with pytest.raises(ValidationError, match=r"histogram_freq: .*at least 0, got"):
        TensorBoard(tmp_path, histogram_freq=value)


@pytest.mark.parametrize("package", ["tensorboard", "matplotlib"])
def test_missing_package(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"'{package}'.*nengo_jax\[tensorboard\]"):
        TensorBoard(tmp_path, write_images=True)


# -- events and pictures


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([], 0),
        ([2.0, 2.0], 2),
        ([1.0, np.nextafter(1, 2)], 2),
        ([np.nan, np.inf, 1.0, 3.0], 2),
        (np.arange(6, dtype=np.float16).reshape(1, 2, 3), 6),
    ],
)
def test_histograms_of_all_sorts(tmp_path, values, count):
    EventFile(tmp_path).write(0, [histogram("values", np.array(values))])
    (buckets,) = Run(tmp_path).values("values")
    assert buckets.shape == (30, 3)
    assert np.all(np.isfinite(buckets))
    assert buckets[:, 2].sum() == count


@pytest.mark.parametrize(
    ("shape", "size"),
    [((), (1, 1)), ((5,), (5, 1)), ((7, 2), (7, 2)), ((3, 3, 2, 40), (40, 18))],
)
def test_weights_become_pictures(shape, size):
    picture = imread(io.BytesIO(draw_weights(np.ones(shape))))
    assert picture.shape[:2] == size[::-1]


def test_largest_weight_is_white():
    picture = imread(io.BytesIO(draw_weights(np.array([[1.0, 2.0], [3.0, np.nan]]))))
    assert_close(picture[0, :, 0], [0, 0.5], rtol=0.01)
    assert picture[1, 0, 0] == 1
    assert list(picture[:, :, 3].ravel()) == [1, 1, 1, 0]


def test_raster_marks_each_spike():
    spikes = np.zeros((20, 4))
    silent = imread(io.BytesIO(draw_raster(spikes, 0.001, "silent", True)))
    spikes[4, 3] = 1000.0
    one = imread(io.BytesIO(draw_raster(spikes, 0.001, "silent", True)))
    assert silent.shape == one.shape == (450, 800, 4)
    rows, columns = np.nonzero(np.any(one != silent, axis=-1))
    assert 0 < len(rows) < 200
    assert rows.max() < 450 / 2  # the last neuron is at the top
    assert columns.max() < 800 / 2


def test_steps_and_order_of_events(tmp_path):
    file = EventFile(tmp_path)
    for step in range(3):
        file.write(step, [scalar("number", step**2), image("one", draw_weights([1.0]))])
    run = Run(tmp_path)
    assert run.values("number") == [0, 1, 4]
    assert [size for size, _ in run.pictures("one")] == [(1, 1)] * 3


# -- NengoSummaries


def small_network():
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node([0.0], label="stimulus")
        with nengo.Network(label="inner"):
            ensemble = nengo.Ensemble(20, 1, neuron_type=nengo.LIF(amplitude=0.5))
        nengo.Connection(stimulus, ensemble, synapse=None, label="into")
        output = nengo.Node(size_in=1)
        decoded = nengo.Connection(ensemble, output, synapse=0.05, label="out of")
        probe = nengo.Probe(output)
        spikes = nengo.Probe(ensemble.neurons, label="spikes")
        smooth = nengo.Probe(ensemble.neurons, synapse=0.01, label="smooth")
    return network, stimulus, ensemble, decoded, probe, spikes, smooth


def fit_network(summarize, stateful=False):
    """Train for three epochs; returns the history, and what ``summarize`` made of it.

    Parameters
    ----------
    summarize : callable
        ``summarize(sim, parts, data) -> callbacks``.
    """
    parts = small_network()
    network, stimulus, *_, probe, _, _ = parts
    data = {stimulus: np.linspace(-1, 1, 8)[:, None, None] * np.ones((8, 50, 1))}
    targets = {probe: data[stimulus]}
    with Simulator(network, minibatch_size=4, progress_bar=False) as sim:
        sim.compile(keras.optimizers.Adam(1e-3), loss={probe: "mse"})
        options = {"epochs": 3, "shuffle": False, "verbose": 0, "stateful": stateful}
        callbacks = summarize(sim, parts, data)
        history = sim.fit(data, targets, callbacks=callbacks, **options).history
        _, _, ensemble, decoded, _, spikes, _ = parts
        signals = {
            "inner.Ensemble0/encoders": sim.model.sig[ensemble]["encoders"],
            "inner.Ensemble0/bias": sim.model.sig[ensemble.neurons]["bias"],
            "out of/weights": sim.model.sig[decoded]["weights"],
        }
        learned = {name: np.array(sim.signals[s]) for name, s in signals.items()}
        return history, learned, sim.predict(data, verbose=0)[spikes]


@pytest.fixture(scope="module")
def summarized(tmp_path_factory):
    """A folder with summaries, what was learned and the spikes at the end."""
    folder = tmp_path_factory.mktemp("summaries")

    def summarize(sim, parts, data):
        _, _, ensemble, decoded, _, spikes, smooth = parts
        objects = [ensemble, ensemble.neurons, decoded, spikes, smooth]
        return [NengoSummaries(folder, sim, objects, data=data)]

    _, learned, spikes = fit_network(summarize)
    return Run(folder), learned, spikes


def test_histograms_of_what_is_learned(summarized):
    run, learned, _ = summarized
    for name, values in learned.items():
        assert run.plugin(name) == "histograms"
        assert run.steps(name) == [0, 1, 2]
        buckets = run.values(name)
        assert len({value.tobytes() for value in buckets}) == 3
        ends = buckets[-1][[0, -1], [0, 1]]
        assert_close(ends, [values.min(), values.max()], rtol=1e-5)
        assert buckets[-1][:, 2].sum() == values.size


def test_firing_rates(summarized):
    run, _, spikes = summarized
    counts = np.count_nonzero(spikes, axis=1)
    assert counts.max() > 2
    for name in ("spikes", "smooth"):
        rates = run.values(f"{name}/firing_rates")[-1]
        assert rates[:, 2].sum() == counts.size
        tolerance = 1e-5 if name == "spikes" else 0.3  # the filter takes its time
        assert_close(rates[-1, 1], counts.max() / 0.05, rtol=tolerance)


def test_rasters(summarized):
    run, learned, _ = summarized
    pictures = {f"{name}/raster" for name in ("spikes", "smooth")}
    rates = {f"{name}/firing_rates" for name in ("spikes", "smooth")}
    assert set(run.tags) == {*learned, *rates, *pictures}
    for name in pictures:
        assert run.steps(name) == [0, 1, 2]
        for size, picture in run.pictures(name):
            assert size == (800, 450)
            assert picture.shape == (450, 800, 4)


@pytest.mark.parametrize("stateful", [False, True])
def test_watching_does_not_change_the_training(tmp_path, stateful):
    def watch(sim, parts, data):
        _, _, ensemble, decoded, _, spikes, _ = parts
        objects = [ensemble, decoded, spikes]
        return [NengoSummaries(tmp_path, sim, objects, data=data)]

    expected, *_ = fit_network(lambda sim, parts, data: [], stateful)
    actual, *_ = fit_network(watch, stateful)
    assert_close(actual["loss"], expected["loss"], rtol=1e-5)


def test_network_without_data(tmp_path):
    network, stimulus, *_, probe, spikes, _ = small_network()
    data = {stimulus: np.zeros((2, 10, 1))}
    with Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        callback = NengoSummaries(tmp_path, sim, [spikes], n_steps=20)
        sim.compile("sgd", loss={probe: "mse"})
        sim.fit(data, {probe: data[stimulus]}, callbacks=[callback], verbose=0)
    assert Run(tmp_path).values("spikes/firing_rates")[0][:, 2].sum() % 20 == 0


def test_weights_without_zeros_of_a_sparse_connection(tmp_path):
    with nengo.Network(seed=0) as network:
        neurons = nengo.Ensemble(10, 1).neurons
        weights = nengo.Sparse((10, 10), indices=[[0, 1], [2, 3]], init=[1.0, 2.0])
        connection = nengo.Connection(neurons, neurons, transform=weights)
    with Simulator(network, progress_bar=False) as sim:
        callback = NengoSummaries(tmp_path, sim, [connection])
        callback.on_train_begin()
        callback.on_epoch_end(0)
    (buckets,) = Run(tmp_path).values("Connection0/weights")
    assert buckets[:, 2].sum() == 2


def test_wrong_objects(tmp_path):
    network, stimulus, ensemble, *_, probe, spikes, _ = small_network()
    with network:
        direct = nengo.Ensemble(1, 1, neuron_type=nengo.Direct(), label="direct")
        plain = nengo.Connection(stimulus, nengo.Node(size_in=1), label="plain")
        voltage = nengo.Probe(ensemble.neurons, "voltage", label="voltage")
    with nengo.Network():
        other = nengo.Ensemble(1, 1, label="other")
        elsewhere = nengo.Probe(other.neurons, label="elsewhere")
    cases = [
        (stimulus, r"stimulus.* is neither an Ensemble"),
        (network, r"Network.* is neither an Ensemble"),
        (ensemble[:1], r"is neither an Ensemble"),
        (direct, r"direct.* has no encoders: .*Direct"),
        (direct.neurons, r"direct.* has no bias: .*Direct"),
        (plain, r"plain.* has no weights"),
        (other, r"other.* is not part of the simulated network"),
        (other.neurons, r"other.* is not part of the simulated network"),
        (elsewhere, r"elsewhere.* is not part of the simulated network"),
        (voltage, r"voltage.* records 'voltage'.* Probe the output of neurons"),
        (probe, r"records 'output' of <Node.* Probe the output of neurons"),
    ]
    with Simulator(network, progress_bar=False) as sim:
        for obj, message in cases:
            with pytest.raises(ValidationError, match=rf"objects: .*{message}"):
                NengoSummaries(tmp_path, sim, [ensemble, obj], n_steps=5)
        with pytest.raises(ValidationError, match=r"data: .*spikes.*`n_steps`"):
            NengoSummaries(tmp_path, sim, [spikes])
    with pytest.raises(SimulatorClosed, match="NengoSummaries"):
        NengoSummaries(tmp_path, sim, [ensemble])


def test_probe_that_forgets(tmp_path):
    network, *_, spikes, _ = small_network()
    network.config[nengo.Probe].set_param(
        "keep_history", nengo.params.BoolParam("keep_history", default=False)
    )
    with (
        Simulator(network, progress_bar=False) as sim,
        pytest.raises(ValidationError, match=r"spikes.* keep_history=True"),
    ):
        NengoSummaries(tmp_path, sim, [spikes], n_steps=5)


# -- without TensorFlow


def test_no_tensorflow_is_imported(tmp_path):
    """An import of TensorFlow would fail here, installed or not."""
    code = f"""
import sys, warnings
import nengo_jax.callbacks
warnings.simplefilter("error")
sys.modules["tensorflow"] = None
assert "tensorboard" not in sys.modules, "not before it is needed"
import keras, numpy
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
callback = nengo_jax.callbacks.TensorBoard({str(tmp_path)!r}, 1, True)
data = numpy.ones((4, 1))
model.fit(data, data, callbacks=[callback], verbose=0)
assert sys.modules.pop("tensorflow") is None
assert not [name for name in sys.modules if name.startswith("tensorflow")]
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(Run(tmp_path / "train").tags) == 6


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(address, patience=60.0):
    """Read JSON from a server that may still be starting."""
    end = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


@pytest.mark.slow
def test_a_real_server_shows_it(tmp_path):
    train(TensorBoard(tmp_path, histogram_freq=1, write_images=True))
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(tmp_path)]
    address = f"http://127.0.0.1:{port}/data/plugin"
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--load_fast", "false"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while not (tags := fetch(f"{address}/scalars/tags")):
            assert time.monotonic() < end
            time.sleep(0.5)
        assert set(tags["train"]) >= {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
        query = "run=train&tag=epoch_loss"
        points = fetch(f"{address}/scalars/scalars?{query}")
        assert [step for _, step, _ in points] == [0, 1]
        assert any(
            "kernel" in tag for tag in fetch(f"{address}/histograms/tags")["train"]
        )
        assert any("kernel" in tag for tag in fetch(f"{address}/images/tags")["train"])
    finally:
        server.terminate()
        server.wait(timeout=30)
