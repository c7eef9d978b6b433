# %% [markdown]
# # Missing data
#
# A value that is missing says nothing, and an HMM can take it so exactly: it sums (or integrates) over what
# the value might have been. No row has to be thrown away, nothing is filled in first, and time stays time: a
# gap of three months is three steps of the chain and not none.
#
# The series is the temperature of the sea off Peru, every month from 1950 to 2010. Some years are warm from
# about May on: El Niño. A year is one observation here, a vector of twelve months.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import msgpass.data
from hmm import GaussianHMM
from msgpass import run

series = msgpass.data.load("elnino")
X = series.values.reshape(-1, 12)
years = np.arange(1950, 2011)
assert X.shape == (61, 12)

# %% [markdown]
# ## Losing a quarter of it
#
# Single months are lost at random, four whole years, and the ship that measured never went out in the first
# half of the fifties.

# %%
rng = np.random.default_rng(1)
gaps = X.copy()
gaps[rng.random(X.shape) < 0.15] = np.nan
gaps[[12, 27, 28, 45]] = np.nan
gaps[:5, :6] = np.nan
lost = np.isnan(gaps)
print(f"{lost.mean():.0%} of {X.size} months are missing; {(~lost.any(axis=1)).sum()} years are whole")

# %% [markdown]
# Nothing has to be said about it: NaN is missing. The M-step takes what is known of each month. (A state may
# have few years, so its variances are kept from collapsing.)

# %%
settings = {"min_covar": 0.1, "n_init": 10, "random_state": 0, "tol": 1e-5}
complete, fitted = (GaussianHMM(3, **settings).fit(data) for data in (X, gaps))


def by_warmth(model):
    """Its states from cold to warm."""
    return np.argsort(model.means_.mean(axis=1))


apart = fitted.means_[by_warmth(fitted)] - complete.means_[by_warmth(complete)]
print(f"means of states: off by {np.abs(apart).mean():.2f} °C on average, spread {X.std():.2f} °C")
assert np.abs(apart).mean() < 0.5

# %% [markdown]
# ## It is exact
#
# What the likelihood of incomplete data means can be checked: it is the likelihood of complete data, averaged
# over what is missing. For one missing month, that is an integral over one number.

# %%
one = X[:6].copy()
one[3, 4] = np.nan
grid = np.linspace(10, 40, 3001)
filled = []
for value in grid:
    one_way = X[:6].copy()
    one_way[3, 4] = value
    filled.append(complete.score(one_way))
integral = np.log(np.trapezoid(np.exp(np.array(filled) - max(filled)), grid)) + max(filled)
print(f"log p(with a gap) {complete.score(one):.8f}, by integration {integral:.8f}")
np.testing.assert_allclose(complete.score(one), integral, rtol=1e-9)

# %% [markdown]
# And a missing year is a step of the chain all the same: its states follow from its neighbours'.

# %%
posterior = fitted.predict_proba(gaps)
before, after = posterior[26], posterior[29]
print(
    "1976",
    before.round(2),
    "1977",
    posterior[27].round(2),
    "1978",
    posterior[28].round(2),
    "1979",
    after.round(2),
)
m = run(fitted.graph(gaps))
np.testing.assert_array_equal(m.parameters["log_density"].shape, (61, 3))
evidence = fitted.chain().emission
np.testing.assert_array_equal(evidence.log_density(evidence.prepare(gaps))[27], 0)  # it says nothing

# %% [markdown]
# ## Filling in
#
# What a missing month was is an expectation over states, Σ_k p(z_t = k | all that is known) μ_k. That is
# nearer to the truth than the mean of the month over all years, and nearer than carrying the last value on.

# %%
estimate = np.where(lost, posterior @ fitted.means_, gaps)
monthly = np.where(lost, np.nanmean(gaps, axis=0), gaps)
flat = gaps.ravel().copy()
known = np.flatnonzero(~np.isnan(flat))
carried = flat[known[np.maximum(np.searchsorted(known, np.arange(flat.size), side="right") - 1, 0)]].reshape(
    X.shape
)


def error(guess):
    return float(np.sqrt(np.mean((guess - X)[lost] ** 2)))


errors = {
    "last value carried on": error(carried),
    "mean of the month": error(monthly),
    "the model": error(estimate),
}
for name, value in errors.items():
    print(f"{name:<22} off by {value:.2f} °C")
assert errors["the model"] < 0.9 * errors["mean of the month"] < errors["last value carried on"]

# %% [markdown]
# ## The picture

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", width_ratios=(2, 3))
colours = ("#0072B2", "#999999", "#D55E00")
for k, colour, name in zip(by_warmth(fitted), colours, ("cold", "middle", "warm"), strict=True):
    left.plot(np.arange(1, 13), fitted.means_[k], color=colour, label=name)
    spread = np.sqrt(np.diagonal(fitted.covars_[k]))
    left.fill_between(
        np.arange(1, 13), fitted.means_[k] - spread, fitted.means_[k] + spread, color=colour, alpha=0.15
    )
left.set(xlabel="month", ylabel="°C", title="Three kinds of years, from data with gaps", xticks=[1, 4, 7, 10])
left.legend(frameon=False)
months = 1950 + np.arange(X.size) / 12
shown = (months >= 1971) & (months < 1984)
right.plot(months[shown], X.ravel()[shown], color="#bbbbbb", lw=1, label="the truth")
right.plot(months[shown], gaps.ravel()[shown], color="black", lw=1.2, label="what is known")
inside = shown & lost.ravel()
right.plot(
    months[inside], estimate.ravel()[inside], "o", ms=3.5, color="#D55E00", label="what the model thinks"
)
right.set(ylabel="°C", title="Months that were lost, filled in")
right.legend(frameon=False, loc="upper left", ncols=3, fontsize=8)
right.set_ylim(top=31)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/08_missing_data.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "08_missing_data.png", dpi=150)
