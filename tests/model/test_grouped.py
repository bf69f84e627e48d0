"""Several batches in one compiled call give what one after the other gives."""

import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError

import nengo_jax
from nengo_jax.model.batches import ArrayBatches
from nengo_jax.model.grouped import choose_batches

BATCH, EXAMPLES, SIZE = 4, 45, 3  # eleven batches, and one of a single example
RNG = np.random.RandomState(0)
X = RNG.uniform(-1, 1, (EXAMPLES, 1, SIZE))
Y = RNG.uniform(-1, 1, (EXAMPLES, 1, 2))


@pytest.fixture(scope="module")
def network():
    with nengo.Network(seed=1) as network:
        network.source = nengo.Node(np.zeros(SIZE))
        ensemble = nengo.Ensemble(20, SIZE, neuron_type=nengo.LIFRate())
        nengo.Connection(network.source, ensemble, synapse=None)
        readout = nengo.Node(size_in=2)
        nengo.Connection(ensemble, readout, synapse=None, transform=np.ones((2, SIZE)))
        network.probe = nengo.Probe(readout)
    return network


class Seen(keras.callbacks.Callback):
    """Counts how often it is called after a batch, and after an epoch."""

    def __init__(self):
        super().__init__()
        self.batches, self.epochs = [], 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(batch)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1


def simulator(network):
    return nengo_jax.Simulator(
        network, minibatch_size=BATCH, dtype="float64", progress_bar=False
    )


def train(network, callbacks=None, **options):
    """Return losses, what the trained network says, and its error."""
    np.random.seed(0)  # noqa: NPY002, from which Keras takes the order of examples
    with simulator(network) as sim:
        sim.compile(keras.optimizers.Adam(1e-3), loss="mse", metrics=["mae"], **options)
        history = sim.fit(
            {network.source: X},
            Y,
            epochs=3,
            validation_data=({network.source: X[:7]}, Y[:7]),
            callbacks=callbacks,
            verbose=0,
        )
        assert sim.keras_model.steps_per_execution == options.get(
            "steps_per_execution", 1
        )
        said = sim.predict({network.source: X}, verbose=0)[network.probe]
        error = sim.evaluate({network.source: X}, Y, verbose=0)["loss"]
        return history.history, said, error


@pytest.mark.parametrize("count", [None, 3, 12, 100])
def test_the_same_as_one_after_the_other(network, count):
    chosen = {} if count is None else {"steps_per_execution": count}
    history, said, error = train(network, **chosen)
    wanted, said_wanted, error_wanted = train(network, steps_per_execution=1)
    assert history.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_allclose(history[name], wanted[name], rtol=1e-9)
    np.testing.assert_allclose(said, said_wanted, rtol=1e-7)
    assert error == pytest.approx(error_wanted, rel=1e-9)
    assert np.ptp(wanted["loss"]) > 0.01  # it learns


@pytest.mark.parametrize("count", [None, 1, 5])
@pytest.mark.parametrize("example", [0, 13, EXAMPLES - 1])
def test_a_loss_of_nan_names_its_batch(network, count, example):
    y = Y.copy()
    y[example] = np.nan
    options = {} if count is None else {"steps_per_execution": count}
    with simulator(network) as sim:
        sim.compile("sgd", loss="mse", **options)
        with pytest.raises(SimulationError, match=f"batch {1 + example // BATCH}\\."):
            sim.fit({network.source: X}, y, shuffle=False, verbose=0)


def test_callbacks_of_batches_see_each_of_them(network):
    seen = Seen()
    train(network, callbacks=[seen])
    assert seen.batches == [*range(12)] * 3
    assert seen.epochs == 3
    seen = Seen()
    train(network, callbacks=[seen], steps_per_execution=5)
    assert seen.batches == [4, 9, 14] * 3  # as Keras numbers them


class Evaluates(keras.callbacks.Callback):
    """Looks at the first two batches while a training goes on."""

    def __init__(self, sim, network):
        super().__init__()
        self._sim, self._network, self.found = sim, network, []

    def on_epoch_end(self, epoch, logs=None):
        source, probe = self._network.source, self._network.probe
        error = self._sim.evaluate({source: X}, Y, steps=2, verbose=0)["loss"]
        shown = self._sim.predict({source: X}, steps=2, verbose=0)[probe]
        self.found.append((error, shown, logs["val_loss"]))


def test_evaluations_keep_their_number_of_batches(network):
    with simulator(network) as sim:
        sim.compile("sgd", loss="mse")
        evaluates = Evaluates(sim, network)
        sim.fit(
            {network.source: X},
            Y,
            validation_data=({network.source: X}, Y),
            validation_steps=2,
            callbacks=[evaluates],
            verbose=0,
        )
        first = {network.source: X[: 2 * BATCH]}
        shown = sim.predict(first, verbose=0)[network.probe]
        error = sim.evaluate(first, Y[: 2 * BATCH], verbose=0)["loss"]
    ((found, seen, validated),) = evaluates.found
    np.testing.assert_allclose(seen, shown, rtol=1e-9)
    assert found == pytest.approx(error, rel=1e-9)
    assert validated == pytest.approx(error, rel=1e-9)


def test_an_error_of_a_source_leaves_what_was_learned(network):
    class Source(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, number):
            if number == 3:
                raise OSError("no such file")
            here = slice(number * BATCH, (number + 1) * BATCH)
            return {network.source: X[here]}, {network.probe: Y[here]}

    found = []
    for count in (1, 5):
        with simulator(network) as sim:
            sim.compile("sgd", loss="mse", steps_per_execution=count)
            with pytest.raises(OSError, match="no such file"):
                sim.fit(Source(), shuffle=False, verbose=0)
            assert int(sim.keras_model.optimizer.iterations.value) == 3
            found.append(sim.predict({network.source: X}, verbose=0)[network.probe])
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_batches_of_a_call():
    def data(*shape):
        return ArrayBatches(({"x": np.zeros(shape, np.float32)},), BATCH)

    assert choose_batches(data(384, 1, 2), []) == 16
    assert choose_batches(data(20, 1, 2), []) == 5
    assert choose_batches(data(80, 1, 2), []) == 10  # two calls for 20 batches
    assert choose_batches(data(384, 1, 2), [keras.callbacks.EarlyStopping()]) == 16
    assert choose_batches(data(400, 1, 2), [Seen()]) == 1
    assert choose_batches(data(400, 2, 2), []) == 1  # steps in time
    assert choose_batches(data(40, 1, 2**19), []) == 2  # 8 MiB each
    assert choose_batches(data(8, 1, 2**21), []) == 1
    assert choose_batches(iter([]), []) == 1


def test_batches_of_changing_size(network):
    """A source whose batches are of several sizes, in any order."""
    sizes = [4, 4, 2, 4, 1, 1, 3]

    class Source(keras.utils.PyDataset):
        def __len__(self):
            return len(sizes)

        def __getitem__(self, number):
            first = sum(sizes[:number])
            here = slice(first, first + sizes[number])
            return {network.source: X[here]}, {network.probe: Y[here]}

    found = []
    for count in (1, 7):
        with simulator(network) as sim:
            sim.compile("adam", loss="mse", steps_per_execution=count)
            history = sim.fit(Source(), epochs=2, shuffle=False, verbose=0).history
            said = sim.predict({network.source: X}, verbose=0)[network.probe]
            found.append((history["loss"], said))
    for one, several in zip(*found, strict=True):
        np.testing.assert_allclose(several, one, rtol=1e-7)
