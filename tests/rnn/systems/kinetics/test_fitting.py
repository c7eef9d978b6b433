"""Rates from measurements: recovered, with the errors that they have, and refused where data say nothing."""

import warnings

import numpy as np
import pytest

from msgpass.errors import ConvergenceWarning, DataError, ShapeError, UnavailableError
from rnn.systems.kinetics import (
    Arrhenius,
    Experiment,
    IdentifiabilityWarning,
    ReactionNetwork,
    Reactor,
    example,
    fit_rates,
)

CHAIN = ReactionNetwork(["k1: A -> B", "k2: B -> C"])
RATES = {"k1": 1.0, "k2": 0.5}
TIMES = np.array([0.2, 0.5, 1.0, 1.7, 3.0, 5.0])


def measured(start, rng=None, sigma=0.0, times=TIMES, rates=RATES, network=CHAIN):
    """Of every species, with noise."""
    path = Reactor(network, rates, start, np.concatenate([[0.0], times])).simulate()
    noise = 0.0 if rng is None else sigma * rng.normal(size=path.c[1:].shape)
    return dict(zip(network.species, (path.c[1:] + noise).T, strict=True))


def test_rates_are_recovered_from_what_they_made():
    data = measured({"A": 1.0})
    data["B"][2:4] = np.nan
    experiments = [
        Experiment(TIMES, {"A": data["A"], "B": data["B"]}, {"A": np.nan}),
        Experiment(TIMES, {"C": measured({"A": 2.0, "B": 1.0})["C"]}, {"A": 2.0, "B": 1.0}),
    ]
    fit = fit_rates(CHAIN, experiments, {"k1": 0.2, "k2": 3.0})
    np.testing.assert_allclose(list(fit.values.values()), [1.0, 0.5, 1.0], rtol=1e-6)
    assert fit.names == ("k1", "k2", "A₀[0]") and fit.identifiable and fit.converged
    assert len(fit.residuals) == 10 + 6


def test_the_jacobian_is_that_of_differences_and_of_the_adjoint():
    data = measured({"A": 1.0}, np.random.default_rng(0), 0.02)
    # Fitted for one step only, so that residuals are not small.
    with pytest.warns(ConvergenceWarning):
        fit = fit_rates(CHAIN, Experiment(TIMES, data, {"A": np.nan}), {"k1": 2.0, "k2": 0.1}, n_iter=1)
    from rnn.systems.kinetics.fitting import _Problem

    problem = _Problem(CHAIN, fit.experiments, {"k1": 2.0, "k2": 0.1}, (), {}, {})
    for j in range(3):
        d = 1e-5 * np.eye(3)[j]
        slope = (problem(fit.theta + d)[0] - problem(fit.theta - d)[0]) / 2e-5
        np.testing.assert_allclose(fit.jacobian[:, j], slope, rtol=1e-4, atol=1e-7)

    def squares(network, first, last):
        r = last - np.array([data[s][-1] for s in network.species])
        return 0.5 * (r**2).sum(axis=1), np.zeros_like(first), r

    found = fit.reactors[0].gradient(squares)
    rows, residuals = fit.jacobian[-3:], fit.residuals[-3:]  # the last time
    adjoint = [found.rates[n] * fit.rates[n] for n in ("k1", "k2")] + [found.start[0]]
    np.testing.assert_allclose(rows.T @ residuals, adjoint, rtol=1e-5)


def test_standard_errors_are_the_spread_of_fits():
    rng = np.random.default_rng(1)
    fits = [
        fit_rates(
            CHAIN,
            Experiment(TIMES, measured({"A": 1.0}, rng, 0.02), {"A": 1.0}, sigma=0.02),
            RATES,
            rtol=1e-6,
            tol=1e-6,
        )
        for _ in range(25)
    ]
    spread = np.std([f.theta for f in fits], axis=0, ddof=1)
    errors = np.sqrt(np.diag(fits[0].covariance))
    # A standard deviation of 25 has a relative error of 0.14.
    np.testing.assert_allclose(spread, errors, rtol=0.4)
    low, high = fits[0].interval("k1")
    assert low < fits[0].rates["k1"] < high
    inside = [f.interval("k1")[0] < 1.0 < f.interval("k1")[1] for f in fits]
    assert 0.8 <= np.mean(inside) <= 1.0


def test_weights_count():
    """Two measurements of one number, of which the better one wins."""
    decay = ReactionNetwork("k: A -> B")
    t, k = np.array([1.0, 2.0]), np.array([1.0, 2.0])
    data = Experiment(t, {"A": np.exp(-k * t)}, {"A": 1.0}, sigma={"A": np.array([1e-5, 1.0])})
    np.testing.assert_allclose(fit_rates(decay, data, {"k": 0.3}).rates["k"], 1.0, rtol=1e-4)


def test_without_sigma_errors_are_scaled_by_residuals():
    data = measured({"A": 1.0}, np.random.default_rng(2), 0.02)
    plain = fit_rates(CHAIN, Experiment(TIMES, data, {"A": 1.0}), RATES)
    known = fit_rates(CHAIN, Experiment(TIMES, data, {"A": 1.0}, sigma=1.0), RATES)
    scale = np.sqrt(2 * plain.cost / (18 - 2))
    np.testing.assert_allclose(plain.standard_errors["k1"], scale * known.standard_errors["k1"], rtol=1e-5)


def test_what_data_leave_open_is_named():
    parallel = ReactionNetwork("k1: A -> B; k2: A -> C")
    data = Experiment(TIMES, {"A": np.exp(-1.5 * TIMES)}, {"A": 1.0})
    with pytest.warns(IdentifiabilityWarning, match=r"direction 1·k\d − 0.5·k\d"):
        fit = fit_rates(parallel, data, {"k1": 0.3, "k2": 0.6})
    np.testing.assert_allclose(sum(fit.rates.values()), 1.5, rtol=1e-6)
    assert not fit.identifiable and np.isinf(list(fit.standard_errors.values())).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held = fit_rates(parallel, data, {"k1": 0.3, "k2": 0.6}, fixed=["k2"])
    np.testing.assert_allclose(held.rates["k1"], 0.9, rtol=1e-6)


def test_a_rate_without_effect_is_named():
    data = Experiment(TIMES, {"A": np.exp(-TIMES)}, {"A": 1.0})
    with pytest.warns(IdentifiabilityWarning, match="do not determine k2;"):
        fit = fit_rates(CHAIN, data, {"k1": 0.3, "k2": 0.6})
    assert np.isfinite(fit.standard_errors["k1"]) and np.isinf(fit.standard_errors["k2"])


def test_energies_from_several_temperatures():
    true = Arrhenius.through(RATES, 300.0, {"k1": 50e3, "k2": 80e3}, 300.0)
    experiments = []
    for T in (290.0, 300.0, 315.0):
        data = measured({"A": 1.0}, rates=Arrhenius(true.A, true.E, T))
        experiments.append(Experiment(TIMES, {"A": data["A"], "B": data["B"]}, {"A": 1.0}, T=T))
    guess = Arrhenius.through({"k1": 0.5, "k2": 0.7}, 300.0, {"k1": 60e3, "k2": 60e3}, 300.0)
    fit = fit_rates(CHAIN, experiments, guess)
    np.testing.assert_allclose(list(fit.energies.values()), [50e3, 80e3], rtol=1e-5)
    np.testing.assert_allclose(np.log(list(fit.rates.values())), np.log(list(true.A.values())), rtol=1e-5)
    with pytest.warns(IdentifiabilityWarning):
        fit_rates(CHAIN, experiments[0], guess)


def test_a_stiff_network():
    e, t = example("robertson"), np.geomspace(0.1, 1e3, 12)
    data = measured(e.start, times=t, rates=e.rates, network=e.network)
    experiment = Experiment(t, {"A": data["A"], "B": data["B"]}, e.start, sigma={"A": 1e-3, "B": 1e-6})
    fit = fit_rates(e.network, experiment, {"p1": 0.08, "p2": 5e3, "p3": 2e7})
    np.testing.assert_allclose(list(fit.rates.values()), [0.04, 1e4, 3e7], rtol=1e-4)


GOOD = Experiment(TIMES, {"A": np.exp(-TIMES)}, {"A": 1.0})


@pytest.mark.parametrize(
    "call, error, what",
    [
        (lambda: fit_rates(CHAIN, [], RATES), DataError, "several of them"),
        (lambda: fit_rates(CHAIN, GOOD, {"k1": 0.0, "k2": 1.0}), DataError, "must be > 0"),
        (lambda: fit_rates(CHAIN, GOOD, RATES, fixed=["k1", "k2"]), DataError, "everything is fixed"),
        (lambda: fit_rates(CHAIN, GOOD, RATES, fixed=["k7"]), DataError, "no rate 'k7'"),
        (lambda: fit_rates(CHAIN, GOOD, RATES, bounds={"k1": (2.0, 1.0)}), DataError, "low < high"),
        (lambda: fit_rates(CHAIN, GOOD, RATES, bounds={"k1": 2.0}), ShapeError, r"\(low, high\)"),
        (lambda: fit_rates(CHAIN, GOOD, RATES, n_iter=0), ShapeError, "n_iter"),
        (lambda: fit_rates(CHAIN, GOOD, RATES, tol=-1.0), DataError, "tol"),
        (lambda: fit_rates(CHAIN, GOOD, RATES, steps=3), DataError, "no option 'steps'"),
        (lambda: fit_rates(CHAIN, Experiment([1.0], {"Q": [1.0]}, {}), RATES), DataError, "no species 'Q'"),
        (lambda: fit_rates(CHAIN, Experiment([1.0], {"A": [1.0, 2.0]}, {}), RATES), ShapeError, "one number"),
        (lambda: fit_rates(CHAIN, Experiment([1.0], {"A": [np.nan]}, {}), RATES), DataError, "nothing was"),
        (lambda: fit_rates(CHAIN, Experiment([2.0, 1.0], {"A": [1, 2]}, {}), RATES), DataError, "increasing"),
        (lambda: fit_rates(CHAIN, Experiment([0.0], {"A": [1.0]}, {}), RATES), ShapeError, "after t0"),
        (
            lambda: fit_rates(CHAIN, Experiment([1.0], {"A": [1.0]}, {"A": -1.0}), RATES),
            DataError,
            "negative",
        ),
        (
            lambda: fit_rates(CHAIN, Experiment([1.0], {"A": [1.0]}, {"A": 1.0}, sigma=0.0), RATES),
            DataError,
            "sigma",
        ),
        (
            lambda: fit_rates(CHAIN, Experiment([1.0], {"A": [1.0]}, {"A": 1.0}, T=300.0), RATES),
            DataError,
            "Arrhenius",
        ),
    ],
)
def test_what_is_refused(call, error, what):
    with pytest.raises(error, match=what):
        call()


def test_frames_and_figures():
    pytest.importorskip("matplotlib")
    data = measured({"A": 1.0}, np.random.default_rng(0), 0.02)
    fit = fit_rates(CHAIN, Experiment(TIMES, data, {"A": 1.0}), RATES)
    assert fit.to_frame()["name"].tolist() == ["k1", "k2"]
    assert len(fit.plot().lines) == 3 + 1 + 3
    assert "k1" in repr(fit)


def test_one_held_rate_may_be_a_text_and_intervals_are_of_what_was_fitted():
    both = Experiment([0.5, 1.0, 2.0], {"B": [0.3, 0.4, 0.5]}, {"A": 1.0})
    fits = [fit_rates(CHAIN, both, RATES, fixed=held) for held in ("k1", ["k1"])]
    assert fits[0].names == fits[1].names == ("k2",)
    with pytest.raises(UnavailableError, match="'k1' was not fitted; fitted are k2"):
        fits[0].interval("k1")
    with pytest.raises(DataError, match="between 0 and 1"):
        fits[0].interval("k2", level=95)
