"""The report's figures: each takes a study and returns a matplotlib figure. The HMM is blue, the recurrent
net orange."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from msgpass.drawing import FIRST, GREY, INK, PALE, SECOND, draw_signed, draw_states, state_legend, style
from msgpass.optional import figure
from msgpass.report.study import Study

WIDTH = 7.4
SHOWN = 240
"""Steps that a figure over time shows; a longer series is shown from its end."""


@dataclass(frozen=True)
class Captioned:
    """A figure with its file name, heading and caption."""

    name: str
    title: str
    caption: str
    draw: Callable[[Study], object]


def figures(study: Study) -> list[Captioned]:
    """The figures that fit this study, in the order of the page."""
    kind = study.series.kind
    window = _window(study)
    part = f" The last {SHOWN} of {len(study.series)} steps are shown." if window.start else ""
    best = (
        "the probability that each model gave to the value that came (mean over 15 steps)"
        if kind == "categorical"
        else "the data and what each model expected one step ahead"
    )
    chosen = [
        Captioned(
            "series",
            "The series, and what both models expected",
            f"Above: {best}, from the steps before it alone. Below: the HMM's posterior γ_t = p(z_t | y), "
            "which is ∂log Z/∂log b_t, what arrives at the local evidence of every step." + part,
            _series,
        ),
        Captioned(
            "forward",
            "Forward messages: what the past says",
            "The HMM's forward message α_t, normalised, is the filter p(z_t | y_0, …, y_t): a distribution "
            "over states. The net's forward message is a single point, the values of its hidden "
            "units." + part,
            _forward,
        ),
        Captioned(
            "backward",
            "Backward messages: what the future says",
            "Top: the HMM's β_t, normalised over states; where all shares are equal the future has nothing "
            "to say about the state. Middle: the net's λ_t, the part of ∂loss/∂h_t that later losses send "
            "back. Bottom: how large both are: the range of log β_t over the states and the norm of λ_t, "
            "each divided by its largest value." + part,
            _backward,
        ),
        Captioned(
            "look-back",
            "How far each looks back",
            "How much of a message is left k steps before the step that sent it, on average over the series. "
            "The worst message and the bound are those of the thirteenth identity: Dobrushin coefficients "
            "multiply in the HMM, Jacobian norms in the net. A bound that rises promises nothing; with two "
            "states the HMM's bound is attained.",
            _look_back,
        ),
        Captioned(
            "learning",
            "Learning is reading the messages at the parameters",
            "Baum-Welch divides the expected counts that arrive at the HMM's tables; L-BFGS follows the "
            "gradient that arrives at the net's weights. One engine delivers both.",
            _learning,
        ),
    ]
    if kind == "categorical":
        chosen.insert(
            1,
            Captioned(
                "emissions",
                "What the states emit",
                "Probability of each category in each state of the HMM.",
                _emissions,
            ),
        )
    return chosen


def draw(study: Study, wanted: Captioned):
    """The figure, in the house style."""
    with style():
        return wanted.draw(study)


def _window(study: Study) -> slice:
    return slice(max(0, len(study.series) - SHOWN), None)


def _axis(ax, study: Study, x: np.ndarray) -> None:
    """Labels of the steps along the bottom."""
    index = study.series.index
    if index.dtype.kind in "iu":
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True))
        ax.xaxis.set_major_formatter(
            FuncFormatter(lambda v, _: str(index[int(v)]) if 0 <= v < len(index) and v == int(v) else "")
        )
        return
    places = x[:: max(1, len(x) // 7)]
    ax.set_xticks(places, [_literal(index[k]) for k in places])


def _literal(text) -> str:
    """The user's words, not matplotlib's formulas."""
    return str(text).replace("$", r"\$")


def _state_names(study: Study) -> list[str]:
    hmm = study.hmm
    if hmm.kind == "categorical":
        return [f"state {k}" for k in range(hmm.states)]
    centre = hmm.emission["rate" if hmm.kind == "counts" else "mean"]
    # More than three long labels would run into the title.
    lead = [f"state {k}: " if hmm.states <= 3 else "" for k in range(hmm.states)]
    return [f"{text}{c:.3g}".replace("-", "−") for text, c in zip(lead, centre, strict=True)]


def _series(study: Study):
    series, window = study.series, _window(study)
    x = np.arange(len(series))[window]
    fig = figure(figsize=(WIDTH, 4.2), layout="constrained")
    top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    hmm, rnn = study.forecasts["hmm"], study.forecasts["rnn"]
    if series.kind == "categorical":
        top.plot(x, _smooth(np.exp(hmm.log_density))[window], color=FIRST, label="HMM")
        top.plot(x, _smooth(np.exp(rnn.log_density))[window], color=SECOND, label="recurrent net")
        top.set(ylabel="probability of what came", ylim=(0, None))
    else:
        data = np.asarray(series.values, float)
        top.plot(x, data[window], "o", color=INK, markersize=2.6, markeredgewidth=0, label="data")
        top.plot(x, hmm.mean[window], color=FIRST, label="HMM, one step ahead")
        top.plot(x, rnn.mean[window], color=SECOND, label="recurrent net, one step ahead")
        top.set_ylabel(_literal(series.unit or series.name))
    top.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.1)
    draw_states(bottom, x, study.posterior[window])
    bottom.set_ylabel("posterior")
    state_legend(bottom, study.hmm.states, _state_names(study))
    _axis(bottom, study, x)
    return fig


def _smooth(values: np.ndarray, width: int = 15) -> np.ndarray:
    """Moving average over the values that are there."""
    seen, kernel = ~np.isnan(values), np.ones(min(width, len(values)))
    weight = np.convolve(seen, kernel, "same")
    return np.convolve(np.where(seen, values, 0.0), kernel, "same") / np.maximum(weight, 1)


def _emissions(study: Study):
    table = study.hmm.emission["probability"]
    fig = figure(figsize=(WIDTH, 0.9 + 0.75 * len(table)), layout="constrained")
    axes = fig.subplots(len(table), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for k, (ax, row) in enumerate(zip(axes, table, strict=True)):
        ax.bar(np.arange(len(row)), row, color=FIRST, width=0.75)
        ax.set_ylabel(f"state {k}")
    axes[-1].set_xticks(np.arange(table.shape[1]), map(_literal, study.series.categories))
    return fig


def _forward(study: Study):
    window = _window(study)
    x = np.arange(len(study.series))[window]
    fig = figure(figsize=(WIDTH, 3.6), layout="constrained")
    top, bottom = fig.subplots(2, 1, sharex=True)
    draw_states(top, x, study.filtered[window])
    top.set(title="HMM: forward message $α_t$, normalised", ylabel="share of states")
    state_legend(top, study.hmm.states, _state_names(study))
    drawn = draw_signed(bottom, x, study.net_messages.forward["h"][window], 1.0)
    bottom.set(title="Recurrent net: hidden units $h_t$", ylabel="unit")
    _bar(fig, bottom, drawn)
    _axis(bottom, study, x)
    return fig


def _backward(study: Study):
    window = _window(study)
    x = np.arange(len(study.series))[window]
    fig = figure(figsize=(WIDTH, 5.2), layout="constrained")
    top, middle, bottom = fig.subplots(3, 1, sharex=True)
    draw_states(top, x, study.backward[window])
    top.set(title="HMM: backward message $β_t$, normalised", ylabel="share of states")
    state_legend(top, study.hmm.states, _state_names(study))
    cotangents = study.net_messages.backward["h"][window]
    # The largest cotangents are rare; a limit at the 99th percentile keeps the others visible.
    drawn = draw_signed(middle, x, cotangents, float(np.quantile(np.abs(cotangents), 0.99)) or None)
    middle.set(title="Recurrent net: cotangent $λ_t$ from later losses", ylabel="unit")
    _bar(fig, middle, drawn, extend="both")
    for size, colour, label in zip(
        study.backward_sizes, (FIRST, SECOND), ("HMM: range of log $β_t$", "net: norm of $λ_t$"), strict=True
    ):
        largest = size[window].max()
        bottom.plot(x, size[window] / largest if largest else size[window], color=colour, label=label)
    bottom.set(title="Size of the message from the future", ylabel="share of largest", ylim=(0, 1.05))
    bottom.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.1)
    _axis(bottom, study, x)
    return fig


def _bar(fig, ax, drawn, **look) -> None:
    fig.colorbar(drawn, ax=ax, fraction=0.025, pad=0.01, aspect=12, **look).outline.set_visible(False)


def _look_back(study: Study):
    fig = figure(figsize=(WIDTH, 2.9), layout="constrained")
    axes = fig.subplots(1, 2, sharey=True, sharex=True)
    titles = (
        "HMM: local evidence, carried by posterior kernels",
        "Recurrent net: local adjoints, carried by Jacobians",
    )
    floor, ceiling = 1e-6, 1e2
    for ax, name, title, colour in zip(axes, ("hmm", "rnn"), titles, (FIRST, SECOND), strict=True):
        curve = study.influence[name]
        bound = "Dobrushin bound" if name == "hmm" else "Jacobian bound"
        for values, look, label in (
            (curve.bound, {"color": PALE, "linewidth": 5}, bound),  # wide, to be seen where it is attained
            (curve.worst, {"color": GREY, "linestyle": "--"}, "worst message"),
            (
                curve.actual,
                {"color": colour, "marker": "o", "markersize": 3, "linewidth": 0.8},
                "messages sent",
            ),
        ):
            ax.plot(curve.lag, np.where(values > 0, values, np.nan), label=label, **look)
        ax.set(title=title, xlabel="steps back", yscale="log", ylim=(floor, ceiling))
        ax.axhline(1, color=GREY, linewidth=0.4, zorder=0)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(loc="best")
    axes[0].set_ylabel("size left of a message")
    return fig


def _learning(study: Study):
    fig = figure(figsize=(WIDTH, 2.5), layout="constrained")
    left, right = fig.subplots(1, 2)
    left.plot(np.arange(len(study.hmm.log_likelihoods)), study.hmm.log_likelihoods, color=FIRST)
    left.set(title="HMM: Baum-Welch", xlabel="iteration", ylabel="log-likelihood")
    right.plot(1 + np.arange(len(study.net.losses)), study.net.losses, color=SECOND)
    right.set(
        title="Recurrent net: L-BFGS on BPTT's gradient",
        xlabel="iteration",
        ylabel="loss, weight decay included",
    )
    return fig
