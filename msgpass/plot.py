"""Figures of messages and comparisons, as matplotlib ``Figure`` objects that belong to the caller."""

from __future__ import annotations

import numpy as np

from msgpass.drawing import FIRST, SECOND, THIRD, draw_signed, draw_states, state_legend, style
from msgpass.errors import UnavailableError, UnsupportedError
from msgpass.messages import Messages
from msgpass.nodes import Sequence
from msgpass.plot_graph import plot_graph

__all__ = ["plot_comparison", "plot_graph", "plot_messages"]


def plot_messages(m: Messages, name: str | None = None):
    """Forward and backward messages of one sequence over time, and what both say together.

    Parameters
    ----------
    m : Messages
    name : str, optional
        A sequence; by default the first one.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UnavailableError
        If there is no such sequence.
    MissingDependencyError
        Without matplotlib.
    """
    from msgpass.optional import figure

    if m._x.second is not None:
        raise UnsupportedError(
            "messages that move along a direction have no figure; plot a run without Tangent, or m.to_frame()"
        )
    sequences = [n for n, node in m.graph.nodes.items() if isinstance(node, Sequence)]
    name = str(getattr(name, "name", name) or next(iter(sequences), ""))
    if name not in sequences:
        raise UnavailableError(
            f"{name!r} is not a sequence of this graph, which has {', '.join(sequences) or 'none'}; messages "
            "are drawn over time"
        )
    node = m.graph.nodes[name]
    with style():
        fig = figure(figsize=(7.2, 4.6), layout="constrained")
        axes = fig.subplots(3, 1, sharex=True)
        draw = _draw_tables if node.discrete else _draw_gaussian if name in m.belief else _draw_cotangents
        draw(fig, axes, m, name)
        axes[-1].set_xlabel("step")
    return fig


def _draw_tables(fig, axes, m: Messages, name: str) -> None:
    x = np.arange(len(m.forward[name]))
    titles = ("forward: what steps up to t say", "backward: what later steps say", "belief: both together")
    for ax, title, rows in zip(
        axes, titles, (m.forward[name], m.backward[name], m.belief[name]), strict=True
    ):
        rows = rows.reshape(len(rows), -1, rows.shape[-1])[:, 0]
        top = rows.max(axis=1, keepdims=True)
        p = np.exp(rows - np.where(np.isfinite(top), top, 0.0))
        draw_states(ax, x, p / p.sum(axis=1, keepdims=True))
        ax.set_title(f"{title}: {name}, normalised")
        ax.set_ylabel("share of states")
    state_legend(axes[0], rows.shape[-1])


def _draw_gaussian(fig, axes, m: Messages, name: str) -> None:
    belief = m.belief[name]
    rows = (_moments(m.forward[name]), _moments(m.backward[name]), (belief.mean, belief.cov))
    titles = ("forward: mean ± 2 sd", "backward: mean ± 2 sd, where it is determined", "belief: mean ± 2 sd")
    for ax, title, (mean, cov) in zip(axes, titles, rows, strict=True):
        mean = mean.reshape(len(mean), -1)
        sd = np.sqrt(np.diagonal(cov.reshape(len(mean), mean.shape[1], -1), axis1=1, axis2=2))
        for k in range(min(mean.shape[1], 3)):
            colour = (FIRST, SECOND, THIRD)[k]
            ax.plot(mean[:, k], color=colour, label=f"{name}, component {k}" if mean.shape[1] > 1 else name)
            ax.fill_between(
                np.arange(len(mean)),
                mean[:, k] - 2 * sd[:, k],
                mean[:, k] + 2 * sd[:, k],
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
        ax.set_title(title)
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.1)


def _moments(messages) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances, NaN where a message says nothing about some direction."""
    h, precision = messages.h, messages.precision
    size = h[0].size
    h, precision = h.reshape(-1, size), precision.reshape(-1, size, size)
    good = np.array([np.linalg.eigvalsh(p)[0] > 1e-9 * max(np.abs(p).max(), 1e-300) for p in precision])
    cov = np.full(precision.shape, np.nan)
    cov[good] = np.linalg.inv(precision[good])
    return np.einsum("tij,tj->ti", cov, h), cov


def _draw_cotangents(fig, axes, m: Messages, name: str) -> None:
    rows = (m.forward[name], m.backward[name], m.gradient[name])
    titles = (
        "forward: the value",
        "backward: cotangent from later steps",
        "λ = ∂total/∂value, local loss included",
    )
    for ax, title, values in zip(axes, titles, rows, strict=True):
        flat = values.reshape(len(values), -1)
        drawn = draw_signed(ax, np.arange(len(values)), flat)
        fig.colorbar(drawn, ax=ax, fraction=0.03, pad=0.01, aspect=12).outline.set_visible(False)
        ax.set_title(f"{title}: {name}")
        ax.set_ylabel("component")


def plot_comparison(comparison):
    """Gap of every part over time, on a logarithmic axis; parts without time as lines across.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from msgpass.optional import figure

    with style():
        fig = figure(figsize=(7.2, 3.2), layout="constrained")
        ax = fig.subplots()
        colours = (FIRST, SECOND, THIRD, "#cc79a7", "#e69f00", "#56b4e9")
        dashes = ("-", "--", ":", "-.")
        floor = np.finfo(float).tiny
        for k, part in enumerate(comparison.parts):
            steps = np.where(np.isfinite(part.steps), part.steps, np.nan)
            look = {
                "color": colours[k % 6],
                "linestyle": dashes[k // 6 % 4],
                "label": " ".join(dict.fromkeys((part.kind, part.name))).strip(),
            }
            if part.stepped:
                ax.plot(np.where(steps > 0, steps, np.nan), **look)
            elif steps[0] > floor:
                ax.axhline(steps[0], linewidth=0.9, **look)
        ax.set_yscale("log")
        ax.set(
            xlabel="step",
            ylabel="largest absolute gap",
            title="Gap between left and right (steps without one are left out)",
        )
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return fig
