"""The stages of an explicit method, in straight-line NumPy."""

from __future__ import annotations

from collections.abc import Callable

from rnn.ode.tableau import Tableau, combination


def explicit_stages(tableau: Tableau, rate: Callable, y, t, h, first=None, only=None) -> list:
    """f at every stage; those that are not among ``only`` are None."""
    ks: list = []
    for i, (row, c) in enumerate(zip(tableau.a, tableau.c, strict=True)):
        if only is not None and i not in only:
            ks.append(None)
        elif i == 0 and first is not None:
            ks.append(first)
        else:
            moved = combination(row, ks)
            at = t if c == 0.0 else t + h if c == 1.0 else t + c * h
            ks.append(rate(at, y if moved is None else y + h * moved))
    return ks
