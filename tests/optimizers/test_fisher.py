"""The natural gradient of policies, against explicit Fisher matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_jax.optimizers import NaturalGradientSettings, natural_gradient

STEPS = 60
RNG = np.random.RandomState(4)
SCORES = RNG.standard_normal((STEPS, 6)) * np.logspace(-1, 1, 6)
ADVANTAGES = RNG.standard_normal(STEPS)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def tree(flat):
    """Six numbers, or rows of them, as a tree of parameters."""
    return {
        "w": jnp.asarray(flat[..., :4]).reshape(*flat.shape[:-1], 2, 2),
        "b": jnp.asarray(flat[..., 4:]),
    }


def flat(values):
    return np.concatenate([np.ravel(values["w"]), np.ravel(values["b"])])


def follow(scores, advantages=ADVANTAGES, **settings):
    """Return one step from zero, and the report."""
    method = natural_gradient(NaturalGradientSettings(**settings))
    params = tree(np.zeros(6))
    after, _, report = method.update(
        method.init(params), params, tree(scores), jnp.asarray(advantages)
    )
    return flat(after), report


def explicit(scores, radius, damping=0.0):
    fisher = scores.T @ scores / len(scores) + damping * np.eye(6)
    gradient = scores.T @ ADVANTAGES / len(scores)
    natural = np.linalg.solve(fisher, gradient)
    return np.sqrt(radius / (gradient @ natural)) * natural, fisher


@pytest.mark.parametrize("solver", ["svd", "cg"])
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_step_is_that_of_the_explicit_matrix(solver, damping):
    found, _ = follow(
        SCORES, radius=0.02, solver=solver, damping=damping, tolerance=1e-12
    )
    expected, fisher = explicit(SCORES, 0.02, damping)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found @ fisher @ found, 0.02, rtol=1e-6)


@pytest.mark.parametrize("solver", ["svd", "cg"])
def test_is_gradient_ascent_where_the_fisher_matrix_is_the_identity(solver):
    q, _ = np.linalg.qr(RNG.standard_normal((STEPS, 6)))
    scores = q * np.sqrt(STEPS)
    found, report = follow(scores, radius=0.5, solver=solver)
    gradient = scores.T @ ADVANTAGES / STEPS
    np.testing.assert_allclose(
        found, np.sqrt(0.5) * gradient / np.linalg.norm(gradient), rtol=1e-8
    )
    np.testing.assert_allclose(report.squared_norm, gradient @ gradient, rtol=1e-8)


@pytest.mark.parametrize("solver", ["svd", "cg"])
def test_does_not_depend_on_the_parameters(solver):
    """With theta = A phi, scores are those of theta times A, and steps agree."""
    change = RNG.standard_normal((6, 6)) + 3 * np.eye(6)
    options = {"solver": solver, "tolerance": 1e-14}
    theta, _ = follow(SCORES, **options)
    phi, _ = follow(SCORES @ change, **options)
    np.testing.assert_allclose(change @ phi, theta, rtol=1e-5)
    plain = SCORES.T @ ADVANTAGES
    changed = change @ (change.T @ plain)
    cosine = changed @ plain / np.linalg.norm(changed) / np.linalg.norm(plain)
    assert cosine < 0.99  # unlike those of the plain gradient


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_solvers_agree_where_the_fisher_matrix_is_singular(dtype):
    """That of a softmax is: a number added to all its inputs changes nothing."""

    def log_probability(weights, state, action):
        return jax.nn.log_softmax(state @ weights)[action]

    rng = np.random.RandomState(3)
    weights = jnp.asarray(rng.standard_normal((4, 2)), dtype)
    states = jnp.asarray(rng.standard_normal((200, 4)), dtype)
    actions, advantages = rng.randint(2, size=200), rng.standard_normal(200)
    score = jax.vmap(jax.grad(log_probability), (None, 0, 0))
    scores = score(weights, states, jnp.asarray(actions))
    steps = []
    for solver in ("svd", "cg"):
        method = natural_gradient(NaturalGradientSettings(solver=solver))
        after, _, _ = method.update((), weights, scores, jnp.asarray(advantages, dtype))
        steps.append(after - weights)
    np.testing.assert_allclose(*steps, rtol=1e-3, atol=1e-6)


def test_small_eigenvalues_count_as_zero():
    """A softmax policy has directions that change nothing."""
    scores = SCORES.copy()
    scores[:, 5] = scores[:, 4] * (1 + 1e-9)
    found, report = follow(scores, tolerance=1e-6)
    assert int(report.rank) == 5
    gradient = scores.T @ ADVANTAGES / STEPS
    natural = np.linalg.pinv(scores.T @ scores / STEPS, rcond=1e-6) @ gradient
    np.testing.assert_allclose(
        found, np.sqrt(1e-3 / (gradient @ natural)) * natural, rtol=1e-5
    )


def test_no_advantage_no_step():
    found, report = follow(SCORES, np.zeros(STEPS))
    np.testing.assert_array_equal(found, 0)
    assert float(report.step_length) == 0


def test_policy_with_fewer_steps_than_parameters():
    found, _ = follow(SCORES[:3], ADVANTAGES[:3])
    assert np.all(np.isfinite(found))
    assert np.any(found != 0)


def test_learns_which_action_is_right():
    """A softmax policy with scores by JAX, as in CartPole."""

    def log_probability(w, x, action):
        return jax.nn.log_softmax(x @ w)[action]

    score = jax.jit(jax.vmap(jax.grad(log_probability), (None, 0, 0)))
    method = natural_gradient(NaturalGradientSettings(radius=0.01, damping=1e-3))
    w = jnp.zeros((4, 2))
    state = method.init(w)
    key = jax.random.key(0)
    for _ in range(20):
        key, first, second = jax.random.split(key, 3)
        x = jax.random.normal(first, (200, 4))
        actions = jax.random.categorical(second, x @ w)
        right = (x[:, 0] - x[:, 2] > 0).astype(int)
        reward = jnp.where(actions == right, 1.0, -1.0)
        w, state, _ = method.update(state, w, score(w, x, actions), reward)
    x = jax.random.normal(key, (500, 4))
    right = (x[:, 0] - x[:, 2] > 0).astype(int)
    assert float(jnp.mean(jnp.argmax(x @ w, axis=1) == right)) > 0.9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius": 0}, "larger than 0"),
        ({"tolerance": 2}, "at most 1"),
        ({"solver": "lu"}, "'svd' or 'cg'"),
        ({"damping": -1}, "at least 0"),
        ({"iterations": 0}, "at least 1"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValidationError, match=message):
        NaturalGradientSettings(**settings)


@pytest.mark.parametrize(
    ("scores", "advantages", "message"),
    [
        (tree(SCORES[:5]), ADVANTAGES, r"scores of \['b'\] have shape \(5, 2\)"),
        ({"w": SCORES}, ADVANTAGES, "tree like the parameters"),
        (tree(SCORES), ADVANTAGES[:, None], r"must have shape \(steps,\)"),
    ],
)
def test_shapes_that_do_not_fit(scores, advantages, message):
    method = natural_gradient()
    params = tree(np.zeros(6))
    with pytest.raises(ValidationError, match=message):
        method.update((), params, scores, jnp.asarray(advantages))
