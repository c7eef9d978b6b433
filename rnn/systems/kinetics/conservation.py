"""Conservation laws: integer vectors w with wᵀN = 0, so that w·c does not change.

Laws without negative weights are what is made of atoms, and are looked for first: minimal semi-flows by
Farkas' algorithm (Colom & Silva 1991). The rest of the left null space, if any, is completed by elimination.
All in exact fractions.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

import numpy as np

CANDIDATES = 500  # rows of Farkas' table at which elimination alone goes on


def conservation_laws(stoichiometry: list[list[Fraction]]) -> np.ndarray:
    """(L, S) of S×R coefficients: small integers, independent, fewest species first.

    Examples
    --------
    >>> conservation_laws([[Fraction(-1)], [Fraction(2)]])  # A -> 2 B
    array([[2, 1]])
    """
    S = len(stoichiometry)
    null = _left_null_space(stoichiometry)
    chosen: list[list[Fraction]] = []
    for row in (*sorted(_semiflows(stoichiometry), key=_size), *null):
        if len(chosen) == len(null):
            break
        if _rank([*chosen, row]) > len(chosen):
            chosen.append(row)
    return np.array([_whole(row) for row in chosen], dtype=np.int64).reshape(len(chosen), S)


def _size(row: list[Fraction]):
    return sum(x != 0 for x in row), sum(map(abs, row)), [-x for x in row]


def _whole(row: list[Fraction]) -> list[int]:
    scale = lcm(*(x.denominator for x in row))
    whole = [int(x * scale) for x in row]
    common = gcd(*whole) or 1
    first = next((x for x in whole if x), 1)
    return [x // common if first > 0 else -x // common for x in whole]


def _echelon(rows: list[list[Fraction]]) -> tuple[list[list[Fraction]], list[int]]:
    """Reduced rows that are not zero, and their pivots."""
    rows, pivots, r = [list(row) for row in rows], [], 0
    for c in range(len(rows[0]) if rows else 0):
        found = next((i for i in range(r, len(rows)) if rows[i][c] != 0), None)
        if found is None:
            continue
        rows[r], rows[found] = rows[found], rows[r]
        pivot = rows[r][c]
        rows[r] = [x / pivot for x in rows[r]]
        for i in range(len(rows)):
            if i != r and rows[i][c] != 0:
                factor = rows[i][c]
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[r], strict=True)]
        pivots.append(c)
        r += 1
    return rows[:r], pivots


def _rank(rows: list[list[Fraction]]) -> int:
    return len(_echelon(rows)[1])


def _left_null_space(N: list[list[Fraction]]) -> list[list[Fraction]]:
    S = len(N)
    rows, pivots = _echelon([list(column) for column in zip(*N, strict=True)])
    found = []
    for free in (c for c in range(S) if c not in pivots):
        w = [Fraction(0)] * S
        w[free] = Fraction(1)
        for row, p in zip(rows, pivots, strict=True):
            w[p] = -row[free]
        found.append(w)
    return found


def _semiflows(N: list[list[Fraction]]) -> list[list[Fraction]]:
    """Laws with weights ≥ 0 and as few species as can be; none where there are too many candidates."""
    S = len(N)
    table = [(list(N[i]), [Fraction(int(i == j)) for j in range(S)]) for i in range(S)]
    for r in range(len(N[0])):
        kept = [row for row in table if row[0][r] == 0]
        up, down = ([row for row in table if sign * row[0][r] > 0] for sign in (1, -1))
        if len(kept) + len(up) * len(down) > CANDIDATES:
            return []
        for a, u in up:
            for b, v in down:
                x, y = -b[r], a[r]
                kept.append((_mix(x, a, y, b), _mix(x, u, y, v)))
        table = _minimal(kept)
    return [weights for _, weights in table]


def _mix(x, a, y, b) -> list[Fraction]:
    return [x * p + y * q for p, q in zip(a, b, strict=True)]


def _minimal(table):
    """Rows whose species hold no other row's."""
    supports = [frozenset(i for i, w in enumerate(row[1]) if w) for row in table]
    return [
        row
        for i, row in enumerate(table)
        if not any(
            other < supports[i] or (other == supports[i] and j < i)
            for j, other in enumerate(supports)
            if j != i
        )
    ]
