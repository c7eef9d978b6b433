"""Figures of graphs, messages and comparisons, as matplotlib ``Figure`` objects that belong to the caller.

Nothing here touches pyplot's state. Time runs to the right; states are shades of one blue, from light to
dark; signed quantities are orange below zero and purple above. Both scales read the same with any colour
vision and in print.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

from msgpass.errors import UnavailableError
from msgpass.messages import Messages
from msgpass.nodes import Observation, Parameter, Sequence

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


def state_legend(ax, states: int, labels=None) -> None:
    """One patch a state, above the axes on the right."""
    from matplotlib.patches import Patch

    labels = labels or [f"state {k}" for k in range(states)]
    if states <= 8:
        handles = [Patch(color=c, label=label) for c, label in zip(shades(states), labels, strict=True)]
        ax.legend(
            handles=handles,
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=states,
            borderaxespad=0.1,
            handlelength=1,
        )


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


def plot_graph(graph, ax=None):
    """Draw a factor graph: circles for variables, grey circles for data, diamonds for parameters, squares for
    factors.

    A sequence is drawn once, with its length; so is a factor over slices.

    Parameters
    ----------
    graph : FactorGraph
    ax : matplotlib axes, optional

    Returns
    -------
    matplotlib axes
    """
    from msgpass.optional import figure

    with style():
        if ax is None:
            ax = figure(figsize=(7.2, 4.2), layout="constrained").subplots()
        place, edges = _layout(graph)
        for factor, node, towards, text in edges:
            (x0, y0), (x1, y1) = place[factor], place[node]
            ends = ((x0, y0), (x1, y1)) if towards else ((x1, y1), (x0, y0))
            look = {
                "arrowstyle": "-|>" if towards is not None else "-",
                "color": GREY,
                "lw": 0.8,
                "shrinkA": 11,
                "shrinkB": 11,
            }
            ax.annotate("", xy=ends[1], xytext=ends[0], arrowprops=look)
            ax.text(
                (x0 + 2 * x1) / 3,
                (y0 + 2 * y1) / 3,
                text,
                fontsize=7,
                color=GREY,
                ha="center",
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )
        for name, (x, y) in place.items():
            _draw_item(ax, graph[name], x, y)
        ax.set_axis_off()
        ax.margins(0.12)
    return ax


def _layout(graph):
    """Places by name, and edges (factor, node, direction, slice): nodes on two rows, factors between them."""
    latent = [n for n, node in graph.nodes.items() if not isinstance(node, Parameter | Observation)]
    given = [n for n, node in graph.nodes.items() if isinstance(node, Parameter | Observation)]
    edges = []
    for factor in graph.factors.values():
        directed = bool(factor.out)
        reads = [(s, False if directed else None) for s in (*factor.args, *factor.potential.reads)]
        edges += [(factor.name, s.node.name, d, _short(s)) for s, d in reads]
        edges += [(factor.name, p.name, None, "") for p in factor.potential.parameters.values()]
        edges += [(factor.name, s.node.name, True, _short(s)) for s in factor.out]
        edges += [
            (factor.name, s.edge.node.name, False if directed else None, "") for s in factor.args if s.edge
        ]
    edges = _merged(edges)
    spread = lambda names, y: {n: ((k + 0.5) / len(names), y) for k, n in enumerate(names)}  # noqa: E731
    place = spread(latent, 1.0) | spread(list(graph.factors), 0.5) | spread(given, 0.0)
    # Two sweeps of barycentres put factors under what they touch, and data under their factors.
    for row, y in ((list(graph.factors), 0.5), (given, 0.0), (list(graph.factors), 0.5)):
        mean = {
            n: np.mean([place[b if a == n else a][0] for a, b, *_ in edges if n in (a, b)] or [0.5])
            for n in row
        }
        place |= spread(sorted(row, key=lambda n: mean[n]), y)
    return place, edges


def _merged(edges):
    """One edge where a factor touches several slices of a node the same way: "[:-1], [1:]"."""
    texts: dict = {}
    for factor, node, towards, text in edges:
        texts.setdefault((factor, node, towards), []).append(text)
    return [(*key, ", ".join(filter(None, dict.fromkeys(found)))) for key, found in texts.items()]


def _short(s) -> str:
    text = s.name[len(s.node.name) :] if s.name.startswith(s.node.name) else ""
    return "" if text in ("", "[:]") else text


def _draw_item(ax, item, x: float, y: float) -> None:
    kind = type(item).__name__
    marker, face = {"Parameter": ("D", "white"), "Observation": ("o", PALE), "Factor": ("s", INK)}.get(
        kind, ("o", "white")
    )
    size = 90 if kind == "Factor" else 300 if kind == "Parameter" else 420
    ax.scatter([x], [y], s=size, marker=marker, facecolor=face, edgecolor=INK, linewidth=0.9, zorder=3)
    label = item.name
    if isinstance(item, Sequence):
        label += f"\n{item.clock.total} steps, " + (
            f"{item.states} states" if item.discrete else f"shape {item.shape}"
        )
    elif kind == "Factor":
        label += f"\n{type(item.potential).__name__}" + (f" × {item.n}" if item.n > 1 else "")
    offset = (0, 16) if y == 1.0 else (0, -14) if kind != "Factor" else (11, 0)
    ha, va = ("left", "center") if kind == "Factor" else ("center", "bottom" if y == 1.0 else "top")
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}
    ax.annotate(
        label,
        (x, y),
        xytext=offset,
        textcoords="offset points",
        ha=ha,
        va=va,
        fontsize=8,
        color=INK,
        bbox=box,
        zorder=4,
    )
