"""Concentrations that fall below zero on the way, and how long an explicit step may be there."""

from __future__ import annotations

import numpy as np

from rnn.ode.steps import tableau_of
from rnn.systems.kinetics.errors import NegativeConcentrationError

ROUNDING = 1e-12
SLACK = 100.0  # tolerances' worth of error that a sum of many steps may have


def check_signs(reactor, times: np.ndarray, states: np.ndarray) -> None:
    """Raise where a state (N + 1, …, S) is negative beyond rounding or the tolerance."""
    # The largest so far: of a run that blows up, the first overshoot is what matters.
    largest = np.maximum.accumulate(np.abs(states).reshape(len(states), -1).max(axis=1))
    allowed = ROUNDING * largest
    if reactor.step is None:
        allowed = allowed + SLACK * (reactor.atol + reactor.rtol * largest)
    below = states < -allowed.reshape(-1, *(1,) * (states.ndim - 1))
    if not below.any():
        return
    place = np.argwhere(below)[0]
    n, species = int(place[0]), reactor.network.species[int(place[-1])]
    before = states[(n - 1, *place[1:-1])]
    h = float(times[n] - times[n - 1])
    p = reactor.params
    fastest = np.abs(np.linalg.eigvals(reactor.law.matrix(times[n - 1], before, *p.values()))).max()
    way = (
        "a reaction goes on when nothing is left (an order of 0, or below 1), or the method overshoots; take "
        f"shorter steps than {h:.3g}, or smaller rtol and atol"
    )
    if h * fastest > 1 and not tableau_of(reactor.method).implicit:
        way = (
            f"the step h = {h:.3g} is too long for {reactor.method}: the fastest rate there is "
            f"{fastest:.3g}, so h·rate = {h * fastest:.3g} (Euler overshoots above 1, explodes above 2). "
            "Shorten it, or take method='kvaerno5' without step="
        )
    sample = f" of reactor {int(place[1])}" if states.ndim == 3 else ""
    raise NegativeConcentrationError(
        f"the concentration of {species}{sample} is {states[tuple(place)]:.3g} at t = {times[n]:g}: {way}",
        times[n],
        species,
    )
