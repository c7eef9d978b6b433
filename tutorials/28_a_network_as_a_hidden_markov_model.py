# %% [markdown]
# # A network as a hidden Markov model
#
# A recurrent network is a dynamic Bayesian network: its transitions are certain, δ(h_t − f(h_{t−1}, x_t)),
# and its evidence is exp(−loss). This page takes that literally: it reads the two slices off a network, puts
# their state on a grid with a little noise, and lets the sum-product algorithm of hidden Markov models run
# over it. What back-propagation sends back is then the slope of an ordinary backward message; and the
# gradient that vanishes is the message that is forgotten.
#
# The numbers (4, 12, 13) are those of the identities in `docs/formulas.md`.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass.drawing import style
from rnn import RNN, Linear, SquaredError, as_dbn, bptt
from rnn.dbn import correspondence, forgetting, plot_fades, refine, vanishing

rng = np.random.default_rng(0)

# %% [markdown]
# ## Two slices
#
# A network with one tanh unit and a readout, on eight steps of data. `as_dbn` finds, from the graph that
# everything runs on, what a slice holds and what it tells the next one.

# %%
T = 8
net, readout = RNN(1, 1, random_state=0), Linear(1, 1, random_state=1)
net.load_state_dict(
    {"weight_hh_l0": [[1.1]], "weight_ih_l0": [[0.8]], "bias_hh_l0": [0.0], "bias_ih_l0": [0.1]}
)
x, y = rng.normal(scale=0.7, size=(T, 1)), rng.normal(scale=0.5, size=(T, 1))
loss = SquaredError(y, readout=readout)

dbn = as_dbn(net, x, loss)
print(dbn)
assert dbn.interface == ("h_l0",)

# %% [markdown]
# Given the interface h_t, what was before and what comes are independent. So one message, a function of
# h_t alone, carries all that the future has to say. It is a property of the graph, which networkx checks:

# %%
import networkx as nx

slices = dbn.unroll()
before, after = ({n for n in slices if side(n[1])} for side in (lambda t: t < 4, lambda t: t > 4))
assert nx.is_d_separator(slices, before, after, {("h_l0", 4)})
print(f"moral graph of two slices: {sorted(dbn.moralize().edges)[:3]} …")

# %% [markdown]
# ## Message beside message
#
# On the left λ_t = ∂L/∂h_t, by `Adjoint`. On the right the state is a grid, the cell moves it with noise of
# standard deviation 0.02, and `SumProduct` computes log β_t on all grid points; its slope at the state that
# the network visited, local evidence included, is taken with the sign changed.

# %%
lined = correspondence(dbn, sigma=0.02)
print(lined)
assert lined.relative < 0.01
np.testing.assert_allclose(lined.adjoint, bptt(net, x, loss).gradient["h_l0"].reshape(T, 1))

# %% [markdown]
# ## The limit
#
# Noise blurs β, which moves its slope by a term of order σ²; so halving the noise takes three quarters of
# the gap. But the grid has to see the noise: where σ falls below the distance of grid points, a state jumps
# to the nearest point or does not move at all, and slopes are lost.

# %%
curve = refine(dbn, sigmas=(0.2, 0.1, 0.05, 0.025, 0.0125), cells=(31, 61, 121, 241))
print(curve)
print(f"extrapolated to σ = 0 from the two smallest: {curve.extrapolated:.0e}")
assert abs(curve.rate - 2) < 0.3
assert curve.errors[-1, 0] > 10 * curve.errors[-1, -1]
assert curve.extrapolated < 0.1 * curve.errors[-1, -1]

# %% [markdown]
# ## Forgetting is vanishing
#
# How much of a message is left k steps back? An HMM's message crosses the stochastic matrices
# p(z_{t+1} | z_t, y), each of which shrinks its range by at most Dobrushin's coefficient. A cotangent crosses
# Jacobians, each of which changes its length by at most the spectral norm. Both bounds are products over
# steps, ‖P₁ P₂ … P_k‖ ≤ Π ‖P_s‖, and here are both for one network: two units, once as a hidden Markov model
# of 144 states and once as it is.

# %%
T = 40
pair, head = RNN(1, 2, random_state=4), Linear(2, 1, random_state=1)
x, y = rng.normal(size=(T, 1)), rng.normal(scale=0.5, size=(T, 1))
loss = SquaredError(y, readout=head)
hmm = as_dbn(pair, x, loss).discretize(sigma=0.5, cells=12)
forgets = forgetting(hmm.messages, lags=16)
vanishes = vanishing(bptt(pair, x, loss), lags=16)
for name, fade in (("forgetting", forgets), ("vanishing", vanishes)):
    share = ", ".join(f"{getattr(fade, part)[8]:.1e}" for part in ("actual", "worst", "bound"))
    print(f"{name}: 8 steps back arrive {share} (sent, worst, bound)")
    assert (fade.actual <= fade.worst * (1 + 1e-9)).all() and (fade.worst <= fade.bound * (1 + 1e-9)).all()
assert forgets.actual[8] < 0.05 and vanishes.actual[8] < 0.05

# %% [markdown]
# Both bounds are far from what happens: a product of norms is the norm of a product only if every step
# stretches the same direction most. And noise helps to forget: without any, two states of the grid lead to
# different states for sure, Dobrushin's coefficient is 1 at every step, and only the evidence's own messages
# fade, with the Jacobian.
#
# ## The picture
#
# Above, the two slices and the limit; below, the two fades.

# %%
with style():
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
    dbn.plot(ax=axes[0, 0])
    axes[0, 0].set_title("Two slices of the network")
    curve.plot(axes[0, 1])
    plot_fades(forgets, vanishes, axes[1])
    if len(sys.argv) > 1:
        figure.savefig(Path(sys.argv[1]) / "28_network_as_hmm.png", dpi=150)
