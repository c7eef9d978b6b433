"""Reward processes: exact values, episodes, and what TD(λ) learns of them."""

import numpy as np
import pytest

from msgpass.errors import ConvergenceWarning, DataError, NotFittedError, ProbabilityError, ShapeError
from rnn.credit import (
    Episodes,
    MarkovRewardProcess,
    TDLearner,
    error_curves,
    monte_carlo_returns,
    random_walk,
    td_lambda,
)


@pytest.mark.parametrize(("n", "low"), [(5, 0.0), (19, -1.0), (1, 0.0)])
def test_values_of_the_walk(n, low):
    """Linear between what the ends pay."""
    wanted = low + (1 - low) * np.arange(1, n + 1) / (n + 1)
    values = random_walk(n).values()
    np.testing.assert_allclose(values[1:-1], wanted, rtol=1e-12, atol=1e-15)
    assert values[0] == values[-1] == 0


def test_values_solve_bellmans_equation(rng):
    P = rng.dirichlet(np.ones(4), size=4)
    R = rng.normal(size=(4, 4))
    process = MarkovRewardProcess(P, R, 0, discount=0.9)
    V = process.values()
    np.testing.assert_allclose(V, (P * R).sum(1) + 0.9 * P @ V, rtol=1e-12)
    by_state = MarkovRewardProcess(P, R[0], np.full(4, 0.25), 0.9).values()
    np.testing.assert_allclose(by_state, R[0] + 0.9 * P @ by_state, rtol=1e-12)


def test_sampled_returns_average_to_the_values():
    walk = random_walk(5, left=-2.0, discount=0.9)
    drawn = walk.sample(4000, random_state=0)
    assert len(drawn) == 4000
    first = np.array([g[0] for g in monte_carlo_returns(drawn.rewards, 0.9)])
    assert abs(first.mean() - walk.values()[3]) < 4 * first.std() / np.sqrt(len(first))
    again = walk.sample(4000, random_state=0)
    assert all((a == b).all() for a, b in zip(drawn.states, again.states, strict=True))
    for states, rewards in zip(drawn.states[:50], drawn.rewards[:50], strict=True):
        assert len(states) == len(rewards) and states[0] == 3 and (np.abs(np.diff(states)) == 1).all()


def test_long_episodes_are_cut_off():
    cut = MarkovRewardProcess([[0.5, 0.5], [0.5, 0.5]], [1.0, 0.0], 0, 0.9).sample(
        2, max_steps=10, random_state=0
    )
    assert [len(s) for s in cut.states] == [11, 11] and [len(r) for r in cut.rewards] == [10, 10]
    assert repr(cut) == "<Episodes: 2, 20 steps>"


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: MarkovRewardProcess([[0.5, 0.4], [0, 1]], [0, 0], 0), ProbabilityError, "row 0"),
        (lambda: MarkovRewardProcess(np.ones((1, 2)), [0], 0), ShapeError, "wanted"),
        (lambda: MarkovRewardProcess(np.eye(2), [0, 0, 0], 0), ShapeError, "rewards"),
        (lambda: MarkovRewardProcess(np.eye(2), [0, 0], 5), DataError, "start"),
        (lambda: MarkovRewardProcess(np.eye(2), [0, 0], [0.5, 0.2]), ProbabilityError, "start"),
        (lambda: MarkovRewardProcess(np.eye(2), [0, 0], 0, 1.5), DataError, "discount"),
        (lambda: MarkovRewardProcess(np.eye(2), [0, 0], 0).sample(), DataError, "terminal state 0"),
        (lambda: MarkovRewardProcess([[0.0, 1], [1, 0]], [1, 1], 0).values(), DataError, "without end"),
    ],
)
def test_what_is_no_process(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_batch_training_comes_to_rest_where_theory_says():
    """λ = 1: the mean return of each state; λ = 0: values of the chain that was seen (Sutton 1988)."""
    drawn = random_walk(3).sample(12, random_state=3)
    settings = {"trace": "accumulating", "update": "batch", "n_states": 5, "n_epochs": 4000, "tol": 1e-12}
    returns = monte_carlo_returns(drawn.rewards)
    found = TDLearner(1.0, 0.01, **settings).fit(drawn.states, drawn.rewards)
    states, G = np.concatenate(drawn.states), np.concatenate(returns)
    for s in (1, 2, 3):
        np.testing.assert_allclose(found.weights_[s], G[states == s].mean(), rtol=1e-8, atol=1e-9)
    counts, pay = np.zeros((5, 5)), np.zeros(5)
    for path, rewards in zip(drawn.states, drawn.rewards, strict=True):
        end = 4 if path[-1] == 3 and rewards[-1] else 0
        for a, b, r in zip(path, [*path[1:], end], rewards, strict=True):
            counts[a, b] += 1
            pay[a] += r
    visits = counts.sum(1)
    P = counts[1:4, 1:4] / visits[1:4, None]
    wanted = np.linalg.solve(np.eye(3) - P, pay[1:4] / visits[1:4])
    found = TDLearner(0.0, 0.01, **settings).fit(drawn.states, drawn.rewards)
    np.testing.assert_allclose(found.weights_[1:4], wanted, rtol=1e-8)
    assert found.n_epochs_ < 4000


def test_the_learner_is_an_estimator():
    from sklearn.base import clone

    drawn = random_walk(5).sample(40, random_state=0)
    learner = clone(TDLearner(0.8, 0.05, n_states=7)).set_params(lambda_=0.5)
    with pytest.raises(NotFittedError, match="call fit"):
        learner.predict([1])
    learner.fit(drawn.states, drawn.rewards)
    wanted = td_lambda(drawn.states, drawn.rewards, 1.0, 0.5, 0.05, trace="dutch", n_states=7)
    np.testing.assert_array_equal(learner.weights_, wanted.weights)
    np.testing.assert_array_equal(learner.weights_by_episode_, wanted.weights_by_episode)
    np.testing.assert_array_equal(learner.predict([3, 1]), wanted.weights[[3, 1]])
    parts = TDLearner(0.5, 0.05, n_states=7).partial_fit(drawn.states[:15], drawn.rewards[:15])
    parts.partial_fit(drawn.states[15:], drawn.rewards[15:])
    np.testing.assert_array_equal(parts.weights_, learner.weights_)
    twice = TDLearner(0.5, 0.05, n_states=7, n_epochs=2).fit(drawn.states, drawn.rewards)
    again = td_lambda(
        drawn.states, drawn.rewards, 1.0, 0.5, 0.05, trace="dutch", n_states=7, weights=wanted.weights
    )
    np.testing.assert_array_equal(twice.weights_, again.weights)
    with pytest.warns(ConvergenceWarning, match="after 2 passes"):
        TDLearner(0.5, 0.05, n_states=7, n_epochs=2, tol=1e-9).fit(drawn.states, drawn.rewards)
    with pytest.raises(ShapeError, match="columns"):
        TDLearner().fit(np.ones((3, 2)), np.ones(3)).predict(np.ones((1, 3)))


@pytest.mark.parametrize(
    ("trace", "update"),
    [
        ("accumulating", "online"),
        ("replacing", "online"),
        ("dutch", "online"),
        ("accumulating", "episode"),
        ("replacing", "batch"),
    ],
)
def test_error_curves_are_runs_one_by_one(trace, update):
    walk = random_walk(5)
    runs = [walk.sample(4, random_state=k) for k in range(3)]
    truth = np.where(walk.terminal, np.nan, walk.values())
    start = np.full(7, 0.5)
    found = error_curves(
        runs, truth, [0.0, 0.7, 1.0], [0.05, 0.3], trace=trace, update=update, n_states=7, weights=start
    )
    assert found.by_episode.shape == (3, 2, 5)
    for i, lam in enumerate(found.lambdas):
        for j, alpha in enumerate(found.step_sizes):
            alone = [
                td_lambda(
                    one.states,
                    one.rewards,
                    1.0,
                    lam,
                    alpha,
                    trace=trace,
                    update=update,
                    n_states=7,
                    weights=start,
                )
                for one in runs
            ]
            wanted = np.mean([a.errors(truth) for a in alone], axis=0)
            np.testing.assert_allclose(found.by_episode[i, j], wanted, rtol=1e-12)
    np.testing.assert_array_equal(found.best, found.errors.min(axis=1))
    assert found.best_step_sizes.shape == (3,) and "Sweep" in repr(found)


def test_what_diverges_leaves_the_others_alone():
    walk = random_walk(19)
    runs = [walk.sample(10, random_state=k) for k in range(2)]
    truth = np.where(walk.terminal, np.nan, walk.values())
    found = error_curves(runs, truth, [0.0, 1.0], [0.1, 1.9], n_states=21)
    assert found.errors[1, 1] == np.inf and np.isfinite(found.errors[0]).all()
    alone = error_curves(runs, truth, [0.0, 1.0], [0.1], n_states=21)
    np.testing.assert_array_equal(found.errors[:, :1], alone.errors)


def test_error_curves_in_pieces(monkeypatch):
    from rnn.credit import sweep

    walk = random_walk(5)
    runs = [(one.states, one.rewards) for one in (walk.sample(2, random_state=k) for k in range(5))]
    truth = np.where(walk.terminal, np.nan, walk.values())
    whole = error_curves(runs, truth, [0.5], [0.1], n_states=7)
    monkeypatch.setattr(sweep, "ROOM", 1)
    np.testing.assert_allclose(
        error_curves(runs, truth, [0.5], [0.1], n_states=7).errors, whole.errors, rtol=1e-13
    )


def test_error_curves_as_frame_and_figure():
    pytest.importorskip("matplotlib"), pytest.importorskip("pandas")
    walk = random_walk(5)
    truth = np.where(walk.terminal, np.nan, walk.values())
    found = error_curves([walk.sample(3, random_state=0)], truth, [0.0, 0.9], [0.1, 0.2, 5.0], n_states=7)
    frame = found.to_frame()
    assert list(frame.columns) == ["lambda", "step_size", "episode", "error"] and len(frame) == 2 * 3 * 4
    row = frame[(frame["lambda"] == 0.9) & (frame["step_size"] == 0.2) & (frame["episode"] == 3)]
    assert row["error"].item() == found.by_episode[1, 1, 3]
    assert len(found.plot().axes[0].lines) == 2


@pytest.mark.parametrize(
    ("runs", "more", "error", "says"),
    [
        ([], {}, ShapeError, "runs is empty"),
        ([Episodes([[0]], [[1.0]]), Episodes([[0], [1]], [[1.0], [0.0]])], {}, ShapeError, "run 1 has other"),
        ([Episodes([[0]], [[1.0]])], {"lambdas": [1.5]}, DataError, "lambdas must be"),
        ([Episodes([[0]], [[1.0]])], {"true_values": [0.0]}, ShapeError, "true_values"),
    ],
)
def test_error_curves_refuse(runs, more, error, says):
    given = {"true_values": [0.0, 0.0], "lambdas": [0.5], "step_sizes": [0.1], "n_states": 2} | more
    with pytest.raises(error, match=says):
        error_curves(runs, **given)
