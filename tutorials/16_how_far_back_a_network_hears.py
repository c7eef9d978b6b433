# %% [markdown]
# # How far back a network hears
#
# The adding problem (Hochreiter & Schmidhuber 1997): fifty numbers come one by one, two of them are marked,
# and at the end their sum is asked for. The first mark is in the first half, so that the answer's gradient
# has to travel back through some twenty-five to fifty steps. Whether it arrives can be measured before
# anything is learned: the message at h_{T−k} is the message at h_T times the transported Jacobian
# ∂h_T/∂h_{T−k}, a product of k matrices, and its singular values say what becomes of any message.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass.drawing import FIRST, GREY, SECOND, THIRD, style
from rnn import GRU, LSTM, RNN, Linear, SquaredError, diagnose, fit

T, UNITS = 50, 32
rng = np.random.default_rng(0)


def adding(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and marks (T, count, 2), and targets (T, count, 1): NaN but for the last step."""
    x, every = np.zeros((T, count, 2)), np.arange(count)
    x[..., 0] = rng.uniform(size=(T, count))
    first, second = rng.integers(0, T // 2, count), rng.integers(T // 2, T, count)
    x[first, every, 1] = x[second, every, 1] = 1
    y = np.full((T, count, 1), np.nan)
    y[-1, :, 0] = x[first, every, 0] + x[second, every, 0]
    return x, y


x, y = adding(1000)
few_x, few_y = adding(8)

# %% [markdown]
# ## Before training
#
# Three networks of 32 units. The LSTM's forget gates start nearly open: a bias of 3 keeps 95 % of c a step.
# That is its memory path: along c alone the Jacobian is diag(f_t), and their product is what `direct` holds.

# %%
networks = {
    "RNN": RNN(2, UNITS, dtype="float32", random_state=0),
    "GRU": GRU(2, UNITS, dtype="float32", random_state=0),
    "LSTM": LSTM(2, UNITS, dtype="float32", random_state=0),
}
networks["LSTM"].weights["bias_ih_l0"][UNITS : 2 * UNITS] = 3
heads = {name: Linear(UNITS, 1, dtype="float32", random_state=1) for name in networks}


def examine() -> dict:
    """A diagnosis of each network as it is now."""
    return {
        name: diagnose(net, few_x, SquaredError(few_y, readout=heads[name])) for name, net in networks.items()
    }


before = examine()
for name, d in before.items():
    print(f"{name}: {d.rate:.2f} a step; the first percent is lost after {d.horizon() or '—'} steps")
forget = before["LSTM"].direct["c_l0"]
print(f"along the LSTM's c alone, {forget[T // 2]:.2f} of a message comes through {T // 2} steps")
assert before["RNN"].horizon() < 12 and forget[T // 2] > 0.1

# %% [markdown]
# ## Training
#
# Thirty passes over a thousand sequences. Whoever says the mean of the targets, 1, has a loss of 1/12: that
# is as far as a network comes that does not hear the marks.

# %%
settings = {"n_iter": 30, "batch_size": 50, "lr": 0.01, "clip_norm": 1.0, "tol": None, "seed": 0}
losses = {}
for name, net in networks.items():
    loss = SquaredError(y, "mean", heads[name])
    history = fit(net, x, loss, "adam", progress=False, **settings)
    losses[name] = history.losses
    print(f"{name}: {history.losses[0]:.3f} → {history.best:.4f}")
assert losses["GRU"][-1] < 0.01 and losses["LSTM"][-1] < 0.03 and min(losses["RNN"]) > 0.07

# %% [markdown]
# ## After training
#
# What was learned is a way for the gradient: gates that stay open until a mark comes. The exponents of the
# two that succeed are near 0, where differences of state are neither forgotten nor blown up.

# %%
after = examine()
for name, d in after.items():
    print(name, d)
assert after["RNN"].verdict == "vanishing"
assert after["GRU"].verdict == after["LSTM"].verdict == "steady"
assert after["RNN"].exponents[0] < -0.1 < after["GRU"].exponents[0]

# %%
colours = {"RNN": SECOND, "GRU": THIRD, "LSTM": FIRST}
with style():
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.9), layout="constrained")
    axes[0].axhline(1 / 12, color=GREY, linewidth=0.8, linestyle=":")
    for name, colour in colours.items():
        axes[0].plot(losses[name], color=colour, label=name)
        axes[1].plot(before[name].lags, before[name].norms, color=colour, linestyle=":")
        axes[1].plot(after[name].lags, after[name].norms, color=colour, label=name)
        axes[2].plot(after[name].exponents, "o", color=colour, markersize=2.5)
    axes[0].set(title="Loss", xlabel="pass over the data", yscale="log")
    axes[1].set(
        title="|∂s_T/∂s_{T−k}| before (dotted) and after", xlabel="lag k", yscale="log", ylim=(1e-12, 1e3)
    )
    axes[2].axhline(0, color=GREY, linewidth=0.8)
    axes[2].set(title="Lyapunov exponents a step, after", xlabel="number", ylim=(-3, 0.3))
    axes[1].legend(loc="lower left")
    if len(sys.argv) > 1:
        figure.savefig(Path(sys.argv[1]) / "how_far_back_a_network_hears.png", dpi=150)
