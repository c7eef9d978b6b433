# %% [markdown]
# # A queue tuned by its own gradient
#
# Customers come, wait, are served and go. How long they wait depends on how fast the server works; and by how
# much waiting would fall if it worked a little faster, one path of customers tells, if one looks at it the
# right way: backwards. Lindley's recursion, W_{n+1} = max(0, W_n + S_n − A_{n+1}), is a recurrent network
# without weights. The backward message at a service time says what a second more of it does to everybody who
# comes later.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from rnn.systems.queueing import Queue, SlottedQueue, Tandem, formulas

# %% [markdown]
# ## Busy periods
#
# Sixty customers. Whoever comes while the server is busy waits for all of the present busy period; whoever
# finds it free waits for nobody. max(0, ·) is exactly this: its slope is 1 inside a busy period and 0 at the
# start of the next one. So a second more of one service delays the customers behind it in the same busy
# period by a second each, and nobody else.

# %%
few = Queue(0.8, 1.0, 60, seed=6, measure="waiting")
path, said = few.simulate(), few.gradient()
behind, count = np.zeros(60, int), 0
for n in range(59, -1, -1):
    behind[n] = count
    count = count + 1 if path.waiting[n] > 0 else 0
np.testing.assert_allclose(said.service[:, 0] * 60, behind)  # of a mean over 60
print(f"most delayed by one customer: {behind.max()}; by many nobody: {(behind == 0).sum()}")
slope = -(said.service[:, 0] * path.service[:, 0]).sum() / 1.0
print(f"∂(mean wait)/∂μ on this path: {said.service_rate:.4f}")
np.testing.assert_allclose(said.service_rate, slope)

# %% [markdown]
# ## In the long run
#
# With exponential times the long run is known: a customer is there for W = 1/(μ − λ), and dW/dμ = −W². One
# path of 50 000 customers has both, the second from one backward sweep, with an interval from the means of
# thirty batches.

# %%
long = Queue(0.5, 1.0, 50_000, seed=0, warm_up=1000)
found = long.long_run(level=0.99)
print(f"W       {found.value}    exactly {1 / (1 - 0.5):.1f}")
print(f"dW/dμ   {found.service_rate}    exactly {-1 / (1 - 0.5) ** 2:.1f}")
print(f"dW/dλ   {found.arrival_rate}    exactly {1 / (1 - 0.5) ** 2:.1f}")
assert found.value.covers(2.0) and found.service_rate.covers(-4.0) and found.arrival_rate.covers(4.0)

# %% [markdown]
# Nothing of this needs exponential times. Any distribution is drawn by inverse transform, so that a
# customer's service time is a fixed number over μ and has a derivative. The formula of Pollaczek and
# Khinchine checks it.

# %%
law = stats.lognorm(1.0)
heavy = Queue(0.5, 1.0, 50_000, services=law, seed=1, warm_up=1000, measure="waiting")
wait = heavy.long_run(level=0.99).value
print(f"lognormal services: {wait}, exactly {formulas.mg1(0.5, 1.0, np.expm1(1.0)).waiting:.3f}")
assert wait.covers(formulas.mg1(0.5, 1.0, np.expm1(1.0)).waiting)

# %% [markdown]
# ## Tuning
#
# Speed costs c a unit. W + c μ is least at μ = λ + √(1/c). Follow the gradient on one path, with the same
# uniform numbers at every rate: seven or eight runs find it.

# %%
price, short = 0.25, Queue(0.5, 1.0, 10_000, seed=4, warm_up=500)
tuned = short.tune(price)
exact = 0.5 + np.sqrt(1 / price)
print(
    f"tuned μ = {tuned.service_rates[0]:.3f} in {len(tuned.values) - 1} iterations; in the long run {exact}"
)
assert tuned.converged and abs(tuned.service_rates[0] / exact - 1) < 0.03
rates = np.linspace(0.9, 4.0, 18)
curve = [short.cost(rate) + price * rate for rate in rates]
assert tuned.cost <= min(curve)

# %% [markdown]
# Two stations with different prices are tuned at once; a grid would need the square of the runs. Between them
# there is no room, so that the first is blocked while the second is busy; no formula gives this one.

# %%
narrow, free = (
    Tandem(0.5, [1.0, 1.0], 4000, seed=5, buffers=[None, places], warm_up=200).tune([0.25, 0.5])
    for places in (0, None)
)
print(f"no room between them {narrow.service_rates.round(3)}, room for all {free.service_rates.round(3)}")
assert narrow.service_rates[1] > free.service_rates[1]  # a faster second station blocks the first less
np.testing.assert_allclose(free.service_rates, 0.5 + np.sqrt(1 / np.array([0.25, 0.5])), rtol=0.05)

# %% [markdown]
# ## Rush hour
#
# A desk is open for 48 slots of a quarter of an hour, and arrivals have two peaks. Staff for each slot is a
# vector of 48 rates. Each has its gradient: waiting in all slots until the queue is next empty. A mean over
# 300 days is tuned. Waiting after closing time is not counted here, so that the plan sends staff home early;
# a model gets what it asks for.

# %%
hours = np.arange(48) / 4 + 8
expected = 4 + 7 * np.exp(-(((hours - 10) / 0.8) ** 2)) + 5 * np.exp(-(((hours - 16) / 1.0) ** 2))
days = np.random.default_rng(2).gamma(expected, size=(300, 48))
flat = SlottedQueue(days, rate=float(expected.mean()) + 1)
one, one_cost = flat.tune(price=3.0, tol=1e-4)
plan = SlottedQueue(days, rate=np.full(48, float(one)))
staff, staff_cost = plan.tune(price=3.0, tol=1e-3)
print(f"one rate for all day {float(one):.2f}: {one_cost:.0f} a day; a rate for each slot: {staff_cost:.0f}")
assert staff_cost < 0.95 * one_cost
slopes = plan.gradient(staff, price=3.0).rate
inside = staff > 0
print(
    f"largest slope left {np.abs(slopes[inside]).max():.3f}, of {np.abs(plan.gradient(price=3.0).rate).max():.1f}"
)
assert np.abs(slopes[inside]).max() < 0.1

# %% [markdown]
# ## The picture

# %%
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#d9d9d9"
figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
axes[0].vlines(path.arrivals, 0, path.sojourn, color=GREY, lw=2, label="time there")
axes[0].vlines(path.arrivals, 0, path.waiting, color=BLUE, lw=2, label="waiting")
axes[0].step(path.arrivals, -behind / 4, where="mid", color=ORANGE, label="customers delayed / 4, downwards")
axes[0].axhline(0, color="black", lw=0.6)
axes[0].set_title("Busy periods, and whom a service delays", loc="left", fontsize=11)
axes[0].set(xlabel="time of arrival")
axes[0].legend(frameon=False, fontsize=8, loc="upper right")
axes[0].set_ylim(top=1.5 * path.sojourn.max())
axes[1].plot(rates, 1 / (rates - 0.5) + price * rates, color=GREY, lw=4, label="long run")
axes[1].plot(rates, curve, color=BLUE, label="this path")
axes[1].plot(tuned.service_rates, [tuned.cost], "o", color=ORANGE, label="tuned")
axes[1].set_title("Sojourn and service, W + μ/4", loc="left", fontsize=11)
axes[1].set(xlabel="service rate μ", ylim=(1.0, 2.8))
axes[1].legend(frameon=False, fontsize=9)
axes[2].fill_between(hours, expected, color=GREY, step="mid", label="expected arrivals")
axes[2].axhline(float(one), color=BLUE, lw=1, label="one rate")
axes[2].step(hours, staff, where="mid", color=ORANGE, label="a rate a slot")
axes[2].set_title("Staff for a day with two peaks", loc="left", fontsize=11)
axes[2].set(xlabel="hour", ylim=(0, 16))
axes[2].legend(frameon=False, fontsize=9)
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)

# %%
if (
    __name__ == "__main__" and len(sys.argv) == 2
):  # python tutorials/23_a_queue_tuned_by_its_own_gradient.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "23_queue.png", dpi=150)
