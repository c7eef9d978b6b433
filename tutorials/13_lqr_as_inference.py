# %% [markdown]
# # LQR as inference
#
# A cart is to be brought to rest at a mark, with little effort. This is the oldest problem of optimal
# control, and Kalman solved it in the same year as the problem of filtering, with the same equation. The
# reason: both are messages on one graph. Here we build that graph, read the optimal path, the gains and the
# cost-to-go from its messages, meet one co-state in three ways, and end with a plant that is seen through
# noise, where the filter runs forward and the regulator backward on the same chain.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass import FactorGraph, Gaussian, Quadratic, run
from rnn.systems.control import LinearQuadratic, compare_costates, lqg, lqr, stationary_lqg, stationary_lqr

# %% [markdown]
# ## The graph
#
# Position and speed x = (p, v), acceleration u for a tenth of a second each:
#
#     x_{t+1} = A x_t + B u_t,        cost ½ Σ x_tᵀQ x_t + ½ Σ u_tᵀR u_t
#
# Read exp(−cost) as a density. Then exp(−½ uᵀRu) says that each control is normal with variance R⁻¹, so that
# a step of the plant is x_{t+1} ~ N(A x_t, B R⁻¹ Bᵀ): a random walk, in which large controls are unlikely.
# And exp(−½ xᵀQx) says of each state that it should be near 0. The most likely path of this chain is the one
# that costs least.
#
# The covariance B R⁻¹ Bᵀ has rank one: the two numbers of the state are moved by one control. A singular
# covariance is legitimate here; it says what the controls cannot do.

# %%
A, B = np.array([[1, 0.1], [0, 1]]), np.array([[0.005], [0.1]])
Q, R = np.eye(2), np.eye(1)
T, start = 50, np.array([1.0, 0.0])

g = FactorGraph()
x = g.sequence("x", length=T + 1, shape=(2,))
g.factor(Quadratic.prior(start, np.zeros((2, 2))), x[0])
g.factor(Quadratic.linear_gaussian(A, B @ np.linalg.inv(R) @ B.T), x[:-1], x[1:])
g.factor(Quadratic(np.zeros(2), Q), x[:])
m = run(g, Gaussian())
path = m.belief["x"].mean
print("position at t = 0, 10, 20, … :", path[::10, 0].round(3))

# %% [markdown]
# ## What the backward message says
#
# The message that arrives at x_t from the future is exp(−½ xᵀΛx): minus its logarithm is what the rest will
# cost from there. With the step's own cost it is P_t = Λ_t + Q, the matrix of the Riccati recursion, and the
# gain follows from it: K_t = (R + BᵀP_{t+1}B)⁻¹BᵀP_{t+1}A, u_t = −K_t x_t.

# %%
P = m.backward["x"].precision + Q
riccati = [Q]
for _ in range(T):
    last = riccati[0]
    gain = np.linalg.solve(R + B.T @ last @ B, B.T @ last @ A)
    riccati.insert(0, Q + A.T @ last @ (A - B @ gain))
np.testing.assert_allclose(P, riccati, rtol=1e-10)

states = [start]
for t in range(T):
    K = np.linalg.solve(R + B.T @ P[t + 1] @ B, B.T @ P[t + 1] @ A)
    states.append(A @ states[-1] - B @ K @ states[-1])
np.testing.assert_allclose(states, path, atol=1e-9)
print(f"P_0 = {P[0].round(4).tolist()}, cost of the path {0.5 * start @ P[0] @ start:.4f}")

# %% [markdown]
# `lqr` does this for you, with everything that may come along: terms that change with time, cross terms
# xᵀNu, linear costs, offsets, references to follow.

# %%
problem = LinearQuadratic(A, B, Q, R)
regulator = lqr(problem, T)
best = regulator.rollout(start)
np.testing.assert_allclose(regulator.cost_to_go.P, P, rtol=1e-10)
np.testing.assert_allclose(best.states, path, atol=1e-9)
np.testing.assert_allclose(best.cost, regulator.cost_to_go(0, start))

# %% [markdown]
# ## One co-state, three ways
#
# The co-state λ_t is what the remaining cost gains when the state is nudged. It is
#
# - the adjoint: run the *plant* with the optimal controls and send cotangents back (`Adjoint`);
# - the message: Λ_t x_t − h_t of the *chain* (`Gaussian`), at the most likely path;
# - P x_t with P from scipy's solver of the algebraic Riccati equation.
#
# Back-propagation through time and the Riccati recursion are one recursion in two algebras.

# %%
three = compare_costates(problem, start, horizon=8)
print(three)
print(f"largest relative difference {three.gap:.1e}")
assert three.gap < 1e-12

# %% [markdown]
# ## No end in sight
#
# Over an infinite horizon the message reaches a fixed point. `stationary_lqr` finds it by doubling: a stretch
# of the chain is one factor over its ends, and two stretches make one, so that nine runs take 512 steps.

# %%
forever = stationary_lqr(problem)
print(f"gain {forever.gain.round(7)}, found in {forever.doublings} runs, radius {forever.radius:.4f}")
assert forever.doublings == 9
np.testing.assert_allclose(forever.gain, [[0.9170746, 1.6355962]], atol=1e-7)

# %% [markdown]
# ## Following
#
# A reference enters as evidence, too: (x − s)ᵀQ(x − s) is a message with a mean. It reaches back in time, so
# that the cart sets off *before* the mark jumps. A regulator that only feels the present error cannot.

# %%
N = 120
mark = np.where(np.arange(N + 1) < 60, 0.0, 1.0)[:, None]
tracker = lqr(LinearQuadratic.tracking(A, B, [[100.0]], R, mark, C=[[1, 0]]))
followed = tracker.rollout([0, 0])
before = followed.states[59, 0]
print(f"one step before the mark jumps the cart is at {before:.3f}")
assert 0.2 < before < 0.6

# %% [markdown]
# ## Seen through noise
#
# Now the plant is disturbed, and only its position is measured, badly. Two sweeps over the same chain solve
# this problem: the filter, forward messages from measurements, knows nothing of costs; the regulator,
# backward messages from costs, knows nothing of noise. That the two together are optimal is the separation
# principle. What noise costs adds up in parts, and a thousand simulated plants pay what is expected.

# %%
C, W, V, spread = [[1, 0]], np.diag([1e-4, 4e-3]), 0.04, 0.1 * np.eye(2)
controller = lqg(problem, C, W, V, start, spread, horizon=T)
np.testing.assert_array_equal(controller.regulator.policy.gain, regulator.policy.gain)
parts = controller.expected_cost
for name, value in zip(parts._fields, parts, strict=True):
    print(f"{name:<13}{value:>7.3f}")
seen = controller.simulate(np.random.default_rng(0), 1000)
paid = seen.rollout.costs.sum(axis=1)
print(f"{'together':<13}{parts.total:>7.3f}, simulated {paid.mean():.3f} ± {paid.std() / 1000**0.5:.3f}")
assert abs(paid.mean() - parts.total) < 3 * paid.std() / 1000**0.5

# %% [markdown]
# And the filter of an infinite horizon is the regulator of the transposed problem (Aᵀ, Cᵀ, W, V): Kalman's
# duality. The eigenvalues of the whole loop are those of the two parts.

# %%
settled = stationary_lqg(problem, C, W, V)
loop = np.sort_complex(np.linalg.eigvals(settled.closed_loop))
own = [A - B @ settled.regulator.gain, A - A @ settled.gain @ np.array(C)]
np.testing.assert_allclose(loop, np.sort_complex(np.concatenate([np.linalg.eigvals(M) for M in own])))
print(
    f"in the long run {settled.rate:.4f} a step, of which {settled.estimation:.4f} for not seeing the state"
)

# %% [markdown]
# ## The picture

# %%
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#d9d9d9"
figure, axes = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained")
axes[0].plot(P[:, 0, 0], color=BLUE, label="P₁₁ (message)")
axes[0].plot(P[:, 0, 1], color=ORANGE, label="P₁₂ (message)")
for level in forever.P[0]:
    axes[0].axhline(level, color=GREY, zorder=0, lw=3)
axes[0].set_title("Cost-to-go settles backward in time", loc="left", fontsize=11)
axes[0].legend(frameon=False, loc="lower left")
axes[1].step(np.arange(N + 1), mark[:, 0], color=GREY, lw=3, where="post", label="mark")
axes[1].plot(followed.states[:, 0], color=BLUE, label="cart")
axes[1].set_title("The future acts on the present", loc="left", fontsize=11)
axes[1].legend(frameon=False)
axes[2].plot(seen.measurements[0, :, 0], ".", color=GREY, ms=6, label="measured")
axes[2].plot(seen.estimates[0, :, 0], color=ORANGE, label="estimate")
axes[2].plot(seen.rollout.states[0, :, 0], color=BLUE, label="position")
axes[2].set_title("Filter forward, regulator backward", loc="left", fontsize=11)
axes[2].legend(frameon=False)
for ax in axes:
    ax.set_xlabel("step")
    ax.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/13_lqr_as_inference.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "13_lqr.png", dpi=150)
