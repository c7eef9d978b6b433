"""Figures of paths over time, in the house style."""

from __future__ import annotations

import numpy as np

from msgpass.drawing import FIRST, GREY, PALE, SECOND, shades, style
from msgpass.optional import figure


def _seconds(plant, rows: int):
    return np.arange(rows) * (plant.dt or 1.0), "seconds" if plant.dt else "step"


def _lines(ax, t, rows, title: str) -> None:
    """A line a number; several starts share a colour."""
    lanes = rows if rows.ndim == 3 else rows[None]
    for k, colour in enumerate(shades(lanes.shape[-1])):
        for j, lane in enumerate(lanes):
            label = f"{k}" if j == 0 and lanes.shape[-1] > 1 else None
            ax.plot(t, lane[:, k], color=colour, linewidth=1.3 if len(lanes) == 1 else 0.7, label=label)
    ax.set_title(title)
    if lanes.shape[-1] > 1:
        ax.legend(loc="best", ncols=2, handlelength=1)


def _steps(ax, t, rows, title: str) -> None:
    for k, colour in enumerate((FIRST, SECOND, *shades(max(rows.shape[1] - 2, 0)))[: rows.shape[1]]):
        label = f"{k}" if rows.shape[1] > 1 else None
        ax.step(t, rows[:, k], where="post", color=colour, label=label)
    ax.set_title(title)
    if rows.shape[1] > 1:
        ax.legend(loc="best", ncols=2, handlelength=1)


def plot_gradient(found):
    """States and co-states, controls and the gradient with respect to them."""
    with style():
        fig = figure(figsize=(8, 4.6), layout="constrained")
        axes = fig.subplots(2, 2, sharex=True)
        t, unit = _seconds(found.plant, len(found.inputs) + 1)
        _lines(axes[0, 0], t, found.states, "States x")
        _lines(axes[0, 1], t, found.costates, "Co-states λ = ∂J/∂x")
        _steps(axes[1, 0], t[:-1], found.inputs, "Controls u")
        _steps(axes[1, 1], t[:-1], found.gradient, "Gradient ∂J/∂u")
        for ax in axes[1]:
            ax.set_xlabel(unit)
        for ax in (axes[0, 1], axes[1, 1]):
            ax.axhline(0, color=PALE, linewidth=0.8, zorder=0)
    return fig


def plot_result(found):
    """States, controls within their limits, and the cost by iteration."""
    problem = found.problem
    with style():
        fig = figure(figsize=(9, 2.8), layout="constrained")
        axes = fig.subplots(1, 3)
        t, unit = _seconds(problem.plant, problem.horizon + 1)
        _lines(axes[0], t, found.states, "States")
        for limit in (problem.lower, problem.upper):
            if np.isfinite(limit).any():
                axes[1].step(t[:-1], limit, where="post", color=GREY, linewidth=0.7, linestyle=":")
        _steps(axes[1], t[:-1], found.inputs, "Controls")
        axes[2].plot(found.costs, color=FIRST)
        axes[2].set_title("Cost")
        axes[2].set_xlabel("iteration")
        if found.costs.min() > 0 and found.costs.max() > 10 * found.costs.min():
            axes[2].set_yscale("log")
        for ax in axes[:2]:
            ax.set_xlabel(unit)
    return fig
