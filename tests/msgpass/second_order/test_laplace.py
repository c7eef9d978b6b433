"""Laplace intervals: the textbook's, those of the hidden Markov models, and errors where there are none."""

import numpy as np
import pytest

import hmm
from msgpass import FactorGraph, Loss, Quadratic, Table
from msgpass.errors import ConvergenceWarning, DataError, NumericalError
from msgpass.second_order import Covariance, LogRows, Positive, laplace, newton_direction

Z = 1.959963984540054


def test_a_share(rng):
    counts = np.array([37, 63])
    g = FactorGraph()
    z, x = g.sequence("z", length=100, states=1), g.observe("x", np.repeat([0, 1], counts), states=2)
    g.factor(Table(g.parameter("p", np.log(counts[None] / 100))), z[:], x[:])
    fit = laplace(g, coordinates={"p": LogRows()})
    p = counts / 100
    error = np.sqrt(p * (1 - p) / 100)
    np.testing.assert_allclose(fit.errors["p"][0], error, rtol=1e-10)
    logit = np.log(p / (1 - p))
    for end, sign in zip(fit["p"], (-1, 1), strict=True):
        np.testing.assert_allclose(end[0], 1 / (1 + np.exp(-(logit + sign * Z * error / (p * (1 - p))))))
    assert fit.decrement < 1e-20
    assert "p[0, 0]  0.37" in repr(fit) and list(fit) == ["p"] and len(fit) == 1
    assert fit.to_frame().shape == (2, 6)


@pytest.mark.parametrize("K", [2, 3])
def test_transition_probabilities_have_the_standard_errors_of_the_model(K, rng):
    """The two ways are a Hessian by messages and differences of gradients in coordinates of the model."""
    A = np.full((K, K), 0.1 / max(K - 1, 1)) + (0.9 - 0.1 / max(K - 1, 1)) * np.eye(K)
    B = np.full((K, 4), 0.1) + np.eye(K, 4) * 0.6
    z = [0]
    for _ in range(1199):
        z.append(rng.choice(K, p=A[z[-1]]))
    X = np.array([rng.choice(4, p=B[s] / B[s].sum()) for s in z])[:, None]
    model = hmm.CategoricalHMM(K, random_state=0, tol=1e-12, n_iter=5000, method="lbfgs").fit(X)
    errors, ends = model.standard_errors(X), model.confidence_intervals(X)
    g = model.graph(X)
    fit = laplace(g, coordinates={n: LogRows() for n in ("initial", "transition", "emission")})
    assert np.isnan(fit.errors["initial"]).all()  # at the edge, as in the model
    for name, attribute in (("transition", "transmat_"), ("emission", "emissionprob_")):
        np.testing.assert_allclose(fit.errors[name], errors[attribute], rtol=1e-5)
        np.testing.assert_allclose(fit.estimates[name], getattr(model, attribute), rtol=1e-10)
        for mine, theirs in zip(fit[name], ends[attribute], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-8)


def test_the_level_of_an_autoregression(rng):
    """y_t = x + noise of known variance: the error of a mean; of a variance √(2/n) v."""
    n, v = 50, 2.0
    y = rng.normal(1.0, np.sqrt(v), n)
    g = FactorGraph()
    x, data = g.sequence("x", length=n), g.observe("y", y)
    g.factor(Quadratic.prior(0.0, 1e-12), x[0])
    g.factor(Quadratic.linear_gaussian(np.zeros((1, 1)), 1e-12 * np.eye(1)), x[:-1], x[1:])
    v = float((y**2).mean())
    g.factor(Quadratic.observation(np.ones((1, 1)), g.parameter("R", [[v]])), x[:], data[:])
    fit = laplace(g, coordinates={"R": Covariance()})
    np.testing.assert_allclose(fit.errors["R"], v * np.sqrt(2 / n), rtol=1e-6)
    low, high = fit["R"]
    np.testing.assert_allclose([high[0, 0] / v, v / low[0, 0]], np.exp(Z * np.sqrt(2 / n)), rtol=1e-6)


def test_a_loss_that_is_minus_a_log_density(rng):
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    g = FactorGraph()
    w = g.parameter("w", best)

    def loss(w):
        r = X @ w - y
        return 0.5 * (r**2).sum(), (X.T @ r,)

    g.factor(Loss(loss), w)
    fit = laplace(g, level=0.9)
    error = np.sqrt(np.diag(np.linalg.inv(X.T @ X)))
    np.testing.assert_allclose(fit.errors["w"], error, rtol=1e-9)
    np.testing.assert_allclose(fit["w"].upper - best, 1.6448536269514722 * error, rtol=1e-9)
    with pytest.warns(ConvergenceWarning, match="Newton step promises"):
        laplace(g, values={"w": best + 1})
    step = newton_direction(g, values={"w": best + 1}, tol=1e-12)
    np.testing.assert_allclose(step.values()["w"], best, rtol=1e-8)


def test_rows_that_move_freely_have_no_intervals(rng):
    g = FactorGraph()
    z, x = g.sequence("z", length=30, states=2), g.observe("x", rng.integers(0, 2, 30), states=2)
    g.factor(Table(g.parameter("B", np.log([[0.6, 0.4], [0.3, 0.7]]))), z[:], x[:])
    with pytest.raises(NumericalError, match=r"log Z, is no maximum along B\[.*LogRows"):
        laplace(g)


def test_saddles_of_a_loss():
    g = FactorGraph()
    w = g.parameter("w", [0.0, 0.0])
    A = np.diag([1.0, -2.0])
    g.factor(Loss(lambda w: (0.5 * w @ A @ w, (A @ w,))), w)
    with pytest.raises(NumericalError, match=r"a loss, is no minimum along w\[1\].*wrong sign"):
        laplace(g)


def test_wrong_arguments():
    g = FactorGraph()
    g.factor(Loss(lambda w: ((w**2).sum(), (2 * w,))), g.parameter("w", [0.0, -1.0]))
    for level in (0, 1.0, "0.95", True):
        with pytest.raises(DataError, match="level"):
            laplace(g, level=level)
    with pytest.raises(DataError, match="above zero"):
        laplace(g, coordinates={"w": Positive()})
