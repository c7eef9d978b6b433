"""Statistics add up: those of batches are those of all data, and the M-step from them is ``fit``."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmm.emissions import LogisticRegression, Poisson
from hmm.emissions import statistics as module
from hmm.emissions.statistics import Histogram, Moments, Spread, Statistics, Sums, Triangle
from hmm.learning.restrictions import Restrictions, pooled
from msgpass.errors import DataError, UnsupportedError
from tests.hmm import drawn as first
from tests.hmm import kinds as others

REFUSED = ("scipy laplace", "scipy weibull", "logistic")
KINDS = tuple(kind for kind in (*first.KINDS, *others.KINDS) if kind not in REFUSED)
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=8)


def case(kind, rng, T=60, K=3):
    """An emission of a kind, rows with gaps, and weights."""
    module_ = first if kind in first.KINDS else others
    model = module_.make(kind, K, 2, rng)
    X = others.with_gaps(model, others.rows(model, T, rng).astype(float), 0.2, rng)
    return model, X, rng.dirichlet(np.ones(K), T)


def data_of(model, X):
    """(emission, data) as a fit has them."""
    return others.prepared(model, X)


def cut(model, X, weights, ends):
    """Statistics of stretches of rows, each prepared alone."""
    if hasattr(model, "order"):  # rows with their past, which a cut would lose
        lagged = model.arranged(X, [len(X)])
        emission = model.chain().emission
        return [
            emission.statistics(emission.prepare(x), w)
            for x, w in zip(np.split(lagged, ends), np.split(weights, ends), strict=True)
        ]
    found = []
    for x, w in zip(np.split(X, ends), np.split(weights, ends), strict=True):
        emission, data = data_of(model, x)
        found.append(emission.statistics(data, w))
    return found


def same(one, two, rtol=1e-8):
    for name, value in others.leaves(one).items():
        np.testing.assert_allclose(others.leaves(two)[name], value, rtol=rtol, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "student"])
@few
@given(seed=seeds)
def test_the_m_step_of_the_sum_of_batches_is_fit(kind, seed):
    rng = np.random.default_rng(seed)
    model, X, weights = case(kind, rng)
    emission, data = data_of(model, X)
    parts = cut(model, X, weights, np.sort(1 + rng.choice(59, 3, replace=False)))
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    searched = kind == "scipy nbinom"  # by differences of the likelihood, from sums in another order
    for letters in ("".join(emission.LETTERS), *emission.LETTERS):
        same(
            emission.fit(data, weights, letters),
            emission.from_statistics(total, letters),
            1e-3 if searched else 1e-8,
        )
    assert emission.from_statistics(total, "st") is emission


@few
@given(seed=seeds)
def test_student_t_rises_from_statistics_and_ends_at_the_same_maximum(seed):
    rng = np.random.default_rng(seed)
    model, X, weights = case("student", rng)
    emission, data = data_of(model, X)
    fitted, level = emission, -np.inf
    for letters in ("l", "c", "d", "lc", "ld", "cd", *["lcd"] * 30):
        fitted = fitted.from_statistics(fitted.statistics(data, weights), letters)
        before, level = level, float((weights * fitted.log_density(data)).sum())
        assert level >= before - 1e-9 * abs(before)
    assert level > float((weights * emission.log_density(data)).sum())


def test_student_t_from_statistics_ends_at_the_maximum(rng):
    model = others.make("student", 1, 1, rng)
    emission, data = others.prepared(model, others.rows(model, 400, rng))
    weights = rng.uniform(0.5, 1, (400, 1))
    one = two = emission
    for _ in range(3000):
        one = one.from_statistics(one.statistics(data, weights), "lcd")
    for _ in range(300):
        two = two.fit(data, weights, "lcd")
    same(one, two, 1e-4)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=seeds)
def test_scaled_statistics_are_those_of_scaled_weights(kind, seed):
    rng = np.random.default_rng(seed)
    model, X, weights = case(kind, rng)
    emission, data = data_of(model, X)
    alone = emission.statistics(data, 0.25 * weights)
    scaled = 0.25 * emission.statistics(data, weights)
    for name, part in alone.parts.items():
        if not isinstance(part, Spread):  # counts rows, whatever their weight
            for field, value in part.arrays().items():
                np.testing.assert_allclose(
                    np.abs(scaled[name].arrays()[field]), np.abs(value), rtol=1e-9, atol=1e-12
                )


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "student"])
@few
@given(seed=seeds)
def test_tied_and_frozen_states_from_statistics_are_those_of_fit(kind, seed):
    rng = np.random.default_rng(seed)
    model, X, weights = case(kind, rng)
    groups = np.array([0, 1, 0])
    emission, data = data_of(model, X)
    emission = Restrictions(states=groups)._alike(emission)
    letter = next(iter(emission.LETTERS))
    frozen = {letter: np.array([False, kind != "tied", False])}  # a tied covariance has no states to freeze
    for restricted in (
        Restrictions(states=groups),
        Restrictions(emission=frozen),
        Restrictions(emission=frozen, states=groups),
    ):
        letters = "".join(emission.LETTERS)
        found = restricted.emission_from(emission, emission.statistics(data, weights), letters)
        same(
            restricted.fit_emission(emission, data, weights, letters),
            found,
            1e-3 if "nbinom" in kind else 1e-8,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_survive_as_plain_arrays(kind, rng):
    model, X, weights = case(kind, rng)
    emission, data = data_of(model, X)
    found = emission.statistics(data, weights)
    again = Statistics.of_plain(found.plain())
    assert list(again.parts) == list(found.parts)
    same(
        emission.from_statistics(found, "".join(emission.LETTERS)),
        emission.from_statistics(again, "".join(emission.LETTERS)),
        0,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_shows_nothing_adds_nothing(kind, rng):
    model, X, weights = case(kind, rng)
    emission, data = data_of(model, X)
    nothing = np.full((5, X.shape[1]), np.nan)
    _, empty = data_of(model, nothing)
    some, none = emission.statistics(data, weights), emission.statistics(empty, np.full((5, 3), 1 / 3))
    letters = "".join(emission.LETTERS)
    alone = emission.from_statistics(some, letters)
    for total in (some + none, none + some):
        same(alone, emission.from_statistics(total, letters), 1e-6 if "nbinom" in kind else 1e-9)
    unmoved = emission.from_statistics(none, letters)
    same(emission, unmoved, 0)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_statistics_says_so(kind, rng):
    model, X, weights = case(kind, rng)
    emission, data = data_of(model, X)
    assert not emission.additive
    with pytest.raises(
        UnsupportedError, match=f"{type(emission).__name__} emissions are fitted to all rows.*call fit"
    ):
        emission.statistics(data, weights)
    if isinstance(emission, LogisticRegression):
        with pytest.raises(UnsupportedError, match="call fit"):
            emission.from_statistics(Statistics({}), "b")


def test_a_mixed_emission_is_as_additive_as_its_parts(rng):
    mixed = others.make("mixed", 2, 2, rng).chain().emission
    assert mixed.additive
    logistic = others.make("logistic", 2, 1, rng).chain().emission
    assert not replace(mixed, parts=(replace(mixed.parts[0], emission=logistic), *mixed.parts[1:])).additive


# -- accuracy ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["spherical", "diag", "full", "tied", "gmm diag", "gmm full", "linear", "autoregressive"]
)
def test_nothing_cancels_far_from_zero(kind, rng):
    """Data at 10⁶ with a spread of about one: variances as of the same data at zero, to the rounding of the
    data themselves."""
    module_ = first if kind in first.KINDS else others
    model = module_.make(kind, 1, 1 if kind == "linear" else 2, rng)
    X = others.rows(model, 4000, rng)
    near, far = model.chain().emission, model.chain().emission
    X = X - X.mean(axis=0)
    weights = rng.uniform(0.5, 1, (4000, 1))
    fits = []
    for offset in (0.0, 1e6):
        emission = near
        rows = np.round((X + offset) * 2**20) / 2**20  # the same numbers but for the offset
        if kind == "autoregressive":
            rows = model.arranged(rows, [4000])
        if "means" in emission.LETTERS.values():
            emission = replace(
                emission,
                means=0 * emission.means
                + offset
                + np.arange(emission.means[0].size).reshape(emission.means.shape) / 10,
            )
            if kind.startswith("gmm"):
                emission = replace(emission, weights=np.array([[0.5, 0.5]]))
        total = None
        for x, w in zip(np.split(rows, 8), np.split(weights, 8), strict=True):
            part = emission.statistics(emission.prepare(x), w)
            total = part if total is None else total + part
        fits.append(emission.from_statistics(0.5 * total, "".join(emission.LETTERS)))
    np.testing.assert_allclose(fits[1].covars, fits[0].covars, rtol=1e-6)
    assert far is not near


@given(seed=seeds, offset=st.sampled_from([0.0, 1e6, -1e8]))
def test_merged_moments_are_those_of_all(seed, offset):
    rng = np.random.default_rng(seed)
    x, weights = offset + rng.normal(size=50), rng.gamma(1, size=(2, 50))
    weights[1, :20] = 0
    end = int(rng.integers(0, 51))
    total = Moments.of(x[:end], weights[:, :end]) + Moments.of(x[end:], weights[:, end:])
    for k, w in enumerate(weights):
        mean = offset + w @ (x - offset) / w.sum()
        np.testing.assert_allclose(total.mass[k], w.sum(), rtol=1e-12)
        np.testing.assert_allclose(total.mean[k], mean, rtol=1e-15, atol=1e-12)
        np.testing.assert_allclose(
            total.scatter[k], w @ (x - mean) ** 2, rtol=1e-9 if abs(offset) < 1e7 else 1e-6
        )


@given(seed=seeds)
def test_matrices_merge_as_numbers_do(seed):
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(30, 3)), rng.gamma(1, size=30)

    def of(rows, own):
        mean = own @ rows / own.sum()
        return Moments(own.sum()[None], mean[None], ((own * (rows - mean).T) @ (rows - mean))[None])

    total, whole = of(X[:11], w[:11]) + of(X[11:], w[11:]), of(X, w)
    for field, value in whole.arrays().items():
        np.testing.assert_allclose(total.arrays()[field], value, rtol=1e-10, atol=1e-12)
    centre = rng.normal(size=(1, 3))
    gap = X - centre
    np.testing.assert_allclose(total.about(centre)[0], (w * gap.T) @ gap, rtol=1e-9)


@given(seed=seeds)
def test_triangles_hold_the_sums_of_squares(seed):
    rng = np.random.default_rng(seed)
    rows, weights = rng.normal(size=(12, 3)), rng.gamma(1, size=(2, 12))
    n = int(rng.integers(0, 13))
    total = Triangle.of(rows[:n], weights[:, :n]) + Triangle.of(rows[n:], weights[:, n:])
    total = total.scaled(np.array([1.0, 4.0]))
    for k, scale in enumerate((1, 4)):
        inner = scale * (weights[k] * rows.T) @ rows
        np.testing.assert_allclose(total.factor[k].T @ total.factor[k], inner, rtol=1e-9, atol=1e-12)


def test_histograms_merge_values(monkeypatch):
    one = Histogram(np.array([0.0, 2.0]), np.array([[1.0, 2.0]]))
    two = Histogram(np.array([1.0, 2.0]), np.array([[5.0, 3.0]]))
    both = one + two
    assert both.values.tolist() == [0, 1, 2] and both.weights.tolist() == [[1, 5, 5]]
    monkeypatch.setattr(module, "MOST_VALUES", 2)
    with pytest.raises(UnsupportedError, match="more than 2 distinct counts"):
        _ = one + two


@given(seed=seeds)
def test_pooled_parts_are_means_over_groups(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 3, 5)
    values = rng.random((5, 2))
    np.testing.assert_allclose(Sums(values).pooled(groups).values, pooled(values, groups), rtol=1e-12)
    x, weights = rng.normal(size=20), rng.random((5, 20))
    found, expected = Moments.of(x, weights).pooled(groups), Moments.of(x, pooled(weights, groups))
    for field, value in expected.arrays().items():
        np.testing.assert_allclose(found.arrays()[field], value, rtol=1e-9)


def test_a_stranger_s_statistics_are_refused():
    with pytest.raises(DataError, match="is no statistic"):
        Statistics.of_plain({"n": {"kind": "Path", "values": np.zeros(2)}})


def test_priors_count_once_however_many_batches(rng):
    emission = Poisson(np.full((2, 1), 2.0), 3.0, 1.5)
    X, weights = rng.poisson(3, (20, 1)).astype(float), rng.dirichlet([1, 1], 20)
    whole = emission.fit(emission.prepare(X), weights, "l")
    parts = [emission.statistics(emission.prepare(X[n : n + 5]), weights[n : n + 5]) for n in (0, 5, 10, 15)]
    np.testing.assert_allclose(emission.from_statistics(sum(parts[1:], parts[0]), "l").lambdas, whole.lambdas)
