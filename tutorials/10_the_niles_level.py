# %% [markdown]
# # The Nile's level
#
# The flow of the Nile at Aswan, every year from 1871 to 1970, is the first example of every book on state
# space models. The model is as small as one can be, a level that wanders and noise around it,
#
#     y_t = μ_t + ε_t,   ε ~ N(0, σ²_ε),        μ_{t+1} = μ_t + η_t,   η ~ N(0, σ²_η)
#
# and everything about it is messages: the filter goes forward, the smoother back, the likelihood is the
# total, its gradient what arrives at the two variances. At the end the messages say that the model is wrong,
# and where: something happened between 1898 and 1899.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import msgpass.data
from hmm import GaussianHMM, structural
from hmm.structural import Irregular, LocalLevel, Regression, StructuralTimeSeries
from msgpass import FactorGraph, Quadratic, run

series = msgpass.data.load("nile")
y, years = series.values, np.asarray(series.index)
assert (len(y), years[0], years[-1]) == (100, 1871, 1970)

# %% [markdown]
# ## By hand
#
# Before the model, the graph. Nothing is known of the level before 1871, so its first state has no factor at
# all: its density is 1 everywhere, not that of some large variance.

# %%
g = FactorGraph()
level, flow = g.sequence("level", length=len(y), shape=()), g.observe("flow", y)
q, r = g.parameter("q", 1469.1), g.parameter("r", 15098.5)
g.factor(Quadratic.linear_gaussian(1.0, q), level[:-1], level[1:])
g.factor(Quadratic.observation(1.0, r), level[:], flow[:])
m = run(g)
print(f"log Z {m.total:.4f}, ∂/∂q {float(m.parameters['q']):.1e}, ∂/∂r {float(m.parameters['r']):.1e}")

# %% [markdown]
# The two variances are those of Durbin and Koopman's book. That they are the likeliest is what the gradients
# say: nothing arrives at them that would move them.
#
# A flat density leaves one convention open. The engine integrates over a first state of density 1. Durbin and
# Koopman, and statsmodels with `use_exact_diffuse=True`, divide by √2π for each flat state, and this is what
# `score` reports. (By default statsmodels takes a variance of 10⁶ and leaves the first year out, −632.54.)

# %%
model = structural.local_level(random_state=0).fit(y)
print(model.summary())
np.testing.assert_allclose(model.parameters_["level.variance"], 1469.1, rtol=1e-3)
np.testing.assert_allclose(model.parameters_["irregular.variance"], 15098.5, rtol=1e-3)
np.testing.assert_allclose(model.score(), m.total - 0.5 * np.log(2 * np.pi), rtol=1e-9)
assert abs(m.parameters["q"]) < 1e-6 and abs(m.parameters["r"]) < 1e-6

# %% [markdown]
# The errors are large: a hundred years say little of how much a level wanders in one. Still the tests find
# nothing to complain about. One-step errors are uncorrelated, normal, and as large at the end as at the
# start.
#
# ## The level, and what comes
#
# `components_` is the smoothed level with its variance, here with 95 % intervals. Where nothing is observed
# the level is a bridge over the gap, as wide as it must be; a forecast is a bridge with one end.

# %%
parts = model.components_
ahead = model.forecast(20)
np.testing.assert_allclose(parts["level"].mean, m.belief["level"].mean, rtol=1e-3)
np.testing.assert_allclose(ahead.mean, ahead.mean[0])
print(f"1971: {ahead.mean[0]:.0f}, between {ahead.lower[0]:.0f} and {ahead.upper[0]:.0f}")
print(f"1990: {ahead.mean[-1]:.0f}, between {ahead.lower[-1]:.0f} and {ahead.upper[-1]:.0f}")

lost = ((years >= 1891) & (years <= 1910)) | ((years >= 1931) & (years <= 1950))
bridged = model.decompose(np.where(lost, np.nan, y))["level"]
gap = years[lost][:20]
widest = gap[bridged.variance[lost][:20].argmax()]
print(f"without 1891-1910 the level is least known in {widest}")
assert widest in (1900, 1901) and (bridged.variance > parts["level"].variance).all()

# %% [markdown]
# ## Outliers and breaks
#
# Let the noise have a variance of its own in every year. What arrives at these hundred parameters is
#
#     ∂log Z/∂R_t = ½ (u_t² − D_t),       u_t = −∂log Z/∂y_t,
#
# where σ²_ε u_t is the smoothed noise of the year and D_t the variance of u_t. So t = u_t/√D_t says how
# surprising a year is given all others, and what arrives at the level's variance says the same of its steps.
# These are the auxiliary residuals of Harvey and Koopman (1992). No model is fitted again: one run, read at
# other parameters.

# %%
found = model.auxiliary_residuals()
for kind, t, value in found.beyond(2.5):
    print(f"{kind:<10} {years[t]}  t = {value:+.2f}")
worst = {kind: years[np.nanargmax(np.abs(values))] for kind, values in found.items()}
assert worst == {"irregular": 1913, "level": 1899}
assert found["level"][years == 1899] < -3 and found["irregular"][years == 1913] < -3

# %% [markdown]
# Two years stand out among two hundred numbers. In 1913 the flow was low and back to normal a year later: an
# outlier. In 1899 it fell, and stayed there: a break of the level.
#
# ## A step in 1899
#
# So give the model a step, a regressor that is 0 before 1899 and 1 from then on. Its coefficient is a state
# like the level, flat at the start and never disturbed.

# %%
step = (years >= 1899).astype(float)
components = [LocalLevel(), Regression(columns=("step",)), Irregular()]
broken = StructuralTimeSeries(components, random_state=0).fit(y, step)
fall = broken.components_["regression.step"]
size, error = fall.mean[-1], np.sqrt(fall.variance[-1])
print(broken.summary())
print(f"the step: {size:.0f} ± {error:.0f}")
before, after = y[years < 1899].mean(), y[years >= 1899].mean()
np.testing.assert_allclose(size, after - before, rtol=1e-6)
assert broken.parameters_["level.variance"] < 1e-6 < model.parameters_["level.variance"]
assert size / error < -8

# %% [markdown]
# The level's variance is now zero, as far as digits go. All its wandering was this one step, and what remains
# is noise about two constants, whose difference is the difference of two means. The auxiliary residuals of
# the new model still know 1913, and no break.

# %%
left = broken.auxiliary_residuals()
for kind, t, value in left.beyond(2.5):
    print(f"{kind:<10} {years[t]}  t = {value:+.2f}")
assert np.nanmax(np.abs(left["level"])) < 2.5 and left["irregular"][years == 1913] < -3

# %% [markdown]
# (Do not compare the two log-likelihoods by their size. A coefficient with a flat density brings its unit
# with it: twice the step, half the density. Models with the same regressors, in the same units, do compare.)
#
# ## When?
#
# That is the case when only the year of the step differs. With a constant level and the noise as found, each
# year has its likelihood, and these, normalised, are the posterior of the year if all are alike before.

# %%
constant = StructuralTimeSeries([LocalLevel(variance=0.0), Regression(), Irregular()])
constant.parameters_ = {"irregular.variance": broken.parameters_["irregular.variance"]}
log_density = np.array([constant.score(y, (years >= year).astype(float)) for year in years[1:]])
posterior = np.exp(log_density - log_density.max())
posterior /= posterior.sum()
order = np.argsort(-posterior)[:3]
print("first year of the lower level: " + ", ".join(f"{years[1 + k]} {posterior[k]:.0%}" for k in order))
assert years[1 + order[0]] == 1899 and posterior[order[0]] > 0.6
assert posterior[(years[1:] >= 1897) & (years[1:] <= 1901)].sum() > 0.95

# %% [markdown]
# A hidden Markov model with two states asks the same question in another way: it does not know that the level
# changes once and for all. It finds the same year.

# %%
states = GaussianHMM(2, n_init=3, random_state=0).fit(y[:, None]).predict(y[:, None])
changes = years[1:][np.diff(states) != 0]
print(f"the two-state model changes in {changes}")
assert changes.tolist() == [1899]

# %% [markdown]
# The year is often laid to the first dam at Aswan, begun about then and finished in 1902. Cobb (1978), from
# whom the series comes, names rainfall, which fell in the tropics at that time. The series does not say.
#
# ## The picture

# %%
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
figure = plt.figure(figsize=(9, 6.4), layout="constrained")
top, left_axes, right_axes = figure.subplot_mosaic("AA;BC", height_ratios=(3, 2)).values()
top.plot(years, y, ".", color="black", ms=4)
later = np.arange(1971, 1991)
for x, own, style, name in ((years, parts["level"], "-", "the level"), (later, ahead, "--", "flows to come")):
    top.fill_between(x, own.lower, own.upper, color=BLUE, alpha=0.15, lw=0)
    top.plot(x, own.mean, style, color=BLUE, lw=1.6, label=f"{name}, 95 %")
top.step(
    years, broken.components_.signal.mean, where="mid", color=ORANGE, lw=1.4, label="with a step in 1899"
)
top.set(xlim=(1870, 1991), ylabel="flow, 10⁸ m³")
top.set_title("The Nile at Aswan", loc="left")
top.legend(frameon=False, loc="upper right", ncols=3)
for kind, colour, name in (("irregular", GREY, "outliers"), ("level", BLUE, "breaks of the level")):
    left_axes.vlines(
        years + (0.4 if kind == "level" else 0), 0, found[kind], color=colour, lw=1.2, label=name
    )
for line in (-3, 3):
    left_axes.axhline(line, color="black", lw=0.5, ls=":")
left_axes.set(ylim=(-4, 4), ylabel="t-value")
left_axes.set_title("Auxiliary residuals", loc="left", fontsize=11)
left_axes.legend(frameon=False, loc="upper right", ncols=2, fontsize=8)
near = (years[1:] >= 1890) & (years[1:] <= 1908)
right_axes.bar(years[1:][near], posterior[near], color=ORANGE)
right_axes.set(ylabel="probability", xticks=[1890, 1895, 1899, 1905])
right_axes.set_title("First year of the lower level", loc="left", fontsize=11)
for axes in (top, left_axes, right_axes):
    axes.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/10_the_niles_level.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "10_nile.png", dpi=150)
