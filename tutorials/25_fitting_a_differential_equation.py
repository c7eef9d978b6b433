# %% [markdown]
# # Fitting a differential equation, and two kinds of gradient
#
# Prey u and predators v: u′ = αu − βuv, v′ = −γv + δuv. A solver turns that into a recurrence, y ← step(y,
# t, h, θ), and the gradient of a loss comes back along its steps as messages. There is another way: the
# continuous adjoint, a differential equation for λ that is integrated backward. This page fits the four
# rates to noisy counts, and then asks what the two gradients are gradients *of*, as the tolerance loosens.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

from msgpass.drawing import FIRST, SECOND, THIRD, style
from rnn import ode


def field(t, y, p):
    """Lotka and Volterra."""
    return np.stack([p[0] * y[0] - p[1] * y[0] * y[1], -p[2] * y[1] + p[3] * y[0] * y[1]])


# %% [markdown]
# ## Counts at irregular times
#
# Thirty counts over two and a half cycles, each off by about a tenth. Dense output reads the states there
# off the interpolant, so that the times of the counts cost no steps.

# %%
rng = np.random.default_rng(4)
rates, start, noise = np.array([1.5, 1.0, 3.0, 1.0]), np.ones(2), 0.1
t = np.concatenate([[0.0], np.sort(rng.uniform(0.1, 10, 29))])
exact = ode.odeint(field, start, t, rates, rtol=1e-10, atol=1e-12)
counts = exact.y * np.exp(noise * rng.normal(size=exact.y.shape))


def loss(y):
    """Half the squares of log errors, in units of the noise."""
    return 0.5 * ((np.log(y) - np.log(counts)) ** 2).sum() / noise**2


# %% [markdown]
# ## The fit
#
# Rates and start are positive, so L-BFGS moves their logarithms z; ∂L/∂z = θ ∂L/∂θ. `odeint_gradient` gives
# the loss, ∂L/∂y₀ and ∂L/∂θ of one integration.


# %%
def objective(z, **options):
    """Loss and gradient at rates exp(z[:4]) and start exp(z[4:])."""
    p, y0 = np.exp(z[:4]), np.exp(z[4:])
    found = ode.odeint_gradient(field, y0, t, p, loss=loss, saves="dense", **options)
    return found.loss, np.concatenate([found.params * p, found.y0 * y0])


guess = np.log([1.4, 0.9, 2.7, 0.9, *counts[0]])
fit = minimize(objective, guess, jac=True, method="L-BFGS-B")
fitted = np.exp(fit.x)
print(fit.nfev, "integrations; loss", round(fit.fun, 2), "rates", fitted[:4].round(3))
assert fit.success and fit.fun < loss(exact.y)  # better than the truth, which did not see this noise
assert np.abs(fitted[:4] / rates - 1).max() < 0.1

# %% [markdown]
# Sixty numbers with errors of one unit make a loss of about (60 − 6)/2 = 27.
#
# ## Two gradients
#
# The *discrete* gradient differentiates the numbers that the steps computed; it is exact for them, whatever
# they are worth. The *adjoint* approximates the gradient of the solution. At the first guess, beside a
# gradient by steps so small that both agree:


# %%
def gradient(kind, rtol):
    """∂L/∂z at the guess."""
    return objective(guess, gradient=kind, rtol=rtol, atol=rtol)[1]


tolerances = 10.0 ** -np.arange(2, 7)
truth = gradient("discrete", 1e-10)
size = np.linalg.norm(truth)
errors = {
    kind: np.array([np.linalg.norm(gradient(kind, r) - truth) / size for r in tolerances])
    for kind in ("discrete", "adjoint")
}
assert all(e[0] > 0.01 and e[-1] < 1e-4 for e in errors.values())

# %% [markdown]
# Both come to the truth as the tolerance tightens, the one no sooner than the other. But they do not say
# the same: the discrete one agrees, at every tolerance, with differences of the loss over the same steps.

# %%
consistency = []
for r in tolerances:
    p, y0 = np.exp(guess[:4]), np.exp(guess[4:])
    found = ode.odeint_gradient(field, y0, t, p, loss=loss, saves="dense", rtol=r, atol=r)
    sides = [
        loss(ode.odeint(field, y0, t, p * np.exp(e), saves="dense", grid=found.solution.grid).y)
        for e in (np.array([1e-5, 0, 0, 0]), np.array([-1e-5, 0, 0, 0]))
    ]
    consistency.append(abs((sides[0] - sides[1]) / 2e-5 - found.params[0] * p[0]) / size)
print("discrete against differences of its own steps:", np.array(consistency))
assert max(consistency) < 1e-6

# %% [markdown]
# ## Why that matters
#
# Take steps so coarse that the loss is another function, and minimise it. With its own gradient L-BFGS
# comes to rest at the minimum of that function. With the adjoint's, which is the gradient of something
# else, line searches find no descent on slopes a hundred times steeper.

# %%
coarse = {"method": "bosh3", "step": 0.2}
runs = {}
for kind in ("discrete", "adjoint"):
    path = []
    end = minimize(
        lambda z, kind=kind: objective(z, gradient=kind, **coarse),
        fit.x + 0.05,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 36},
        callback=lambda z, path=path: path.append(objective(z, **coarse)[0]),
    )
    own = np.linalg.norm(objective(end.x, **coarse)[1])
    runs[kind] = np.array(path), own
    print(f"{kind}: loss {end.fun:.4f}, own slope there {own:.2g}, {end.message}")
lowest = min(path.min() for path, _ in runs.values())
assert runs["discrete"][1] < 0.05 * runs["adjoint"][1]

# %%
with style():
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    solution = ode.odeint(field, fitted[4:], t, fitted[:4], saves="dense")
    fine = np.linspace(0, t[-1], 300)
    for k, (name, color) in enumerate([("prey", FIRST), ("predators", SECOND)]):
        left.plot(fine, solution.at(fine)[:, k], color=color, label=name)
        left.plot(t, counts[:, k], ".", color=color)
    left.set(title="Counts, and the fitted equation", xlabel="time", ylim=(0, 9.5))
    left.legend(ncols=2, loc="upper right")
    for kind, color, line in [("discrete", FIRST, "-"), ("adjoint", SECOND, "--")]:
        middle.loglog(tolerances, errors[kind], line, marker="o", ms=3, color=color, label=f"{kind}, error")
    middle.loglog(
        tolerances, consistency, ":", marker="o", ms=3, color=THIRD, label="discrete, against its own steps"
    )
    middle.invert_xaxis()
    middle.set(
        title="Both gradients find the truth", xlabel="tolerance", ylabel="relative error", ylim=(1e-10, 1e3)
    )
    middle.legend(loc="upper right")
    for kind, color in [("discrete", FIRST), ("adjoint", SECOND)]:
        path, _ = runs[kind]
        right.semilogy(path - lowest + 1e-6, marker="o", ms=3, color=color, label=kind)
    right.set(title="Descent over coarse steps", xlabel="iteration", ylabel="loss above the lowest")
    right.legend()
if len(sys.argv) > 1:
    figure.savefig(Path(sys.argv[1]) / "two_gradients.png", dpi=150)
