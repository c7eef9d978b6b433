# %% [markdown]
# # A swing-up
#
# A pole hangs from a cart. The cart can be pushed, but not hard enough: to get the pole upright it has to be
# swung up, first one way and then the other, and then be held there. No formula gives the pushes. The method
# that finds them is repeated inference: along the present path the plant is nearly linear and the cost
# nearly quadratic, so that the best change of all controls is the most likely path of a Gaussian chain, which
# messages give; then the path moves, and the chain with it.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from rnn.systems.control import (
    LinearQuadratic,
    OptimalControl,
    QuadraticCost,
    ddp,
    ilqr,
    plants,
    stationary_lqr,
)

# %% [markdown]
# ## The problem
#
# The state is (place of the cart, angle of the pole, and their speeds); the angle is 0 hanging and π upright.
# Three seconds, in steps of 0.05. Being far from upright costs a little all the time and much at the end;
# pushing costs a little; and no push may exceed 5 newtons. A plant is any function of state and control;
# its derivatives are taken by autograd. This one comes ready-made.

# %%
plant = plants.cart_pole(dt=0.05)
upright = np.array([0, np.pi, 0, 0])
cost = QuadraticCost(np.diag([0.1, 0.1, 0.01, 0.01]), 0.05 * np.eye(1), target=upright)
end = QuadraticCost(500 * np.eye(4), target=upright)
T, limit = 60, 5.0
problem = OptimalControl(plant, cost, end, start=np.zeros(4), horizon=T, lower=-limit, upper=limit)
print(f"doing nothing costs {problem.cost_of(None):.1f}")

# %% [markdown]
# ## Three runs an iteration
#
# 1. The plant under `Adjoint`: its path, what it costs, the co-states λ_t = ∂J/∂x_t, the gradient ∂J/∂u_t.
# 2. The chain of small changes under `Gaussian`: δx_{t+1} ~ N(A_t δx_t, B_t R_t⁻¹ B_tᵀ) with the costs'
#    quadratic forms as evidence. Backward messages give gains and new controls. A control that is at its
#    limit and would go beyond has no freedom: it drops out of B_t. Which ones do is found by passes over the
#    chain.
# 3. The plant forward, under the new policy at twelve step lengths at once. The best that keeps its promise
#    is taken; if there is none, the model is damped.
#
# `ilqr` takes the plant as linear in step 2. `ddp` adds its curvature, Σ_k λ_k ∂²f_k, contracted with the
# co-states of step 1.

# %%
found = {"ilqr": ilqr(problem, tol=1e-7, progress=False), "ddp": ddp(problem, tol=1e-7, progress=False)}
for result in found.values():
    print(
        f"{result.method}: cost {result.cost:.4f} after {len(result.iterations)} iterations, {result.reason}"
    )
    assert result.converged and (np.diff(result.costs) < 0).all()
best = found["ddp"]
np.testing.assert_allclose(found["ilqr"].cost, best.cost, rtol=1e-6)
assert len(best.iterations) < len(found["ilqr"].iterations)
angle = best.states[-1, 1]
print(f"the pole ends at {np.degrees(angle):.1f}°, the cart {best.states[-1, 0]:.3f} m from where it was")
assert abs(angle - np.pi) < 0.05

# %% [markdown]
# Both find the same path; with curvature the last steps converge quadratically. That the path is optimal we
# need not believe: at a minimum under limits the gradient is zero at every free control and points outward at
# every one on its limit (Karush, Kuhn and Tucker).

# %%
u, slope = best.inputs[:, 0], best.gradient[:, 0]
free = np.abs(u) < limit
largest = np.abs(slope[free]).max()
print(f"{(~free).sum()} of {T} pushes are at the limit; largest slope at a free one {largest:.1e}")
assert (np.abs(u) <= limit).all() and (~free).sum() > 10
assert largest < 1e-5
assert (slope[~free] * np.sign(u[~free]) < 1e-9).all()

# %% [markdown]
# ## What limits change
#
# Without limits, pushes twice as hard would do it for less. Cutting those off afterwards is no solution: the
# pole does not get up.

# %%
strong = OptimalControl(plant, cost, end, start=np.zeros(4), horizon=T)
easy = ddp(strong, tol=1e-7, n_iter=400, progress=False)
cut = problem.controls(easy.inputs)
print(f"without limits {easy.cost:.2f}, pushes up to {np.abs(easy.inputs).max():.1f} N")
print(f"with limits    {best.cost:.2f}; cut off afterwards {problem.cost_of(cut):.0f}")
assert easy.cost < best.cost < problem.cost_of(cut) / 3

# %% [markdown]
# ## Then hold it
#
# Upright is a fixed point of the plant, and near it the plant is linear. There a stationary regulator, the
# fixed point of the backward message, takes over. Both policies are feedback: the gains that came with the
# path hold it against a gust, which the pushes by themselves do not survive.

# %%
near = plant.linearise(upright[None], np.zeros((1, 1)), np.zeros(1))
hold = stationary_lqr(LinearQuadratic(near[0][0], near[1][0], np.diag([1.0, 1.0, 0.1, 0.1]), 0.05))
alone = np.abs(np.linalg.eigvals(near[0][0])).max()
print(f"closed loop's spectral radius {hold.radius:.3f}; without control {alone:.3f}")


def balance(x, steps):
    """The plant under the regulator, within the limits."""
    path = [x]
    for _ in range(steps):
        push = np.clip(hold(path[-1] - upright), -limit, limit)
        path.append(plant(path[-1][None], push[None], np.zeros(1))[0])
    return np.array(path)


gusts = 0.01 * np.random.default_rng(1).normal(size=(T, 4))
held = best.simulate(disturbances=gusts).states
loose = [np.zeros(4)]
for push, gust in zip(best.inputs, gusts, strict=True):
    loose.append(plant(loose[-1][None], push[None], np.zeros(1))[0] + gust)
loose = np.array(loose)
after, fallen = balance(held[-1], 60), balance(loose[-1], 60)
print(f"at the end of the swing: {held[-1, 1]:.2f} rad with feedback, {loose[-1, 1]:.2f} without; then held, "
      f"{after[-1, 1]:.4f}")  # fmt: skip
assert abs(held[-1, 1] - np.pi) < 0.3 < abs(loose[-1, 1] - np.pi)
np.testing.assert_allclose(after[-1], upright, atol=0.02)

# %% [markdown]
# ## The picture

# %%
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#d9d9d9"
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
seconds = plant.dt * np.arange(T + 61)
axes[0].axhline(np.pi, color=GREY, lw=3, zorder=0)
axes[0].plot(seconds, np.append(held[:, 1], after[1:, 1]), color=BLUE, label="with feedback, then held")
axes[0].plot(seconds[: T + 1], loose[:, 1], color=ORANGE, label="pushes alone")
axes[0].axvline(plant.dt * T, color=GREY, lw=1)
axes[0].set_title("Angle of the pole, with gusts", loc="left", fontsize=11)
axes[0].set(xlabel="seconds", yticks=[-np.pi, 0, np.pi], yticklabels=["−π", "0", "π"])
axes[0].legend(frameon=False, fontsize=9)
axes[1].axhspan(-limit, limit, color="#f2f2f2")
axes[1].step(seconds[:T], easy.inputs[:, 0], color=GREY, where="post", label="without limits")
axes[1].step(seconds[:T], u, color=BLUE, where="post", label="within ±5")
axes[1].set_title("Push (N)", loc="left", fontsize=11)
axes[1].set(xlabel="seconds")
axes[1].legend(frameon=False, fontsize=9)
for name, colour in (("ilqr", ORANGE), ("ddp", BLUE)):
    residuals = [i.residual for i in found[name].iterations] + [found[name].residual]
    axes[2].semilogy(np.maximum(residuals, 1e-9), color=colour, label=name)
axes[2].set_title("Distance from optimal", loc="left", fontsize=11)
axes[2].set(xlabel="iteration")
axes[2].legend(frameon=False, fontsize=9)
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/14_a_swing_up.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "14_swing_up.png", dpi=150)
