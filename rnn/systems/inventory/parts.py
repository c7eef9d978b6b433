"""``Facility`` and ``Supply``: where stock is held, and how it comes there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError
from rnn.validation import flag, not_negative, one_of, real_array, whole


@dataclass(frozen=True)
class Facility:
    """A place that holds stock, with what stock or its lack costs there at the end of a period.

    y is the net stock: what lies there, minus what is owed. The cost is h y⁺ + b (−y)⁺ + ½ q (y − target)²,
    and, where unmet demand is lost, b for each unit lost.

    Parameters
    ----------
    name : str
    holding : float
        h, a unit a period.
    backlog : float
        b, a unit owed a period; where outside customers do not wait, a unit lost instead.
    quadratic, target : float
        q, and the stock around which it counts.
    stock : float
        y before the first period; negative is owed.
    lost_sales : bool
        What outside customers do not get at once they never want again. Other facilities always wait.
    allocation : {"proportional", "priority"}
        Who gets what there is when it is less than all claims: each the same part of its claim, or outside
        customers first and then facilities in the order in which their supplies are listed.

    Examples
    --------
    >>> Facility("shop", holding=1.0, backlog=9.0).stock
    0.0
    """

    name: str
    holding: float = 0.0
    backlog: float = 0.0
    quadratic: float = 0.0
    target: float = 0.0
    stock: float = 0.0
    lost_sales: bool = False
    allocation: str = "proportional"

    def __post_init__(self) -> None:
        name(self.name)
        for field in ("holding", "backlog", "quadratic"):
            not_negative(f"{field} of {self.name!r}", getattr(self, field))
        for field in ("target", "stock"):
            finite(f"{field} of {self.name!r}", getattr(self, field))
        flag(f"lost_sales of {self.name!r}", self.lost_sales)
        one_of(f"allocation of {self.name!r}", self.allocation, ("proportional", "priority"))
        if self.lost_sales and self.stock < 0:
            raise DataError(
                f"{self.name!r} loses unmet demand and so owes nothing; its stock is {self.stock}"
            )


@dataclass(frozen=True)
class Supply:
    """An arc: ``customer`` orders from ``supplier``, and what is sent comes ``lead_time`` periods later.

    An order of x units costs c x + ½ q x² + K [x > 0].

    Parameters
    ----------
    customer : str
    supplier : str, optional
        A facility; None is an outside source that always has enough.
    lead_time : int
        0: what is sent arrives before demand of the same period.
    cost, quadratic, fixed : float
        c, q and K. K is paid for each order; its derivative is 0 wherever it has one, so that no gradient
        sees it.
    capacity : float
        The most that can be ordered a period. Policies order no more; free orders are refused.
    minimum : float
        The least; negative, from an outside source, where goods may be sent back.
    in_transit : float or (lead_time,) sequence
        On its way before the first period, next arrival first.
    share : float
        Of a customer with several suppliers: the part of what its policy orders that goes this way, relative
        to the others.

    Examples
    --------
    >>> Supply("shop", "depot", lead_time=2).capacity
    inf
    """

    customer: str
    supplier: str | None = None
    lead_time: int = 0
    cost: float = 0.0
    quadratic: float = 0.0
    fixed: float = 0.0
    capacity: float = np.inf
    minimum: float = 0.0
    in_transit: float | tuple[float, ...] = 0.0
    share: float = 1.0

    def __post_init__(self) -> None:
        name(self.customer)
        if self.supplier is not None:
            name(self.supplier)
        whole(f"lead_time of the supply of {self.customer!r}", self.lead_time, least=0)
        for field in ("quadratic", "fixed", "share"):
            not_negative(f"{field} of {self.label}", getattr(self, field))
        finite(f"cost of {self.label}", self.cost)
        if np.isnan(self.capacity) or self.capacity <= 0:
            raise DataError(f"capacity of {self.label} must be > 0, got {self.capacity!r}")
        if np.isnan(self.minimum) or self.minimum > 0:
            raise DataError(f"minimum of {self.label} must be ≤ 0, got {self.minimum!r}")
        if self.minimum < 0 and self.supplier is not None:
            raise DataError(
                f"{self.label}: only an outside source takes goods back; add a supply the other way"
            )
        coming = real_array(f"in_transit of {self.label}", self.in_transit, np.dtype(float))
        if coming.shape not in ((), (self.lead_time,)) or not np.isfinite(coming).all() or (coming < 0).any():
            raise DataError(
                f"in_transit of {self.label} is one number ≥ 0 or {self.lead_time} of them, got "
                f"{self.in_transit!r}"
            )
        if not self.lead_time and coming.any():
            raise DataError(
                f"{self.label} has no lead time, so that nothing can be on its way; add in_transit = "
                f"{self.in_transit!r} to the facility's stock"
            )
        if coming.ndim:  # so that the value can be hashed and compared
            object.__setattr__(self, "in_transit", tuple(coming.tolist()))

    @property
    def label(self) -> str:
        """ "supplier → customer"."""
        return f"{self.supplier or 'outside'} → {self.customer}"


def name(value) -> None:
    """A non-empty string."""
    if not isinstance(value, str) or not value:
        raise DataError(f"a facility's name is a non-empty string, got {value!r}")


def finite(what: str, value) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
        raise DataError(f"{what} must be a finite number, got {value!r}")
    return float(value)
