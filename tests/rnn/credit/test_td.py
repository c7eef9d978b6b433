"""TD(λ): the recurrence against the algorithm written out, and against the forward views that it must
equal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import Loss, run
from msgpass.errors import DataError, NumericalError, ShapeError, UnsupportedError
from msgpass.gradient_check import check_gradients
from rnn.credit import eligibility_traces, lambda_returns, one_hot, random_walk, td_graph, td_lambda
from tests.rnn.credit.td_oracles import episodes, online_lambda_return, online_td

ALPHA = st.sampled_from([0.01, 0.1, 0.5])


@given(episodes(), ALPHA)
def test_true_online_td_is_the_online_lambda_return_algorithm(e, alpha):
    run_ = td_lambda(e.x, e.r, e.gamma, e.lam, alpha, trace="dutch", weights=e.w)
    wanted = online_lambda_return(*e[:4], alpha, e.w)
    np.testing.assert_allclose(run_.path, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["accumulating", "replacing"])
@given(st.data())
def test_online_td(kind, data):
    e = data.draw(episodes(binary=kind == "replacing"))
    found = td_lambda(e.x, e.r, e.gamma, e.lam, 0.1, trace=kind, weights=e.w)
    np.testing.assert_allclose(found.path, online_td(*e[:4], 0.1, e.w, kind), rtol=1e-11, atol=1e-11)


@given(episodes(), ALPHA)
def test_offline_td_is_the_forward_view(e, alpha):
    v = e.x @ e.w
    advantage = lambda_returns(e.r, v, e.gamma, e.lam) - v[:-1]
    found = td_lambda(e.x, e.r, e.gamma, e.lam, alpha, update="episode", weights=e.w)
    np.testing.assert_allclose(found.weights, e.w + alpha * advantage @ e.x[:-1], rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(found.path[:-1], np.broadcast_to(e.w, found.path[:-1].shape))


@given(episodes())
def test_td_1_is_monte_carlo(e):
    """Off-line, and on-line with dutch traces, whose last weights are those of plain LMS towards the
    returns."""
    x = np.vstack([e.x[:-1], np.zeros_like(e.w)])
    returns = [sum(np.prod(e.gamma[t:k]) * e.r[k] for k in range(t, len(e.r))) for t in range(len(e.r))]
    found = td_lambda(x, e.r, e.gamma, 1.0, 0.1, update="episode", weights=e.w).weights
    wanted = e.w + 0.1 * (returns - x[:-1] @ e.w) @ x[:-1]
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-11)
    w = e.w
    for xt, target in zip(x[:-1], returns, strict=True):
        w = w + 0.1 * (target - w @ xt) * xt
    found = td_lambda(x, e.r, e.gamma, 1.0, 0.1, trace="dutch", weights=e.w).weights
    np.testing.assert_allclose(found, w, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("trace", ["accumulating", "replacing", "dutch"])
def test_episodes_follow_each_other(trace, rng):
    x = [rng.integers(0, 2, size=(n, 3)).astype(float) for n in (3, 1, 5)]
    r = [rng.normal(size=n) for n in (3, 1, 4)]  # the last is cut off
    together = td_lambda(x, r, 0.9, 0.8, 0.1, trace=trace)
    w = np.zeros(3)
    for k in range(3):
        alone = td_lambda(x[k], r[k], 0.9, 0.8, 0.1, trace=trace, weights=w)
        np.testing.assert_array_equal(together.weights_by_step[k], alone.path)
        np.testing.assert_array_equal(together.traces[k], alone.trace_path)
        np.testing.assert_array_equal(together.td_errors[k], alone.error_path)
        w = alone.weights
    np.testing.assert_array_equal(together.weights_by_episode[-1], w)


def test_updates_of_an_episode_and_of_all(rng):
    x, r = [rng.normal(size=(n, 2)) for n in (3, 4)], [rng.normal(size=n) for n in (3, 4)]
    start = rng.normal(size=2)
    changes = [
        td_lambda(a, b, 0.9, 0.8, 0.1, update="episode", weights=start).weights - start
        for a, b in zip(x, r, strict=True)
    ]
    found = td_lambda(x, r, 0.9, 0.8, 0.1, update="batch", weights=start)
    np.testing.assert_allclose(found.weights, start + sum(changes), rtol=1e-13)
    first = td_lambda(x, r, 0.9, 0.8, 0.1, update="episode", weights=start).weights_by_episode[0]
    np.testing.assert_allclose(first, start + changes[0], rtol=1e-13)


def test_tabular_is_one_hot():
    states, rewards = [[1, 2, 1], [0, 1]], [[0.0, 1.0, 2.0], [1.0, 0.0]]
    found = td_lambda(states, rewards, 0.9, 0.5, 0.1, n_states=3)
    wanted = td_lambda([one_hot(s, 3) for s in states], rewards, 0.9, 0.5, 0.1)
    np.testing.assert_array_equal(found.path, wanted.path)
    np.testing.assert_array_equal(found.predict([2, 0]), found.weights[[2, 0]])


def test_step_sizes_and_lambdas_by_step(rng):
    x, r = rng.normal(size=(5, 2)), rng.normal(size=5)
    for trace in ("accumulating", "dutch"):
        one = td_lambda(x, r, 0.9, 0.8, 0.1, trace=trace)
        many = td_lambda(x, r, np.full(5, 0.9), np.full(5, 0.8), np.full(5, 0.1), trace=trace)
        np.testing.assert_array_equal(one.path, many.path)
    frozen = td_lambda(x, r, 0.9, 0.8, [0.1, 0.1, 0, 0, 0])
    np.testing.assert_array_equal(frozen.path[1:], np.broadcast_to(frozen.path[1], (4, 2)))


def test_lambda_as_a_function_of_the_state():
    states, rewards = np.array([0, 1, 2, 1]), np.array([1.0, 0.0, 2.0])
    table = np.array([0.1, 0.5, 0.9])
    found = td_lambda(states, rewards, 0.9, lambda s: table[s], 0.1, n_states=3)
    wanted = td_lambda(states, rewards, 0.9, table[states[1:]], 0.1, n_states=3)
    np.testing.assert_array_equal(found.path, wanted.path)


@pytest.mark.parametrize("length", [2, 3, 50])
def test_a_lambda_that_looks_ahead_is_found(length):
    states = np.arange(length) % 3
    rewards = np.zeros(length)
    with pytest.raises(DataError, match=r"not causal: λ of the state at t=\d+ of episode 1"):
        td_lambda(
            [states[:1], states], [rewards[:1], rewards], 1.0, lambda s: np.append(s[1:], 0) / 2.0, n_states=3
        )
    with pytest.raises(DataError, match="not causal"):
        td_lambda(states, rewards, 1.0, lambda s: np.full(len(s), 1 / len(s)), n_states=3)
    td_lambda(states, rewards, 1.0, lambda s: np.minimum(np.cumsum(s) / 10, 1), n_states=3)  # looks back
    with pytest.raises(ShapeError, match="one more would look ahead"):
        td_lambda(states, rewards, 1.0, lambda s: np.zeros(len(s) + 1), n_states=3)


@pytest.mark.parametrize("trace", ["accumulating", "dutch"])
def test_what_the_course_says_of_its_settings(trace, rng):
    """λ, step size and first weights are parameters: a loss of the last weights has gradients there."""
    x, r = rng.normal(size=(7, 3)), rng.normal(size=6)
    graph = td_graph(x, r, 0.9, 0.7, 0.05, trace=trace, weights=rng.normal(size=3))
    graph.factor(Loss(lambda w: (0.5 * float(w @ w), (w,))), graph["w"][-1])
    assert {"lambda", "step_size", "w0"} <= set(run(graph).parameters)
    check_gradients(graph)


def test_errors_of_a_run():
    walk = random_walk(5)
    found = td_lambda(*_of(walk.sample(30, random_state=1)), 1.0, 0.5, 0.1, n_states=7)
    truth = np.where(walk.terminal, np.nan, walk.values())
    wanted = [np.sqrt(np.mean((w[1:6] - walk.values()[1:6]) ** 2)) for w in found.weights_by_episode]
    np.testing.assert_allclose(found.errors(truth)[1:], wanted)
    np.testing.assert_allclose(found.errors(truth[1:6], np.eye(7)[1:6]), found.errors(truth))
    assert repr(found).startswith("<TDRun: 30 episodes")
    with pytest.raises(ShapeError, match="true_values"):
        found.errors(truth[:3])


def test_long_episodes(rng):
    T = 100_000
    found = td_lambda(rng.normal(size=(T, 3)), rng.normal(size=T), 0.9, 0.9, 1e-3, trace="dutch")
    assert np.isfinite(found.path).all()


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ({"trace": "sticky"}, DataError, "trace must be one of"),
        ({"update": "now"}, DataError, "update must be one of"),
        ({"trace": "dutch", "update": "episode"}, UnsupportedError, "online"),
        ({"step_size": -1.0}, DataError, "step_size must be from 0"),
        ({"step_size": np.inf}, DataError, "step_size must be finite"),
        ({"weights": [0.0]}, ShapeError, r"weights have shape \(1,\), features want \(2,\)"),
        ({"weights": [0.0, np.nan]}, DataError, "weights must be finite"),
        ({"trace": "replacing"}, DataError, "features of 0 and 1, got others at t=0"),
        (
            {"features": [[1.0, 2.0], [np.nan, 1.0], [0, 0]]},
            DataError,
            r"features must be finite, got nan at t=1",
        ),
        ({"features": [[1.0, 2.0]] * 5}, ShapeError, "5 rows for 3 rewards"),
        ({"features": np.ones(3)}, ShapeError, r"wanted \(T, d\), or states"),
        ({"features": [0, 1, 5], "n_states": 3}, DataError, "whole numbers from 0 to 2, got 5 at t=2"),
        ({"features": [0, 0.5, 1], "n_states": 3}, DataError, "got 0.5 at t=1"),
        ({"rewards": np.ones((3, 2))}, ShapeError, "give a list of episodes"),
        (
            {"features": [np.ones((3, 2)), np.ones((1, 3))], "rewards": [[1.0] * 3, [1.0]]},
            ShapeError,
            "3 columns",
        ),
        ({"rewards": [[1.0] * 3]}, ShapeError, "features must be a list of 1 arrays"),
    ],
)
def test_what_does_not_fit_says_where(more, error, says):
    given = {"features": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), "rewards": [1.0, 1.0, 1.0]} | more
    with pytest.raises(error, match=says):
        td_lambda(**given)


def test_divergence_is_placed():
    x, r = [np.array([[1e3], [2e3]] * 10)] * 9, [np.ones(20)] * 9
    with pytest.raises(NumericalError, match=r"NaN or infinite at t=\d+ of episode [1-8].*smaller step_size"):
        td_lambda(x, r, 1.0, 0.9, 10.0)


def _of(sampled):
    return sampled.states, sampled.rewards


@given(episodes())
def test_traces(e):
    x, T = e.x[:-1], len(e.r)
    decay = np.append(0.0, e.gamma[:-1] * e.lam[:-1])
    wanted = [sum(np.prod(decay[s + 1 : t + 1]) * x[s] for s in range(t + 1)) for t in range(T)]
    np.testing.assert_allclose(eligibility_traces(x, e.gamma, e.lam), wanted, rtol=1e-11, atol=1e-12)
    run_ = td_lambda(x, e.r, e.gamma, e.lam, 0.1, trace="dutch")
    dutch = eligibility_traces(x, e.gamma, e.lam, "dutch", step_size=0.1)
    np.testing.assert_allclose(dutch, run_.trace_path, rtol=1e-12, atol=1e-13)


def test_replacing_traces_never_exceed_one():
    states = [np.array([0, 1, 0, 0, 2]), np.array([1, 1])]
    high, low = (
        eligibility_traces(states, 1.0, 0.9, kind, n_states=3) for kind in ("accumulating", "replacing")
    )
    assert max(e.max() for e in high) > 1 == max(e.max() for e in low)
    np.testing.assert_allclose(low[0][4], [0.9, 0.729, 1.0])
    np.testing.assert_array_equal(low[1][0], [0, 1, 0])


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"kind": "dutch"}, UnsupportedError),
        ({"step_size": 0.1}, UnsupportedError),
        ({"kind": "other"}, UnsupportedError),
        ({"kind": "replacing"}, DataError),
    ],
)
def test_traces_refuse(more, error):
    with pytest.raises(error):
        eligibility_traces([[0.5], [1.0]], **more)
