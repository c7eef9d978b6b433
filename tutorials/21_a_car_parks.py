# %% [markdown]
# # A car parks
#
# How much does pressing the pedal harder in the third second change where the car stands in the end? There
# are two hundred such questions in ten seconds of driving, and one backward sweep answers all of them. This
# is back-propagation through time with a car in place of a network: the state is handed on from step to
# step, the controls are what can be changed, and the message that runs back, λ_t = ∂J/∂x_t, says what a
# nudge of the car at time t would be worth. Control theory has called it the co-state since the 1950s.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from rnn.systems.control import Energy, SmoothAbs, Trajectory, ddp, plants, strip

# %% [markdown]
# ## A car and a cost
#
# The car stands a metre off in both directions and looks down; it has to stand at the origin and look to the
# right (Tassa, Mansard & Todorov 2014). Its front wheels turn by half a radian at most and it
# accelerates by 2 m/s² at most, so that it cannot turn on the spot. Steering and accelerating cost a little,
# being away from the place a little, and standing wrong at the end a lot. |x| has a kink at 0, where there is
# no gradient; `SmoothAbs` rounds it.

# %%
dt, T = 0.1, 100
car = plants.car(dt)
running = Energy([0.067, 0.00067]) + SmoothAbs([0.0033, 0.0033, 0, 0], rounding=0.1)
final = SmoothAbs([0.1, 0.1, 1, 0.3], rounding=[0.01, 0.01, 0.01, 1])
path = Trajectory(car, running, final)
start, limits = np.array([1, 1, 1.5 * np.pi, 0]), {"lower": [-0.5, -2], "upper": [0.5, 2]}

# %% [markdown]
# ## One sweep back
#
# `gradient` drives the car forward under some controls and goes back once. What it says of a control is what
# trying it out says; but trying out takes two drives a control.

# %%
gentle = np.tile([0.2, 0.3], (T, 1)) * np.where(np.arange(T) < 50, 1, -1)[:, None]
found = path.gradient(start, gentle)
print(f"{found}: ∂J/∂u {found.gradient.shape}, λ {found.costates.shape}")
for t, k in ((30, 1), (5, 0), (90, 1)):
    nudge = np.zeros((T, 2))
    nudge[t, k] = 1e-5
    tried = (path.cost_of(start, gentle + nudge) - path.cost_of(start, gentle - nudge)) / 2e-5
    name = ("wheels", "pedal")[k]
    print(f"{name:6} at {t * dt:.1f} s: by message {found.gradient[t, k]:+.6f}, by trying {tried:+.6f}")
    assert np.isclose(found.gradient[t, k], tried, rtol=1e-5)

# %% [markdown]
# The same sweep passes by the start and by the car's constants: λ_0 is what another place to start from would
# change, and a car with axles further apart would cost more or less by this much.

# %%
moved = start + np.array([0, 0.01, 0, 0])
print(f"a centimetre higher: {0.01 * found.costates[0, 1]:+.5f} expected, "
      f"{path.cost_of(moved, gentle) - found.cost:+.5f} true")  # fmt: skip
assert np.isclose(path.cost_of(moved, gentle) - found.cost, 0.01 * found.costates[0, 1], rtol=0.05)
longer = Trajectory(car.with_parameters(axles=2.01), running, final).cost_of(start, gentle)
per_metre = float(found.parameters["plant.axles"])
print(f"axles a centimetre further apart: {0.01 * per_metre:+.5f} expected, {longer - found.cost:+.5f} true")
assert np.isclose(longer - found.cost, 0.01 * per_metre, rtol=0.05)

# %% [markdown]
# ## Downhill, from several places
#
# With the gradient the controls go downhill, all two hundred at once, within their limits (`"lbfgs"`). There
# are many ways to park, and many to end up nearly parked, each in a valley of its own. So we roll down from
# eight places, seven of them smooth random drives, a hundred iterations each, and take the best one to its
# bottom by `ddp`, whose steps know the curvature. From standing still `ddp` alone ends in a worse valley: the
# car is in place and looks the wrong way.

# %%
import warnings

from msgpass.errors import ConvergenceWarning

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred iterations are not to the bottom
    rough = path.optimize(start, np.zeros((T, 2)), restarts=7, random_state=0, n_iter=100, **limits)
print("costs of the tries", rough.tries.round(2))
problem = path.problem(start, T, **limits)
stuck, best = ddp(problem, progress=False), ddp(problem, rough.inputs, progress=False)
print(f"from standing still {stuck.cost:.3f}, from the best try {best.cost:.3f}")
assert best.converged and best.cost < rough.cost < stuck.cost
x, y, heading, speed = best.states[-1]
print(f"it stands {100 * np.hypot(x, y):.1f} cm off at {np.degrees(heading):.2f}°, with {speed:.3f} m/s left")
assert np.hypot(x, y) < 0.03 and abs(heading) < 0.01 and abs(speed) < 0.05
assert abs(stuck.states[-1, 2]) > 1

# %% [markdown]
# That this is a minimum can be read from the messages (Karush, Kuhn and Tucker): no gradient at any control
# that is free, and at those on a limit one that would push them beyond.

# %%
low, high = best.inputs <= problem.lower, best.inputs >= problem.upper
largest = np.abs(best.gradient[~low & ~high]).max()
print(f"{(low | high).sum()} of {2 * T} controls are at a limit; largest slope at the others {largest:.1e}")
assert largest < 1e-5 and (best.gradient[low] > 0).all() and (best.gradient[high] < 0).all()

# %% [markdown]
# ## The picture
#
# Left the car, from light to dark, then what it does and what the co-state of its heading says. λ is small
# while there is time to correct; where the car has to swing round, half a degree matters.

# %%
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#d9d9d9"
figure = plt.figure(figsize=(11, 4.2), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.25])
ax = left.subplots()
strip(car, best.states, frames=12, ax=ax)
ax.plot(*best.states[:, :2].T, color=ORANGE, lw=1)
ax.set_title("Ten seconds, light to dark; orange the rear axle", loc="left", fontsize=11)
seconds = dt * np.arange(T + 1)
axes = right.subplots(3, 1, sharex=True)
for one, k, name, limit in ((axes[0], 0, "Front wheels (rad)", 0.5), (axes[1], 1, "Acceleration (m/s²)", 2)):
    one.axhspan(-limit, limit, color="#f2f2f2")
    one.step(seconds[:-1], best.inputs[:, k], color=BLUE, where="post")
    one.set_title(name, loc="left", fontsize=11)
axes[2].axhline(0, color=GREY)
for k, (name, colour) in enumerate((("x", BLUE), ("y", ORANGE), ("heading", GREEN))):
    axes[2].plot(seconds, best.costates[:, k], color=colour, label=name)
axes[2].set_title("Co-states λ = ∂J/∂x: what a nudge is worth", loc="left", fontsize=11)
axes[2].legend(frameon=False, fontsize=9, ncols=3)
axes[2].set_xlabel("seconds")
for one in axes:
    one.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/21_a_car_parks.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "21_car_parks.png", dpi=150)
