"""Figures of structural time series: components, forecasts, residuals. Blue is what the model says."""

from __future__ import annotations

import numpy as np

from hmm.state_space.structural.ahead import Forecast
from hmm.state_space.structural.decomposition import Decomposition
from hmm.state_space.structural.diagnostics import Diagnostics
from hmm.state_space.structural.disturbances import AuxiliaryResiduals
from hmm.state_space.structural.estimate import Estimate
from msgpass.drawing import FIRST, GREY, INK, PALE, SECOND, style
from msgpass.errors import ShapeError
from msgpass.optional import figure


def plot_components(found: Decomposition, index=None):
    """One axes a component, the series above with its signal."""
    x = _steps(index, len(found.observed))
    with style():
        fig = figure(figsize=(7.2, 1.4 * (1 + len(found))), layout="constrained")
        axes = np.atleast_1d(fig.subplots(1 + len(found), 1, sharex=True))
        _band(axes[0], x, found.signal)
        axes[0].plot(x, found.observed, ".", color=INK, markersize=3)
        axes[0].set_title("the series, and the signal in it")
        for ax, (name, own) in zip(axes[1:], found.items(), strict=True):
            if name in found.contributions or "." in name:
                _band(ax, x, own)
            else:
                ax.vlines(x, 0, own.mean, color=GREY, linewidth=0.8)
            if name.split(".")[0] not in ("level", "trend") or "." in name:
                ax.axhline(0, color=PALE, linewidth=0.8, zorder=0)
            ax.set_title(name)
        axes[-1].set_xlim(x[0], x[-1])
    return fig


def plot_forecast(y: np.ndarray, found: Forecast, index=None, last: int | None = None):
    """The end of the series, then means and intervals."""
    T, steps = len(y), len(found)
    x = _steps(index, T + steps)
    first = max(0, T - (4 * steps if last is None else last))
    with style():
        fig = figure(figsize=(7.2, 3.2), layout="constrained")
        ax = fig.subplots()
        ax.plot(x[first:T], y[first:], color=INK, linewidth=1, marker=".", markersize=3, label="series")
        _band(ax, x[T:], found, f"forecast, {found.level:.0%} interval")
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1)
        ax.set_xlim(x[first], x[-1])
    return fig


def plot_diagnostics(found: Diagnostics, index=None):
    """Residuals over time, against the normal distribution, and their autocorrelations."""
    from scipy.special import ndtri

    e, x = found.residuals, _steps(index, len(found.residuals))
    there = np.sort(e[np.isfinite(e)])
    with style():
        fig = figure(figsize=(7.2, 4.4), layout="constrained")
        axes = fig.subplot_mosaic("AA;BC")
        axes["A"].axhspan(-2, 2, color=PALE, alpha=0.5, linewidth=0)
        axes["A"].plot(x, e, color=FIRST, linewidth=0.9, marker=".", markersize=3)
        axes["A"].set_title("standardised one-step residuals")
        axes["A"].set_xlim(x[0], x[-1])
        wanted = ndtri((np.arange(len(there)) + 0.5) / len(there))
        axes["B"].plot(wanted, wanted, color=GREY, linewidth=0.8)
        axes["B"].plot(wanted, there, ".", color=FIRST, markersize=3)
        axes["B"].set(
            title=f"normal? p = {found.normality.pvalue:.3f}", xlabel="normal quantile", ylabel="residual"
        )
        lags, width = np.arange(1, found.lags + 1), 1.96 / np.sqrt(len(there))
        axes["C"].axhspan(-width, width, color=PALE, alpha=0.5, linewidth=0)
        axes["C"].vlines(lags, 0, found.autocorrelations, color=FIRST, linewidth=2)
        axes["C"].axhline(0, color=GREY, linewidth=0.6)
        axes["C"].set(title=f"autocorrelations; p = {found.serial.pvalue:.3f}", xlabel="lag")
    return fig


def plot_auxiliary(found: AuxiliaryResiduals, threshold: float = 3.0, index=None):
    """One axes a kind; values beyond ``threshold`` are marked."""
    x = _steps(index, max(len(own) for own in found.values()))
    with style():
        fig = figure(figsize=(7.2, 1.5 * len(found)), layout="constrained")
        axes = np.atleast_1d(fig.subplots(len(found), 1, sharex=True))
        for ax, (name, own) in zip(axes, found.items(), strict=True):
            ax.axhspan(-threshold, threshold, color=PALE, alpha=0.5, linewidth=0)
            ax.vlines(x, 0, own, color=FIRST, linewidth=1.2)
            far = np.abs(np.nan_to_num(own)) > threshold
            ax.plot(x[far], own[far], "o", color=SECOND, markersize=4)
            ax.axhline(0, color=GREY, linewidth=0.6)
            ax.set_title("outliers: irregular" if name == "irregular" else f"breaks: {name}")
        axes[-1].set_xlim(x[0], x[-1])
    return fig


def _band(ax, x, own: Estimate, label: str | None = None) -> None:
    ax.fill_between(x, own.lower, own.upper, color=FIRST, alpha=0.2, linewidth=0)
    ax.plot(x, own.mean, color=FIRST, label=label)


def _steps(index, length: int) -> np.ndarray:
    if index is None:
        return np.arange(length)
    steps = np.asarray(index)
    if steps.shape != (length,):
        raise ShapeError(f"index has shape {steps.shape}, wanted ({length},): one entry a step")
    return steps
