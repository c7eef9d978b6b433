"""Figures of models: states over the data, posteriors, the transition graph, and what model selection says.

States are shades of one blue in their order; what is compared is orange and green. Each function returns a
matplotlib ``Figure`` that belongs to the caller. matplotlib is imported when a figure is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hmm.predictive import moments
from hmm.sequences import end_to_end
from hmm.validation import rows_of_numbers, sequence_lengths
from msgpass.drawing import FIRST, GREY, INK, SECOND, THIRD, draw_states, shades, state_legend, style
from msgpass.errors import DataError, ShapeError
from msgpass.optional import figure, matplotlib

MOST_FEATURES = 4
"""Features that are drawn over the states; more would cover one another."""

NEGLIGIBLE = 0.005
"""Transitions below are left out of the graph, for they would read 0.00."""


def plot_states(model, X, lengths=None, labels: Sequence[str] | None = None):
    """The data over the most likely path of states, and the posterior of every state below.

    Parameters
    ----------
    model : fitted model
    X, lengths
        Data; sequences are drawn one after another with a line between.
    labels : sequence of str, optional
        Names of the states.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows, ends = _rows(model, X, lengths)
    labels = _labels(model, labels)
    path, gamma = model.predict(X, lengths), model.predict_proba(X, lengths)
    x, colours = np.arange(len(rows)), shades(model.n_components)
    mean, _ = moments(model.chain().emission)
    with style():
        fig = figure(figsize=(7.2, 3.8), layout="constrained")
        top, low = fig.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        _strip(top, path, colours)
        names = getattr(model, "feature_names_in_", [f"feature {d}" for d in range(rows.shape[1])])
        shown = min(rows.shape[1], MOST_FEATURES)
        for d, colour in zip(range(shown), (INK, SECOND, THIRD, GREY), strict=False):
            counted = rows.dtype.kind in "iu" or len(rows) <= 60
            top.plot(
                x, rows[:, d], color=colour, linewidth=0.9, marker="." if counted else None, label=names[d]
            )
        if mean is not None and shown == 1:
            top.step(x, mean[path, 0], where="mid", color=SECOND, linewidth=1.4, label="mean of the state")
        if shown > 1 or mean is not None:
            top.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=shown + 1, borderaxespad=0.1)
        if rows.shape[1] > shown:
            top.set_ylabel(f"first {shown} of {rows.shape[1]} features")
        else:
            top.set_ylabel(names[0] if shown == 1 and hasattr(model, "feature_names_in_") else "observation")
        state_legend(top, model.n_components, labels)
        if top.get_legend() is not None and (shown > 1 or mean is not None):
            _keep_both_legends(top, shown)
        draw_states(low, x, gamma)
        low.set(ylabel="posterior", xlabel="step")
        for ax in (top, low):
            _between(ax, ends)
    return fig


def _keep_both_legends(ax, shown: int) -> None:
    """A second legend replaces the first; put the lines' own back on the left."""
    states = ax.get_legend()
    handles, names = ax.get_legend_handles_labels()
    ax.legend(handles, names, loc="lower left", bbox_to_anchor=(0, 1), ncols=shown + 1, borderaxespad=0.1)
    ax.add_artist(states)


def _strip(ax, path: np.ndarray, colours: list) -> None:
    """One band of colour a visit."""
    starts = np.flatnonzero(np.concatenate([[True], path[1:] != path[:-1]]))
    for a, b in zip(starts, [*starts[1:], len(path)], strict=True):
        ax.axvspan(a - 0.5, b - 0.5, color=colours[path[a]], alpha=0.45, linewidth=0)
    ax.set_xlim(-0.5, len(path) - 0.5)


def plot_posterior(model, X, lengths=None, labels: Sequence[str] | None = None):
    """p(z_t = k | X) as a heat map, states downwards, with the most likely path over it.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows, ends = _rows(model, X, lengths)
    labels = _labels(model, labels)
    path, gamma = model.predict(X, lengths), model.predict_proba(X, lengths)
    K = model.n_components
    with style():
        fig = figure(figsize=(7.2, 0.9 + 0.35 * min(max(K, 3), 12)), layout="constrained")
        ax = fig.subplots()
        drawn = ax.imshow(gamma.T, aspect="auto", interpolation="nearest", cmap="Blues", vmin=0, vmax=1)
        ax.step(np.arange(len(rows)), path, where="mid", color=SECOND, linewidth=1, label="most likely path")
        ax.set(xlabel="step", title="Posterior of the states")
        if K <= 12:
            ax.set_yticks(range(K), labels)
        else:
            ax.set_ylabel("state")
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)
        fig.colorbar(drawn, ax=ax, fraction=0.03, pad=0.01, label="probability").outline.set_visible(False)
        _between(ax, ends)
    return fig


def plot_transitions(model, labels: Sequence[str] | None = None):
    """The transition graph: states in a ring, larger the more time is spent there, arrows by probability.

    Transitions below 0.005 are left out.

    Returns
    -------
    matplotlib.figure.Figure
    """
    chain = model.chain()
    labels, K, A = _labels(model, labels), model.n_components, chain.transition.matrix
    share, colours = chain.stationary(), shades(model.n_components)
    angle = np.pi / 2 - 2 * np.pi * np.arange(K) / K
    place = np.column_stack([np.cos(angle), np.sin(angle)]) * (1.0 if K > 1 else 0.0)
    radius = 0.10 + 0.20 * np.sqrt(share) * min(1.0, 4 / K)
    matplotlib()
    from matplotlib.patches import Circle

    with style():
        fig = figure(figsize=(5.2, 5.2), layout="constrained")
        ax = fig.subplots()
        for i, j in zip(*np.nonzero(A > NEGLIGIBLE), strict=True):
            if i == j:
                _loop(ax, place[i], radius[i], angle[i], A[i, i])
            else:
                _arrow(ax, place[i], place[j], radius[i], radius[j], A[i, j], bent=A[j, i] > NEGLIGIBLE)
        for k in range(K):
            dark = k / max(K - 1, 1) > 0.45
            ax.add_patch(
                Circle(place[k], radius[k], facecolor=colours[k], edgecolor=INK, linewidth=0.6, zorder=3)
            )
            ax.text(*place[k], labels[k], ha="center", va="center", color="white" if dark else INK, zorder=4)
        low, high = place.min(axis=0) - 0.65, place.max(axis=0) + 0.65
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        ax.axis("off")
        ax.set_title("Transitions; the larger a state, the more time is spent there")
    return fig


def _arrow(ax, start, stop, r0: float, r1: float, p: float, bent: bool) -> None:
    """An arrow from rim to rim with its probability beside its middle."""
    from matplotlib.patches import FancyArrowPatch

    along = (stop - start) / np.linalg.norm(stop - start)
    side = np.array([along[1], -along[0]])
    bend = 0.18 if bent else 0.0
    ax.add_patch(
        FancyArrowPatch(
            start + r0 * along,
            stop - r1 * along,
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle="-|>",
            mutation_scale=9,
            linewidth=0.6 + 2.6 * p,
            color=GREY,
            shrinkA=2,
            shrinkB=2,
            zorder=1,
        )
    )
    reach = np.linalg.norm(stop - start) - r0 - r1
    # Before the middle: there, labels of a ring's diagonals would fall on one another.
    at = start + (r0 + 0.4 * reach) * along + side * bend * reach * 0.48
    halo = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"}
    ax.text(*at, _probability(p), fontsize=8, color=INK, ha="center", va="center", zorder=5, bbox=halo)


def _loop(ax, centre, radius: float, angle: float, p: float) -> None:
    """A loop that points away from the middle of the figure."""
    from matplotlib.patches import FancyArrowPatch

    out = np.array([np.cos(angle), np.sin(angle)])
    ends = [centre + radius * np.array([np.cos(angle + s), np.sin(angle + s)]) for s in (0.55, -0.55)]
    ax.add_patch(
        FancyArrowPatch(
            *ends,
            connectionstyle="arc3,rad=-1.6",
            arrowstyle="-|>",
            mutation_scale=9,
            linewidth=0.6 + 2.6 * p,
            color=GREY,
            zorder=1,
        )
    )
    ax.text(
        *(centre + out * (radius + 0.30)), _probability(p), fontsize=8, color=INK, ha="center", va="center"
    )


def _probability(p: float) -> str:
    return f"{p:.2f}" if p < 0.995 else f"{p:.3f}"


def plot_selection(models: Iterable, X, lengths=None):
    """AIC and BIC of fitted models against their number of states, the least of each marked.

    Parameters
    ----------
    models : iterable of fitted models
        Of one number of states there may be several; the best of them counts.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        Without models.
    """
    models = list(models)
    if not models:
        raise DataError("there are no models to choose from; give models fitted with several n_components")
    states = np.array(sorted({m.n_components for m in models}))
    with style():
        fig = figure(figsize=(6, 3.2), layout="constrained")
        ax = fig.subplots()
        for name, colour, marker in (("aic", FIRST, "o"), ("bic", SECOND, "s")):
            values = np.array(
                [min(getattr(m, name)(X, lengths) for m in models if m.n_components == k) for k in states]
            )
            best = int(values.argmin())
            label = f"{name.upper()}: {states[best]}"
            ax.plot(states, values, color=colour, marker=marker, markersize=4, label=label)
            ax.plot(states[best], values[best], marker, color=colour, markersize=10, fillstyle="none")
        ax.set(xlabel="states", ylabel="criterion; lower is better", title="Choosing the number of states")
        ax.set_xticks(states)
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.1)
    return fig


def _rows(model, X, lengths) -> tuple[np.ndarray, np.ndarray]:
    """Data as rows, and the last row of every sequence but the last."""
    X, lengths = end_to_end(X, lengths, flat=model.FLAT)
    rows = rows_of_numbers(X, flat=model.FLAT)
    return rows, np.cumsum(sequence_lengths(lengths, len(rows)))[:-1] - 1


def _labels(model, labels: Sequence[str] | None) -> list[str]:
    K = model.n_components
    if labels is None:
        return [f"state {k}" for k in range(K)] if K <= 8 else [str(k) for k in range(K)]
    if len(labels) != K:
        raise ShapeError(f"there are {len(labels)} labels for {K} states; give one each")
    return [str(label) for label in labels]


def _between(ax, ends: np.ndarray) -> None:
    for end in ends:
        ax.axvline(end + 0.5, color=INK, linewidth=0.8)
