# %% [markdown]
# # A hidden Markov model on real data
#
# How many strong earthquakes does a year bring? The series holds the number of earthquakes of magnitude 7 or
# more in the world, for each year from 1900 to 2006. It is the running example of Zucchini & MacDonald's book
# on hidden Markov models, so that the results can be checked against other people's.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import msgpass.data
from hmm import PoissonHMM
from msgpass import run

series = msgpass.data.load("earthquakes")
x, years = series.values, np.arange(1900, 2007)
print(f"{len(x)} years, {x.sum():.0f} earthquakes, mean {x.mean():.2f}, variance {x.var(ddof=1):.2f}")
assert (len(x), x.sum()) == (107, 2072)

# %% [markdown]
# If earthquakes came independently at one rate, the counts would be Poisson, and a Poisson's variance equals
# its mean. Here it is more than two and a half times as large, and busy years come together. So let the rate
# depend on a hidden state that tends to stay as it is: a Poisson hidden Markov model.
#
# ## How many states?
#
# `fit` is Baum-Welch: expectation-maximisation, which climbs to the nearest top of the likelihood. Starting
# points are random, so we start a few times and keep the best. More states always fit better; Akaike's and
# Schwarz's criteria charge for the parameters that this takes.

# %%
models = {}
for K in (1, 2, 3, 4):
    models[K] = PoissonHMM(K, n_init=4, n_iter=2000, tol=1e-9, random_state=0).fit(x)

print("states  log-likelihood     AIC     BIC   rates")
for K, model in models.items():
    rates = ", ".join(f"{rate:.2f}" for rate in np.sort(model.lambdas_.ravel()))
    print(f"{K:>6}  {model.score(x):>14.4f}  {model.aic(x):.2f}  {model.bic(x):.2f}   {rates}")

# %% [markdown]
# These are the optima that are known for one, two and three states. AIC chooses three states. BIC charges
# more and prefers two by a little: with a century of data the question is open. (The book has the chain start
# in its stationary distribution, which is another model with fewer parameters, hence slightly other numbers.)

# %%
np.testing.assert_allclose(models[1].score(x), -391.918928165)
np.testing.assert_allclose(models[2].score(x), -341.878701012)
np.testing.assert_allclose(models[3].score(x), -328.527483380)
np.testing.assert_allclose(np.sort(models[2].lambdas_.ravel()), [15.42076, 26.01823], rtol=1e-5)
np.testing.assert_allclose(np.sort(models[3].lambdas_.ravel()), [13.13376, 19.71316, 29.70972], rtol=1e-5)
assert min(models, key=lambda K: models[K].aic(x)) == 3
assert min(models, key=lambda K: models[K].bic(x)) == 2

# %% [markdown]
# ## What an iteration of EM does
#
# The model is thin. It builds a factor graph, and an iteration is one run of it:
#
# - what arrives at the log densities is γ_t(k), the probability of state k in year t given all years;
# - what arrives at the transition table is how often each transition is expected to have happened.
#
# Both are ∂(log-likelihood)/∂(that parameter), and re-estimating is normalising them. At the optimum nothing
# moves any more, which is a check that the messages are right.

# %%
model = models[2]
graph = model.graph(x)
m = run(graph)
gamma, counts = m.parameters["log_density"], m.parameters["transition"]

rates = (gamma * x[:, None]).sum(axis=0) / gamma.sum(axis=0)
transition = counts / counts.sum(axis=1, keepdims=True)
np.testing.assert_allclose(rates, model.lambdas_.ravel(), rtol=1e-5)
np.testing.assert_allclose(transition, model.transmat_, rtol=1e-4)
np.testing.assert_allclose([gamma.sum(), counts.sum()], [107, 106])  # one state a year, transitions between

# %% [markdown]
# ## Past and future
#
# Two messages meet at each year. The forward message α_t is what the years up to and including t say, the
# backward message β_t what later years say. Normalising α_t gives the filter: the opinion one could have had
# at the time. Their sum gives the belief with hindsight. Summed over states it is the same log-likelihood in
# every year.

# %%
alpha, beta = m.forward["z"], m.backward["z"]
np.testing.assert_allclose(np.logaddexp.reduce(alpha + beta, axis=1), m.total)

busy = int(model.lambdas_.ravel().argmax())
at_the_time = model.filter(x)[:, busy]
with_hindsight = np.exp(m.belief["z"])[:, busy]
np.testing.assert_allclose(with_hindsight, gamma[:, busy])

doubt = [float(np.minimum(p, 1 - p).mean()) for p in (at_the_time, with_hindsight)]
print(f"the likelier state should be wrong in {doubt[0]:.1%} of years, with hindsight in {doubt[1]:.1%}")
assert doubt[1] < doubt[0]

# %% [markdown]
# The Viterbi path is the single best sequence of states; it is the same graph with a maximum for the sum. For
# these data it changes state eight times in the century.

# %%
score, path = model.decode(x)
changes = years[1:][np.diff(path) != 0]
print(f"best path, log p = {score:.3f}, changes in {', '.join(map(str, changes))}")
assert score < m.total and len(changes) == 8

# %% [markdown]
# ## Next year
#
# The filter of the last year, carried one step on by the transition matrix, gives the state of the year
# after, and with it a forecast: a mixture of the Poisson distributions.

# %%
next_state = model.filter(x)[-1] @ model.transmat_
forecast = float(next_state @ model.lambdas_.ravel())
print(f"2007: busy with probability {next_state[busy]:.2f}, {forecast:.1f} earthquakes expected")
assert model.lambdas_.min() < forecast < model.lambdas_.max()

# %% [markdown]
# ## The picture

# %%
quiet_colour, busy_colour = "#0072B2", "#D55E00"
rate = np.exp(m.belief["z"]) @ model.lambdas_.ravel()
layout = {"sharex": True, "layout": "constrained", "height_ratios": (3, 2)}
figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 5.4), **layout)
top.bar(years, x, color=np.where(path == busy, busy_colour, quiet_colour), alpha=0.45)
top.step(years, rate, where="mid", color="black", lw=1.4, label="expected count")
top.bar(0, 0, color=busy_colour, alpha=0.45, label="best path: busy")
top.bar(0, 0, color=quiet_colour, alpha=0.45, label="best path: quiet")
top.set(ylabel="earthquakes of magnitude ≥ 7", title="Strong earthquakes a year, and a two-state Poisson HMM")
top.legend(frameon=False, loc="upper right")
bottom.plot(years, at_the_time, color="#56B4E9", lw=1.2, label="filter: years so far")
bottom.plot(years, with_hindsight, color="black", lw=1.4, label="smoother: all years")
bottom.set(xlabel="year", ylabel="P(busy)", xlim=(1899, 2007), ylim=(-0.03, 1.03))
bottom.legend(frameon=False, loc="upper right")
for axes in (top, bottom):
    axes.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/02_an_hmm_on_real_data.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "02_earthquakes.png", dpi=150)
