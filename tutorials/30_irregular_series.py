# %% [markdown]
# # Series that are seen at times of their own
#
# A recurrent network counts steps. A patient is not seen once a step, a star not on cloudy nights, and a
# sensor fails. Here the state of a network follows a differential equation whose right-hand side is itself
# a network, so that it exists at every time: first to learn an equation from its solutions, then to follow
# series with gaps and missing features, and to say how they go on.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass.drawing import FIRST, SECOND, THIRD, style
from rnn import IrregularRegressor, NeuralODE, SquaredError, bptt, fit
from rnn.ode import odeint

rng = np.random.default_rng(0)


def pendulum(t, y):
    """Angle and speed, damped."""
    return np.stack([y[..., 1], -3 * np.sin(y[..., 0]) - 0.3 * y[..., 1]], axis=-1)


# %% [markdown]
# ## An equation learned from its solutions
#
# Thirty solutions, each seen at twelve times of its own with some noise. `NeuralODE` is dy/dt = MLP(y): a
# chain of solver steps, each a factor of a graph. `bptt` reads the gradient from the messages that come back
# along it, `fit` goes downhill, as for any other network.

# %%
starts = rng.uniform(-2, 2, size=(30, 2))
times = np.sort(rng.uniform(0, 3, size=(12, 30)), axis=0)
times[0] = 0
exact = np.stack([odeint(pendulum, y, t, rtol=1e-8).y for y, t in zip(starts, times.T, strict=True)], axis=1)
seen = exact + 0.03 * rng.normal(size=exact.shape)

net = NeuralODE(2, (24,), steps=2, random_state=0)
loss = SquaredError(seen, "mean")
before = bptt(net, starts, loss, t=times).total
history = fit(net, starts, loss, n_iter=100, tol=None, progress=False, t=times)
print("loss", before, "→", history.best)

fresh, fine = np.array([[1.6, 0.6], [-0.9, 1.6]]), np.linspace(0, 3, 100)
learned, truth = net.solve(fresh, fine).y, odeint(pendulum, fresh, fine).y
off = np.sqrt(((learned - truth) ** 2).mean())
print("two new solutions, off by", off.round(3))
assert history.best < 0.0015 and off < 0.06

# %% [markdown]
# Noise alone makes a loss of 0.03²/2. `net.solve` integrated the same equation with steps of
# its own choice and dense output: the network is the equation, not the steps it was trained with.
#
# ## A state that flows and jumps
#
# Mostly the state is hidden and the equation is not one of what is measured. An ODE-RNN (Rubanova, Chen and
# Duvenaud 2019) has a hidden state that follows an equation between observations and jumps by a gated cell
# at each. Where a feature is missing the cell is told so; where nothing is seen there is no jump, so that
# any time can be asked about. Here are damped waves of many periods and phases: two features, at times of
# their own, a third of all numbers missing.


# %%
def waves(n):
    """Series (t, x), and what makes them."""
    found = []
    for _ in range(n):
        period, phase, decay = rng.uniform(2.5, 4), rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.1)

        def x(t, period=period, phase=phase, decay=decay):
            angle = 2 * np.pi * t / period + phase
            return np.exp(-decay * t)[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)

        t = np.sort(rng.uniform(0, 12, 30))
        seen = x(t) + 0.05 * rng.normal(size=(30, 2))
        seen[rng.random(seen.shape) < 1 / 3] = np.nan
        found.append((t, seen, x))
    return found


rng = np.random.default_rng(0)
train, new = waves(150), waves(60)
X = [(t, x) for t, x, _ in train]
settings = {"hidden_size": 24, "n_iter": 80, "lr": 0.02, "batch_size": 50, "random_state": 0}
plain = IrregularRegressor(**settings).fit(X)
hiding = IrregularRegressor(**settings, dropout=0.6).fit(X)

# %% [markdown]
# The regressor was taught to say each row from those before it. Hiding rows while training (`dropout`; they
# stay targets) teaches it to say rows that are farther away. What is that worth? New series are followed up
# to t = 8, and then forecast.

# %%
ahead = np.linspace(8, 12, 21)
given = [(t[t < 8], x[t < 8]) for t, x, _ in new]
wanted = np.stack([x(ahead) for _, _, x in new])
spread = wanted.std()
answers = {"next rows alone": plain.predict(given, ahead), "rows hidden": hiding.predict(given, ahead)}
errors = {name: np.sqrt(((found - wanted) ** 2).mean(axis=(0, 2))) for name, found in answers.items()}
for name, error in errors.items():
    print(f"{name}: off by {error[:5].mean():.2f} at first, {error[-5:].mean():.2f} after 4")
assert errors["rows hidden"][-5:].mean() < 0.8 * errors["next rows alone"][-5:].mean()
assert errors["rows hidden"].mean() < 0.7 * spread

# %% [markdown]
# Near forecasts cost a little, far ones gain much: the network is as good as what it was asked.
#
# ## One series
#
# Between observations the answer at t is the forecast from what was seen before t; it bends at once where
# something new is seen.

# %%
t, x, exact_x = new[1]
dense = np.linspace(t[0], 12, 300)
line = hiding.predict((t[t < 8], x[t < 8]), dense)
after = dense > 3
assert np.sqrt(((line - exact_x(dense)) ** 2)[after].mean()) < 0.5

# %%
with style():
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    left.plot(*seen.transpose(2, 0, 1), ".", ms=3, color="0.7")
    grid = np.stack(np.meshgrid(*2 * [np.linspace(-2.3, 2.3, 12)]), axis=-1).reshape(-1, 2)
    rate = net.rate(0.0, grid)
    left.quiver(*grid.T, *rate.T, color=FIRST, alpha=0.5, width=0.004)
    for k in range(2):
        left.plot(*truth[:, k].T, color=SECOND, label="true, new starts" if k == 0 else None)
        left.plot(*learned[:, k].T, "--", color=FIRST, label="learned" if k == 0 else None)
    left.set(
        title="An equation from its solutions",
        xlabel="angle",
        ylabel="speed",
        xlim=(-2.5, 2.5),
        ylim=(-3.2, 4.2),
    )
    left.legend(loc="upper center", ncols=2)
    for k, color in ((0, FIRST), (1, SECOND)):
        middle.plot(dense, exact_x(dense)[:, k], color="0.8", lw=3, label="true" if k else None)
        middle.plot(dense, line[:, k], color=color)
        middle.plot(t[t < 8], x[t < 8, k], "o", ms=3, color=color)
    middle.axvline(8, color="0.5", ls=":")
    middle.legend(loc="lower right")
    middle.set(title="Followed to t = 8, then forecast", xlabel="time", ylim=(-1.6, 1.6))
    for (name, error), color in zip(errors.items(), (THIRD, FIRST), strict=True):
        right.plot(ahead - 8, error, color=color, label=name)
    right.axhline(spread, color="0.5", ls=":", label="spread of the waves")
    right.set(title="Error of forecasts", xlabel="time ahead", ylim=(0, None))
    right.legend(loc="lower right")
if len(sys.argv) > 1:
    figure.savefig(Path(sys.argv[1]) / "irregular_series.png", dpi=150)
