"""Facilities and supplies put together: checked, in the order in which goods move, and laid out as columns.

A row of the state holds, at the end of a period: the net stock of each facility; what it owes each claimant,
where it has several; what it lost, where unmet demand is lost; and what is on its way on each arc, youngest
first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msgpass.errors import DataError, GraphError
from rnn.systems.inventory.parts import Facility, Supply

OUTSIDE = -1
"""Among a facility's claimants: customers outside the network."""


class Network:
    """Columns and adjacency; everything by number.

    Attributes
    ----------
    facilities, supplies : tuples
    served : list of int
        Facilities with demand from outside, in the order of the demand's columns.
    into : list of lists
        Numbers of the arcs that end at each facility.
    claims : list of lists
        Who takes goods from each facility, by priority: OUTSIDE, or an arc's number.
    flow : list of int
        Facilities with suppliers before customers along arcs without lead time.
    owed, lost : dict
        Column by (facility, claim), and by facility.
    transit : list of slices
    width : int
        Columns.
    """

    def __init__(self, facilities: Sequence[Facility], supplies: Sequence[Supply], served: Sequence[str]):
        self.facilities, self.supplies = tuple(facilities), tuple(supplies)
        numbers = {f.name: i for i, f in enumerate(self.facilities)}
        if len(numbers) < len(self.facilities):
            raise GraphError("two facilities have the same name; names tell them apart")
        if not numbers:
            raise GraphError("an inventory needs at least one facility")
        for s in self.supplies:
            for end in (s.customer, s.supplier):
                if end is not None and end not in numbers:
                    raise GraphError(
                        f"supply {s.label}: there is no facility {end!r}; there are {list(numbers)}"
                    )
            if s.customer == s.supplier:
                raise GraphError(f"supply {s.label}: a facility does not supply itself")
        for where in served:
            if where not in numbers:
                raise GraphError(f"demand at {where!r}: there is no such facility; there are {list(numbers)}")
        self.numbers, self.served = numbers, [numbers[where] for where in served]
        self.customer = [numbers[s.customer] for s in self.supplies]
        self.supplier = [None if s.supplier is None else numbers[s.supplier] for s in self.supplies]
        count, arcs = range(len(self.facilities)), range(len(self.supplies))
        self.into = [[a for a in arcs if self.customer[a] == i] for i in count]
        out = [[a for a in arcs if self.supplier[a] == i] for i in count]
        self.claims = [[OUTSIDE] * (i in self.served) + out[i] for i in count]
        for i, f in enumerate(self.facilities):
            if not self.into[i]:
                raise GraphError(f"nobody supplies {f.name!r}; add Supply({f.name!r}, …)")
            if not sum(self.supplies[a].share for a in self.into[i]):
                raise DataError(f"the supplies of {f.name!r} have shares that sum to 0")
        self.flow = self._order(out)
        self._columns()

    def _order(self, out) -> list[int]:
        """Suppliers before customers where goods arrive in the period in which they are sent."""
        waiting = [sum(self._at_once(a) for a in self.into[i]) for i in range(len(self.facilities))]
        ready = [i for i, n in enumerate(waiting) if n == 0]
        done = []
        while ready:
            i = ready.pop(0)
            done.append(i)
            for a in out[i]:
                if self._at_once(a):
                    j = self.customer[a]
                    waiting[j] -= 1
                    if waiting[j] == 0:
                        ready.append(j)
        if len(done) < len(self.facilities):
            stuck = [f.name for i, f in enumerate(self.facilities) if i not in done]
            raise GraphError(
                f"goods would run in a circle within one period, among {', '.join(stuck)}; give one of these "
                "supplies a lead_time of at least 1"
            )
        return done

    def _at_once(self, a: int) -> bool:
        return self.supplier[a] is not None and self.supplies[a].lead_time == 0

    def _columns(self) -> None:
        at = len(self.facilities)
        self.owed: dict[tuple[int, int], int] = {}
        self.lost: dict[int, int] = {}
        for i, f in enumerate(self.facilities):
            for k in self.claims[i] if len(self.claims[i]) > 1 else ():
                if not (k == OUTSIDE and f.lost_sales):
                    self.owed[i, k] = at
                    at += 1
            if f.lost_sales and i in self.served:
                self.lost[i] = at
                at += 1
        self.transit = []
        for s in self.supplies:
            self.transit.append(slice(at, at + s.lead_time))
            at += s.lead_time
        self.width = at

    @property
    def start(self) -> np.ndarray:
        """The state before the first period. Of several claimants the first is owed what is owed."""
        row = np.zeros(self.width)
        for i, f in enumerate(self.facilities):
            row[i] = f.stock
            own = [k for k in self.claims[i] if (i, k) in self.owed]
            if own and f.stock < 0:
                row[self.owed[i, own[0]]] = -f.stock
        for s, columns in zip(self.supplies, self.transit, strict=True):
            row[columns] = np.broadcast_to(s.in_transit, s.lead_time)[::-1]
        return row

    def owed_on(self, a: int, state, positive):
        """What the supplier of arc ``a`` owes along it; None from outside."""
        i = self.supplier[a]
        if i is None:
            return None
        return state[..., self.owed[i, a]] if (i, a) in self.owed else positive(-state[..., i])

    def below(self, i: int) -> list[int]:
        """The echelon of facility i: itself, and whom it supplies, near or far."""
        found = [i]
        for j in found:
            found += [k for k in self.customers(j) if k not in found]
        return sorted(found)

    def customers(self, i: int) -> list[int]:
        """Facilities that i supplies."""
        return [self.customer[k] for k in self.claims[i] if k != OUTSIDE]

    def check_echelons(self) -> None:
        """Echelons nest only where everybody has one supplier and goods do not come back."""
        for i, f in enumerate(self.facilities):
            if len(self.into[i]) > 1:
                raise GraphError(
                    f"{f.name!r} has {len(self.into[i])} suppliers, so that its stock belongs to no one "
                    "echelon; use echelon=False"
                )
            seen, j = {i}, self.supplier[self.into[i][0]]
            while j is not None:
                if j in seen:
                    raise GraphError(f"{f.name!r} supplies itself by a circle of supplies; use echelon=False")
                seen.add(j)
                j = self.supplier[self.into[j][0]]
