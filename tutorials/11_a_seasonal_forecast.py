# %% [markdown]
# # A seasonal forecast
#
# Carbon dioxide in the air at Mauna Loa, month by month from 1958 to 2001: it rises, it breathes with the
# forests of the north once a year, and five months are missing. A structural model says just that, a trend, a
# season and noise, and each of them may change slowly. How slowly is what is estimated.
#
# The airline model of Box and Jenkins is the classic for such series; the basic structural model is its
# relative with parts that have names. (Where seasons grow with the level, as those of airline passengers do,
# take logarithms first. Here they hardly do.)

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import msgpass.data
from hmm import structural
from hmm.structural import Irregular, LocalLinearTrend, Seasonal, StructuralTimeSeries

series = msgpass.data.load("co2")
y, months = series.values, list(series.index)
time = 1958 + (np.arange(len(y)) + 2.5) / 12
now = months.index("1992-01")
assert np.isnan(y).sum() == 5 and len(y) - now == 120

# %% [markdown]
# ## A model and its parts
#
# All that is fitted sees the series up to 1991; the ten years after it are for later. `basic` is trend,
# season and noise. In its trigonometric form the season is a sum of waves of 12, 6, 4, … months, which turn
# and change.

# %%
past = y[:now]
model = structural.basic(12, form="trigonometric", n_init=1).fit(past)
print(model.summary())
variances = {name: float(value) for name, value in model.parameters_.items()}
assert variances["trend.slope_variance"] < 1e-5 < variances["trend.level_variance"]

# %% [markdown]
# Four variances, from four hundred months. The level wanders by a sixth of a ppm a month beyond what the
# slope says, the slope by a few thousandths. The months that are missing need no care: they say nothing, and
# are left out of the sum exactly.
#
# ## How many waves?
#
# Likelihoods of models with different numbers of flat starts do not compare: each flat state brings a unit
# with it. What compares is how well each month is foretold by those before it, once the starts are known,
# here after four years: Σ log p(y_t | y_1 … y_{t−1}), from the forward messages.


# %%
def foretold(model, y, first):
    """Σ log p(y_t | earlier) from step ``first``."""
    found = model.residuals(y)
    each = -0.5 * (np.log(2 * np.pi * found.variance) + found.standardised**2)
    return np.nansum(each[first:])


fits, scores = {6: model}, {6: foretold(model, past, 48)}
for waves in (1, 2, 3, 4, 5):
    fits[waves] = structural.basic(12, form="trigonometric", harmonics=waves, n_init=1).fit(past)
    scores[waves] = foretold(fits[waves], past, 48)
for waves in sorted(scores):
    print(f"{waves} waves: {scores[waves]:8.1f}")
best = max(scores, key=lambda waves: scores[waves])
model = fits[best]
assert best == 4 and scores[1] < scores[2] < scores[3] < scores[4] > scores[6]

# %% [markdown]
# Four waves say it best. More only take part in the noise.
#
# ## Is it right?
#
# Under the model the standardised one-step errors are white noise of variance 1. Tests of that, and the
# months that surprise most, given all others:

# %%
print(model.diagnostics())
for kind, t, value in model.auxiliary_residuals().beyond(3.3):
    print(f"{kind:<12} {months[t]}  t = {value:+.1f}")
assert model.diagnostics().serial.pvalue > 0.05 and model.diagnostics().normality.pvalue > 0.05
assert ("trend", "1991-07") in [(kind, months[t]) for kind, t, _ in model.auxiliary_residuals().beyond(3.3)]

# %% [markdown]
# Pinatubo erupted in June 1991, and that carbon dioxide grew more slowly in the two years after it is well
# known. From data that end in 1991 the model sees the first sign of it.
#
# ## Ten years ahead
#
# Now the forecast, beside three others that differ in what may change. "straight" is a regression on a line
# and a fixed season: nothing changes but the noise. "fixed season" lets the trend change and not the season.
# "smooth" has a trend whose slope alone is disturbed, as in a cubic spline.

# %%
waves = {"period": 12, "form": "trigonometric", "harmonics": best}
others = {
    "straight": [
        LocalLinearTrend(level_variance=0, slope_variance=0),
        Seasonal(**waves, variance=0),
        Irregular(),
    ],
    "fixed season": [LocalLinearTrend(), Seasonal(**waves, variance=0), Irregular()],
    "smooth": [LocalLinearTrend(smooth=True), Seasonal(**waves), Irregular()],
}
candidates = {"all may change": model}
candidates |= {name: StructuralTimeSeries(own, n_init=1).fit(past) for name, own in others.items()}
truth, steps = y[now:], len(y) - now
print("                 foretold   error in 1992, 1992-2001   inside 95 %   width at the end")
told, inside, width, forecasts = {}, {}, {}, {}
for name, own in candidates.items():
    ahead = forecasts[name] = own.forecast(steps)
    error = ahead.mean - truth
    inside[name] = ((ahead.lower <= truth) & (truth <= ahead.upper)).mean()
    width[name] = ahead.upper[-1] - ahead.lower[-1]
    told[name] = foretold(own, past, 48)
    year, decade = np.sqrt((error[:12] ** 2).mean()), np.sqrt((error**2).mean())
    print(
        f"{name:<15} {told[name]:>9.1f} {year:>14.2f} {decade:>10.2f} {inside[name]:>17.0%} "
        f"{width[name]:>14.1f}"
    )

# %% [markdown]
# The straight line is sure of itself and wrong: half of what came lies outside of its intervals, for it has
# no way to say that the future may not go on as the past did. The smooth trend has the opposite fault. Its
# slope has to follow every wiggle of the level, so that after ten years it knows nothing. Where both level
# and slope may change, the data put the wiggles into the level and leave the slope steady, and the intervals
# hold. (They are wide on the safe side: these ten years were calm. The parameters are taken as known, so that
# intervals are not exact.)

# %%
assert inside["straight"] < 0.6 and inside["all may change"] > 0.95
assert width["smooth"] > 4 * width["all may change"] > 4 * width["straight"]
assert max(told, key=lambda name: told[name]) == "all may change"

# %% [markdown]
# ## A year that is lost
#
# Take 1975 away and ask the smoother. Its estimates use both sides of the gap, and the noise of single months
# is in the intervals of what is observed, not in those of the signal.

# %%
lost = np.array([month.startswith("1975") for month in months])
signal = model.decompose(np.where(lost, np.nan, y)).signal
spread = np.sqrt(signal.variance + float(model.parameters_["irregular.variance"]))[lost]
gap = (y - signal.mean)[lost]
print(f"error {np.sqrt((gap**2).mean()):.2f} ppm, expected {np.sqrt((spread**2).mean()):.2f}")
assert np.sqrt((gap**2).mean()) < 1.5 * spread.mean() and (np.abs(gap) < 3 * spread).all()

# %% [markdown]
# ## What the parts say
#
# With all data, the slope of the trend is the growth of carbon dioxide in a year, and the season's range is
# how deeply the forests breathe.

# %%
model.fit(y)
parts = model.components_
growth = parts["trend.slope"]
first, last = 12 * growth.mean[12], 12 * growth.mean[-1]
error = 12 * np.sqrt(growth.variance[-1])
starts = np.arange(10, len(y) - 11, 12)  # Januaries
breath = np.array([np.ptp(parts["seasonal"].mean[t : t + 12]) for t in starts])
print(f"growth {first:.2f} ppm a year around 1959, {last:.2f} ± {error:.2f} in 2001")
print(
    f"range of a year {breath[:10].mean():.2f} ppm in the first ten years, {breath[-10:].mean():.2f} in the "
    "last"
)
assert 0.6 < first < 1.1 and 1.3 < last < 1.9
assert breath[-10:].mean() > breath[:10].mean()
total = sum(parts[name].mean for name in parts.contributions) + parts["irregular"].mean
np.testing.assert_allclose(total[~np.isnan(y)], y[~np.isnan(y)])

# %% [markdown]
# ## The picture

# %%
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
figure = plt.figure(figsize=(9, 7), layout="constrained")
top, slope, season = figure.subplot_mosaic("AA;BC", height_ratios=(3, 2)).values()
shown = time >= 1985
for name, colour in (("straight", ORANGE), ("all may change", BLUE)):
    ahead = forecasts[name]
    top.fill_between(time[now:], ahead.lower, ahead.upper, color=colour, alpha=0.2, lw=0)
    top.plot(time[now:], ahead.mean, color=colour, lw=1.4, label=f"{name}, 95 %")
top.plot(time[shown], y[shown], color="black", lw=0.9, label="measured")
top.axvline(1992, color=GREY, lw=0.8, ls=":")
top.set(xlim=(1985, 2002), ylabel="CO₂, ppm")
top.set_title("Ten years foretold from 1991", loc="left")
top.legend(frameon=False, loc="upper left")
slope.fill_between(time, 12 * growth.lower, 12 * growth.upper, color=BLUE, alpha=0.2, lw=0)
slope.plot(time, 12 * growth.mean, color=BLUE)
slope.set(ylabel="ppm a year", xlim=(1958, 2002))
slope.set_title("Growth: the slope of the trend", loc="left", fontsize=11)
for t, shade in ((10, 0.35), (250, 0.65), (len(y) - 12, 1.0)):
    season.plot(
        np.arange(1, 13), parts["seasonal"].mean[t : t + 12], color=BLUE, alpha=shade, label=months[t][:4]
    )
season.set(xlabel="month", ylabel="ppm", xticks=[1, 4, 7, 10])
season.set_title("The season", loc="left", fontsize=11)
season.legend(frameon=False, loc="lower left")
for axes in (top, slope, season):
    axes.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/11_a_seasonal_forecast.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "11_seasonal_forecast.png", dpi=150)
