# %% [markdown]
# # How long states last
#
# A state of an ordinary hidden Markov model is left with the same probability at every step, however long it
# has lasted. So the time spent in it is geometric, and the likeliest duration is one step, whatever the mean.
# Where things take their time this is wrong. In an explicit-duration or hidden semi-Markov model (Ferguson
# 1980) how long a state lasts has a distribution of its own.
#
# We first find durations that we know, and then ask the sunspots, which come and go in about eleven years.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import msgpass.data
from hmm import AutoregressiveHMM, GaussianHMM
from hmm.transitions import SemiMarkov

# %% [markdown]
# ## Durations that are known
#
# `transitions=SemiMarkov(…)` is all it takes, with any model. Its `transmat_` says where a state goes when it
# ends, hence a diagonal of zeros; `duration_params_` says when. All kinds of durations begin at one step, so
# that the parameters are of D − 1: of a "negative binomial" its mean and its size, where small sizes spread
# more, size 1 is geometric, and a large one is Poisson.

# %%
truth = GaussianHMM(2, transitions=SemiMarkov("negative binomial", longest=60))
truth.startprob_, truth.transmat_ = [1, 0], [[0, 1], [1, 0]]
truth.duration_params_ = [[4.0, 50.0], [14.0, 4.0]]
truth.means_, truth.covars_ = [[0.0], [2.0]], [[1.0], [1.0]]
X, states = truth.sample(3000, random_state=1)

fits = {}
for kind in ("geometric", "poisson", "negative binomial"):
    fits[kind] = GaussianHMM(2, transitions=SemiMarkov(kind, longest=60), random_state=0).fit(X)

print("durations          log-likelihood      AIC   mean durations   states wrong")
for kind, model in fits.items():
    order = np.argsort(model.means_[:, 0])
    a, b = model.expected_sojourn()[order]
    wrong = (np.argsort(order)[model.predict(X)] != states).mean()
    print(f"{kind:<18} {model.score(X):>14.1f} {model.aic(X):>8.1f} {a:>8.1f} and {b:4.1f} {wrong:>14.1%}")
print(f"{'the truth':<18} {truth.score(X):>14.1f} {15 * ' '} 5.0 and 15.0")

# %% [markdown]
# The right kind finds the durations, and its likelihood is a little above the truth's, as a fit's must be.
# Geometric durations, which are the ordinary model, get even the means wrong. Poisson ones come nearer to
# them, but their variance is their mean, far too narrow for the second state, and they explain these data no
# better (other draws a little better or worse). So a semi-Markov model is not better in itself: the kind of
# durations is a choice, and likelihoods tell.

# %%
found = fits["negative binomial"]
mean = np.sort(found.expected_sojourn())
np.testing.assert_allclose(mean, [5, 15], rtol=0.1)
assert truth.score(X) < found.score(X) < truth.score(X) + 6
assert min(fits, key=lambda kind: fits[kind].aic(X)) == "negative binomial"
assert fits["poisson"].score(X) < fits["geometric"].score(X)
assert np.sort(fits["geometric"].expected_sojourn())[1] < 12

# %% [markdown]
# ## Sunspots
#
# Yearly mean numbers since 1700, of which we take the square root, so that their spread depends less on
# their size. Four states in a ring: low, rising, high, falling. Rising and falling look alike in any one
# year; what tells them apart is what comes next. The topology "cyclic" leaves one way on, so that durations
# are all there is to learn of the transitions.
#
# "geometric" durations are the ordinary hidden Markov model under another name, which we check. The two
# models then have the same number of free parameters, fifteen.

# %%
x = np.sqrt(msgpass.data.load("sunspots").values)[:, None]
years = 1700 + np.arange(len(x))


def fitted(durations, x):
    """The best of eight starts."""
    transitions = SemiMarkov(durations, longest=15)
    settings = {"n_init": 8, "n_iter": 500, "tol": 1e-6, "random_state": 0}
    return GaussianHMM(4, topology="cyclic", transitions=transitions, **settings).fit(x)


ordinary, explicit = fitted("geometric", x), fitted("poisson", x)
NAMES = ("low", "rising", "high", "falling")
for name, model in (("ordinary", ordinary), ("explicit", explicit)):
    order = (model.means_.argmin() + np.arange(4)) % 4
    print(f"{name}: log-likelihood {model.score(x):.1f}, AIC {model.aic(x):.1f}")
    for label, k in zip(NAMES, order, strict=True):
        level, spread, lasts = model.means_[k, 0], model.covars_[k].item() ** 0.5, model.expected_sojourn()[k]
        print(f"  {label:<8} √sunspots {level:.1f} ± {spread:.1f}, for {lasts:.1f} years")
    print(f"  once round: {model.expected_sojourn().sum():.2f} years")

same = GaussianHMM(4)
stay = 1 - 1 / ordinary.expected_sojourn()
same.transmat_ = np.diag(stay) + (1 - stay)[:, None] * ordinary.transmat_
same.startprob_, same.means_ = ordinary.startprob_, ordinary.means_
same.covars_ = ordinary.covars_[:, 0]  # read as (K, D, D), set as (K, D), as in hmmlearn
np.testing.assert_allclose(same.score(x), ordinary.score(x))

# %% [markdown]
# The states are the same in both, and so are their mean durations: a rise takes a year and the fall two,
# which is an old observation. Once round takes the famous eleven years. But with durations that may have a
# shape the same number of parameters explains the series better by more than twenty nats.
# (With three states, or one variance for all, the numbers are others and the story is the same.)

# %%
assert 20 < explicit.score(x) - ordinary.score(x) < 23
np.testing.assert_allclose(explicit.aic(x), 1225.5, atol=0.2)
np.testing.assert_allclose(explicit.expected_sojourn().sum(), 11, atol=0.2)
np.testing.assert_allclose(ordinary.expected_sojourn().sum(), 11, atol=0.2)

# %% [markdown]
# ## What they think of a cycle
#
# `duration_pmf` is the distribution itself. The variances of the four add up to that of a cycle. The ordinary
# model believes in cycles of eleven years, give or take more than five: some of five years and some of
# twenty. The explicit one halves that. Those along its best path vary less still, for phases make up for
# each other, and here each is drawn anew. A Poisson cannot be narrower than it is; nor can a negative
# binomial, which would have become Poisson. Nor is every shape right: the picture below shows that most lows
# last two years and a few many more.

# %%
n = np.arange(1, 201)


def cycle_spread(model):
    pmf = model.chain().transition.duration_pmf(200)
    return np.sqrt((pmf @ n**2 - (pmf @ n) ** 2).sum())


path = explicit.predict(x)
low, rising, high, falling = (explicit.means_.argmin() + np.arange(4)) % 4
tops = years[1:][(path[1:] == high) & (path[:-1] != high)]
cycles = np.diff(tops)
observed = f"{cycles.mean():.1f} ± {cycles.std():.1f}"
print(f"{len(cycles)} cycles of {cycles.min()} to {cycles.max()} years, {observed}")
print(f"ordinary ± {cycle_spread(ordinary):.1f}, explicit ± {cycle_spread(explicit):.1f}")
assert cycles.std() < cycle_spread(explicit) < 3 < 5 < cycle_spread(ordinary)

# %% [markdown]
# ## After 2008
#
# The series ends in 2008, three years into a low. To the ordinary model this is a low like any other: it will
# end with the same probability as in its first year. The explicit one expects it to end soon, then a high
# around 2013, then the next low around 2018. (In the event the next maximum came in 2014, the next minimum
# in 2019.) What is far ahead both forget.

# %%
ahead = {name: model.forecast(x, steps=16) for name, model in (("o", ordinary), ("e", explicit))}
hazards = []
for model in (ordinary, explicit):
    k = model.means_.argmin()
    pmf = model.chain().transition.duration_pmf(8)[k]
    hazards.append(pmf / (1 - np.cumsum(pmf) + pmf))
print("P(a low ends after n years, if it has lasted as long), n = 1 … 8")
print(f"ordinary {hazards[0].round(2)}\nexplicit {hazards[1].round(2)}")
np.testing.assert_allclose(hazards[0], hazards[0][0])
assert (np.diff(hazards[1]) > 0).all()
forecast = ahead["e"].mean[:, 0]
years_ahead = 2009 + np.arange(16)
peak, trough = years_ahead[forecast[:8].argmax()], years_ahead[5 + forecast[5:].argmin()]
print(f"maximum expected around {peak}, the minimum after it around {trough}")
assert peak in (2012, 2013) and trough == 2018

# %% [markdown]
# ## Out of sample
#
# One forecast proves nothing. So fit to 1700-1899 alone, and from every year since then forecast twelve years
# ahead, with the parameters as they are. A list of sequences is many forecasts in one call. Two competitors:
# the mean and spread of the first two centuries, which know no time, and a linear autoregression of nine
# years, of the kind that Yule (1927) invented for these very numbers.

# %%
T, H, p = 200, 12, 9
past = [x[:t] for t in range(T, len(x))]
target = np.append(x[:, 0], np.full(H, np.nan))[np.arange(T, len(x))[:, None] + np.arange(H)]


def log_normal(x, mean, variance):
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


def rms(mean):
    return np.sqrt(np.nanmean((mean - target) ** 2, axis=0))


error, score = {}, {}
early = {"ordinary": fitted("geometric", x[:T]), "explicit": fitted("poisson", x[:T])}
for name, model in early.items():
    found = model.forecast(past, steps=H)
    density = np.exp(log_normal(target[:, :, None], model.means_.ravel(), model.covars_.ravel()))
    error[name] = rms(found.mean[:, :, 0])
    score[name] = np.nanmean(np.log((found.states * density).sum(axis=2)), axis=0)
error["no time"] = rms(x[:T].mean())
score["no time"] = np.nanmean(log_normal(target, x[:T].mean(), x[:T].var()), axis=0)

lags = np.lib.stride_tricks.sliding_window_view(x[:, 0], p)
design = np.column_stack([np.ones(T - p), lags[: T - p]])
coef = np.linalg.lstsq(design, x[p:T, 0])[0]
window = np.array([sequence[-p:, 0] for sequence in past])
for _ in range(H):
    window = np.column_stack([window, coef[0] + window[:, -p:] @ coef[1:]])
error["autoregression"] = rms(window[:, p:])

print("years ahead               " + "".join(f"{h:>6}" for h in range(1, H + 1)))
for what, table in (("error", error), ("log score", score)):
    for name, values in table.items():
        print(f"{what:<10}{name:<16}" + "".join(f"{value:>6.2f}" for value in values))

# %% [markdown]
# The explicit model forecasts better than the ordinary one at every distance, by error and by the log density
# that it gave to what came. After four years the ordinary one has forgotten which phase it was in, and is
# about as good as no time at all. The explicit one still knows something after twelve.
#
# Neither is the best forecast of sunspots. Yule's is, by far: a number tells how high the next will be, and
# four levels throw that away. What the states are for is phases: which one it is, since when, and until when.

# %%
assert (error["explicit"] < error["ordinary"]).all() and (score["explicit"] > score["ordinary"]).all()
assert (error["explicit"] < error["no time"]).all() and (score["explicit"] > score["no time"]).all()
assert (score["ordinary"][4:] < score["no time"][4:]).all()
assert (error["autoregression"] < error["explicit"]).all()

# %% [markdown]
# ## Two ways on
#
# **More states.** An ordinary chain can imitate a duration with several states in a row, which is how one did
# it before; the states also learn the slopes between the levels. Both models gain from that, a good deal more
# than four states gained from durations, and the more states there are, the less is left for durations to do.
# But with as many states the explicit model stays ahead, on years not seen as well. (With eight, other
# starts find other optima, which differ on those years by more than durations are worth.)
#
# It must be started well. By default a fit begins with states that last a third of `longest`, here five
# years, so that six go round in thirty; it then settles on a ring of two cycles. An ordinary fit is a good
# start: set what it found, and let `init_params=""` keep it.

# %%
settings = {"topology": "cyclic", "n_iter": 500, "tol": 1e-6, "random_state": 0}


def both(K, x):
    """An ordinary model, and one with durations that starts from it."""
    plain = GaussianHMM(K, n_init=12, **settings).fit(x)
    model = GaussianHMM(K, init_params="", transitions=SemiMarkov("poisson", longest=15), **settings)
    model.startprob_, model.transmat_ = np.full(K, 1 / K), np.roll(np.eye(K), 1, axis=1)
    model.duration_params_ = np.maximum(plain.expected_sojourn() - 1, 0.05)[:, None]
    model.means_, model.covars_ = plain.means_, plain.covars_[:, 0]
    return plain, model.fit(x)


print("states  log-likelihood: ordinary  explicit    of 1900-2008, unseen: ordinary  explicit")
gains = []
for K in (4, 6, 8):
    whole = [model.score(x) for model in both(K, x)]
    unseen = [model.predictive_log_density(x)[T:].sum() for model in both(K, x[:T])]
    gains.append((whole[1] - whole[0], unseen[1] - unseen[0]))
    print(f"{K:>6} {whole[0]:>25.1f} {whole[1]:>9.1f} {unseen[0]:>32.1f} {unseen[1]:>9.1f}")
assert np.min(gains) > 0 and (np.diff(gains, axis=0)[:, 0] < 0).all()
lost = GaussianHMM(6, n_init=8, transitions=SemiMarkov("poisson", longest=15), **settings).fit(x)
round_in = lost.expected_sojourn().sum()
print(f"six states from the default start: {lost.score(x):.1f}, once round in {round_in:.1f} years")
assert 21 < round_in < 23

# %% [markdown]
# **Another emission.** Any goes with any transition. Let the states be two laws of growth,
# x_t = a + φ x_{t−1} + ε: ups and downs. Here explicit durations gain forty nats, with no further parameter.

# %%
slopes = {}
for kind in ("geometric", "poisson"):
    transitions = SemiMarkov(kind, longest=15)
    slopes[kind] = AutoregressiveHMM(2, n_init=8, transitions=transitions, **settings).fit(x)
    lasts = np.sort(slopes[kind].expected_sojourn())
    print(f"ups and downs, {kind}: {slopes[kind].score(x):.1f}, {lasts[0]:.1f} and {lasts[1]:.1f} years")
assert 40 < slopes["poisson"].score(x) - slopes["geometric"].score(x) < 42

# %% [markdown]
# ## The picture

# %%
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#d9d9d9"
figure = plt.figure(figsize=(9, 6.6), layout="constrained")
top, *bottom = figure.subplot_mosaic("AAA;BCD", height_ratios=(6, 5)).values()
shown = years >= 1880
first = years[shown][0]
for start in np.flatnonzero((path == high) & np.append(True, path[:-1] != high)):
    end = start + np.argmin(np.append(path[start:] == high, False))
    if years[end - 1] >= first:
        top.axvspan(years[start] - 0.5, years[end - 1] + 0.5, color=GREY, lw=0)
top.axvspan(1800, 1800, color=GREY, lw=0, label="best path: high")
top.plot(years[shown], x[shown, 0], color="black", lw=1.1)
for name, colour, label in (("o", BLUE, "ordinary ahead"), ("e", ORANGE, "explicit ahead")):
    line = np.append(x[-1, 0], ahead[name].mean[:, 0])
    top.plot(np.append(2008, years_ahead), line, color=colour, lw=1.8, label=label)
top.set(xlim=(first, 2025), ylim=(0, 14.5), ylabel="√sunspots")
top.set_title("Sunspots, and what comes after 2008", loc="left")
place = {"loc": "lower right", "bbox_to_anchor": (1, 0.985), "borderpad": 0}
top.legend(frameon=False, ncols=3, fontsize=9, columnspacing=1.2, **place)

runs = np.split(path, np.flatnonzero(np.diff(path)) + 1)[
    1:-1
]  # without the first and the last, which are cut
for axes, k, name in ((bottom[0], low, "low"), (bottom[1], high, "high")):
    seen = np.bincount([len(part) for part in runs if part[0] == k], minlength=11)[1:11]
    axes.bar(n[:10], seen / seen.sum(), color=GREY, width=0.85, label="best path")
    for model, colour, label in ((ordinary, BLUE, "geometric"), (explicit, ORANGE, "Poisson")):
        state = model.means_.argmin() if name == "low" else model.means_.argmax()
        pmf = model.chain().transition.duration_pmf(10)[state]
        axes.plot(n[:10], pmf, "o-", color=colour, ms=3.5, lw=1.5, label=label)
    axes.set(xlabel="years", xticks=[1, 4, 7, 10], ylim=(0, 0.5))
    axes.set_title(f"How long a {name} lasts", loc="left", fontsize=11)
bottom[0].set_ylabel("probability")
bottom[0].legend(frameon=False, loc="upper right")
looks = {"no time": ("#999999", "-"), "ordinary": (BLUE, "-"), "explicit": (ORANGE, "-")}
for name, values in error.items():
    colour, style = looks.get(name, ("black", ":"))
    bottom[2].plot(n[:H], values, style, color=colour, lw=1.6, label=name)
bottom[2].legend(frameon=False, loc="lower right", fontsize=9, borderpad=0)
bottom[2].set(xlabel="years ahead", xticks=[1, 4, 7, 10], ylim=(0, 4))
bottom[2].set_title("Error of forecasts since 1900", loc="left", fontsize=11)
for axes in (top, *bottom):
    axes.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/09_how_long_states_last.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "09_durations.png", dpi=150)
