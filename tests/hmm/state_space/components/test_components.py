"""Laws of every component: its derivative is one, its start is what it says, its numbers may move freely."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmm.coordinates.stationary import from_partial
from hmm.state_space.components import (
    AR,
    ARMA,
    Blocks,
    Cycle,
    Irregular,
    LocalLevel,
    LocalLinearTrend,
    Regression,
    Seasonal,
    Summary,
)
from msgpass.errors import DataError

KINDS = {
    "level": LocalLevel(),
    "trend": LocalLinearTrend(),
    "smooth trend": LocalLinearTrend(smooth=True),
    "damped trend": LocalLinearTrend(damped=True),
    "dummies": Seasonal(period=4),
    "two seasons": Seasonal(period=2),
    "harmonics": Seasonal(period=7, form="trigonometric"),
    "even harmonics": Seasonal(period=6, form="trigonometric"),
    "some harmonics": Seasonal(period=12.5, form="trigonometric", harmonics=(1, 3), separate=True),
    "cycle": Cycle(periods=(3, 20)),
    "long cycle": Cycle(),
    "flat cycle": Cycle(initial="flat", damping=0.7, periods=(3, 20)),
    "undamped cycle": Cycle(damped=False, periods=(3, 20)),
    "fixed cycle": Cycle(stochastic=False, periods=(3, 20)),
    "ar": AR(order=1),
    "ar3": AR(order=3),
    "arma": ARMA(p=1, q=1),
    "ma": ARMA(p=0, q=2),
    "arma 3 1": ARMA(p=3, q=1),
    "arma 1 3": ARMA(p=1, q=3),
    "regression": Regression(columns=2),
    "drifting regression": Regression(columns=("a", "b"), random_walk=True),
    "irregular": Irregular(),
}
seeds = st.integers(0, 2**32 - 1)
every = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def inputs(kind, rng, T=6):
    return rng.normal(size=(T, kind.n_inputs))


def values(kind, rng, T=30):
    """Drawn as a climb's start is; held ones as they are held."""
    about = Summary(rng.normal(size=T).cumsum(), inputs(kind, rng, T), 1.0)
    drawn = kind.start(about, rng)
    return {
        p.name: np.asarray(drawn[p.name] if p.fixed is None else p.fixed, float) for p in kind.parameters()
    }


def dot(weights, blocks):
    """A function of all blocks; infinite entries count nothing."""
    return sum((w * np.where(np.isfinite(b), b, 0)).sum() for w, b in zip(weights, blocks, strict=True))


@every
@given(seed=seeds)
@settings(max_examples=20)
def test_the_pullback_is_the_derivative(kind, seed):
    rng = np.random.default_rng(seed)
    at, u = values(kind, rng), inputs(kind, rng)
    own = kind.blocks(at, u)
    weights = Blocks(*(np.asarray(rng.normal(size=b.shape)) for b in own))
    found = kind.pullback(at, weights)
    assert set(found) == set(at)
    for name, value in at.items():
        assert np.shape(found[name]) == value.shape
        for index in np.ndindex(value.shape):
            step = 1e-6 * max(abs(value[index]), 1e-2)
            ends = []
            for sign in (1, -1):
                other = value.copy()
                other[index] += sign * step
                ends.append(dot(weights, kind.blocks(at | {name: other}, u)))
            expected = (ends[0] - ends[1]) / (2 * step)
            # partial autocorrelations near one make a Lyapunov solve whose curvature is large
            assert found[name][index] == pytest.approx(expected, rel=2e-4, abs=1e-5)


@every
@given(seed=seeds)
@settings(max_examples=20)
def test_blocks_fit_together_and_covariances_are_such(kind, seed):
    rng = np.random.default_rng(seed)
    n, u = kind.n_states, inputs(kind, rng)
    own = kind.blocks(values(kind, rng), u)
    assert own.F.shape == own.Q.shape == own.cov.shape == (n, n) and own.mean.shape == (n,)
    assert own.H.shape in {(1, n), (len(u), n)} and own.R.shape == ()
    assert all(row.shape == (n,) for row in kind.readings().values())
    assert all(0 <= state < n for state in kind.breaks().values())
    flat = np.isinf(np.diagonal(own.cov))
    proper = own.cov[np.ix_(~flat, ~flat)]
    assert np.isfinite(proper).all() and not np.nan_to_num(own.cov[flat][:, ~flat]).any()
    for C in (own.Q, proper):
        np.testing.assert_array_equal(C, C.T)
        assert np.linalg.eigvalsh(C).min(initial=0) >= -1e-12 * np.abs(C).max(initial=1)
    if (~flat).any():
        np.testing.assert_allclose(own.F @ own.cov @ own.F.T + own.Q, own.cov, rtol=1e-6, atol=1e-9)
        assert np.abs(np.linalg.eigvals(own.F)).max() < 1


@every
@given(seed=seeds)
@settings(max_examples=20)
def test_every_start_has_coordinates(kind, seed):
    rng = np.random.default_rng(seed)
    about = Summary(rng.normal(size=40).cumsum(), inputs(kind, rng, 40), 1.0)
    for generator in (None, rng):
        drawn = kind.start(about, generator)
        for p in kind.parameters():
            held = np.zeros(p.shape, bool)
            value = np.asarray(drawn[p.name], float)
            assert value.shape == p.shape
            assert p.domain.free(value, held).all()
            back = p.domain.inward(p.domain.outward(value, value, held), value, held)
            np.testing.assert_allclose(back, value, rtol=1e-9)


def simulated(kind, rng, T, at):
    """Noise-free path of h · x from a start, by the matrices."""
    own = kind.blocks(at, np.empty((T, 0)))
    x, path = rng.normal(size=kind.n_states), []
    for _ in range(T):
        path.append(own.H[0] @ x)
        x = own.F @ x
    return np.array(path)


@pytest.mark.parametrize("kind", ["dummies", "two seasons", "harmonics", "even harmonics"])
def test_seasons_repeat_and_add_up_to_nothing(kind, rng):
    own = KINDS[kind]
    path = simulated(own, rng, 5 * own.period, values(own, rng))
    np.testing.assert_allclose(path[own.period :], path[: -own.period], atol=1e-12)
    np.testing.assert_allclose(path.reshape(5, -1).sum(axis=1), 0, atol=1e-12)


def test_all_harmonics_span_what_dummies_do(rng):
    for period in (2, 5, 6):
        assert Seasonal(period=period).n_states == Seasonal(period=period, form="trigonometric").n_states


def test_a_cycle_has_its_period(rng):
    path = simulated(
        Cycle(damped=False, frequency=np.pi / 5), rng, 60, {"frequency": np.pi / 5, "variance": 1.0}
    )
    np.testing.assert_allclose(path[10:], path[:-10], atol=1e-12)


def test_a_damped_trend_levels_off(rng):
    at = {"level_variance": 0.0, "slope_variance": 0.0, "damping": 0.8}
    path = simulated(LocalLinearTrend(damped=True), rng, 60, at)
    np.testing.assert_allclose(np.diff(path)[1:], 0.8 * np.diff(path)[:-1], atol=1e-12)


@given(seed=seeds)
def test_autocovariances_of_an_arma_are_those_of_its_expansion(seed):
    rng = np.random.default_rng(seed)
    p, q = int(rng.integers(0, 4)), int(rng.integers(1, 4))
    ar, ma = from_partial(rng.uniform(-0.7, 0.7, p)), -from_partial(rng.uniform(-0.7, 0.7, q))
    own = ARMA(p=p, q=q).blocks({"ar": ar, "ma": ma, "variance": np.array(1.7)}, np.empty((0, 0)))
    psi = np.zeros(2000)  # z_t = Σ ψ_j η_{t−j}
    for j in range(len(psi)):
        psi[j] = (1.0 if j == 0 else ma[j - 1] if j <= q else 0.0) + sum(
            ar[i] * psi[j - 1 - i] for i in range(min(p, j))
        )
    power = own.cov
    for lag in range(5):
        expected = 1.7 * psi[: len(psi) - lag] @ psi[lag:]
        found = (np.linalg.matrix_power(own.F, lag) @ power)[0, 0]
        assert found == pytest.approx(expected, rel=1e-8, abs=1e-9)


def test_an_ar_is_an_arma_without_a_moving_average(rng):
    coef = from_partial(rng.uniform(-0.8, 0.8, 3))
    one = AR(order=3).blocks({"coef": coef, "variance": np.array(2.0)}, np.empty((0, 0)))
    other = ARMA(p=3, q=0).blocks({"ar": coef, "ma": coef[:0], "variance": np.array(2.0)}, np.empty((0, 0)))
    for lag in range(4):
        a, b = (np.linalg.matrix_power(own.F, lag) @ own.cov for own in (one, other))
        assert a[0, 0] == pytest.approx(b[0, 0])


def test_the_cycle_starts_at_the_peak_of_the_periodogram(rng):
    t = np.arange(200)
    y = 0.1 * t + np.sin(2 * np.pi * t / 17) + 0.1 * rng.normal(size=200)
    y[50:60] = np.nan
    start = Cycle(periods=(5, 50)).start(Summary(y, np.empty((200, 0)), 1.0), None)
    assert 2 * np.pi / start["frequency"] == pytest.approx(17, abs=0.7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LocalLevel(variance=-1), "variance must be finite and within"),
        (lambda: LocalLevel(variance="much"), "variance is a number, or None"),
        (lambda: LocalLevel(name="a.b"), "without a dot"),
        (lambda: LocalLinearTrend(smooth=True, level_variance=1.0), "smooth trend has no level_variance"),
        (lambda: LocalLinearTrend(damping=0.5), "damping is for damped=True"),
        (lambda: Seasonal(period=1), "whole number ≥ 2"),
        (lambda: Seasonal(period=12.5), "whole number ≥ 2"),
        (lambda: Seasonal(period=1.5, form="trigonometric"), "period is a number ≥ 2"),
        (lambda: Seasonal(period=12, harmonics=2), "are for form='trigonometric'"),
        (lambda: Seasonal(period=12, form="trigonometric", harmonics=7), "from 1 to 6"),
        (lambda: Seasonal(period=12, form="trigonometric", harmonics=(1, 1)), "different whole numbers"),
        (lambda: Seasonal(period=12, form="wavy"), "form must be one of"),
        (lambda: Cycle(periods=(1, 5)), "at least 2 steps"),
        (lambda: Cycle(periods=5), "the shortest"),
        (lambda: Cycle(damped=False, damping=0.5), "damping is for damped=True"),
        (lambda: Cycle(damped=False), "no most likely frequency"),
        (lambda: Cycle(stochastic=False, damping=0.5), "damping is for damped=True"),
        (lambda: Cycle(initial="flat"), "no most likely damping"),
        (lambda: Cycle(damped=True, stochastic=False), "no most likely damping"),
        (lambda: Cycle(stochastic=False, variance=1.0), "variance is for stochastic=True"),
        (lambda: Cycle(damping=1.0), "stationary cycle has damping < 1"),
        (lambda: Cycle(initial="known"), "initial must be one of"),
        (lambda: AR(order=0), "order must be a whole number ≥ 1"),
        (lambda: AR(order=2, coef=(0.5,)), "coef"),
        (lambda: AR(order=1, coef=(1.0,)), "is not stationary"),
        (lambda: ARMA(p=0, q=0), "noise alone is Irregular"),
        (lambda: ARMA(p=0, q=1, ma=(2.0,)), "is not invertible"),
        (lambda: Regression(columns="price"), "a sequence of names"),
        (lambda: Regression(columns=("a", "a")), "different names"),
        (lambda: Regression(variance=1.0), "variance is for random_walk=True"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_what_is_given_is_held():
    kind = AR(order=2, coef=(0.5, 0.2), variance=3.0)
    np.testing.assert_array_equal(kind.parameters()[0].fixed, [0.5, 0.2])
    assert kind.parameters()[1].fixed == 3.0
    assert dataclasses.replace(kind, variance=None).parameters()[1].fixed is None
