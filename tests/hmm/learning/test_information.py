"""The observed information is what differences of the score say; where it has no inverse it says why."""

import numpy as np
import pytest

import hmm
from hmm.learning.information import observed_information
from hmm.learning.parameters import Parameters
from hmm.learning.restrictions import UNRESTRICTED
from msgpass import run
from msgpass.errors import ConvergenceWarning, NumericalError, UnsupportedError
from tests.hmm.learning.climbs import KINDS, made, same_start

pytestmark = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")


RUNAWAY = ("scipy laplace", "scipy nbinom", "negative binomial")
"""A kink, and counts that vary less than Poisson's in one state, so that its size runs away."""


def information(model, X, lengths=None):
    sample = model._inference_sample(model.chain(), X, lengths)
    return observed_information(model.chain(sample.X), sample, model.params, UNRESTRICTED)


def second_differences(f, point, step):
    """Minus the matrix of second derivatives, from values alone."""
    n = len(point)
    found, e = np.empty((n, n)), step * np.eye(n)
    for i in range(n):
        for j in range(i + 1):
            corners = f(point + e[i] + e[j]) - f(point + e[i] - e[j])
            corners += f(point - e[i] - e[j]) - f(point - e[i] + e[j])
            found[i, j] = found[j, i] = -corners / (4 * step**2)
    return found


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in RUNAWAY])
def test_it_is_a_second_difference_of_the_score(kind, rng):
    """Of ``model.score`` and the log prior, which know nothing of gradients."""
    start, X = made(kind, 2, rng, T=150, gaps=0, prior=True)
    model = same_start(start, method="lbfgs", tol=1e-10, n_iter=2000).fit(X)
    found = information(model, X)
    evidence = model.chain(X).evidence(model._inference_sample(model.chain(), X, None))

    def objective(point):
        chain = found.parameters.at(point)
        return run(chain.graph(evidence)).total + chain.log_prior()

    expected = second_differences(objective, found.parameters.vector(found.chain), 1e-3)
    scale = np.sqrt(np.outer(np.diagonal(found.matrix), np.diagonal(found.matrix)))
    np.testing.assert_allclose(found.matrix / scale, expected / scale, atol=2e-3)
    np.testing.assert_allclose(found.matrix @ found.covariance, np.eye(len(scale)), atol=1e-6)


def test_states_that_are_alike_are_not_told_apart(rng):
    X = rng.poisson(3, (200, 1))
    model = hmm.PoissonHMM(2)
    model.startprob_, model.transmat_ = np.full(2, 0.5), np.full((2, 2), 0.5)
    model.lambdas_ = np.full((2, 1), X.mean())
    with pytest.raises(NumericalError, match="two states are alike"):
        information(model, X)


def test_off_a_maximum_it_may_have_no_inverse(rng):
    model, X = made("gmm diag", 2, rng, T=60)
    with pytest.raises(NumericalError, match="not at a maximum"):
        information(model, X)


def test_off_the_maximum_it_warns(rng):
    X = rng.poisson(5, (200, 1))
    model = hmm.PoissonHMM(1).fit(X)
    model.lambdas_ = model.lambdas_ * 1.3
    with pytest.warns(ConvergenceWarning, match="not at the maximum: a Newton step promises to raise"):
        information(model, X)


def test_a_kink_has_no_second_derivative(rng):
    X = rng.laplace(1, 2, (300, 1))
    model = hmm.ScipyHMM(1, distribution="laplace").fit(X)
    with pytest.raises(UnsupportedError, match=r"do not exist at parameters\[0, 0, 0\]"):
        information(model, X)
    smooth = hmm.ScipyHMM(1, distribution="logistic", tol=1e-9).fit(X)
    assert np.isfinite(information(smooth, X).matrix).all()


def test_nothing_to_estimate(rng):
    model, X = made("poisson", 2, rng, params="")
    with pytest.raises(UnsupportedError, match="leaves no number"):
        information(model, X)


def test_probabilities_that_nothing_speaks_for_have_no_coordinate(rng):
    X = np.concatenate([rng.poisson(rate, 50) for rate in (1, 20)])[:, None]
    found = information(hmm.PoissonHMM(2, random_state=0).fit(X), X)
    labels = found.parameters.labels()
    assert not any("startprob" in label for label in labels)
    assert sum("transmat" in label for label in labels) == 1  # once over, it never comes back


@pytest.mark.parametrize("kind", ["diag", "full", "mixed"])
def test_the_jacobian_is_that_of_the_field(kind, rng):
    model, X = made(kind, 2, rng)
    chain = model.chain()
    parameters = Parameters.of(chain, model.params, chain.emission.prepare(X))
    from hmm.learning.parameters import values_of

    point = parameters.vector(chain)
    for field, where in zip(parameters.fields, parameters.slices, strict=True):
        J = field.jacobian(values_of(chain)[field.name])
        for j in range(where.start, where.stop):
            ends = []
            for sign in (1, -1):
                moved = point.copy()
                moved[j] += sign * 1e-6
                ends.append(values_of(parameters.at(moved))[field.name])
            np.testing.assert_allclose(
                J[:, j - where.start], ((ends[0] - ends[1]) / 2e-6).ravel(), rtol=1e-6, atol=1e-7
            )
