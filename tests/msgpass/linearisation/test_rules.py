"""Rules alone: moments of polynomials, exactness on affine functions, transposes against differences."""

import numpy as np
import pytest

from msgpass.errors import DataError, NumericalError, UnsupportedError
from msgpass.linearisation import Cubature, Extended, GaussHermite, Iterated, Unscented
from msgpass.linearisation.sigma_points import SigmaPoints
from tests.msgpass.gaussian_models import covariance

RULES = [Extended(), Unscented(), Unscented(0.7, 2.0, 1.0), Cubature(), GaussHermite(3)]


class Local:
    """f at N instances, differentiated by central differences; θ is an input that all share."""

    def __init__(self, f, theta=None):
        self.f, self.theta, self.at_theta = f, theta, np.zeros_like(theta)

    def __call__(self, points):
        return self.f(points, self.theta)

    def jacobian(self, points, h=1e-5):
        columns = [(self(points + h * e) - self(points - h * e)) / (2 * h) for e in np.eye(points.shape[-1])]
        return np.stack(columns, axis=-1)

    def pull(self, points, cotangents):
        self.at_theta += self._by_theta(lambda f: (cotangents * f(points)).sum())
        return np.einsum("...i,...ij->...j", cotangents, self.jacobian(points))

    def pull_jacobian(self, points, A, h=1e-4):
        self.at_theta += self._by_theta(lambda f: (A * Local(f).jacobian(points)).sum())
        found = [
            (A * (self.jacobian(points + h * e) - self.jacobian(points - h * e))).sum((1, 2)) / (2 * h)
            for e in np.eye(points.shape[-1])
        ]
        return np.stack(found, axis=-1)

    def _by_theta(self, value, h=1e-5):
        if self.theta is None:
            return np.zeros(())
        at = lambda theta: value(lambda x, _=None: self.f(x, theta))  # noqa: E731
        units = np.eye(self.theta.size)
        return np.array([(at(self.theta + h * e) - at(self.theta - h * e)) / (2 * h) for e in units])


def curved(x, theta):
    return np.stack(
        [np.sin(theta[0] * x[..., 0]) + x[..., 1] ** 2, x[..., 0] * x[..., 1] * theta[1], x[..., 1]], axis=-1
    )


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_affine_functions_are_exact(rule, rng):
    A, c, N = rng.normal(size=(3, 2)), rng.normal(size=3), 4
    mean, cov = rng.normal(size=(N, 2)), np.stack([covariance(rng, 2) for _ in range(N)])
    found = rule.linearise(Local(lambda x, _: x @ A.T + c), mean, cov)
    np.testing.assert_allclose(found.F, np.broadcast_to(A, (N, 3, 2)), atol=1e-8)
    np.testing.assert_allclose(found.b, np.broadcast_to(c, (N, 3)), atol=1e-8)
    assert found.extra is None or np.abs(found.extra).max() < 1e-8


def normal_moment(k: int) -> float:
    """E[ξᵏ] of a standard normal."""
    return 0.0 if k % 2 else float(np.prod(np.arange(1, k, 2)))


def monomials(n: int, degree: int):
    """Exponents of total degree up to ``degree``."""
    grids = np.stack(np.meshgrid(*[np.arange(degree + 1)] * n, indexing="ij"), -1).reshape(-1, n)
    return grids[grids.sum(1) <= degree]


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "rule", [Unscented(), Unscented(0.5, 2, 1), Cubature(), GaussHermite(2), GaussHermite(4)], ids=repr
)
def test_moments_of_polynomials_of_their_degree(rule, n):
    degree = 2 * rule.order - 1 if isinstance(rule, GaussHermite) else 3
    if n > 3 and isinstance(rule, GaussHermite):
        degree = min(degree, 3)
    xi, w, _ = rule.points(n)
    assert w.sum() == pytest.approx(1)
    for powers in monomials(n, degree):
        wanted = np.prod([normal_moment(k) for k in powers])
        assert w @ np.prod(xi**powers, axis=1) == pytest.approx(wanted, abs=1e-9), powers


def test_beyond_their_degree_they_differ():
    """Otherwise the test above could not fail."""
    xi, w, _ = Cubature().points(2)
    assert abs(w @ xi[:, 0] ** 4 - 3) > 0.5
    xi, w, _ = GaussHermite(2).points(1)
    assert abs(w @ xi[:, 0] ** 4 - 3) > 0.5


def test_unscented_is_gauss_hermite_of_order_three_in_one_dimension():
    a, b = Unscented().points(1), GaussHermite(3).points(1)
    order = np.argsort(a[0][:, 0])
    np.testing.assert_allclose(a[0][order], b[0], atol=1e-12)
    np.testing.assert_allclose(a[1][order], b[1], atol=1e-12)


def test_a_quadratic_leaves_its_spread_unexplained():
    """f = x²: slope 2m, offset P − m², Ω = 2P² (Gauss-Hermite of order 3 is exact)."""
    m, P = 0.7, 1.3
    F, b, extra = GaussHermite(3).linearise(Local(lambda x, _: x**2), np.array([[m]]), np.array([[[P]]]))
    assert F.item() == pytest.approx(2 * m)
    assert b.item() == pytest.approx(P + m**2 - 2 * m * m)
    assert extra.item() == pytest.approx(2 * P**2)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_transposes_are_derivatives(rule, rng):
    N = 3
    mean, cov = rng.normal(size=(N, 2)), np.stack([covariance(rng, 2) for _ in range(N)])
    theta = np.array([0.8, 1.1])
    bars = type(rule.linearise(Local(curved, theta), mean, cov))(
        rng.normal(size=(N, 3, 2)), rng.normal(size=(N, 3)), rng.normal(size=(N, 3, 3))
    )

    def value(mean, cov, theta):
        found = rule.linearise(Local(curved, theta), mean, cov)
        extra = 0.0 if found.extra is None else (bars.extra * found.extra).sum()
        return (bars.F * found.F).sum() + (bars.b * found.b).sum() + extra

    f = Local(curved, theta)
    at_mean, at_cov = rule.pull(f, mean, cov, bars)
    h = 1e-5
    dm, dt = rng.normal(size=mean.shape), rng.normal(size=2)
    dP = rng.normal(size=cov.shape)
    dP = dP + np.swapaxes(dP, 1, 2)
    slope = lambda a, b: (value(*a) - value(*b)) / (2 * h)  # noqa: E731
    by_mean = slope((mean + h * dm, cov, theta), (mean - h * dm, cov, theta))
    by_theta = slope((mean, cov, theta + h * dt), (mean, cov, theta - h * dt))
    assert (at_mean * dm).sum() == pytest.approx(by_mean, rel=1e-4, abs=1e-5)
    assert (f.at_theta * dt).sum() == pytest.approx(by_theta, rel=1e-4, abs=1e-5)
    if rule.spread:
        by_cov = slope((mean, cov + h * dP, theta), (mean, cov - h * dP, theta))
        assert (at_cov * dP).sum() == pytest.approx(by_cov, rel=1e-4, abs=1e-5)
    else:
        assert at_cov is None


def test_a_known_direction_has_no_slope():
    """A singular covariance: the rule is that of the directions that are not known."""
    cov = np.array([[[1.0, 0.0], [0.0, 0.0]]])
    F, b, extra = Cubature().linearise(
        Local(lambda x, _: x @ np.array([[2.0], [5.0]])), np.array([[1.0, 3.0]]), cov
    )
    np.testing.assert_allclose(F[0], [[2.0, 0.0]], atol=1e-12)
    np.testing.assert_allclose(b[0] + F[0] @ [1.0, 3.0], [17.0])
    np.testing.assert_allclose(extra, 0, atol=1e-12)


def test_what_cannot_be():
    with pytest.raises(DataError, match="alpha"):
        Unscented(0.0)
    with pytest.raises(DataError, match="kappa"):
        Unscented(kappa=-4).points(3)
    with pytest.raises(DataError, match="order"):
        GaussHermite(1)
    with pytest.raises(UnsupportedError, match="Cubature"):
        GaussHermite(10).points(8)
    with pytest.raises(UnsupportedError, match="takes Extended"):
        Iterated(Iterated())
    with pytest.raises(UnsupportedError, match="damping"):
        Iterated(Cubature(), damping=1.0)
    for bad in ({"max_iter": 0}, {"tol": 0.0}, {"damping": -1.0}):
        with pytest.raises(DataError):
            Iterated(**bad)
    negative = Unscented(1.0, -3.0, 0.5)
    with pytest.raises(NumericalError, match="negative weight"):
        negative.linearise(Local(lambda x, _: x**2), np.zeros((1, 1)), np.ones((1, 1, 1)))


def test_rules_are_values():
    assert Unscented(1.0) == Unscented() != Unscented(0.5)
    assert Iterated(Cubature) == Iterated(Cubature()) != Iterated()
    assert (
        repr(Iterated(Unscented(), max_iter=9))
        == "Iterated(Unscented(alpha=1.0, beta=0.0, kappa=None), max_iter=9)"
    )
    assert len({Extended(), Extended()}) == 1
    start = Iterated(start={"x": np.zeros(3)})
    assert start == start != Iterated() and "start" in repr(start)
    assert isinstance(Cubature(), SigmaPoints)
