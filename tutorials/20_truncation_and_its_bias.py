# %% [markdown]
# # Truncation and its bias
#
# Truncated back-propagation drops the messages that have gone far enough back. It makes long sequences cheap,
# and it answers another question than the gradient does: what would change if the past were given? This page
# first looks at three steps by hand, where a well-known recipe goes wrong; then at how the bias falls with
# the window; and then trains a network on a task that looks eight steps back.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass import FactorGraph, FixedLag, Loss, Step, Truncated, run
from rnn import RNN, CrossEntropy, Linear, SquaredError, Stream, bptt, fit, rtrl

# %% [markdown]
# ## Three steps
#
# h ← w h with w = 0.2 from h₀ = 0.9, and the loss is the last state. As h₃ = w³ h₀, the derivative is 3 w² h₀
# = 0.108, a third from each step. A window of k2 steps keeps the shares of the last k2.

# %%
w, h0 = 0.2, 0.9


def chain(losses):
    """h₁, h₂, h₃ with the loss h at some of them."""
    g = FactorGraph()
    h = g.sequence("h", length=3)
    g.factor(Step(lambda h, w: w * h), h.after(g.observe("h0", h0)), g.parameter("w", w), out=h[:])
    for t in losses:
        g.factor(Loss(lambda h: (float(h), (np.ones(()),))), h[t])
    return g


exact = float(run(chain([2])).parameters["w"])
shares = [float(run(chain([2]), schedule=Truncated(1, k2)).parameters["w"]) for k2 in (1, 2, 3)]
print("∂h₃/∂w", exact, "— windows of 1, 2, 3 steps:", shares)
np.testing.assert_allclose(exact, 0.108)
np.testing.assert_allclose(shares, [0.036, 0.072, 0.108])

# %% [markdown]
# A recipe that is often copied keeps a tape a step, and walks back over the last tapes after every loss,
# sending each state's gradient on. It does not clear these gradients. What an earlier loss has sent is still
# there when the next one comes by, and is sent a second time:


# %%
def recipe(k2):
    """What each loss h₁, h₂, h₃ adds to ∂/∂w, with gradients of states that nobody clears."""
    states, held, added = [h0], [], []
    for _ in range(3):
        states.append(w * states[-1])
        held.append(0.0)  # the gradient at the state before this step
        message, total = 1.0, 0.0
        for t in reversed(range(max(0, len(held) - k2), len(held))):
            total += message * states[t]
            held[t] += message * w
            message = held[t]
        added.append(total)
    return added


(*_, third) = recipe(3)
print("the third loss adds", third, "by the recipe; it should add", exact)
np.testing.assert_allclose(third, 0.288)

# %% [markdown]
# In a factor graph there is nothing to clear: a message belongs to an edge of one window. The third window of
# a run with all three losses adds 0.108, whichever way it is asked for:

# %%
every = [float(run(chain(range(n)), schedule=Truncated(1, 3)).parameters["w"]) for n in (2, 3)]
np.testing.assert_allclose(every[1] - every[0], exact)

# The same in a network: one that passes positive states on, with slope 1 at every loss.
net = RNN(1, 1, nonlinearity="relu", bias=False)
net.load_state_dict({"weight_ih_l0": [[0.0]], "weight_hh_l0": [[w]]})
zeros, below = np.zeros((3, 1)), h0 * w ** np.arange(1, 4)[:, None] - 1
windows = Stream(net, SquaredError, Truncated(1, 3), h0=[[h0]]).windows([(zeros, below)])
by_window = [part.parameters["weight_hh_l0"].item() for part in windows]
print("windows of a stream:", np.round(by_window, 6))
np.testing.assert_allclose(by_window, [0.9, 0.36, 0.108])

# %% [markdown]
# Forward in time nothing is truncated: the influence matrix ∂h_t/∂w is carried along with the state, and
# gives the whole gradient at every step (real-time recurrent learning). It costs as much memory a step as
# there are states times weights, so it is for small networks.

# %%
forward = [step.gradient["weight_hh_l0"].item() for step in rtrl(net, zeros, SquaredError(below), h0=[[h0]])]
np.testing.assert_allclose(forward, by_window)

# %% [markdown]
# ## How the bias falls
#
# What a window drops has crossed k2 steps, and each step multiplies it by its Jacobian. So the bias falls
# about as fast as the memory of the network does: at once for one that forgets, late for one that does not.
# `FixedLag(lag)` gives every loss the same reach, lag + 1 steps.

# %%
rng = np.random.default_rng(0)
T = 200
x, target = rng.normal(size=(T, 1)), rng.normal(size=(T, 20))
reaches = np.arange(1, 41)
gaps = {}
for radius in (0.5, 0.8, 0.95):
    net = RNN(1, 20, random_state=3)
    matrix = rng.normal(size=(20, 20))
    net.weights["weight_hh_l0"] = radius * matrix / np.abs(np.linalg.eigvals(matrix)).max()
    net.weights["weight_ih_l0"] *= 0.3
    loss = SquaredError(target)
    whole = bptt(net, x, loss).parameters["weight_hh_l0"]
    cut = [bptt(net, x, loss, FixedLag(k2 - 1)).parameters["weight_hh_l0"] for k2 in reaches]
    gaps[radius] = [np.linalg.norm(g - whole) / np.linalg.norm(whole) for g in cut]
    print(f"spectral radius {radius}: k2 = 5 misses {gaps[radius][4]:.1%}, k2 = 20 {gaps[radius][19]:.2%}")
assert gaps[0.5][9] < 0.01 < gaps[0.95][9]
assert all(g[39] < g[4] for g in gaps.values())

# %% [markdown]
# ## A task with a lag
#
# Say at each step which of two symbols came eight steps before. The network can carry it: its state goes on
# from window to window. But a loss has to tell the step that reads the symbol to keep it, and that step is
# eight steps away: with k2 ≤ 8 the message never arrives, however long one trains.

# %%
LAG, STEPS = 8, 60
symbols = rng.integers(0, 2, size=(STEPS, 8, 1))
late = np.arange(STEPS)[:, None] >= LAG
labels = np.where(late, np.roll(symbols[..., 0], LAG, axis=0), -1)
curves = {}
for k2 in (4, 7, 8, 9, 12):
    net, readout = RNN(1, 24, random_state=1), Linear(24, 2, random_state=2)
    loss = CrossEntropy(labels, "mean", readout)
    history = fit(
        net, 2.0 * symbols - 1, loss, "adam", n_iter=200, tol=None, schedule=Truncated(1, k2), progress=False
    )
    curves[k2] = history.losses
    print(f"k2 = {k2:2d}: loss {history.losses[0]:.3f} → {history.best:.3f}")
assert all(min(curves[k2]) > 0.3 for k2 in (4, 7, 8))
assert all(min(curves[k2]) < 0.05 for k2 in (9, 12))

# %% [markdown]
# One step more and it learns. Below that the loss falls a little, as the untrained recurrence echoes some of
# the past, and rises again: what windows add up to is the gradient of nothing, so following it need not
# descend.
#
# So choose k2 by the lag that the task needs, not by the memory that is at hand: `Checkpointed` gives the
# whole gradient of a million steps in less than a hundred megabytes.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.8), layout="constrained")
for (radius, gap), colour in zip(gaps.items(), ("#0072b2", "#d55e00", "#009e73"), strict=True):
    left.semilogy(reaches, gap, color=colour, lw=1.6, label=f"spectral radius {radius}")
left.set(xlabel="window k2 (steps)", ylabel="relative error of ∂L/∂W", title="Bias falls as memory does")
left.set_ylim(bottom=1e-8)
left.legend(frameon=False)
for k2, losses in curves.items():
    enough = k2 > LAG
    right.semilogy(
        losses,
        color="#0072b2" if enough else "#d55e00",
        lw=1.6,
        ls={4: ":", 7: "--", 12: "--"}.get(k2, "-"),
        label=f"k2 = {k2}",
    )
right.set(xlabel="iteration", ylabel="cross-entropy", title=f"A lag of {LAG} wants k2 = {LAG + 1}")
right.legend(frameon=False, ncol=2)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/20_truncation_and_its_bias.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "20_truncation.png", dpi=150)
