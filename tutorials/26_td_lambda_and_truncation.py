# %% [markdown]
# # TD(λ) is back-propagation through time
#
# A reward comes at the end of a walk, and the states on the way want their share of it. TD(λ) sends the
# credit back along eligibility traces that fade by λ; truncated back-propagation sends it back along K steps,
# and stops. This page shows that the two live on one recurrence, and then lets both learn Sutton's random
# walks.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass import FactorGraph, Loss, Step, Tangent, Truncated, run
from rnn.credit import (
    compare_views,
    error_curves,
    kept_weight,
    lambda_returns,
    random_walk,
    semi_gradient,
    truncation_for,
)

# %% [markdown]
# ## One unit, read forward and backward
#
# Take an episode through five states, with a value w[s] for each. The net
#
#     u_t = λ u_{t−1} + w[s_t],      loss  −Σ δ_t u_t
#
# remembers the values of the states it has seen, less and less. δ_t = r_t + w[s_{t+1}] − w[s_t] are the TD
# errors, and they are held fixed.

# %%
walk = random_walk(5)
print("exact values:", walk.values().round(4))
np.testing.assert_allclose(walk.values()[1:6], np.arange(1, 6) / 6)

lam = 0.8
episode = walk.sample(1, random_state=4)
states, rewards = episode.states[0], episode.rewards[0]
print("states", states, "rewards", rewards)
w = np.full(7, 0.5)
w[[0, 6]] = 0  # terminal
values = np.append(w[states], 0.0)
delta = rewards + values[1:] - values[:-1]

g = FactorGraph()
u = g.sequence("u", length=len(states))
x = g.observe("x", np.eye(7)[states])
g.factor(
    Step(lambda u, x, w: lam * u + x @ w),
    u.after(g.parameter("u0", 0.0)),
    x[:],
    g.parameter("w", w),
    out=u[:],
)
g.factor(Loss(lambda u, d: (-u * d, (-d, None))), u[:], g.observe("delta", delta)[:])

# %% [markdown]
# Backward, the adjoints of u are δ_t + λ δ_{t+1} + λ² δ_{t+2} + …: by how much the λ-return is above the
# value. Forward, the derivative of u_t by w is Σ λ^k x_{t−k}: the eligibility trace. Summed over the episode,
# TD(λ) moves w by what both say.

# %%
m = run(g)
advantages = -m.gradient["u"]
np.testing.assert_allclose(advantages, lambda_returns(rewards, values, 1.0, lam) - values[:-1], atol=1e-14)
traces = run(g, Tangent({"w": slice(0, 7)}, columns=7)).forward["u"].tangent
by_hand = np.zeros(7)
for t, s in enumerate(states):
    by_hand = lam * by_hand
    by_hand[s] += 1
    np.testing.assert_allclose(traces[t], by_hand)
np.testing.assert_allclose(-m.parameters["w"], delta @ traces, atol=1e-14)
print("BPTT says", (-m.parameters["w"]).round(4))
print("traces say", (delta @ traces).round(4))

# %% [markdown]
# `compare_views` does that for any episodes and features, with λ and γ that change on the way.

# %%
many = walk.sample(50, random_state=0)
print(compare_views(many.states, many.rewards, w, 1.0, lam, n_states=7))
assert compare_views(many.states, many.rewards, w, 1.0, lam, n_states=7).gap < 1e-12

# %% [markdown]
# ## A window is a share of the credit
#
# The λ-return weighs the return over n steps by (1 − λ) λⁿ⁻¹, so those of at most K steps have 1 − λᴷ of all
# weight. `Truncated(1, K)` on the same graph keeps just these. Which K is enough?

# %%
for keep in (0.5, 0.9, 0.99):
    K = truncation_for(lam, keep)
    print(f"keep {keep:.0%} of λ = {lam}: K = {K}, which keeps {kept_weight(lam, K):.2%}")
assert truncation_for(0.5, 0.75) == 2

cut = run(g, schedule=Truncated(1, 2)).gradient["u"]
np.testing.assert_allclose(-cut, delta + lam * np.append(delta[1:], 0.0), atol=1e-14)

# %% [markdown]
# ## Learning a longer walk
#
# Nineteen states in a row, −1 behind the left end and +1 behind the right one. Ten episodes, over and over
# from fresh weights, for a grid of λ and step sizes: the well-known curves. Neither one step (λ = 0) nor
# whole returns (λ = 1) are best.

# %%
long = random_walk(19)
truth = np.where(long.terminal, np.nan, long.values())
runs = [long.sample(10, random_state=seed) for seed in range(25)]
lambdas = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0])
steps = np.geomspace(0.01, 1.2, 18)
online = {
    trace: error_curves(runs, truth, lambdas, steps, trace=trace, n_states=21)
    for trace in ("accumulating", "dutch")
}
for trace, found in online.items():
    print(
        f"{trace:12s} least error by λ:",
        dict(zip(lambdas.tolist(), found.best.round(3).tolist(), strict=True)),
    )
    assert found.best[2:6].min() < 0.9 * min(found.best[0], found.best[-1])
assert online["dutch"].best.mean() < online["accumulating"].best.mean()

# %% [markdown]
# ## TBPTT against TD(λ)
#
# Now off-line: after each episode the weights move by the sum over it, which BPTT computes, whole or in
# windows of K steps. As K grows, what windows learn comes to what TD(λ) learns. On the short walk a window of
# a few steps is even better than all of the credit: with this step size a little less credit is a little less
# noise.


# %%
def learn(walk, runs, lam, alpha, schedule=None):
    """Mean error over the episodes of all runs; weights move at the end of each episode."""
    found, inside = [], ~walk.terminal
    for one in runs:
        w = np.where(inside, walk.values()[inside].mean(), 0.0)
        for states, rewards in zip(one.states, one.rewards, strict=True):
            episode = states, rewards, w, 1.0, lam
            w = w + alpha * semi_gradient(*episode, n_states=len(w), schedule=schedule).direction
            found.append(np.sqrt(np.mean((w - walk.values())[inside] ** 2)))
    return np.mean(found)


windows = np.array([1, 2, 4, 8, 16, 32])
chains = {"5 states, λ = 0.8": (walk, 0.8, 0.1), "19 states, λ = 0.9": (long, 0.9, 0.05)}
learned, shares = {}, {}
for name, (chain, decay, alpha) in chains.items():
    some = [chain.sample(10, random_state=seed) for seed in range(12)]
    whole = learn(chain, some, decay, alpha)
    cut = np.array([learn(chain, some, decay, alpha, Truncated(1, int(K))) for K in windows])
    learned[name] = whole, cut
    by_window = ", ".join(f"K={K} {error:.4f}" for K, error in zip(windows, cut, strict=True))
    print(f"{name}: TD(λ) {whole:.4f}; windows {by_window}")
    assert np.abs(cut - whole)[-1] < 0.01 * whole < np.abs(cut - whole)[0]
gap = np.abs(learned["19 states, λ = 0.9"][1] - learned["19 states, λ = 0.9"][0])
assert (np.diff(gap) < 0).all()

# %% [markdown]
# How much of the credit does a window keep? Where every step goes a little better than promised, all δ = 1,
# the kept share of the advantage is exactly 1 − λᴷ.

# %%
T = 200
for name, (_, decay, _) in chains.items():
    steady = np.ones((T, 1)), np.ones(T), np.zeros(1), 1.0, decay
    full = semi_gradient(*steady).advantages[0]
    shares[name] = [
        semi_gradient(*steady, schedule=Truncated(1, int(K))).advantages[0] / full for K in windows
    ]
    np.testing.assert_allclose(shares[name], 1 - decay**windows, rtol=1e-8)

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11.4, 3.6), layout="constrained")
for found, colour, label in (
    (online["accumulating"], "#d55e00", "accumulating traces"),
    (online["dutch"], "#0072b2", "dutch traces (true online)"),
):
    left.plot(lambdas, found.best, color=colour, marker="o", ms=3.5, lw=1.6, label=label)
left.set(xlabel="λ", ylabel="RMS error of V, best step size", title="On-line TD(λ), 19 states")
left.legend(frameon=False)
for (name, (whole, cut)), colour in zip(learned.items(), ("#009e73", "#0072b2"), strict=True):
    middle.semilogx(windows, cut, color=colour, marker="o", ms=3.5, lw=1.6, label=f"TBPTT, {name}")
    middle.axhline(whole, color=colour, lw=1, ls="--")
    right.semilogx(windows, shares[name], color=colour, marker="o", ms=3.5, lw=0)
    K = np.arange(1, 33)
    right.semilogx(K, 1 - chains[name][1] ** K, color=colour, lw=1.2, label=f"1 − λᴷ, {name[-7:]}")
    right.axvline(truncation_for(chains[name][1], 0.9), color=colour, lw=1, ls=":")
middle.set(xlabel="window K", ylabel="RMS error of V", title="TBPTT against TD(λ) (dashed), off-line")
middle.legend(frameon=False)
right.axhline(0.9, color="#6b6b6b", lw=0.8, ls=":")
right.set(xlabel="window K", title="Share of the credit that is kept", ylim=(0, 1.02))
right.legend(frameon=False, loc="lower right")
for axes in (left, middle, right):
    axes.spines[["top", "right"]].set_visible(False)
for axes in (middle, right):
    axes.set_xticks(windows, map(str, windows))
    axes.minorticks_off()

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/26_td_lambda_and_truncation.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "26_td_lambda.png", dpi=150)
