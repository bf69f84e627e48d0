"""NIR graphs evaluated with NumPy, straight from the equations of NIR: an oracle.

Nothing of nengo or nengo_jax is used. Linear equations are solved by the exponential of
their matrix, or with a step of Euler's method. Voltages and currents are 0 at first.
Integrators show their values before the step.
"""

import nir
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg import expm


def evaluate(graph, inputs, dt, method="exact", late=()):
    """Return the outputs of a graph.

    Parameters
    ----------
    graph : nir.NIRGraph
        Without graphs in it.
    inputs : dict of str to ndarray, shape (steps, *shape)
    dt : float
    method : str
    late : collection of (str, str)
        Edges whose values arrive one step later.

    Returns
    -------
    dict of str to ndarray, shape (steps, *shape)
    """
    nodes = {
        name: _CLASSES.get(type(node), Stateless)(node, dt, method)
        for name, node in graph.nodes.items()
    }
    steps = len(next(iter(inputs.values())))
    outputs = {name: [] for name in graph.outputs}
    edges = [tuple(edge) for edge in graph.edges]
    last = {name: 0.0 for name in nodes}
    order = _order(nodes, edges, late)
    holding = [name for name, node in nodes.items() if node.holds]

    def given(target):
        sources = [edge for edge in edges if edge[1] == target]
        return sum(last[a] if (a, b) in late else now[a] for a, b in sources)

    for step in range(steps):
        now = {name: nodes[name].show() for name in holding}
        for name in order:
            if name in inputs:
                now[name] = np.asarray(inputs[name][step], float)
            else:
                now[name] = nodes[name].step(given(name))
        for name in holding:
            nodes[name].advance(given(name))
        for name, values in outputs.items():
            values.append(now[name])
        last = now
    return {name: np.array(values) for name, values in outputs.items()}


def _order(nodes, edges, late):
    order, left = [], [name for name, node in nodes.items() if not node.holds]
    while left:
        ready = [
            name
            for name in left
            if not any(b == name and a in left and (a, b) not in late for a, b in edges)
        ]
        assert ready, f"a circle among {left}"
        order += ready
        left = [name for name in left if name not in ready]
    return order


class Stateless:
    holds = False

    def __init__(self, node, dt, method):
        self.node = node

    def step(self, x):
        return _FUNCTIONS[type(self.node)](self.node, x)


class Integrator:
    """x' = A x + B (u, 1), elementwise: one small system for each element."""

    holds = True

    def __init__(self, node, dt, method):
        self.node, self.dt = node, dt
        self.systems = np.array([self._discrete(*s, method) for s in self.rows()])
        self.state = np.zeros((len(self.systems), self.systems.shape[1]))
        self.shape = np.shape(node.r)

    def rows(self):
        node = self.node
        if type(node) in (nir.I, nir.IF):
            for r in node.r.ravel():
                yield [[0.0]], [[r, 0.0]]
        elif type(node) in (nir.LI, nir.LIF):
            for tau, r, leak in zip(*_flat(node.tau, node.r, node.v_leak), strict=True):
                yield [[-1 / tau]], [[r / tau, leak / tau]]
        else:
            values = node.tau_syn, node.tau_mem, node.r, node.v_leak, node.w_in
            for syn, mem, r, leak, w in zip(*_flat(*values), strict=True):
                a = [[-1 / mem, r / mem], [0.0, -1 / syn]]
                yield a, [[0.0, leak / mem], [w / syn, 0.0]]

    def _discrete(self, a, b, method):
        n = len(a)
        if method == "euler":
            return np.hstack([np.eye(n) + self.dt * np.array(a), self.dt * np.array(b)])
        whole = np.zeros((n + 2, n + 2))
        whole[:n] = np.hstack([a, b])
        return expm(self.dt * whole)[:n]

    def show(self):
        return self.state[:, 0].reshape(self.shape)

    def advance(self, u):
        u = np.broadcast_to(u, self.shape).reshape(-1, 1)
        x = np.concatenate([self.state, u, np.ones_like(u)], axis=1)
        self.state = np.einsum("nij,nj->ni", self.systems, x)


class Spiking(Integrator):
    holds = False

    def step(self, u):
        self.advance(u)
        threshold, reset = _flat(self.node.v_threshold, self.node.v_reset)
        spikes = self.state[:, 0] > threshold
        self.state[:, 0] = np.where(spikes, reset, self.state[:, 0])
        return spikes.astype(float).reshape(self.shape)


class Delay:
    holds = True

    def __init__(self, node, dt, method):
        self.steps = np.rint(node.delay / dt).astype(int)
        self.past = [np.zeros(node.delay.shape)] * self.steps.max()

    def show(self):
        past = np.array(self.past)
        return np.take_along_axis(past, -self.steps[None] + len(past), 0)[0]

    def advance(self, u):
        self.past = [*self.past[1:], np.broadcast_to(u, self.steps.shape)]


def _flat(*values):
    return [np.asarray(v, float).ravel() for v in values]


def _convolve(weight, x, stride, padding, dilation, groups):
    """Return what torch's convolutions do."""
    count = weight.ndim - 2
    stride, dilation = (np.broadcast_to(v, count) for v in (stride, dilation))
    spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    if isinstance(padding, str) and padding == "same":
        pads = [((s - 1) // 2, s - 1 - (s - 1) // 2) for s in spans]
    else:
        each = np.broadcast_to(0 if isinstance(padding, str) else padding, count)
        pads = [(p, p) for p in each]
    x = np.pad(x, [(0, 0), *pads])
    windows = sliding_window_view(x, spans, tuple(range(1, count + 1)))
    steps = tuple(slice(None, None, s) for s in stride)
    holes = tuple(slice(None, None, d) for d in dilation)
    windows = windows[(slice(None), *steps, *holes)]
    results = []
    for part, chunk in zip(
        np.split(weight, groups), np.split(windows, groups), strict=True
    ):
        axes = [0, *range(1 + count, 1 + 2 * count)]
        results.append(np.tensordot(part, chunk, (list(range(1, 2 + count)), axes)))
    return np.concatenate(results)


def _conv(node, x):
    y = _convolve(node.weight, x, node.stride, node.padding, node.dilation, node.groups)
    return y + np.reshape(node.bias, (-1,) + (1,) * (y.ndim - 1))


def _pool(node, x):
    kernel = np.ones((len(x), 1, *np.broadcast_to(node.kernel_size, 2)))
    if type(node) is nir.AvgPool2d:
        kernel /= kernel[0].size
    return _convolve(kernel, x, node.stride, node.padding, 1, len(x))


def _flatten(node, x):
    start, end = node.start_dim % x.ndim, node.end_dim % x.ndim
    return x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :])


_FUNCTIONS = {
    nir.Input: lambda node, x: x,
    nir.Output: lambda node, x: x,
    nir.Linear: lambda node, x: np.einsum("...ij,...j->...i", node.weight, x),
    nir.Affine: lambda node, x: (
        np.einsum("...ij,...j->...i", node.weight, x) + node.bias
    ),
    nir.Scale: lambda node, x: node.scale * x,
    nir.Conv1d: _conv,
    nir.Conv2d: _conv,
    nir.SumPool2d: _pool,
    nir.AvgPool2d: _pool,
    nir.Flatten: _flatten,
    nir.Threshold: lambda node, x: (x > node.threshold).astype(float),
}
_CLASSES = {
    nir.I: Integrator,
    nir.LI: Integrator,
    nir.CubaLI: Integrator,
    nir.IF: Spiking,
    nir.LIF: Spiking,
    nir.CubaLIF: Spiking,
    nir.Delay: Delay,
}
