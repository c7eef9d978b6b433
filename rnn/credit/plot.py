"""Figures of credit: both views through one episode, and error curves."""

from __future__ import annotations

import numpy as np

from msgpass import drawing, optional


def plot_views(views, episode: int, figure=None):
    """Traces above, advantages below; what is drawn twice is one line."""
    first = int(views.rows.first[episode])
    part = slice(first, int(views.rows.last[episode]) + 1)
    with drawing.style():
        figure = figure or optional.figure(figsize=(6.4, 4.2), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        x = np.arange(part.stop - part.start)
        drawn = drawing.draw_signed(above, x, views.traces[part])
        figure.colorbar(drawn, ax=above, label="e_t")
        above.set(title="backward view: traces, carried forward", ylabel="weight")
        below.plot(x, views.returns[part], color=drawing.PALE, lw=5, label="G_t − V(s_t), λ-return")
        below.plot(x, views.adjoints[part], color=drawing.FIRST, lw=1.4, label="adjoint of BPTT")
        below.plot(x, views.td_errors[part], color=drawing.SECOND, lw=1, label="δ_t")
        below.set(title="forward view: advantages, carried backward", xlabel="t")
        below.legend()
    return figure


def plot_sweep(sweep, figure=None):
    """Error over step size, a shade a λ."""
    with drawing.style():
        figure = figure or optional.figure(figsize=(4.6, 3.4), layout="constrained")
        axes = figure.subplots()
        draw_sweep(axes, sweep)
    return figure


def draw_sweep(axes, sweep) -> None:
    """The same on given axes."""
    for lam, errors, colour in zip(
        sweep.lambdas, sweep.errors, drawing.shades(len(sweep.lambdas)), strict=True
    ):
        shown = np.where(errors <= 1.2 * sweep.by_episode[..., 0].max(), errors, np.nan)
        axes.plot(sweep.step_sizes, shown, color=colour, marker=".", ms=3, label=f"λ = {lam:g}")
    axes.set(xlabel="step size α", ylabel="RMS error of V")
    axes.legend(ncols=2)
