"""Random graphs of noisy steps: a state of two numbers, observed inputs, parameters, nonlinear and linear
evidence."""

import numpy as np
from hypothesis import strategies as st

from msgpass import FactorGraph, Quadratic, Step
from tests.msgpass.gaussian_models import covariance, gaps
from tests.msgpass.table_models import seeds


def swing(x, u, theta):
    """A curved transition."""
    return np.stack(
        [
            theta[0] * np.sin(x[..., 0]) + theta[1] * x[..., 1],
            0.8 * x[..., 1] + u[..., 0] * np.cos(x[..., 0]),
        ],
        axis=-1,
    )


def bent(x, theta):
    """A curved sensor of two numbers."""
    return np.stack([np.exp(0.3 * x[..., 0]) + theta[1], x[..., 0] - 0.2 * x[..., 1] ** 2], axis=-1)


def straight(x, u, theta):
    """An affine transition."""
    return np.stack([theta[0] * x[..., 0] + theta[1] * x[..., 1], 0.8 * x[..., 1] + u[..., 0]], axis=-1)


def level(x, theta):
    """An affine sensor of two numbers."""
    return np.stack([x[..., 0] + theta[1], x[..., 0] - 0.2 * x[..., 1]], axis=-1)


MIXES = [
    "nonlinear",
    "curved dynamics",
    "curved sensor",
    "canonical beside",
    "prior later",
    "start by a step",
]


@st.composite
def models(draw):
    """See :func:`model`."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    mix, by_step, vectorized = draw(st.sampled_from(MIXES)), draw(st.booleans()), draw(st.booleans())
    return model(np.random.default_rng(draw(seeds)), lengths, mix, by_step, vectorized)


def model(rng, lengths=(4,), mix="nonlinear", by_step=False, vectorized=True, linear=False):
    """A graph over x, with y and z observed of it; ``linear`` makes every step affine."""
    total, pairs = sum(lengths), sum(lengths) - len(lengths)
    f, h = (straight, level) if linear else (swing, bent)
    g = FactorGraph()
    x = g.sequence("x", length=list(lengths), shape=(2,))
    y = g.observe("y", gaps(rng, rng.normal(size=(total, 2))))
    u = g.observe("u", rng.normal(size=(total, 1)))
    theta = g.parameter("theta", np.array([0.9, 0.3]) + 0.1 * rng.normal(size=2))
    Q = np.stack([0.3 * covariance(rng, 2) for _ in range(max(pairs, 1))])
    Q = g.parameter("Q", Q if by_step and pairs else Q[0])
    R = g.parameter("R", 0.3 * covariance(rng, 2))
    mean, cov = g.parameter("mean", 0.5 * rng.normal(size=2)), g.parameter("cov", 0.3 * covariance(rng, 2))
    if mix == "start by a step":
        where = lambda theta, mean: mean + np.sin(theta)  # noqa: E731
        g.factor(Step(where, noise=cov), theta, mean, out=x[0], name="start")
    else:
        g.factor(Quadratic.prior(mean, cov), x[0], name="start")
    if mix == "curved sensor":
        F = g.parameter("F", 0.7 * rng.normal(size=(2, 3)))
        g.factor(Quadratic.linear_gaussian(F, Q), x[:-1], u[:-1], x[1:], name="link")
    else:
        g.factor(Step(f, noise=Q, vectorized=vectorized), x[:-1], u[:-1], theta, out=x[1:], name="link")
    if mix == "curved dynamics":
        H = g.parameter("H", rng.normal(size=(2, 2)))
        g.factor(Quadratic.observation(H, R), x[:], y[:], name="sensor")
    else:
        g.factor(Step(h, noise=R, vectorized=vectorized), x[:], theta, out=y[:], name="sensor")
    if mix == "canonical beside":
        W = g.parameter("W", 0.5 * covariance(rng, 2))
        g.factor(Quadratic(g.parameter("pull", rng.normal(size=2)), W), x[:], name="pull factor")
    if mix == "prior later":
        g.factor(Quadratic.prior(g.parameter("later", rng.normal(size=2)), np.eye(2)), x[-1], name="end")
    return g
