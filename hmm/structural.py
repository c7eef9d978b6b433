"""Structural time series: their components, and the models that are used most.

    model = hmm.structural.basic(12).fit(np.log(sales))
    model.forecast(24)

A model is a list of components; :class:`hmm.StructuralTimeSeries` takes any.
"""

from __future__ import annotations

from hmm.state_space.components import (
    AR,
    ARMA,
    Component,
    Cycle,
    Irregular,
    LocalLevel,
    LocalLinearTrend,
    Regression,
    Seasonal,
)
from hmm.state_space.structural.model import StructuralTimeSeries

__all__ = [
    "AR",
    "ARMA",
    "Component",
    "Cycle",
    "Irregular",
    "LocalLevel",
    "LocalLinearTrend",
    "Regression",
    "Seasonal",
    "StructuralTimeSeries",
    "arma",
    "basic",
    "local_level",
    "local_linear_trend",
    "smooth_trend",
    "trend_and_cycle",
]


def local_level(**settings) -> StructuralTimeSeries:
    """A level that wanders, and noise: its forecasts are exponentially weighted means, as of ARIMA(0, 1, 1).

    Parameters
    ----------
    **settings
        Of :class:`hmm.StructuralTimeSeries`, here and below.

    Examples
    --------
    >>> [own.label for own in local_level().components]
    ['level', 'irregular']
    """
    return StructuralTimeSeries([LocalLevel(), Irregular()], **settings)


def local_linear_trend(damped: bool = False, **settings) -> StructuralTimeSeries:
    """A level with a slope that wanders, too, and noise: as ARIMA(0, 2, 2).

    Parameters
    ----------
    damped : bool
        Whether the slope dies away.
    **settings
    """
    return StructuralTimeSeries([LocalLinearTrend(damped=damped), Irregular()], **settings)


def smooth_trend(**settings) -> StructuralTimeSeries:
    """A trend whose slope alone is disturbed, and noise: a cubic spline, or the Hodrick-Prescott filter with
    its smoothing estimated."""
    return StructuralTimeSeries([LocalLinearTrend(smooth=True), Irregular()], **settings)


def basic(
    period: float, form: str = "dummy", harmonics: int | None = None, damped: bool = False, **settings
) -> StructuralTimeSeries:
    """Trend, season and noise: the basic structural model (Harvey 1989, section 2.3.4), close to the airline
    model ARIMA(0, 1, 1)(0, 1, 1).

    Parameters
    ----------
    period : float
        Of the season, 12 for months.
    form : {"dummy", "trigonometric"}
    harmonics : int, optional
        Of the trigonometric form.
    damped : bool
        Whether the slope of the trend dies away.
    **settings

    Examples
    --------
    >>> [own.n_states for own in basic(12).components]
    [2, 11, 0]
    """
    season = Seasonal(period=period, form=form, harmonics=harmonics)
    return StructuralTimeSeries([LocalLinearTrend(damped=damped), season, Irregular()], **settings)


def trend_and_cycle(periods: tuple[float, float], **settings) -> StructuralTimeSeries:
    """A smooth trend, a damped stochastic cycle and noise (Harvey & Jaeger 1993).

    Parameters
    ----------
    periods : (float, float)
        Shortest and longest period of the cycle.
    **settings
    """
    return StructuralTimeSeries(
        [LocalLinearTrend(smooth=True), Cycle(periods=periods), Irregular()], **settings
    )


def arma(p: int, q: int, mean: bool = True, **settings) -> StructuralTimeSeries:
    """A stationary ARMA(p, q), by exact likelihood.

    Parameters
    ----------
    p, q : int
    mean : bool
        Whether there is a constant mean, unknown, beside it.
    **settings
    """
    constant = [LocalLevel(name="mean", variance=0.0)] if mean else []
    return StructuralTimeSeries([*constant, ARMA(p=p, q=q)], **settings)
