"""A motion drawn: a strip of poses side by side or one over the other, and an animation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from msgpass.drawing import FIRST, INK, PALE, shades, style
from msgpass.errors import DataError, MissingDependencyError, UnsupportedError
from msgpass.optional import figure
from rnn.systems.control.checks import real, whole
from rnn.systems.control.plant import Plant

MARGIN = 0.08


def strip(plant: Plant, states, frames: int = 8, together: bool = False, ax=None):
    """Poses of a plant along a path.

    Parameters
    ----------
    plant : Plant
        One with a ``pose``, as the ready-made ones have.
    states : (T + 1, n) array
    frames : int
        Poses that are drawn, evenly spaced from the first state to the last.
    together : bool
        All in one picture, early ones light and late ones dark, as suits what travels; by default each
        in a picture of its own, with its time.
    ax : matplotlib axes, optional
        To draw in, together.

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> from rnn.systems.control import plants
    >>> len(strip(plants.pendulum(), np.zeros((9, 2)), frames=3).axes)
    3
    """
    poses, rows = _poses(plant, states), np.asarray(states)
    shown = np.unique(np.linspace(0, len(rows) - 1, whole("frames", frames)).round().astype(int))
    limits = _limits(poses)
    fixed = _pivot(poses)
    with style():
        if together or ax is not None:
            fig = figure(figsize=(5, 5), layout="constrained") if ax is None else ax.figure
            ax = fig.subplots() if ax is None else ax
            for colour, k in zip(shades(len(shown)), shown, strict=True):
                _draw(ax, poses[k], colour, fixed)
            _frame(ax, limits)
            return fig
        fig = figure(figsize=(1.25 * len(shown), 1.6), layout="constrained")
        axes = fig.subplots(1, len(shown), squeeze=False)[0]
        for one, k in zip(axes, shown, strict=True):
            _draw(one, poses[k], INK, fixed)
            _frame(one, limits)
            one.set_title(f"{k * plant.dt:.2f} s" if plant.dt else f"step {k}")
    return fig


def animate(plant: Plant, states, path=None, seconds: float | None = None):
    """The motion as an animation.

    Parameters
    ----------
    plant : Plant
        One with a ``pose``.
    states : (T + 1, n) array
    path : str or path, optional
        A GIF that is written, by pillow.
    seconds : float, optional
        How long it takes; as long as the motion by default, at the plant's ``dt``.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        ``HTML(found.to_jshtml())`` shows it in a notebook. Where a GIF was written it has been drawn.
    """
    if path is not None and Path(path).suffix.lower() != ".gif":
        raise DataError(f"an animation is written as a GIF, to a path that ends in .gif, got {str(path)!r}")
    poses = _poses(plant, states)
    limits, rows = _limits(poses), len(poses)
    whole_time = seconds if seconds is not None else rows * (plant.dt or 0.05)
    if not 0 < whole_time < np.inf:
        raise DataError(f"seconds must be a number > 0, got {seconds!r}")
    with style():
        fig = figure(figsize=(4, 4), layout="constrained")
        from matplotlib.animation import FuncAnimation
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(fig)
        ax = fig.subplots()
        lines = [ax.plot([], [], color=FIRST if k else INK, linewidth=2)[0] for k in range(len(poses[0]))]
        _frame(ax, limits)

        def frame(k: int):
            for line, points in zip(lines, poses[k], strict=True):
                line.set_data(points[:, 0], points[:, 1])
            ax.set_title(f"{k * plant.dt:.2f} s" if plant.dt else f"step {k}")
            return lines

        each = 1000 * whole_time / rows
        found = FuncAnimation(fig, frame, frames=rows, interval=each, blit=False)
        if path is None:
            fig.canvas.draw()  # one that was never drawn warns when it is dropped
            return found
        try:
            import PIL  # noqa: F401
        except ImportError:
            raise MissingDependencyError("a GIF needs pillow; install it with: pip install pillow") from None
        found.save(str(path), writer="pillow", fps=max(1, round(1000 / each)))
    return found


def _poses(plant: Plant, states) -> list[list[np.ndarray]]:
    if not isinstance(plant, Plant):
        raise DataError(f"expected a Plant, got {type(plant).__name__}")
    if plant.pose is None:
        raise UnsupportedError(
            f"plant {plant.name!r} does not say how it is drawn; give Plant(…, pose=f), f(x) → its lines"
        )
    rows = real("states", states)
    if rows.ndim != 2 or rows.shape[1] != plant.states:
        raise DataError(f"states has shape {rows.shape}, wanted (steps, {plant.states}): one path")
    return [[np.asarray(line, float) for line in plant.drawn(x)] for x in rows]


def _limits(poses) -> tuple[np.ndarray, np.ndarray]:
    points = np.concatenate([line for lines in poses for line in lines])
    low, high = points.min(axis=0), points.max(axis=0)
    pad = MARGIN * max(float((high - low).max()), 1e-9)
    return low - pad, high + pad


def _pivot(poses) -> np.ndarray | None:
    """The first point of all poses, where it never moves."""
    first = np.array([lines[0][0] for lines in poses])
    return first[0] if (first == first[0]).all() and len(first) > 1 else None


def _draw(ax, lines, colour, fixed) -> None:
    for line in lines:
        ax.plot(line[:, 0], line[:, 1], color=colour, linewidth=1.6, solid_joinstyle="round")
    if fixed is not None:
        ax.plot(*fixed, "o", color=INK, markersize=3.5)


def _frame(ax, limits) -> None:
    (left, bottom), (right, top) = limits
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_color(PALE)
