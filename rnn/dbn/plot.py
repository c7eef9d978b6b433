"""Figures of two-slice networks and of the correspondence, in the house style."""

from __future__ import annotations

import numpy as np

from msgpass.drawing import FIRST, GREY, INK, PALE, SECOND, THIRD, shades, style
from msgpass.identities import Influence

SMALLEST = 1e-17
"""What is smaller is not drawn."""

LEVELS = {"shared": 2.7, "input": 1.9, "deterministic": 0.8, "evidence": 0.0}


def plot_slices(template, shared: bool = False, ax=None, view: str = "slices", length: int | None = None):
    """Slices side by side: data above, states as double circles (they are functions), losses below."""
    from rnn.dbn.views import unrolled, view_of

    graph, directed = view_of(template, view, length, shared)
    slices = len({t for _, t in graph if t is not None})
    place = _places(unrolled(template, slices, shared))
    with style():
        ax = _axes(ax, (min(3.2 * slices, 18.0), 3.6))
        for parent, child in graph.edges:
            bent = parent[1] == child[1] and abs(place[parent][1] - place[child][1]) < 1e-9
            ax.annotate(
                "",
                xy=place[child],
                xytext=place[parent],
                arrowprops={
                    "arrowstyle": "-|>" if directed else "-",
                    "color": SECOND if None not in (parent[1], child[1]) and parent[1] != child[1] else GREY,
                    "lw": 0.9,
                    "shrinkA": 11,
                    "shrinkB": 11,
                    "connectionstyle": "arc3,rad=-0.3" if bent else "arc3",
                },
            )
        for node, (x, y) in place.items():
            kind = graph.nodes[node]["kind"]
            marker = {"evidence": "s", "shared": "D"}.get(kind, "o")
            face = PALE if kind in ("input", "evidence") else "white"
            if kind == "deterministic":
                ax.scatter(
                    [x], [y], s=470, marker=marker, facecolor="white", edgecolor=INK, linewidth=0.9, zorder=3
                )
            ax.scatter([x], [y], s=300, marker=marker, facecolor=face, edgecolor=INK, linewidth=0.9, zorder=4)
            name, t = node
            at = "" if t is None else f"[{t}]" if slices != 2 else ("[t−1]", "[t]")[t]
            ax.annotate(
                name + at,
                (x, y),
                xytext=(0, -13),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=7.5,
                zorder=5,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6},
            )
        ax.set_axis_off()
        ax.margins(0.14)
    return ax


def _places(graph) -> dict:
    """Slices left and right, kinds by height; deterministic variables of a slice on a staircase."""
    place, kinds = {}, {}
    steps: dict = {}
    for name, t in graph.nodes:
        kind = graph.nodes[name, t]["kind"]
        readers = {graph.nodes[child]["kind"] for child in graph.successors((name, t))}
        if kind == "input" and readers == {"evidence"}:  # a target stands beside its loss
            kind = "evidence"
        kinds[name, t] = kind
        k = steps.setdefault((kind, t), 0)
        steps[kind, t] += 1
        place[name, t] = (k, LEVELS[kind])
    widest = max([n for (_, t), n in steps.items() if t is not None] or [1])
    moved = {}
    for (name, t), (k, y) in place.items():
        kind = kinds[name, t]
        if t is None:
            x = (k + 0.5) / steps[kind, None] * (2 * widest + 0.6)
        else:
            x = t * (widest + 0.6) + k + 0.5 + (widest - steps[kind, t]) / 2
        moved[name, t] = (x, y + (0.45 * (k % 2) if kind in ("deterministic", "shared") else 0.0))
    return moved


def plot_refinement(curve, ax=None):
    """Error by σ, a line a grid, and σ² beside them."""
    with style():
        ax = _axes(ax, (4.6, 3.2))
        errors = np.where(curve.errors > SMALLEST, curve.errors, np.nan)
        for colour, column, cells, spacing in zip(
            shades(len(curve.cells)), errors.T, curve.cells, curve.spacing, strict=True
        ):
            ax.loglog(curve.sigmas, column, "o-", color=colour, markersize=3, label=f"{cells} cells")
            if curve.sigmas[-1] < spacing < curve.sigmas[0]:
                ax.axvline(spacing, color=colour, linewidth=0.6, linestyle=":")
        best = np.nanmin(errors[0])
        ax.loglog(
            curve.sigmas,
            0.5 * best * (curve.sigmas / curve.sigmas[0]) ** 2,
            color=SECOND,
            linewidth=0.9,
            linestyle="--",
            label="∝ σ²",
        )
        ax.set_xticks(curve.sigmas, [f"{s:.3g}" for s in curve.sigmas])
        ax.set_xticks([], minor=True)
        ax.set(xlabel="noise σ", ylabel="largest gap / largest |λ|", title="Slope of −log β → cotangent")
        ax.legend()
    return ax


def plot_correspondence(lined, ax=None):
    """Adjoints as lines, slopes as rings, over time."""
    with style():
        ax = _axes(ax, (5.4, 3.0))
        time = np.arange(len(lined.adjoint))
        ax.axhline(0, color=PALE, linewidth=0.8)
        colours = (FIRST, SECOND, THIRD, GREY)
        for d, label in enumerate(lined.labels):
            colour = colours[d % len(colours)]
            ax.plot(time, lined.adjoint[:, d], color=colour, label=f"λ of {label}")
            ax.plot(time, lined.slope[:, d], "o", mfc="none", color=colour, label=f"−∇ log β of {label}")
        ax.set(xlabel="time t", title="Adjoints and slopes of the exact message")
        ax.legend()
    return ax


def plot_fades(forgets: Influence, vanishes: Influence, axes=None):
    """Forgetting and vanishing side by side: what arrives, the worst that can, and the bound.

    Parameters
    ----------
    forgets, vanishes : Influence
        Of :func:`forgetting` and :func:`vanishing`.
    axes : pair of matplotlib axes, optional

    Returns
    -------
    matplotlib Figure, or the pair of axes that was given
    """
    from msgpass.optional import figure as new

    with style():
        made = None
        if axes is None:
            made = new(figsize=(7.6, 3.0), layout="constrained")
            axes = made.subplots(1, 2)
        titles = (
            ("Forgetting: messages of an HMM", "product of Dobrushin coefficients"),
            ("Vanishing: cotangents of a network", "product of Jacobian norms"),
        )
        for ax, curve, (title, bound) in zip(axes, (forgets, vanishes), titles, strict=True):
            parts = (
                (curve.bound, PALE, bound, "--"),
                (curve.worst, GREY, "worst message", "-"),
                (curve.actual, FIRST, "messages sent", "-"),
            )
            for values, colour, label, dashes in parts:
                seen = np.where(values > SMALLEST, values, np.nan)
                ax.semilogy(curve.lag, seen, dashes, color=GREY if colour == PALE else colour, label=label)
            ax.set(xlabel="steps back k", title=title)
            ax.legend()
        axes[0].set_ylabel("share of the message left")
    return made if made is not None else axes


def _axes(ax, size):
    from msgpass.optional import figure

    return figure(figsize=size, layout="constrained").subplots() if ax is None else ax
