# %% [markdown]
# # β is an adjoint
#
# The backward pass of a hidden Markov model and back-propagation through a recurrent network look alike: both
# run from the last step to the first and combine something local with something carried. They are more than
# alike. This page states three exact equalities, computes both sides of each through the one engine, by
# different routes, and ends with a picture in which a network *is* a hidden Markov model, but for a little
# noise.
#
# The numbers (1, 2, 4) are those of the list in `docs/formulas.md` and of `msgpass.identities`.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass import Adjoint, FactorGraph, Loss, Step, SumProduct, Table, identities, run

# %% [markdown]
# ## A hidden Markov model, as tables
#
# A guard in a cellar guesses the weather from umbrellas (Russell & Norvig). The state is rain or no rain;
# umbrellas were seen on days 0, 1, 3 and 4.

# %%
pi = np.array([0.5, 0.5])
A = np.array([[0.7, 0.3], [0.3, 0.7]])
B = np.array([[0.9, 0.1], [0.2, 0.8]])  # rows rain, no rain; columns umbrella, none
umbrella = np.array([0, 0, 1, 0, 0])
b = B[:, umbrella].T  # evidence of each day, (5, 2)

tables = FactorGraph()
z = tables.sequence("rain", length=5, states=2)
tables.factor(Table(tables.parameter("log pi", np.log(pi))), z[0])
tables.factor(Table(tables.parameter("log A", np.log(A))), z[:-1], z[1:])
tables.factor(Table(tables.parameter("log b", np.log(b))), z[:])
inference = run(tables, SumProduct())
Z = np.exp(inference.total)
print(f"log Z = {inference.total:.12f}")
np.testing.assert_allclose(inference.total, -3.372502044332175)

# %% [markdown]
# ## The same model, as a recurrent network
#
# The forward recursion α_t = b_t ∘ (Aᵀ α_{t−1}) is a recurrence with a state of two numbers. Write it as one,
# and call the sum of the last state the "loss". The engine now sees no probabilities at all: it runs the
# steps forward and sends cotangents back.

# %%
network = FactorGraph()
alpha = network.sequence("alpha", length=5, shape=(2,))
evidence, start = network.observe("b", b), network.parameter("pi", pi)
weights = network.parameter("A", A)
network.factor(Step(lambda pi, b: pi * b), start, evidence[0], out=alpha[0])
network.factor(Step(lambda alpha, b, A: (alpha @ A) * b), alpha[:-1], evidence[1:], weights, out=alpha[1:])
network.factor(Loss(lambda alpha: (alpha.sum(), (np.ones(2),))), alpha[-1])
backpropagation = run(network, Adjoint())
np.testing.assert_allclose(backpropagation.total, Z)

# %% [markdown]
# ### Identity 1: β_t(i) = ∂Z/∂α_t(i)
#
# The backward message of inference is the adjoint of the forward recursion, entry by entry (Darwiche 2003,
# Eisner 2016). The reason is one line: Z = Σ_i α_t(i) β_t(i), and β_t does not depend on α_t.

# %%
beta = np.exp(inference.backward["rain"])
adjoint = backpropagation.gradient["alpha"]
print("day   β(rain)   ∂Z/∂α(rain)")
for t in range(5):
    print(f"{t:>3} {beta[t, 0]:>9.6f} {adjoint[t, 0]:>13.6f}")
np.testing.assert_allclose(adjoint, beta)

# %% [markdown]
# ### Identity 2: posteriors are gradients of log Z
#
# γ_t(i) = ∂log Z/∂log b_t(i) and Σ_t ξ_t(i, j) = ∂log Z/∂log A(i, j). From the network's gradients of Z this
# is the chain rule: ∂log Z/∂log A = (A/Z) ∂Z/∂A. Baum-Welch's E-step is back-propagation.
#
# Note the difference. β is the adjoint of the unnormalised α; γ is a derivative with respect to a
# log-potential. They are derivatives of different things, and neither is "the" gradient.

# %%
gamma = b * backpropagation.gradient["b"] / Z
expected_transitions = A * backpropagation.parameters["A"] / Z
np.testing.assert_allclose(gamma, np.exp(inference.belief["rain"]))
rain = [0.8673388896, 0.8204190536, 0.3074835760, 0.8204190536, 0.8673388896]
np.testing.assert_allclose(gamma[:, 0], rain)
np.testing.assert_allclose(expected_transitions, inference.parameters["log A"])
np.testing.assert_allclose(expected_transitions, [[2.0801861887, 0.73547438], [0.73547438, 0.44886504]])

# %% [markdown]
# ## A recurrent network, as a hidden Markov model
#
# Now the other way. One tanh unit, h_t = tanh(1.2 h_{t−1} + x_t), should follow a target, and each step costs
# (h_t − y_t)². As a graphical model its transition is certain and its evidence is exp(−loss), so that its
# backward message is known:
#
# log β_t(h) = −(the losses after t, if the state is h at time t).

# %%
inputs, target = np.array([0.3, -0.9, 0.4, 0.2, -0.3, 0.5]), np.array([0.2, -0.6, 0.1, 0.5, 0.2, 0.4])
T = len(inputs)

rnn = FactorGraph()
h = rnn.sequence("h", length=T)
x, y, w = rnn.observe("x", inputs), rnn.observe("y", target), rnn.parameter("w", 1.2)
rnn.factor(Step(lambda h, x, w: np.tanh(w * h + x)), h.after(rnn.parameter("h0", 0.0)), x[:], w, out=h[:])
rnn.factor(Loss(lambda h, y: ((h - y) ** 2, (2 * (h - y), None))), h[:], y[:])
bptt = run(rnn)
visited, arrived = bptt.forward["h"], bptt.backward["h"]


def minus_log_beta(t, state):
    """Losses after t, for an array of states at time t."""
    loss = np.zeros_like(state)
    for u in range(t + 1, T):
        state = np.tanh(1.2 * state + inputs[u])
        loss = loss + (state - target[u]) ** 2
    return loss


# %% [markdown]
# ### Identity 4: the adjoint is the slope of −log β at the visited state
#
# BPTT does not know the function; it knows one point of it, and the slope there. `m.backward["h"]` holds the
# slope of −log β_t, and `m.gradient["h"]` adds the slope of the step's own loss (Dauwels, Korl & Loeliger
# 2005; Minka 2019).

# %%
slopes = np.array([minus_log_beta(t, np.array([visited[t] + 1e-20j])).imag[0] / 1e-20 for t in range(T)])
np.testing.assert_allclose(arrived, slopes, atol=1e-14)
np.testing.assert_allclose(bptt.gradient["h"], slopes + 2 * (visited - target), atol=1e-14)

# %% [markdown]
# ## From one to the other
#
# Put the state on a grid and add a little noise, h_t = tanh(1.2 h_{t−1} + x_t) + σε. That is a hidden Markov
# model with 801 states, and `SumProduct` computes its whole β_t. As σ → 0 the slope of −log β_t at the
# visited states tends to the adjoints, at the rate σ², as long as the grid is finer than the noise.

# %%
grid = np.linspace(-1.2, 1.2, 801)


def noisy(sigma):
    """log β on the grid, (T, 801)."""
    g = FactorGraph()
    state = g.sequence("h", length=T, states=len(grid))
    mean = np.tanh(1.2 * grid + inputs[1:, None])
    log_transition = -0.5 * ((grid - mean[:, :, None]) / sigma) ** 2
    log_transition -= np.logaddexp.reduce(log_transition, axis=2, keepdims=True)
    g.factor(Table(log_transition), state[:-1], state[1:])
    g.factor(Table(-((grid - target[:, None]) ** 2)), state[:])
    return run(g, SumProduct()).backward["h"]


def slope_at_visited(log_beta):
    return np.array([np.interp(visited[t], grid, -np.gradient(log_beta[t], grid)) for t in range(T)])


gaps = {}
for sigma in (0.08, 0.04, 0.02):
    gaps[sigma] = float(np.abs(slope_at_visited(noisy(sigma)) - arrived).max())
    print(f"σ = {sigma:.2f}: largest difference between slope and adjoint {gaps[sigma]:.4f}")
assert gaps[0.08] > 2.5 * gaps[0.04] > 2.5**2 * gaps[0.02]

# %% [markdown]
# ## All of them
#
# The library keeps the list, on random models or on yours; `msgpass compare` prints it for a real series.

# %%
every = identities.all(seed=0)
print(every)
assert every.holds

# %% [markdown]
# ## The picture
#
# Left, identity 1: lines from forward-backward, markers from back-propagation. Right, identity 4: the
# function that the backward message is, in colour; the state that was visited, as a dot; and all that BPTT
# keeps, the black tangent. The dashed curve is the noisy grid's.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
for k, (state, colour, mark) in enumerate((("rain", "#0072B2", "o"), ("no rain", "#E69F00", "s"))):
    hollow = {"color": colour, "mfc": "white", "ms": 7}
    left.semilogy(beta[:, k], color=colour, lw=1.5, label=f"β({state}), forward-backward")
    left.semilogy(adjoint[:, k], mark, **hollow, label=f"∂Z/∂α({state}), back-propagation")
left.set(xlabel="day t", ylabel="backward message β_t", xticks=range(5), title="Umbrellas: β is an adjoint")
left.legend(frameon=False, fontsize=9)

near = np.linspace(-1, 1, 401)
blurred = noisy(0.08)
for t, colour in ((0, "#0072B2"), (2, "#D55E00"), (4, "#009E73")):
    right.plot(near, minus_log_beta(t, near), color=colour, lw=1.6, label=f"t = {t}")
    right.plot(grid, -blurred[t], color=colour, lw=1, ls="--")
    reach = visited[t] + np.array([-0.2, 0.2])
    at = minus_log_beta(t, np.array([visited[t]]))[0]
    right.plot(reach, at + arrived[t] * (reach - visited[t]), color="black", lw=1.6)
    right.plot(visited[t], at, "o", color="black", ms=5)
right.plot([], [], color="0.4", lw=1, ls="--", label="noisy, on a grid: σ = 0.08")
right.plot([], [], color="black", lw=1.6, marker="o", ms=5, label="visited state, adjoint")
right.set_xticks((-1, -0.5, 0, 0.5, 1))
right.set(xlabel="state h", ylabel="−log β_t(h), loss still to come", xlim=(-1, 1))
right.set_title("A network: the adjoint is its slope")
right.legend(frameon=False, fontsize=9)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/04_beta_is_an_adjoint.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "04_adjoint.png", dpi=150)
