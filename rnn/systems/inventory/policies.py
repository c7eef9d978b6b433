"""Policies: what is ordered, given the state at the start of a period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.validation import flag, real_array


def position(network, i: int, state, positive):
    """The inventory position of facility i: net stock, plus what is on its way and what suppliers owe it."""
    found = state[..., i]
    for a in network.into[i]:
        for c in range(network.transit[a].start, network.transit[a].stop):
            found = found + state[..., c]
        owed = network.owed_on(a, state, positive)
        if owed is not None:
            found = found + owed
    return found


def _placed(network, amounts, positive):
    """Each facility's amount split over its suppliers, up to their capacities."""
    orders: list = [None] * len(network.supplies)
    for i, amount in enumerate(amounts):
        whole = sum(network.supplies[a].share for a in network.into[i])
        for a in network.into[i]:
            s = network.supplies[a]
            order = amount if s.share == whole else amount * (s.share / whole)
            orders[a] = order - positive(order - s.capacity) if np.isfinite(s.capacity) else order
    return np.stack(orders, axis=-1)


@dataclass(frozen=True, eq=False)
class BaseStock:
    """Order up to a level: facility i orders (S_i − position_i)⁺, no more than the capacity.

    Parameters
    ----------
    levels : float, (F,) or (T, F) array, or dict by facility of numbers or (T,) arrays
        S, the same in all periods or one a period.
    echelon : bool
        Positions are those of the echelon: the facility's own, and of all that it supplies, near or far.
        Otherwise its own alone.

    Examples
    --------
    >>> BaseStock({"depot": 40, "shop": 15}, echelon=True).echelon
    True
    """

    levels: float | np.ndarray | dict
    echelon: bool = False
    differentiable = True
    names = ("levels",)

    def __post_init__(self) -> None:
        flag("echelon", self.echelon)

    @property
    def kind(self) -> tuple:
        """What changes the graph rather than its values."""
        return "base stock", self.echelon, by_period(self.levels)

    def arrays(self, network, periods: int) -> tuple[np.ndarray, ...]:
        """The levels of each facility, (F,) or (T, F)."""
        if self.echelon:
            network.check_echelons()
        return (per_facility("levels", self.levels, network, periods),)

    def orders(self, network, state, arrays, positive):
        """(…, A)."""
        levels = arrays[0]
        own = [position(network, i, state, positive) for i in range(len(network.facilities))]
        if self.echelon:
            own = [sum(own[j] for j in network.below(i)) for i in range(len(own))]
        return _placed(network, [positive(levels[..., i] - p) for i, p in enumerate(own)], positive)


@dataclass(frozen=True, eq=False)
class MinMax:
    """(s, S): where the position is at or below s, order up to S; else nothing.

    The order jumps, so that a cost has no useful derivative in s and S: this policy is evaluated, not
    differentiated.

    Parameters
    ----------
    reorder, up_to : as the levels of a :class:`BaseStock`
        s and S, s ≤ S.

    Examples
    --------
    >>> MinMax(reorder=5, up_to=20).up_to
    20
    """

    reorder: float | np.ndarray | dict
    up_to: float | np.ndarray | dict
    differentiable = False
    names = ("reorder", "up_to")

    @property
    def kind(self) -> tuple:
        """What changes the graph rather than its values."""
        return "min max", by_period(self.reorder) or by_period(self.up_to)

    def arrays(self, network, periods: int) -> tuple[np.ndarray, ...]:
        """s and S of each facility."""
        low, high = (per_facility(n, getattr(self, n), network, periods) for n in self.names)
        if low.ndim != high.ndim:
            low, high = np.broadcast_arrays(low, high)
        if (low > high).any():
            raise DataError(f"a reorder point is above the level it is ordered up to: {low} and {high}")
        return low, high

    def orders(self, network, state, arrays, positive):
        """(…, A)."""
        low, high = arrays[:2]
        own = [position(network, i, state, positive) for i in range(len(network.facilities))]
        amounts = [np.where(p <= low[..., i], high[..., i] - p, 0.0) for i, p in enumerate(own)]
        return _placed(network, amounts, positive)


def by_period(value) -> bool:
    """Given for each period rather than once."""
    return any(np.ndim(v) > 0 for v in value.values()) if isinstance(value, dict) else np.ndim(value) > 1


def per_facility(what: str, value, network, periods: int) -> np.ndarray:
    """One number a facility, (F,), or one a period and facility, (T, F)."""
    count = len(network.facilities)
    if isinstance(value, dict):
        names = [f.name for f in network.facilities]
        if set(value) != set(names):
            raise DataError(f"{what} are given for {sorted(value)}, wanted {sorted(names)}")
        parts = [real_array(f"{what} of {n!r}", value[n], np.dtype(float)) for n in names]
        if any(p.shape not in ((), (periods,)) for p in parts):
            raise ShapeError(f"{what} of a facility are a number or ({periods},): {[p.shape for p in parts]}")
        value = np.stack(np.broadcast_arrays(*parts), axis=-1)
    array = real_array(what, value, np.dtype(float))
    if array.shape not in ((), (count,), (periods, count)):
        raise ShapeError(
            f"{what} have shape {array.shape}, wanted ({count},) or ({periods}, {count}) or a number"
        )
    if not np.isfinite(array).all():
        raise DataError(f"{what} hold NaN or an infinite value: {array}")
    return np.broadcast_to(array, (periods, count) if array.ndim == 2 else (count,)).copy()
