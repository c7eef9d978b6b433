"""Figures of diagnoses, in the house style."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from msgpass.drawing import FIRST, GREY, PALE, SECOND, THIRD, style
from rnn.diagnose.diagnosis import Diagnosis

SMALLEST = 1e-18
"""What is smaller is not drawn."""


def _seen(values: np.ndarray) -> np.ndarray:
    return np.where(values > SMALLEST, values, np.nan)


def plot(d: Diagnosis):
    """Adjoint and norm by lag, all singular values, Lyapunov spectrum."""
    from msgpass.optional import figure as new

    with style():
        figure = new(figsize=(9, 2.8), layout="constrained")
        axes = figure.subplots(1, 3)
        _by_lag(axes[0], d)
        with np.errstate(divide="ignore"):
            axes[1].plot(d.lags, _seen(d.singular_values), color=FIRST, linewidth=0.6, alpha=0.6)
        axes[1].set(title="Singular values of ∂s_T/∂s_{T−k}", xlabel="lag k", yscale="log")
        if d.exponents is None:
            axes[2].set_axis_off()
        else:
            axes[2].axhline(0, color=PALE)
            axes[2].plot(np.arange(1, len(d.exponents) + 1), d.exponents, "o", color=THIRD, markersize=3)
            axes[2].set(title="Lyapunov exponents a step", xlabel="number")
    return figure


def _by_lag(ax, d: Diagnosis) -> None:
    ax.plot(d.lags, _seen(d.norms), color=FIRST, label="largest singular value")
    if d.adjoint.any():
        ax.plot(d.lags, _seen(d.adjoint), color=SECOND, label="adjoint of the last loss")
    horizon = d.horizon()
    if horizon is not None:
        ax.axvline(horizon, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(title=f"{', '.join(d.state.names)}: {d.verdict}", xlabel="lag k", yscale="log")
    ax.legend()


def plot_paths(diagnoses: Mapping[str, Diagnosis | tuple[Diagnosis, str]]):
    """How far each of several networks, or one path of it, carries a cotangent: one line each.

    Parameters
    ----------
    diagnoses : dict
        Label → diagnosis, or (diagnosis, name) for the path of one sequence of its state, such as
        ``(d, "c_l0")``.
    """
    from msgpass.optional import figure as new

    with style():
        figure = new(figsize=(5.5, 3), layout="constrained")
        ax = figure.subplots()
        for label, given in diagnoses.items():
            d, name = given if isinstance(given, tuple) else (given, None)
            ax.plot(d.lags, _seen(d.norms if name is None else d.paths[name]), label=label)
        ax.axhline(1, color=PALE, linewidth=0.8)
        ax.set(xlabel="lag k", ylabel="|∂s_T/∂s_{T−k}|", yscale="log", title="How far a cotangent travels")
        ax.legend()
    return figure
