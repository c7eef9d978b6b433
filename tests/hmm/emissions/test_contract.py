"""What every emission owes to the contract: a density, its gradient, the weighted maximum, missing cells."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmm.emissions import Emission, Independent
from tests.hmm import drawn
from tests.hmm.kinds import (
    INDEPENDENT,
    KINDS,
    MIXTURES,
    TRIALS,
    cases,
    leaves,
    make,
    prepared,
    rows,
    with_gaps,
    with_leaf,
)

COUNTS = ("bernoulli", "negative binomial", "scipy nbinom", "logistic")
POSITIVE = ("exponential", "gamma", "log-normal", "scipy weibull")
CLIMBING = ("student", *MIXTURES)
"""Kinds whose fit raises the likelihood, and ends at the maximum only when it is repeated."""

few = settings(max_examples=8)
seeds = st.integers(0, 2**32 - 1)


def quadrature(kind):
    """Points of one feature and their weights, over all that it may be."""
    if kind in COUNTS:
        n = 2 if kind in ("bernoulli", "logistic") else 2000
        return np.arange(n, dtype=float), np.ones(n)
    # Trapezoids after a substitution that makes the ends vanish are exact to rounding.
    if kind == "von Mises":
        return np.linspace(-np.pi, np.pi, 400, endpoint=False), np.full(400, 2 * np.pi / 400)
    u = np.linspace(-30, 20, 16_001) if kind in POSITIVE else np.linspace(-13, 13, 16_001)
    if kind in POSITIVE:
        return np.exp(u), np.exp(u) * (u[1] - u[0])
    return np.sinh(u), np.cosh(u) * (u[1] - u[0])


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "multinomial"])
@few
@given(seed=seeds)
def test_densities_integrate_to_one(kind, seed):
    rng = np.random.default_rng(seed)
    model = make(kind, 2, 1, rng)
    x, w = quadrature(kind)
    X = np.full((len(x), rows(model, 3, rng).shape[1]), np.nan)
    X[:, 0] = x
    if kind in ("linear", "logistic"):
        X[:, 1:] = rng.normal(size=2)
    emission = model.chain().emission
    if kind == "autoregressive":  # given one and the same past
        X = np.concatenate([X, np.repeat(rng.normal(size=(1, 2)), len(x), axis=0)], axis=1)
    density = np.exp(emission.log_density(emission.prepare(X)))
    np.testing.assert_allclose(w @ density, 1, atol=1e-5)


@few
@given(seed=seeds)
def test_multinomial_sums_to_one_and_missing_counts_are_summed_over(seed):
    model = make("multinomial", 2, 2, np.random.default_rng(seed))
    X = np.array([x for x in product(range(TRIALS + 1), repeat=3) if sum(x) == TRIALS], float)
    emission, data = prepared(model, X)
    density = np.exp(emission.log_density(data))
    np.testing.assert_allclose(density.sum(axis=0), 1, rtol=1e-12)
    for count in range(TRIALS + 1):
        _, partly = prepared(model, np.array([[count, np.nan, np.nan]]))
        together = density[X[:, 0] == count].sum(axis=0)
        np.testing.assert_allclose(np.exp(emission.log_density(partly))[0], together, rtol=1e-12)


@pytest.mark.parametrize("kind", ["gmm diag", "gmm full", "gmm tied"])
@few
@given(seed=seeds)
def test_a_missing_cell_of_a_mixture_is_integrated_over(kind, seed):
    rng = np.random.default_rng(seed)
    model = make(kind, 2, 2, rng)
    x, w = quadrature(kind)
    emission, data = prepared(model, np.stack([np.full(len(x), 0.7), x], axis=1))
    _, partly = prepared(model, np.array([[0.7, np.nan]]))
    expected = w @ np.exp(emission.log_density(data))
    np.testing.assert_allclose(np.exp(emission.log_density(partly))[0], expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [*INDEPENDENT, "linear", "autoregressive"])
@few
@given(seed=seeds)
def test_independent_features_add_up_and_missing_ones_do_not_count(kind, seed):
    rng = np.random.default_rng(seed)
    model = make(kind, 3, 2, rng)
    X = rows(model, 9, rng)
    emission, data = prepared(model, X)
    total = np.zeros((9, 3))
    for d in range(2):
        alone = X.copy()
        alone[:, 1 - d] = np.nan
        if kind == "autoregressive":  # only the row itself, not the past of others
            lagged = model.arranged(X, [len(X)])
            lagged[:, 1 - d] = np.nan
            total += emission.log_density(emission.prepare(lagged))
        else:
            total += emission.log_density(prepared(model, alone)[1])
    np.testing.assert_allclose(total, emission.log_density(data), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_row_says_nothing(kind, rng):
    model = make(kind, 3, 2, rng)
    X = rows(model, 5, rng)
    X[2] = np.nan
    emission, data = prepared(model, X)
    np.testing.assert_allclose(emission.log_density(data)[2], 0, atol=1e-12)


def symmetric(slope, like):
    """Of a stack of matrices the symmetric part, which is what matters for symmetric ones."""
    return (slope + np.swapaxes(slope, -1, -2)) / 2 if like else slope


@pytest.mark.parametrize("kind", [*KINDS, *drawn.KINDS])
@few
@given(seed=seeds)
def test_gradients_are_finite_differences(kind, seed):
    rng = np.random.default_rng(seed)
    K = int(rng.integers(1, 4))
    if kind in KINDS:
        model = make(kind, K, 2, rng)
        X = with_gaps(model, rows(model, 12, rng), 0.2, rng)
    else:
        model = drawn.make(kind, K, 2, rng)
        X = drawn.with_gaps(model.sample(12, rng)[0], 0.2, rng)
    emission, data = prepared(model, X)
    weights = rng.dirichlet(np.ones(K), len(X))
    found = emission.gradient(data, weights)
    assert set(found) == set(leaves(emission))
    parts = zip(emission.parts, data, strict=True) if kind == "mixed" else [(None, data)]
    expected = {}
    for i, (part, own) in enumerate(parts):
        differences = Emission.gradient(part.emission if part else emission, own, weights)
        expected |= {f"{i}.{name}" if part else name: slope for name, slope in differences.items()}
    for name, slope in found.items():
        value = leaves(emission)[name]
        assert slope.shape == value.shape
        if name == "parameters":  # of scipy's, those that are held have no slope
            held = [i for i in range(value.shape[-1]) if i not in emission.family.free]
            assert not slope[..., held].any()
            expected[name][..., held] = 0
        matrices = "covars" in name and kind.split()[-1] in ("full", "tied", "mixed")
        scale = max(1.0, np.abs(expected[name]).max())
        np.testing.assert_allclose(
            symmetric(slope, matrices) / scale, symmetric(expected[name], matrices) / scale, atol=1e-5
        )


@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=seeds)
def test_fitting_raises_the_weighted_likelihood(kind, seed):
    rng = np.random.default_rng(seed)
    model = make(kind, 2, 2, rng)
    emission, data = prepared(model, with_gaps(model, rows(model, 25, rng), 0.2, rng))
    weights = rng.dirichlet(np.ones(2), 25)
    letters = "".join(emission.LETTERS)
    before = float((weights * emission.log_density(data)).sum())
    for _ in range(3):
        emission = emission.fit(data, weights, letters)
        after = float((weights * emission.log_density(data)).sum())
        assert after >= before - 1e-9 * max(1, abs(before))
        before = after


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in CLIMBING])
@few
@given(seed=seeds)
def test_the_weighted_fit_is_a_maximum(kind, seed):
    """No small step away from it, in any array, gains."""
    rng = np.random.default_rng(seed)
    model = make(kind, 2, 2, rng)
    emission, data = prepared(model, rows(model, 60, rng))
    weights = rng.dirichlet(np.ones(2), 60)
    best = emission.fit(data, weights, "".join(emission.LETTERS))
    top = float((weights * best.log_density(data)).sum())
    for name, value in leaves(best).items():
        for _ in range(4):
            factor = np.exp(1e-3 * rng.standard_normal(value.shape))
            if name == "1.covars":
                factor = (factor + np.swapaxes(factor, -1, -2)) / 2
            moved = value * factor
            if name == "emissionprob":
                moved /= moved.sum(axis=1, keepdims=True)
            if name == "probs":
                moved = np.minimum(moved, 1 - 1e-12)
            other = with_leaf(best, name, moved)
            with np.errstate(all="ignore"):
                level = float((weights * other.log_density(data)).sum())
            assert level <= top + 1e-7 * abs(top)


@pytest.mark.parametrize("kind", CLIMBING)
def test_repeated_fits_end_where_the_gradient_is_zero(kind, rng):
    model = make(kind, 1, 1, rng)
    emission, data = prepared(model, rows(model, 150, rng))
    weights = rng.uniform(0.5, 1, (150, 1))
    for _ in range(2000):
        emission = emission.fit(data, weights, "".join(emission.LETTERS))
    slopes = emission.gradient(data, weights)
    for name, slope in slopes.items():
        if name == "weights":
            slope = slope - (slope * emission.weights).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(slope * getattr(emission, name) / 150, 0, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=seeds)
def test_only_ratios_of_weights_matter(kind, seed):
    rng = np.random.default_rng(seed)
    model = make(kind, 2, 2, rng)
    emission, data = prepared(model, with_gaps(model, rows(model, 20, rng), 0.1, rng))
    weights = rng.dirichlet(np.ones(2), 20)
    letters = "".join(emission.LETTERS)
    one, other = (leaves(emission.fit(data, scale * weights, letters)) for scale in (1, 8))
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_each_letter_moves_its_own_array_and_others_none(kind, rng):
    model = make(kind, 2, 2, rng)
    emission, data = prepared(model, rows(model, 30, rng))
    weights = rng.dirichlet(np.ones(2), 30)
    assert emission.fit(data, weights, "st") is emission
    if kind == "mixed":
        return
    for letter, field in emission.LETTERS.items():
        fitted = emission.fit(data, weights, letter)
        for name, value in leaves(emission).items():
            assert np.array_equal(getattr(fitted, name), value) == (name != field), (letter, name)


@pytest.mark.parametrize("kind", KINDS)
def test_without_weight_a_state_keeps_its_values(kind, rng):
    model = make(kind, 2, 2, rng)
    emission, data = prepared(model, rows(model, 30, rng))
    weights = np.stack([np.ones(30), np.zeros(30)], axis=1)
    before, after = leaves(emission), leaves(emission.fit(data, weights, "".join(emission.LETTERS)))
    for name, value in before.items():
        np.testing.assert_array_equal(after[name][1], value[1])
        assert not np.array_equal(after[name][0], value[0])


@pytest.mark.parametrize("kind", KINDS)
def test_moments_that_an_emission_tells_are_those_of_its_samples(kind, rng):
    emission = make(kind, 2, 2, rng).chain().emission
    if not hasattr(emission, "mean"):
        assert kind in (
            "student",
            "von Mises",
            "multinomial",
            "mixed",
            "linear",
            "logistic",
            "autoregressive",
        )
        return
    X = emission.sample(np.ones(40_000, int), rng)
    spread = np.sqrt(emission.variance()[1])
    np.testing.assert_allclose(X.mean(axis=0), emission.mean()[1], atol=0.05 * spread.max())
    np.testing.assert_allclose(X.std(axis=0), spread, rtol=0.12)


@pytest.mark.parametrize("kind", INDEPENDENT)
@few
@given(data=st.data())
def test_samples_lie_in_the_support(kind, data):
    case = data.draw(cases(kind, missing=False))
    emission, prepared_data = prepared(case.model, case.X)
    assert isinstance(emission, Independent)
    assert np.isfinite(emission.log_density(prepared_data)).any(axis=1).all()
