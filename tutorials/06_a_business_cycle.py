# %% [markdown]
# # A business cycle, against published numbers
#
# Hamilton (1989) asked whether recessions can be told from the growth of the US national product alone. His
# model became the textbook case of Markov switching: growth varies around a mean that depends on a hidden
# state, and remembers the four quarters before:
#
# x_t − μ(z_t) = φ₁ (x_{t−1} − μ(z_{t−1})) + … + φ₄ (x_{t−4} − μ(z_{t−4})) + ε_t
#
# His numbers have been recomputed by many programs. So this is a good place to ask whether ours is right.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import msgpass.data
from hmm import AutoregressiveHMM, GaussianHMM, SwitchingMeanHMM
from msgpass import run

series = msgpass.data.load("gnp")
growth = series.values
quarters = 1951.25 + np.arange(len(growth)) / 4
print(f"{len(growth)} quarters, {series.index[0]} to {series.index[-1]}, {growth.mean():.2f} % a quarter")

# %% [markdown]
# ## The published optimum
#
# Where the mean lags behind, what a row says depends on five states, not one. The model's graph therefore has
# 2⁵ = 32 states (z_t, z_{t−1}, …, z_{t−4}), of which only two can follow any one. Everything that the model
# returns is about z_t again.
#
# EViews puts the maximum at a log-likelihood of −181.26339, with a chain that starts in its stationary
# distribution. At its estimates we find the same number.

# %%
published = SwitchingMeanHMM(2, order=4)
published.transmat_ = np.array([[0.754673, 0.245327], [0.095915, 0.904085]])
published.startprob_ = np.array([0.095915, 0.245327]) / 0.341242  # stationary
published.means_, published.covars_ = [-0.358811, 1.163516], [np.exp(-0.262658) ** 2]
published.coef_ = [0.013486, -0.057521, -0.246983, -0.212923]

print(f"log-likelihood {published.score(growth):.5f}, published −181.26339")
assert abs(published.score(growth) + 181.26339) < 1e-5
assert len(run(published.graph(growth)).forward["z"][0]) == 32

# %% [markdown]
# ## Finding it
#
# From data alone EM gets there, if it may start more than once: the likelihood has other tops. Our start is
# free, where EViews has the stationary distribution, and so the top is a hundredth of a nat higher.

# %%
model = SwitchingMeanHMM(2, order=4, n_init=6, tol=1e-6, random_state=0).fit(growth)
slump = int(np.argmin(model.means_))
print(f"log-likelihood {model.score(growth):.4f}")
print(f"means {np.sort(model.means_).round(3)}, φ {model.coef_.round(3)}, σ² {model.covars_.round(3)}")
stays = np.diagonal(model.transmat_)
print(f"a slump lasts {1 / (1 - stays[slump]):.1f} quarters, growth {1 / (1 - stays[1 - slump]):.1f}")
assert -181.26 < model.score(growth) < -181.24
np.testing.assert_allclose(np.sort(model.means_), published.means_, atol=0.02)
np.testing.assert_allclose(model.coef_, published.coef_, atol=0.01)

# %% [markdown]
# ## Does the lagging mean matter?
#
# Two other models see the same quarters (those that have four before them). A mean that switches and nothing
# else does nearly as well, for the φ are small. An autoregression all of whose numbers switch, the noise
# included, does better even after Akaike's charge for its five parameters more; but its states are no longer
# slump and growth: one is quiet times and the other restless ones.

# %%
K, p = 2, 4
plain = GaussianHMM(K, covariance_type="tied", n_init=6, random_state=0, tol=1e-6).fit(growth[p:, None])
intercept = AutoregressiveHMM(K, order=p, n_init=6, random_state=0, tol=1e-6).fit(growth)
table = {
    "switching mean, lagging": (model.score(growth), model.aic(growth)),
    "switching mean, no lags": (plain.score(growth[p:, None]), plain.aic(growth[p:, None])),
    "switching autoregression": (intercept.score(growth), intercept.aic(growth)),
}
for name, (log_likelihood, aic) in table.items():
    print(f"{name:<26}{log_likelihood:>9.2f}   AIC {aic:.1f}")
assert table["switching mean, lagging"][0] > table["switching mean, no lags"][0]
print("noise of the two autoregressions:", np.sqrt(intercept.covars_.ravel()).round(2))

# %% [markdown]
# ## When was the slump?
#
# The National Bureau of Economic Research dates recessions by committee and afterwards. The posterior of the
# slump, which knows nothing but one number a quarter, is near 1 in all of them.

# %%
recessions = [(1953.5, 1954.5), (1957.5, 1958.25), (1960.25, 1961.25), (1969.75, 1971.0), (1973.75, 1975.25)]
recessions += [(1980.0, 1980.75), (1981.5, 1983.0)]
posterior = model.predict_proba(growth)[:, slump]
at_the_time = model.filter(growth)[:, slump]
for start, end in recessions:
    inside = (quarters >= start) & (quarters < end)
    print(f"{start:.2f} to {end:.2f}: P(slump) {posterior[inside].max():.2f} at its height")
    assert posterior[inside].max() > 0.7
inside = np.any([(quarters >= a) & (quarters < b) for a, b in recessions], axis=0)
assert posterior[inside].mean() > 0.6 and posterior[~inside].mean() < 0.2

# %% [markdown]
# ## The picture

# %%
figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 5), sharex=True, layout="constrained")
for start, end in recessions:
    for axes in (top, bottom):
        axes.axvspan(start, end, color="#d9d9d9", lw=0)
top.axvspan(1950, 1950, color="#d9d9d9", lw=0, label="recession (NBER)")
top.plot(quarters, growth, color="black", lw=1)
mean = model.predict_proba(growth) @ model.means_
top.plot(quarters, mean, color="#0072B2", lw=1.6, label="expected mean")
top.set(ylabel="growth, % a quarter")
top.set_title("US real GNP, and Hamilton's model of it", loc="left")
top.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, borderpad=0)
bottom.plot(quarters, at_the_time, color="#56B4E9", lw=1, label="filter: quarters so far")
bottom.plot(quarters, posterior, color="black", lw=1.4, label="smoother: all quarters")
bottom.set(ylabel="P(slump)", xlim=(1951, 1985), ylim=(-0.03, 1.03))
bottom.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0)
for axes in (top, bottom):
    axes.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/06_a_business_cycle.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "06_business_cycle.png", dpi=150)
