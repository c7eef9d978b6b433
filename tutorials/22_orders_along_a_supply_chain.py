# %% [markdown]
# # Orders along a supply chain
#
# A shop orders, a week passes, goods arrive; what is not sold lies there and costs, what is missing costs
# more. Stock is a state, h_{t+1} = h_t + arrivals − demand, and the cost of a year is a function of every
# order in it. Back-propagation through that recurrence says of each order what one more unit would have
# changed: its own price, and everything that it does later. That is a message, and it can be read before any
# optimiser is called.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

from rnn.systems.inventory import BaseStock, Facility, Inventory, Supply, draw

# %% [markdown]
# ## What one order says
#
# One shop. Goods come two periods after they are ordered. A unit that is left over costs 1 a period, a unit
# that is owed costs 9. Sixteen periods with a demand of 10, and 20 from the sixth on; the shop keeps ordering
# 10 and learns of the change late.

# %%
T, lead = 16, 2
demand = np.where(np.arange(T) < 5, 10.0, 20.0)
shop = Facility("shop", holding=1.0, backlog=9.0, stock=15.0)
late = Inventory(shop, Supply("shop", lead_time=lead, cost=4.0, in_transit=10.0), demand)
orders = np.where(np.arange(T) < 9, 10.0, 25.0)
path, said = late.simulate(orders), late.gradient(orders)
print(f"cost {path.cost:.1f}; net stock {path.stock[1:, 0].astype(int)}")

# %% [markdown]
# An order that arrives in period t + 2 moves all stocks from there on by one: its downstream effect is the
# sum of the slopes of their costs, +1 where there is stock and −9 where there is none. So we can add it up by
# hand.

# %%
slopes = np.where(path.stock[1:, 0] > 0, 1.0, -9.0)
by_hand = np.array([slopes[t + lead :].sum() for t in range(T)])
assert (path.stock[1:, 0] != 0).all()
np.testing.assert_allclose(said.downstream[:, 0], by_hand)
np.testing.assert_allclose(said.own[:, 0], 4.0)
assert np.argmin(said.orders[:, 0]) == 4  # the order that arrives as the shortage begins does the most
assert (said.own[-lead:] == said.orders[-lead:]).all()  # these arrive when all is over
early = orders.copy()
early[4] += 1.0
difference = late.cost(early) - late.cost(orders)
print(f"one more unit in period 4: {difference:.1f}, its gradient {said.orders[4, 0]:.1f}")
np.testing.assert_allclose(difference, said.orders[4, 0])

# %% [markdown]
# ## What is best
#
# L-BFGS-B follows these gradients. The cost has kinks, and with demand known in advance the optimum lies just
# on them: stock that runs out exactly. The optimiser therefore rounds the kinks, less from stage to stage,
# and reports the exact cost.

# %%
known = late.optimize()
print(f"knowing demand: {known.cost:.1f} instead of {path.cost:.1f}")
arrived = known.path.stock[2 + lead :, 0]
print(f"stock at the ends of periods, once what was there is sold: at most {np.abs(arrived).max():.2f}")
assert known.converged and np.abs(arrived).max() < 0.2

# %% [markdown]
# Nobody knows demand in advance. A policy answers to it: order up to a level S. With a demand N(50, 8) a
# period and no lead time this is the newsvendor's problem, with the answer S = 50 + 8 Φ⁻¹(b / (h + b)). Over
# lead time L demands of L + 1 periods count. Averaged over many samples the cost is smooth.

# %%
stand = Facility("stand", holding=0.18, backlog=0.70)
news = Inventory(stand, Supply("stand"), draw(norm(50, 8), steps=1, samples=20_000, stratified=True))
best = news.optimize(BaseStock(40.0))
exact = 50 + 8 * norm.ppf(0.70 / 0.88)
print(f"newsvendor: S = {best.plan.levels[0]:.3f}, exactly {exact:.3f}; cost {best.cost:.4f}")
np.testing.assert_allclose(best.plan.levels[0], exact, atol=0.01)
slope = news.gradient(BaseStock(60.0)).levels[0]
np.testing.assert_allclose(slope, 0.88 * norm.cdf(10 / 8) - 0.70, atol=1e-4)

# %% [markdown]
# ## The bullwhip
#
# Now three tiers, each the customer of the next: shop, depot, plant. Each wants to be clever and sets its
# level from what was ordered from it lately, a moving average of p = 5 periods times L + 1 = 3. Each order
# then is demand, plus a correction of the level. So orders vary more than demand, and the orders of the next
# tier vary more than these. Chen, Drezner, Ryan and Simchi-Levi (2000) give the factor of one tier, exactly:
# 1 + 2 l/p + 2 l²/p², with l = L + 1.

# %%
periods, window, protection = 400, 5, 3
shown = draw(norm(50, 8), steps=periods, seed=7)


def follow(demand):
    """Levels from the average of the last five demands before each period."""
    padded = np.concatenate([np.full(window, 50.0), demand])[:-1]
    return protection * np.convolve(padded, np.ones(window) / window, mode="valid")[: len(demand)]


tiers, seen, levels = ["shop", "depot", "plant"], shown, {}
for tier in tiers:
    levels[tier] = follow(seen) + 30.0
    alone = Inventory(
        Facility(tier, stock=80.0), Supply(tier, lead_time=2, in_transit=50.0), seen
    )  # supplied without fail
    seen = alone.simulate(BaseStock(levels[tier][:, None])).orders[:, 0]

network = Inventory(
    [
        Facility("shop", 1.0, 9.0, stock=80.0),
        Facility("depot", 0.5, stock=80.0),
        Facility("plant", 0.25, stock=80.0),
    ],
    [
        Supply("shop", "depot", lead_time=2, in_transit=50.0),
        Supply("depot", "plant", lead_time=2, in_transit=50.0),
        Supply("plant", lead_time=2, in_transit=50.0),
    ],
    {"shop": shown},
)
clever = network.simulate(BaseStock(levels))
ratios = clever.orders[20:].var(axis=0) / shown[20:].var()
chen = 1 + 2 * protection / window + 2 * protection**2 / window**2
print(f"variance of orders over that of demand: {ratios.round(2)}; Chen et al. for the first: {chen:.2f}")
assert abs(ratios[0] / chen - 1) < 0.15 and ratios[0] < ratios[1] < ratios[2]

# %% [markdown]
# Levels that stay where they are pass demand on as it is. And the gradient tells where they should be: ∂L/∂S
# of each tier, from one backward run through all 400 periods.

# %%
calm = network.optimize(BaseStock([180.0, 180.0, 180.0]))
steady = calm.path.orders[20:].var(axis=0) / shown[20:].var()
print(f"levels that stay: {calm.plan.levels.round(1)}, variance {steady.round(2)}")
print(f"cost {calm.cost / periods:.2f} a period instead of {clever.cost / periods:.2f}")
assert calm.cost < clever.cost and (steady < 1.3).all()

# %% [markdown]
# One seed of demand is one path; on others the levels do as well, which is what counts.

# %%
others = draw(norm(50, 8), steps=periods, samples=20, seed=8)
again = Inventory(network.facilities, network.supplies, {"shop": others})
costs = again.simulate(calm.plan).costs / periods
print(f"on twenty other paths {costs.mean():.2f} ± {costs.std(ddof=1) / np.sqrt(20):.2f} a period")
assert costs.mean() < clever.cost / periods

# %% [markdown]
# ## The picture

# %%
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#d9d9d9"
figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
axes[0].step(np.arange(T), demand, color=GREY, lw=3, where="mid", label="demand")
axes[0].step(np.arange(T), orders, color=ORANGE, where="mid", label="orders, late")
axes[0].step(np.arange(T), known.plan[:, 0], color=BLUE, where="mid", label="best orders")
axes[0].set_title("A shop that learns late", loc="left", fontsize=11)
axes[0].set(xlabel="period", ylim=(0, None), xticks=range(0, T, 3))
axes[0].legend(frameon=False, fontsize=9)
axes[1].bar(np.arange(T), said.downstream[:, 0], color=BLUE, width=0.8, label="downstream")
axes[1].bar(np.arange(T), said.own[:, 0], color=ORANGE, width=0.8, label="own price")
axes[1].axhline(0, color=GREY, lw=1)
axes[1].set_title("What one more unit in each order changes", loc="left", fontsize=11)
axes[1].set(xlabel="period of the order", xticks=range(0, T, 3))
axes[1].legend(frameon=False, fontsize=9)
window_shown = slice(100, 180)
for k, (tier, colour) in enumerate(zip(tiers, (GREEN, BLUE, ORANGE), strict=True)):
    axes[2].plot(np.arange(100, 180), clever.orders[window_shown, k] + 250 * k, color=colour, lw=1)
    axes[2].text(
        101,
        250 * k + (130 if k < 2 else 215),
        f"{tier}: variance × {ratios[k]:.1f}",
        color=colour,
        fontsize=9,
    )
axes[2].set_title("Orders of three tiers that follow forecasts", loc="left", fontsize=11)
axes[2].set(xlabel="period", yticks=[], ylim=(0, 750))
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/22_orders_along_a_supply_chain.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "22_supply_chain.png", dpi=150)
