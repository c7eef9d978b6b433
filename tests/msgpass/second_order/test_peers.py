"""Second derivatives against those of JAX and torch, and standard errors against statsmodels'."""

import numpy as np
import pytest

import msgpass.data
from msgpass import Adjoint, FactorGraph, Loss, Quadratic, Step, Tangent, run
from msgpass.second_order import Positive, laplace, newton_direction

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def recurrent(step, T, x, y, W, U):
    """h ← step(h, x, W, U) with ½ Σ (h − y)²."""
    g = FactorGraph()
    h = g.sequence("h", length=T, shape=(3,))
    start = g.parameter("h0", np.full(3, 0.1))
    g.factor(step, h.after(start), g.observe("x", x)[:], g.parameter("W", W), g.parameter("U", U), out=h[:])
    g.factor(Loss(lambda h, y: (0.5 * ((h - y) ** 2).sum(), (h - y, y - h))), h[:], g.observe("y", y)[:])
    return g


def problem(rng):
    T = 7
    arrays = (
        rng.normal(size=(T, 2)),
        rng.normal(size=(T, 3)),
        rng.normal(size=(3, 3)),
        rng.normal(size=(3, 2)),
    )
    return T, *arrays, {"W": rng.normal(size=(3, 3)), "U": rng.normal(size=(3, 2)), "h0": rng.normal(size=3)}


def test_jax(rng):
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    jax.config.update("jax_enable_x64", True)
    T, x, y, W, U, d = problem(rng)

    def cell(h, x, W, U):
        return jnp.tanh(W @ h + U @ x)

    def loss(parts):
        h, total = parts["h0"], 0.0
        for t in range(T):
            h = cell(h, x[t], parts["W"], parts["U"])
            total += 0.5 * ((h - y[t]) ** 2).sum()
        return total

    at = {"W": W, "U": U, "h0": np.full(3, 0.1)}
    wanted = jax.jvp(jax.grad(loss), (at,), (d,))[1]
    for step in (Step.from_jax(cell), Step(lambda h, x, W, U: np.tanh(W @ h + U @ x))):
        m = run(recurrent(step, T, x, y, W, U), Tangent(d, over=Adjoint()))
        for name in d:
            np.testing.assert_allclose(m.parameters[name].tangent, wanted[name], rtol=1e-9, atol=1e-9)


def test_torch(rng):
    torch = pytest.importorskip("torch")
    T, x, y, W, U, d = problem(rng)
    at = [torch.tensor(v, requires_grad=True) for v in (W, U, np.full(3, 0.1))]

    def cell(h, x, W, U):
        return torch.tanh(W @ h + U @ x)

    h, total = at[2], 0.0
    for t in range(T):
        h = cell(h, torch.tensor(x[t]), at[0], at[1])
        total = total + 0.5 * ((h - torch.tensor(y[t])) ** 2).sum()
    grads = torch.autograd.grad(total, at, create_graph=True)
    along = sum((g * torch.tensor(d[n])).sum() for g, n in zip(grads, ("W", "U", "h0"), strict=True))
    wanted = dict(zip(("W", "U", "h0"), torch.autograd.grad(along, at), strict=True))
    m = run(recurrent(Step.from_torch(cell), T, x, y, W, U), Tangent(d, over=Adjoint()))
    for name in d:
        np.testing.assert_allclose(m.parameters[name].tangent, wanted[name].numpy(), rtol=1e-9, atol=1e-9)


def test_a_linear_step_of_torch_has_the_curvature_of_a_product(rng):
    torch = pytest.importorskip("torch")
    del torch
    T, x, y, W, U, d = problem(rng)
    found = [
        run(recurrent(step, T, x, y, W, U), Tangent(d, over=Adjoint())).parameters["W"].tangent
        for step in (
            Step.from_torch(lambda h, x, W, U: W @ h + U @ x),
            Step(lambda h, x, W, U: W @ h + U @ x),
        )
    ]
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_the_nile(rng):
    """Local level with a flat start (Durbin & Koopman 2012, section 2.10): variances and standard errors."""
    sm = pytest.importorskip("statsmodels.api")
    nile = msgpass.data.load("nile").values.astype(float).reshape(-1)
    model = sm.tsa.UnobservedComponents(nile, "llevel", use_exact_diffuse=True)
    fit = model.fit(disp=False, maxiter=500)
    g = FactorGraph()
    x, y = g.sequence("x", length=len(nile)), g.observe("y", nile)
    g.factor(Quadratic.linear_gaussian(1.0, g.parameter("Q", fit.params[1])), x[:-1], x[1:])
    g.factor(Quadratic.observation(1.0, g.parameter("R", fit.params[0])), x[:], y[:])
    coordinates, values = {"Q": Positive(), "R": Positive()}, {}
    for _ in range(4):
        values = newton_direction(g, values=values, coordinates=coordinates, tol=1e-12).values()
    mine = laplace(g, values=values, coordinates=coordinates)
    np.testing.assert_allclose(mine.estimates["R"], fit.params[0], rtol=1e-2)
    np.testing.assert_allclose([mine.estimates["R"], mine.estimates["Q"]], [15098.5, 1469.2], rtol=1e-4)
    there = model.smooth([float(values["R"]), float(values["Q"])], cov_type="approx")
    np.testing.assert_allclose([mine.errors["R"], mine.errors["Q"]], there.bse, rtol=1e-4)
