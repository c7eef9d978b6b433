"""diffrax and torchdiffeq: the same steps give the same numbers and gradients, to rounding."""

import numpy as np
import pytest

from rnn.ode import odeint, odeint_gradient
from tests.rnn.ode.fields import LV, lotka_volterra

pytestmark = pytest.mark.peers
T = np.linspace(0, 2, 5)
SUB = 10  # steps between saves


def own(method, **options):
    options = options or {"step": 0.5 / SUB}
    return odeint_gradient(lotka_volterra, np.ones(2), T, LV, method, loss=lambda y: (y**2).sum(), **options)


@pytest.mark.parametrize(
    ("method", "theirs", "rtol"),
    [
        ("euler", "Euler", 1e-12),
        ("midpoint", "Midpoint", 1e-12),
        ("heun", "Heun", 1e-12),
        ("bosh3", "Bosh3", 1e-12),
        ("dopri5", "Dopri5", 1e-12),
        ("tsit5", "Tsit5", 1e-12),
        ("implicit_euler", "ImplicitEuler", 1e-6),
        ("kvaerno3", "Kvaerno3", 1e-6),
        ("kvaerno5", "Kvaerno5", 1e-6),
    ],
)
def test_diffrax(method, theirs, rtol):
    jax = pytest.importorskip("jax")
    diffrax = pytest.importorskip("diffrax")
    with jax.enable_x64(True):
        import jax.numpy as jnp

        solver = getattr(diffrax, theirs)
        if rtol > 1e-10:
            import optimistix as optx

            solver = solver(root_finder=optx.Newton(rtol=1e-9, atol=1e-9))
        else:
            solver = solver()

        def field(t, y, p):
            return jnp.stack([p[0] * y[0] - p[1] * y[0] * y[1], -p[2] * y[1] + p[3] * y[0] * y[1]])

        def loss(y0, p):
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(field),
                solver,
                0.0,
                2.0,
                None,
                y0,
                args=p,
                saveat=diffrax.SaveAt(ts=jnp.asarray(T)),
                stepsize_controller=diffrax.StepTo(jnp.linspace(0, 2, 4 * SUB + 1)),
            )
            return (solution.ys**2).sum()

        value, (y0, p) = jax.value_and_grad(loss, (0, 1))(jnp.ones(2), jnp.asarray(LV))
        found = own(method)
        assert np.isclose(found.loss, float(value), rtol=rtol)
        assert np.allclose(found.y0, np.asarray(y0), rtol=10 * rtol)
        assert np.allclose(found.params, np.asarray(p), rtol=10 * rtol)


@pytest.mark.parametrize(
    ("method", "theirs", "options"),
    [
        ("euler", "euler", {"step_size": 0.05}),
        ("midpoint", "midpoint", {"step_size": 0.05}),
        ("heun", "heun2", {"step_size": 0.05}),
        ("dopri5", "dopri5", None),
    ],
)
def test_torchdiffeq(method, theirs, options):
    torch = pytest.importorskip("torch")
    torchdiffeq = pytest.importorskip("torchdiffeq")
    y0 = torch.ones(2, dtype=torch.float64, requires_grad=True)
    p = torch.tensor(LV, requires_grad=True)

    def field(t, y):
        return torch.stack([p[0] * y[0] - p[1] * y[0] * y[1], -p[2] * y[1] + p[3] * y[0] * y[1]])

    y = torchdiffeq.odeint(field, y0, torch.tensor(T), method=theirs, rtol=1e-9, atol=1e-11, options=options)
    (y**2).sum().backward()
    found = own(method) if options else own(method, rtol=1e-9, atol=1e-11)
    rtol = 1e-10 if options else 1e-6
    assert np.allclose(found.solution.y, y.detach().numpy(), rtol=rtol)
    assert np.allclose(found.y0, y0.grad.numpy(), rtol=10 * rtol)
    assert np.allclose(found.params, p.grad.numpy(), rtol=10 * rtol)


def test_functions_of_jax_and_torch():
    from msgpass import Step

    plain = own("dopri5", rtol=1e-6)
    torch = pytest.importorskip("torch")
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        for step, stack in ((Step.from_torch, torch.stack), (Step.from_jax, jax.numpy.stack)):
            f = step(
                lambda t, y, p, stack=stack: stack(
                    [p[0] * y[0] - p[1] * y[0] * y[1], -p[2] * y[1] + p[3] * y[0] * y[1]]
                )
            )
            found = odeint_gradient(f, np.ones(2), T, LV, loss=lambda y: (y**2).sum())
            assert np.allclose(found.params, plain.params, rtol=1e-4)
            assert np.allclose(odeint(f, np.ones(2), T, LV, "kvaerno3").y, plain.solution.y, atol=1e-3)
