"""What an inventory tells: a path, a gradient, an optimum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from msgpass import Messages
from msgpass.errors import UnavailableError


@dataclass(frozen=True, repr=False, eq=False)
class Path:
    """What happened. Arrays begin with (samples,) where demand does.

    Attributes
    ----------
    stock : (…, T + 1, F) array
        Net stock before the first period and at the end of each.
    orders : (…, T, A) array
        Placed in each period, in the order of the supplies.
    on_order : (…, T, A) array
        On its way or owed by the supplier, at the end of each period.
    lost : (…, T, F) array
        Demand that was lost.
    holding, shortage, quadratic : (…, T, F) arrays
        Costs as they are paid, without discount; ``ordering`` is (…, T, A).
    costs : (…,) array
        The discounted total of each sample.
    """

    facilities: tuple[str, ...]
    supplies: tuple[str, ...]
    stock: np.ndarray
    orders: np.ndarray
    on_order: np.ndarray
    lost: np.ndarray
    holding: np.ndarray
    shortage: np.ndarray
    quadratic: np.ndarray
    ordering: np.ndarray
    costs: np.ndarray

    @property
    def cost(self) -> float:
        """Mean over the samples."""
        return float(np.mean(self.costs))

    @property
    def standard_error(self) -> float:
        """Of :attr:`cost`; NaN for one sample."""
        return standard_error(self.costs)

    def __repr__(self) -> str:
        return f"<Path: {', '.join(self.facilities)}, {self.orders.shape[-2]} periods, cost {self.cost:.6g}>"

    def plot(self, figure=None):
        """Stock and orders of each facility over time; of samples, the first.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from msgpass import drawing, optional

        stock = self.stock.reshape(-1, *self.stock.shape[-2:])[0]
        orders = self.orders.reshape(-1, *self.orders.shape[-2:])[0]
        with drawing.style():
            figure = figure or optional.figure(figsize=(7, 4), layout="constrained")
            upper, lower = figure.subplots(2, 1, sharex=True)
            upper.axhline(0, color=drawing.PALE)
            colours = drawing.shades(max(stock.shape[1], orders.shape[1]) + 1)[1:]
            for name, y, colour in zip(self.facilities, stock.T, colours, strict=False):
                upper.step(np.arange(len(y)), y, where="post", color=colour, label=name)
            for name, x, colour in zip(self.supplies, orders.T, colours, strict=False):
                lower.step(np.arange(len(x)), x, where="post", color=colour, label=name)
            upper.set(title="Net stock")
            lower.set(title="Orders", xlabel="period")
            for axes in (upper, lower):
                axes.legend()
        return figure


@dataclass(frozen=True, repr=False, eq=False)
class OrderGradient:
    """∂L/∂x of every order, and where it comes from. L is the mean discounted cost over the samples.

    Attributes
    ----------
    cost : float
    orders : (T, A) array
        ∂L/∂x_k; under a policy later orders answer to a change.
    own : (T, A) array
        What the order itself costs: the message from "order cost" alone.
    downstream : (T, A) array
        The rest: everything that the goods, or their lack, do later.
    value : (T, F) array
        Co-states λ_t = ∂L/∂y_t, what one more unit of stock at the end of period t is worth, negated.
    policy : dict
        ∂L/∂ each array of the policy, (F,) or (T, F); empty for free orders.
    errors : dict
        Their standard errors over samples; NaN for one sample.
    messages : Messages
    """

    supplies: tuple[str, ...]
    cost: float
    orders: np.ndarray
    own: np.ndarray
    value: np.ndarray
    messages: Messages
    policy: dict[str, np.ndarray] = field(default_factory=dict)
    errors: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def downstream(self) -> np.ndarray:
        """∂L/∂x_k less its own cost."""
        return self.orders - self.own

    @property
    def levels(self) -> np.ndarray:
        """∂L/∂S of a base-stock policy."""
        if "levels" not in self.policy:
            raise UnavailableError("free orders have no levels; their slopes are in .orders")
        return self.policy["levels"]

    def __repr__(self) -> str:
        said = "".join(f", ∂/∂{k} {np.array2string(v, precision=4)}" for k, v in self.policy.items())
        return f"<OrderGradient: cost {self.cost:.6g}, {self.orders.shape[0]} periods{said}>"

    def plot(self, figure=None):
        """Own cost and downstream effect of each period's order; one axes a supply.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from msgpass import drawing, optional

        count = self.orders.shape[1]
        with drawing.style():
            figure = figure or optional.figure(figsize=(7, 1 + 1.6 * count), layout="constrained")
            for a, axes in enumerate(np.atleast_1d(figure.subplots(count, 1, sharex=True))):
                periods = np.arange(len(self.orders))
                axes.bar(periods, self.own[:, a], color=drawing.PALE, label="own cost")
                axes.bar(periods, self.downstream[:, a], width=0.5, color=drawing.FIRST, label="downstream")
                axes.plot(periods, self.orders[:, a], ".-", color=drawing.SECOND, label="∂L/∂x")
                axes.set(title=self.supplies[a])
            axes.set(xlabel="period of the order")
            axes.legend()
        return figure


@dataclass(frozen=True, repr=False, eq=False)
class Optimum:
    """The best plan found.

    Attributes
    ----------
    plan : (T, A) array or policy
    cost : float
        Exact, not smoothed.
    path, gradient : Path, OrderGradient
        At the plan.
    values : list of arrays
        What L-BFGS-B saw at each iteration, a list a stage.
    widths : tuple of floats
        Of the smoothed kinks, a stage each; 0 is exact.
    converged, reason : bool, str
        Of the last smoothed stage, or of the exact one where there is no other.
    """

    plan: Any
    cost: float
    path: Path
    gradient: OrderGradient
    values: list[np.ndarray]
    widths: tuple[float, ...]
    converged: bool
    reason: str

    def __repr__(self) -> str:
        count = sum(len(v) - 1 for v in self.values)
        return f"<Optimum: cost {self.cost:.6g} after {count} iterations, converged={self.converged}>"

    def plot(self, figure=None):
        """Costs by iteration, of all stages.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from msgpass import drawing, optional

        with drawing.style():
            figure = figure or optional.figure(figsize=(5, 3), layout="constrained")
            axes, at = figure.subplots(), 0
            for colour, values, width in zip(drawing.shades(len(self.values)), self.values, self.widths,
                                             strict=True):  # fmt: skip
                axes.plot(at + np.arange(len(values)), values, color=colour, label=f"width {width:.3g}")
                at += len(values) - 1
            axes.set(xlabel="iteration", ylabel="cost")
            axes.legend()
        return figure


def standard_error(each: np.ndarray, axis=None):
    """Of a mean over independent samples."""
    count = np.size(each) if axis is None else each.shape[axis]
    if count < 2:
        return np.full(np.shape(np.mean(each, axis=axis)), np.nan)[()]
    return np.std(each, axis=axis, ddof=1) / np.sqrt(count)
