# %% [markdown]
# # Back-propagation through time as backward messages
#
# A recurrent network is a chain of variables h_0, h_1, … like a hidden Markov model, except that its
# transition factors are certain: δ(h_t − f(h_{t−1}, x_t, θ)). A loss is evidence, the factor exp(−loss). The
# backward message at h_t is then exp(−loss still to come), and back-propagation through time (BPTT) keeps its
# slope.
#
# This page takes a network of two units apart, message by message, and then asks of a network trained on real
# data how far back its messages reach.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import msgpass.data
from msgpass import Adjoint, Checkpointed, FactorGraph, Loss, Step, Tangent, Truncated, run
from rnn import RNN, Linear, SquaredError, bptt, fit

# %% [markdown]
# ## Two units, three steps
#
# h_t = tanh(W h_{t−1} + U x_t) from h₀ = 0, and the loss ½ (v·h − 0.3)² on the last state. The engine asks
# only for the step itself; the derivative of one step is taken automatically, and sending it through time is
# message passing.

# %%
W = np.array([[0.5, -0.3], [0.2, 0.4]])
U = np.array([1.0, -1.0])
v = np.array([1.0, -1.0])


def cell(h, x, W, U):
    return np.tanh(W @ h + U * x)


def miss(h):
    residual = v @ h - 0.3
    return 0.5 * residual**2, (residual * v,)


g = FactorGraph()
h = g.sequence("h", length=3, shape=(2,))
x = g.observe("x", [1.0, -0.5, 0.25])
start = g.parameter("start", np.zeros(2))
weights = {"W": g.parameter("W", W), "U": g.parameter("U", U)}
steps = g.factor(Step(cell), h.after(start), x[:], *weights.values(), out=h[:], name="step")
loss = g.factor(Loss(miss), h[-1], name="loss")

m = run(g, Adjoint())
print("loss", m.total)
print("∂loss/∂start", m.gradient["start"])
print("∂loss/∂W", m.parameters["W"].ravel())
np.testing.assert_allclose(m.gradient["start"], [0.0001054171, 0.0002533021], rtol=1e-6)
np.testing.assert_allclose(
    m.parameters["W"].ravel(), [-0.0014038343, -0.0004834026, 0.0025334047, -0.0005838964], rtol=1e-6
)

# %% [markdown]
# ## The adjoint at every step
#
# The loss sends its gradient to the last state. Each step takes what arrives at its output, multiplies it by
# its own transposed Jacobian, and passes it on. `m.gradient["h"]` holds what has arrived at each state in
# all, the adjoint λ_t = ∂loss/∂h_t; `m.backward["h"]` only what came from later steps, as in every algebra.

# %%
states, adjoints = m.forward["h"], m.gradient["h"]
np.testing.assert_allclose(m.message(loss, h[2]), adjoints[2])
for t in (2, 1):
    by_hand = W.T @ ((1 - states[t] ** 2) * adjoints[t])
    np.testing.assert_allclose(m.message(steps[t], h[t - 1]), by_hand)
    np.testing.assert_allclose(adjoints[t - 1], by_hand)
np.testing.assert_array_equal(m.backward["h"][2], 0)  # nothing comes after the last step

# %% [markdown]
# All three steps share W. Each sends it a message, ∂loss/∂W as if W were its own, and what arrives is their
# sum. This is the same sentence as for the transition table of a hidden Markov model, whose steps each send
# an expected count.

# %%
np.testing.assert_allclose(sum(m.message(steps[t], weights["W"]) for t in range(3)), m.parameters["W"])

# %% [markdown]
# ## The message behind the slope
#
# What the later steps say about h_t is a whole function: −log β_t(h) = the loss that follows if the state is
# h at time t. Here it is, evaluated around the state that was visited. Its slope there is the backward
# message of the engine, and away from there the two part: an adjoint holds at the point where it was taken.


# %%
def loss_to_come(t, state):
    for u in range(t + 1, 3):
        state = cell(state, x.value[u], W, U)
    return miss(state)[0]


ε = 1e-6
for t in (0, 1):
    sides = [[loss_to_come(t, states[t] + sign * ε * e) for sign in (1, -1)] for e in np.eye(2)]
    slope = -np.diff(sides).ravel() / (2 * ε)
    np.testing.assert_allclose(slope, m.backward["h"][t], rtol=1e-5, atol=1e-10)

# %% [markdown]
# ## The same graph forward, and with less memory
#
# `Tangent` sends derivatives along the arrows instead of against them: one direction in, the change of the
# loss out. `Checkpointed` keeps a few states and recomputes the others. Neither changes a number.

# %%
direction = np.array([[1.0, 0.0], [0.0, -1.0]])
forward = run(g, Tangent({"W": direction})).total
np.testing.assert_allclose(forward.tangent, np.sum(m.parameters["W"] * direction))
np.testing.assert_allclose(run(g, schedule=Checkpointed(1)).parameters["W"], m.parameters["W"])

# %% [markdown]
# ## Truncation drops messages
#
# `Truncated(k1, k2)` closes a window every k1 steps; the losses of those steps reach factors at most k2 steps
# back, and messages that leave the window are dropped. Take h_{t+1} = w·h_t with w = 0.2, h₀ = 0.9 and the
# loss h₃ = w³h₀. Each of the three steps contributes w²h₀ = 0.036 to dh₃/dw, and a window of k steps keeps k
# of the three.
#
# It is easy to get this wrong by hand: a well-known recipe for a truncated loop reports 0.2880 here, more
# than the three contributions together. A window leaves messages out, and counts none of them twice.

# %%
linear = FactorGraph()
state = linear.sequence("h", length=3)
w, h0 = linear.parameter("w", 0.2), linear.parameter("h0", 0.9)
linear.factor(Step(lambda h, w: w * h), state.after(h0), w, out=state[:])
linear.factor(Loss(lambda h: (h, (1.0,))), state[-1])

kept = [float(run(linear, schedule=Truncated(1, k)).parameters["w"]) for k in (1, 2, 3)]
print("dh₃/dw with windows of 1, 2, 3 steps:", ", ".join(f"{d:.3f}" for d in kept))
np.testing.assert_allclose(kept, [0.036, 0.072, 0.108])
np.testing.assert_allclose(run(linear).parameters["w"], 0.108)

# %% [markdown]
# ## How far does a trained network look back?
#
# Yearly sunspot numbers from 1700 to 2008 rise and fall with a period of about eleven years. We train a
# network of four units to predict the next year from this one. `bptt` is a run of the network's graph; `fit`
# follows what arrives at the weights.

# %%
sunspots = msgpass.data.load("sunspots").values
y = np.sqrt(sunspots)  # evens out the variance
y = (y - y.mean()) / y.std()
inputs, target = y[:-1, None], y[1:, None]

net, readout = RNN(1, 4, random_state=0), Linear(4, 1, random_state=10)
weights_before, readout_before = net.state_dict(), readout.state_dict()
history = fit(net, inputs, SquaredError(target, "mean", readout), n_iter=60, tol=None, progress=False)
print(f"mean loss {history.losses[0]:.3f} → {history.best:.3f}")
assert history.best < 0.15 * history.losses[0]

# %% [markdown]
# A missing target (NaN) says nothing. So blank all targets but one, and every adjoint that is left comes from
# that one loss: its message at the year itself, one year earlier, two years earlier. Average the sizes over
# many years.

# %%
LAGS = 30


def reach_of(net, readout):
    """Mean size of the message of one loss, 0 … LAGS − 1 steps back, the first one as 1."""
    sizes = []
    for year in range(LAGS, len(target), 4):
        only = np.full_like(target, np.nan)
        only[year] = target[year]
        adjoint = bptt(net, inputs, SquaredError(only, readout=readout)).gradient["h_l0"]
        sizes.append(np.linalg.norm(adjoint[year - LAGS + 1 : year + 1, 0], axis=1)[::-1])
    sizes = np.mean(sizes, axis=0)
    return sizes / sizes[0]


fresh = reach_of(
    RNN(1, 4, random_state=0).load_state_dict(weights_before), Linear(4, 1).load_state_dict(readout_before)
)
trained = reach_of(net, readout)
years = [int(np.argmax(sizes < 0.05)) or LAGS for sizes in (fresh, trained)]
print(f"a loss is down to 5 % after {years[0]} years with random weights, {years[1]} with trained ones")
assert years[0] < 5 and years[1] > 11

# %% [markdown]
# With random weights a loss is forgotten within a few years: the Jacobians of small weights shrink whatever
# passes through them, which is the vanishing gradient. Training lengthens the reach, here to more than a
# cycle of the sun. A window that is shorter than the reach cuts off part of the gradient. The same curve can
# be drawn for a hidden Markov model, where it is called forgetting (`msgpass.identities.message_influence`).

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for sizes, label, style in (
    (fresh, "random weights", {"color": "#56B4E9", "marker": "o"}),
    (trained, "after training", {"color": "#D55E00", "marker": "s"}),
):
    axes.semilogy(np.arange(LAGS), sizes, label=label, ms=4, lw=1.4, **style)
axes.set(
    xlabel="years between a state and the loss it hears of",
    ylabel="size of the message\n(that of the own year = 1)",
    title="How far back the messages of a sunspot network reach",
    xlim=(-0.5, LAGS - 0.5),
    ylim=(1e-4, 2),
)
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/03_bptt_as_backward_messages.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "03_reach.png", dpi=150)
