"""What is read back is what sim.data had, whatever happened to the writer."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulatorClosed, ValidationError

import nengo_jax
from nengo_jax.live import Loop, Playback, Recording
from nengo_jax.live.storage import Growing, Storage


def network() -> nengo.Network:
    """Cheap to compile, with samples of several shapes and periods."""
    with nengo.Network(seed=1) as net:
        net.senses = nengo.Node([0.0, 0.0], label="senses")
        net.neurons = nengo.Ensemble(20, 2)
        net.seen = nengo.Probe(net.senses, label="seen")
        net.spikes = nengo.Probe(net.neurons.neurons, label="spikes")
        net.rare = nengo.Probe(net.neurons, sample_every=0.0025, synapse=0.01)
        feedback = nengo.Connection(net.neurons, net.neurons, synapse=0.1)
        net.weights = nengo.Probe(feedback, "weights", sample_every=0.01)
    return net


def simulator(net, **options) -> nengo_jax.Simulator:
    return nengo_jax.Simulator(net, **{"progress_bar": False, **options})


def observations(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape)


@pytest.mark.parametrize("compression", [None, "lzf", "gzip"])
@pytest.mark.parametrize(("batch", "block"), [(None, 1000), (None, 7), (2, 1)])
def test_the_file_holds_what_data_hold(tmp_path, batch, block, compression):
    net = network()
    lead = () if batch is None else (batch,)
    with simulator(net, minibatch_size=batch) as sim:
        with Recording(
            tmp_path / "run.h5", sim, block=block, compression=compression
        ) as recording:
            sim.run_steps(30, {net.senses: observations(*lead, 30, 2)})
            for _ in range(5):
                sim.step()
        assert recording.closed
        sim.step(keep=False)  # not recorded any longer
        with Playback(recording.path) as played:
            names = {sim.get_name(probe): probe for probe in net.probes}
            assert set(played) == set(names)
            assert len(played) == 4
            for name, probe in names.items():
                assert played[name].dtype == sim.data[probe].dtype
                assert np.array_equal(played[name], sim.data[probe])
            assert np.array_equal(played.steps, np.arange(1, 36))
            assert np.array_equal(played.trange(), sim.trange()[:35])
            rare = sim.get_name(net.rare)
            assert np.array_equal(played.trange(rare), sim.trange(sample_every=0.0025))
            assert played.minibatch_size == batch
            assert (played.dt, played.seed) == (sim.dt, sim.seed)


def test_a_loop_is_recorded_and_data_stay_empty(tmp_path):
    net = network()
    rows = observations(12, 2)
    with simulator(net) as sim, Loop(sim, net.senses, net.spikes) as loop:
        with Recording(tmp_path / "a.h5", sim, {"x": net.seen, "y": net.spikes}):
            outputs = [loop.step(row) for row in rows]
        assert len(sim.data[net.spikes]) == 0
    with Playback(tmp_path / "a.h5") as played:
        assert list(played) == ["x", "y"]
        assert "x" in played
        assert np.array_equal(played["x"], rows.astype(np.float32))
        assert np.array_equal(played["y"], outputs)


def test_two_recordings_at_once(tmp_path):
    net = network()
    with simulator(net) as sim:
        with Recording(tmp_path / "a.h5", sim, net.seen):
            sim.run_steps(4)
            with Recording(tmp_path / "b.h5", sim, [net.seen]):
                sim.run_steps(3)
            sim.run_steps(2)
        assert sim.listeners == []
    with Playback(tmp_path / "a.h5") as first, Playback(tmp_path / "b.h5") as second:
        assert list(first.steps) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
        assert list(second.steps) == [5, 6, 7]
        assert second["seen"].shape == (3, 2)


KILLED = """
import os, sys
import nengo, numpy as np, nengo_jax
path, compression = sys.argv[1], sys.argv[2] or None
with nengo.Network(seed=1) as net:
    clock = nengo.Probe(nengo.Node(lambda t: [t, -t]), label="clock")
    wide = nengo.Probe(nengo.Node(np.arange(50.0)), label="wide")
    rare = nengo.Probe(clock.obj, label="rare", sample_every=0.005)
sim = nengo_jax.Simulator(net, progress_bar=False, dtype="float64")
recording = nengo_jax.live.Recording(path, sim, block=20, compression=compression)
while True:
    sim.step(keep=False)
    if sim.n_steps % 100 == 0:
        print(sim.n_steps, flush=True)
"""


@pytest.mark.parametrize("compression", ["", "gzip"])
def test_a_killed_process_loses_the_last_block_at_most(tmp_path, compression):
    path = tmp_path / "killed.h5"
    command = [sys.executable, "-c", KILLED, str(path), compression]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(10):  # 1000 steps
            process.stdout.readline()
        with Playback(path) as running:  # while the other process writes
            seen = len(running.steps)
            assert np.array_equal(running.steps, np.arange(1, seen + 1))
            assert running["clock"].shape == (seen, 2)
        process.send_signal(signal.SIGKILL)
        said = [int(line) for line in process.stdout]
    assert process.returncode == -signal.SIGKILL
    last = said[-1] if said else 1000
    with Playback(path) as played:
        count = len(played.steps)
        assert count >= max(seen, last - 20)
        assert np.array_equal(played.steps, np.arange(1, count + 1))
        expected = np.arange(1, count + 1) * 0.001
        assert np.array_equal(played["clock"], np.stack([expected, -expected], 1))
        assert (played["wide"] == np.arange(50.0)).all()
        assert np.array_equal(played["rare"][:, 0], expected[4::5])


def test_a_block_written_in_part_is_not_shown(tmp_path):
    net = network()
    with simulator(net) as sim:
        recording = Recording(tmp_path / "part.h5", sim, net.seen)
        sim.run_steps(10)
        recording.close()
    with h5py.File(recording.path, "a") as file:  # as if killed before the numbers
        file["probes/seen"].resize(15, 0)
    with Playback(recording.path) as played:
        assert played["seen"].shape == (10, 2)


def test_an_interrupted_block_is_written_again(tmp_path):
    arrays = {"a": Growing((), np.dtype(int)), "b": Growing((), np.dtype(int))}
    storage = Storage(tmp_path / "s.h5", arrays, 4, {})
    storage.append({"a": np.arange(3), "b": np.arange(3)})
    with pytest.raises(KeyError):
        storage.append({"a": np.arange(10)})
    storage.append({"a": np.arange(3, 5), "b": np.arange(3, 5)})
    storage.close()
    with h5py.File(tmp_path / "s.h5") as file:
        assert list(file["a"]) == list(file["b"]) == [0, 1, 2, 3, 4]


def test_wide_probes_are_written_sooner(tmp_path):
    with nengo.Network() as net:
        wide = nengo.Probe(nengo.Node(np.zeros(20_000)))
    with (
        simulator(net) as sim,
        Recording(tmp_path / "w.h5", sim, {"wide": wide}, compression="gzip"),
    ):
        for _ in range(7):
            sim.step(keep=False)
        with h5py.File(tmp_path / "w.h5", "r", swmr=True) as file:
            assert len(file["steps"]) == 6  # three at a time


def test_flush_shows_all_steps(tmp_path):
    net = network()
    with simulator(net) as sim, Recording(tmp_path / "f.h5", sim, net.seen) as rec:
        sim.run_steps(3)
        rec.flush()
        rec.flush()
        with h5py.File(rec.path, "r", swmr=True) as file:
            assert list(file["steps"]) == [1, 2, 3]


def test_a_run_that_leaves_no_trace_and_errors_are_recorded_as_in_data(tmp_path):
    def fail(t):
        if t > 0.0045:
            raise RuntimeError("enough")
        return t

    with nengo.Network() as net:
        node = nengo.Node(fail)
        probe = nengo.Probe(node, label="probe")
    with simulator(net) as sim, Recording(tmp_path / "e.h5", sim) as recording:
        sim.run_steps(2, stateful=False)
        with pytest.raises(RuntimeError, match="enough"):
            sim.run_steps(10)
        recording.close()
        with Playback(recording.path) as played:
            assert np.array_equal(played["probe"], sim.data[probe])
            assert list(played.steps) == [1, 2, 1, 2, 3, 4]
            assert sim.n_steps == 4


# -- windows


def recorded(path: Path, net: nengo.Network, *, batch: int | None = None) -> np.ndarray:
    """Record 20 steps, a reset, and 13 steps; return what was seen."""
    lead = () if batch is None else (batch,)
    seen = observations(*lead, 33, 2).astype(np.float32)
    with simulator(net, minibatch_size=batch) as sim, Recording(path, sim):
        sim.run_steps(20, {net.senses: seen[..., :20, :]})
        sim.reset()
        sim.run_steps(13, {net.senses: seen[..., 20:, :]})
    return seen


def test_windows_are_pieces_without_a_reset_inside(tmp_path):
    net = network()
    seen = recorded(tmp_path / "w.h5", net)
    with Playback(tmp_path / "w.h5") as played:
        windows = played.windows(
            {"x": "seen"}, {"y": "spikes"}, n_steps=6, every=5, batch_size=4
        )
        x, y = windows.arrays()
        starts = [0, 5, 10, 20, 25]
        assert np.array_equal(x["x"], [seen[s : s + 6] for s in starts])
        assert np.array_equal(y["y"], [played["spikes"][s : s + 6] for s in starts])
        assert len(windows) == 2
        assert np.array_equal(windows[0][0]["x"], x["x"][:4])
        assert np.array_equal(windows[1][1]["y"], y["y"][4:])


def test_each_example_of_a_batch_gives_windows(tmp_path):
    net = network()
    seen = recorded(tmp_path / "b.h5", net, batch=2)
    with Playback(tmp_path / "b.h5") as played:
        assert played["seen"].shape == (2, 33, 2)
        windows = played.windows({"x": "seen"}, n_steps=10)
        (x,) = windows.arrays()
        expected = [seen[k, s : s + 10] for s in (0, 10, 20) for k in (0, 1)]
        assert np.array_equal(x["x"], expected)
        assert len(windows) == 6


def test_order_of_windows(tmp_path):
    net = network()
    recorded(tmp_path / "o.h5", net)
    with Playback(tmp_path / "o.h5") as played:
        options = {"n_steps": 1, "batch_size": 33, "shuffle": True, "seed": 1}
        first = played.windows({"x": "seen"}, **options)
        second = played.windows({"x": "seen"}, **options)
        epochs = []
        for _ in range(2):
            assert np.array_equal(first[0][0]["x"], second[0][0]["x"])
            epochs.append(first[0][0]["x"][:, 0])
            first.on_epoch_end()
            second.on_epoch_end()
        assert not np.array_equal(*epochs)
        for epoch in epochs:
            assert np.array_equal(np.sort(epoch, 0), np.sort(played["seen"], 0))


def test_a_network_learns_from_a_recording_what_it_learns_from_arrays(tmp_path):
    def student():
        with nengo.Network(seed=2) as net:
            x = nengo.Node([0.0, 0.0], label="x")
            neurons = nengo.Ensemble(10, 2, neuron_type=nengo.RectifiedLinear())
            nengo.Connection(x, neurons, synapse=None)
            net.probe = nengo.Probe(neurons, label="y")
        return net, x

    recorded(tmp_path / "t.h5", network())
    losses = []
    for kind in ("windows", "arrays"):
        net, x = student()
        with Playback(tmp_path / "t.h5") as played, simulator(net) as sim:
            windows = played.windows({x: "seen"}, {net.probe: "seen"}, n_steps=5)
            sim.compile("sgd", loss={net.probe: "mae"})
            given = [windows] if kind == "windows" else windows.arrays()
            history = sim.fit(*given, epochs=2, shuffle=False, verbose=0)
            losses.append(history.history["loss"])
    assert losses[0] == pytest.approx(losses[1])


# -- what is refused


def test_a_file_is_not_overwritten_unless_asked_for(tmp_path):
    net = network()
    path = tmp_path / "twice.h5"
    with simulator(net) as sim:
        with Recording(path, sim, net.seen):
            sim.run_steps(5)
        with pytest.raises(FileExistsError, match=r"overwrite=True"):
            Recording(path, sim)
        assert sim.listeners == []
        with Recording(path, sim, net.seen, overwrite=True):
            sim.run_steps(2)
    with Playback(path) as played:
        assert list(played.steps) == [6, 7]


def test_what_cannot_be_recorded(tmp_path):
    net = network()
    path = tmp_path / "no.h5"
    with nengo.Network():
        stranger = nengo.Probe(nengo.Node([0]))
    with simulator(net) as sim:
        for probes in ([stranger], {"a": stranger}, [net.senses], {"a": net.neurons}):
            with pytest.raises(ValidationError, match=r"no .*probe of the network"):
                Recording(path, sim, probes)
        for name in ("a/b", "", "..", 3):
            with pytest.raises(ValidationError, match="cannot be a name"):
                Recording(path, sim, {name: net.seen})
        for block in (0, 1.5):
            with pytest.raises(ValidationError, match="positive whole number"):
                Recording(path, sim, block=block)
        with pytest.raises(ValidationError, match="no probe to record"):
            Recording(path, sim, [])
        with pytest.raises(ValidationError, match="got 'zip'"):
            Recording(path, sim, compression="zip")
        assert not path.exists()
    with pytest.raises(SimulatorClosed):
        Recording(path, sim)
    assert not path.exists()


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no recording"):
        Playback(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text(json.dumps({"no": "recording"}))
    with pytest.raises(ValidationError, match="cannot be read as HDF5"):
        Playback(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w", libver="v110") as file:
        file["steps"] = [1, 2]
    with pytest.raises(ValidationError, match="no recording of this version"):
        Playback(tmp_path / "other.h5")


def test_a_file_without_its_end_is_refused(tmp_path):
    """HDF5 would wait for it."""
    net = network()
    with simulator(net) as sim, Recording(tmp_path / "whole.h5", sim):
        sim.run_steps(50)
    whole = (tmp_path / "whole.h5").read_bytes()
    for size in (8, 10, 47, 48, 200, len(whole) // 2, len(whole) - 1):
        (tmp_path / "part.h5").write_bytes(whole[:size])
        with pytest.raises(ValidationError, match="cannot be read as HDF5"):
            Playback(tmp_path / "part.h5")


def test_windows_that_do_not_exist(tmp_path):
    recorded(tmp_path / "x.h5", network())
    with Playback(tmp_path / "x.h5") as played:
        with pytest.raises(ValidationError, match=r"no 'sound' .* seen, spikes"):
            played["sound"]
        assert played.get("sound") is None
        assert np.array_equal(played.get("seen"), played["seen"])
        with pytest.raises(ValidationError, match="no 'sound'"):
            played.windows({"x": "sound"}, n_steps=2)
        with pytest.raises(ValidationError, match="not recorded in every step"):
            played.windows({"x": "probe"}, n_steps=2)
        with pytest.raises(ValidationError, match=r"window of 21 steps.* has 20"):
            played.windows({"x": "seen"}, n_steps=21)
        for name in ("n_steps", "every", "batch_size"):
            with pytest.raises(ValidationError, match="positive whole number"):
                played.windows({"x": "seen"}, **{"n_steps": 2, name: 0})
