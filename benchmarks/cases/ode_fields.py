"""Fields of the case of differential equations, for each library, and what a contender of it does."""

from __future__ import annotations

import numpy as np

from benchmarks import peers
from benchmarks.harness import Contender

THREE_EIGHTHS = {
    "a": ((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
    "b": (1 / 8, 3 / 8, 3 / 8, 1 / 8),
    "c": (0.0, 1 / 3, 2 / 3, 1.0),
}
"""Kutta's other method of fourth order, which torchdiffeq means by rk4."""

LV = np.array([1.5, 1.0, 3.0, 1.0])


def data(field: str, dtype: str):
    """(y0, params, end of time)."""
    rng = np.random.default_rng(0)
    if field == "lotka-volterra":
        return np.ones(2, dtype), {"p": LV.astype(dtype)}, 10.0
    shapes = {"W1": (2, 64), "b1": (64,), "W2": (64, 2), "b2": (2,)}
    params = {name: (rng.normal(size=s) / 8).astype(dtype) for name, s in shapes.items()}
    return rng.normal(size=(128, 2)).astype(dtype), params, 1.0


def written(field: str, np):
    """f(t, y, params), by the functions of one library's array module."""

    def lotka_volterra(t, y, params):
        p = params["p"]
        return np.stack([p[0] * y[0] - p[1] * y[0] * y[1], p[3] * y[0] * y[1] - p[2] * y[1]])

    def mlp(t, y, params):
        return np.tanh(y @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]

    return {"lotka-volterra": lotka_volterra, "mlp": mlp}[field]


def msgpass_gradient(field: str, method: str, steps: int, dtype: str, through_jax: bool = False) -> Contender:
    from msgpass import Step
    from msgpass.sweeps import traced_recurrence
    from rnn import ode

    traced_recurrence.PATIENCE = 0.0  # the first call compiles, as that of diffrax does
    y0, params, end = data(field, dtype)
    f = plain = written(field, np)
    if through_jax:
        peers.jax_float64()
        f = Step.from_jax(lambda t, y, *arrays: plain(t, y, dict(zip(params, arrays, strict=True))))
    solver = ode.Tableau("3/8", 4, **THREE_EIGHTHS) if method == "rk4" else method

    def loss(y):
        slope = np.zeros_like(y)
        slope[-1] = y[-1]
        return 0.5 * float((y[-1] ** 2).sum()), slope

    def gradient() -> dict[str, object]:
        g = ode.odeint_gradient(f, y0, [0.0, end], params, solver, loss=loss, step=end / steps)
        return {"loss": g.loss, "y0": g.y0, **g.params}

    return gradient


def torchdiffeq_gradient(field: str, method: str, steps: int, dtype: str) -> Contender:
    torch, torchdiffeq = peers.require("torch"), peers.require("torchdiffeq")
    y0, params, end = data(field, dtype)
    start = torch.tensor(y0, requires_grad=True)
    weights = {name: torch.tensor(w, requires_grad=True) for name, w in params.items()}
    f, times = written(field, torch), torch.tensor([0.0, end], dtype=start.dtype)
    h = end / steps
    options = {"step_size": h} if method == "rk4" else {"first_step": h, "min_step": h, "max_step": h}

    def gradient() -> dict[str, object]:
        y = torchdiffeq.odeint(lambda t, y: f(t, y, weights), start, times, method=method, options=options)
        loss = 0.5 * (y[-1] ** 2).sum()
        found = torch.autograd.grad(loss, [start, *weights.values()])
        return {"loss": loss.item()} | {
            name: g.numpy() for name, g in zip(["y0", *weights], found, strict=True)
        }

    return gradient


def diffrax_gradient(field: str, method: str, steps: int, dtype: str) -> Contender:
    jax, diffrax = peers.jax_float64(), peers.require("diffrax")
    y0, params, end = data(field, dtype)
    f = written(field, jax.numpy)
    grid = jax.numpy.linspace(0, end, steps + 1, dtype=dtype)
    solver = diffrax.Dopri5() if method == "dopri5" else _rk4(diffrax)

    def loss(y0, params):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(f),
            solver,
            grid[0],
            grid[-1],
            None,
            y0,
            args=params,
            saveat=diffrax.SaveAt(t1=True),
            stepsize_controller=diffrax.StepTo(grid),
            max_steps=steps,
        )
        return 0.5 * (solution.ys[-1] ** 2).sum()

    compiled = jax.jit(jax.value_and_grad(loss, (0, 1)))

    def gradient() -> dict[str, object]:
        value, (at_y0, at_params) = jax.block_until_ready(compiled(y0, params))
        return {"loss": float(value), "y0": np.asarray(at_y0)} | {
            name: np.asarray(g) for name, g in at_params.items()
        }

    return gradient


def _rk4(diffrax):
    """diffrax has no method of this name, but takes a tableau."""

    class RK4(diffrax.AbstractERK):
        tableau = diffrax.ButcherTableau(
            a_lower=tuple(map(np.array, THREE_EIGHTHS["a"][1:])),
            b_sol=np.array(THREE_EIGHTHS["b"]),
            b_error=np.zeros(4),
            c=np.array(THREE_EIGHTHS["c"][1:]),
        )
        interpolation_cls = diffrax.ThirdOrderHermitePolynomialInterpolation.from_k

        def order(self, terms):
            return 4

    return RK4()
