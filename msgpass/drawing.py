"""The house style of figures, and the two ways in which messages are drawn over time.

Time runs to the right; states are shades of one blue, from light to dark; signed quantities are orange below
zero and purple above. Both scales read the same with any colour vision and in print. Nothing here touches
pyplot's state.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

INK, GREY, PALE = "#222222", "#6b6b6b", "#d9d9d9"
FIRST, SECOND, THIRD = "#0072b2", "#d55e00", "#009e73"  # Okabe & Ito
SIGNED = "PuOr"

STYLE = {
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.3,
    "svg.hashsalt": "msgpass",  # the same figure gives the same file
}


@contextmanager
def style():
    """The house style, for the figures made inside."""
    from msgpass.optional import matplotlib

    with matplotlib().rc_context(STYLE):
        yield


def shades(n: int) -> list:
    """n blues from light to dark, for states in their order."""
    from msgpass.optional import matplotlib

    blues = matplotlib().colormaps["Blues"]
    return [blues(x) for x in np.linspace(0.25, 0.95, n)]


def draw_states(ax, x, probabilities: np.ndarray) -> None:
    """Stacked probabilities of states over time, (T, K)."""
    edges, rows = step_edges(x), np.repeat(np.cumsum(probabilities, axis=1), 2, axis=0)
    low = np.zeros(len(rows))
    for k, colour in enumerate(shades(probabilities.shape[1])):
        ax.fill_between(edges, low, rows[:, k], color=colour, linewidth=0)
        low = rows[:, k]
    ax.set(xlim=(edges[0], edges[-1]), ylim=(0, 1), yticks=(0, 0.5, 1), yticklabels=("0", "½", "1"))


def draw_signed(ax, x, rows: np.ndarray, limit: float | None = None):
    """A heat map of signed numbers over time, (T, N), N downwards."""
    finite = np.abs(rows[np.isfinite(rows)])
    limit = limit or float(finite.max(initial=0.0)) or 1.0
    edges = step_edges(x)
    drawn = ax.imshow(
        np.where(np.isfinite(rows), rows, np.nan).T,
        extent=(edges[0], edges[-1], rows.shape[1] - 0.5, -0.5),
        aspect="auto",
        interpolation="nearest",
        cmap=SIGNED,
        vmin=-limit,
        vmax=limit,
    )
    ax.set(yticks=[0, rows.shape[1] - 1] if rows.shape[1] > 1 else [0])
    ax.spines[["left", "bottom"]].set_visible(False)
    return drawn


def step_edges(x) -> np.ndarray:
    """Left and right edge of every step, one after another."""
    x = np.asarray(x, float)
    return np.column_stack([x - 0.5, x + 0.5]).ravel()


def state_legend(ax, states: int, labels=None) -> None:
    """One patch a state, above the axes on the right."""
    from matplotlib.patches import Patch

    labels = labels or [f"state {k}" for k in range(states)]
    crowded = states > 3  # the title stands on the left of the same line
    if crowded:
        labels = [label.removeprefix("state ").split(":")[0] for label in labels]
    if states <= 8:
        handles = [Patch(color=c, label=label) for c, label in zip(shades(states), labels, strict=True)]
        ax.legend(
            handles=handles,
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=states,
            borderaxespad=0.1,
            handlelength=1,
            title="state" if crowded else None,
            columnspacing=0.9 if crowded else None,
        )
