"""Interleaved timing of things that compute the same.

One round times every contender once, A B C A B C …, so that a ratio compares neighbours in time and a noisy
machine disturbs all alike: the ratio of two contenders is the median over rounds of the ratio within a round.
Nothing is timed before the results have been found to agree.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.peers import NotInstalledError

Results = Mapping[str, Any]
"""Named numbers or arrays that every contender of a problem has to return alike."""

Contender = Callable[[], Results]

TURN = (
    0.02  # seconds; shorter calls are repeated within a turn, so that the clock and cold caches do not count
)
WARM_UP, MOST_WARM_UP_CALLS, VERY_LONG = 3.0, 1000, 10.0  # turns, calls, seconds
SHORT = 0.5  # seconds of a call before which another one fetches the memory that it needs: after a long turn
# of others an EM iteration with arrays of 50 MB took 120 to 160 ms, the next one 40 to 50
SETTLE = 0.005  # seconds between turns: idle worker threads of the last contender stop spinning


class DisagreementError(Exception):
    """Two contenders computed different numbers, so that comparing their speed means nothing."""


@dataclass(frozen=True)
class Problem:
    """One thing to compute, and who computes it.

    Attributes
    ----------
    label : str
    contenders : mapping of str to callable
        Name to a function that prepares the contender and returns the callable to time. It may raise
        `NotInstalledError`. The first name is the one that the others are compared with.
    tolerance : float
        Largest relative difference between results (against the largest entry of each array).
    unit, per : str, float
        Printed unit, and how many of it one second divided by the work is: ``per = 1e9 / steps`` for ns/step.
    flops, traffic : float
        Floating-point operations and bytes of memory traffic that cannot be avoided.
    dtype : str
    extra : mapping of str to callable
        Further numbers, each computed from the first contender.
    """

    label: str
    contenders: Mapping[str, Callable[[], Contender]]
    tolerance: float
    unit: str
    per: float
    flops: float = 0.0
    traffic: float = 0.0
    dtype: str = "float64"
    extra: Mapping[str, Callable[[Contender], float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Timing:
    """Seconds a call, one entry a round, and the seconds of the first call (compilation included)."""

    rounds: np.ndarray
    first: float


@dataclass(frozen=True)
class Measurement:
    """What one problem gave: timings, gaps to the first contender, notes on who was left out."""

    problem: Problem
    timings: dict[str, Timing]
    gaps: dict[str, float]
    extra: dict[str, float]
    notes: list[str]

    def ratios(self, name: str) -> np.ndarray:
        """Round by round: seconds of `name` over seconds of the first contender."""
        first = next(iter(self.timings.values()))
        return self.timings[name].rounds / first.rounds


def measure(
    problem: Problem,
    *,
    seconds: float,
    only: frozenset[str] = frozenset(),
    rounds: int = 3,
    turn: float = TURN,
) -> Measurement:
    """Check that the contenders agree, then time them interleaved.

    Parameters
    ----------
    problem : Problem
    seconds : float
        Time to spend after the warm-up.
    only : set of str
        Contenders to run; empty for all.
    rounds : int
        The fewest rounds, whatever they take.
    turn : float
        Seconds that a contender's turn in a round fills at least.

    Raises
    ------
    DisagreementError
        If a result differs from the first contender's by more than the problem's tolerance.
    """
    ready: dict[str, Contender] = {}
    notes: list[str] = []
    for name, prepare in problem.contenders.items():
        if only and name not in only:
            continue
        try:
            ready[name] = prepare()
        except NotInstalledError as error:
            notes.append(str(error))
    first, gaps = _agreement(ready, problem)
    extra = {key: probe(next(iter(ready.values()))) for key, probe in problem.extra.items()} if ready else {}
    repeats = {name: _repeats(call, first[name], turn) for name, call in ready.items()}
    taken: dict[str, list[float]] = {name: [] for name in ready}
    collecting = gc.isenabled()
    gc.collect()
    gc.freeze()  # so that collecting between turns looks only at what a turn left
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        done = 0
        while ready and (done < rounds or time.perf_counter() < end):
            for name, call in ready.items():
                time.sleep(min(SETTLE, turn))
                if turn and (taken[name] or [first[name]])[-1] < SHORT:
                    call()
                taken[name].append(_seconds(call, repeats[name]))
                gc.collect()  # a graph left over in a cycle would send the next call to fresh memory
            done += 1
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()
    timings = {name: Timing(np.array(taken[name]), first[name]) for name in ready}
    return Measurement(problem, timings, gaps, extra, notes)


def _agreement(ready: Mapping[str, Contender], problem: Problem) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each first call, and the gap of each contender's results to the first's."""
    seconds: dict[str, float] = {}
    gaps: dict[str, float] = {}
    reference: Results | None = None
    for name, call in ready.items():
        start = time.perf_counter()
        results = {key: np.asarray(value) for key, value in call().items()}
        seconds[name] = time.perf_counter() - start
        if reference is None:
            reference, standard = results, name
            continue
        gaps[name] = max(_gap(key, results, reference) for key in reference)
        if not gaps[name] <= problem.tolerance:
            worst = max(reference, key=lambda key: _gap(key, results, reference))
            raise DisagreementError(
                f"{problem.label}: {name} and {standard} differ by {gaps[name]:.1e} in {worst!r} "
                f"(tolerance {problem.tolerance:.0e}):\n{results.get(worst)}\n{reference[worst]}"
            )
    return seconds, gaps


def _gap(key: str, results: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> float:
    """Largest difference relative to the largest entry; infinite for an absent, misshapen or NaN result."""
    if key not in results or results[key].shape != reference[key].shape:
        return np.inf
    difference = np.max(np.abs(results[key] - reference[key]), initial=0.0)
    scale = np.max(np.abs(reference[key]), initial=0.0)
    gap = difference / scale if scale > 0 else difference
    return np.inf if np.isnan(gap) else float(gap)


def _repeats(call: Contender, first: float, turn: float) -> int:
    """Calls that fill a turn; one where the first call took very long.

    Otherwise that call tells nothing: it compiles, and some sweeps start with a reference that they leave
    once enough work has come by. So calls are made for some turns, and the median of the later half tells.
    """
    if first > VERY_LONG:
        return 1
    taken = [_seconds(call, 1)]
    while sum(taken) < WARM_UP * turn and len(taken) < MOST_WARM_UP_CALLS:
        taken.append(_seconds(call, 1))
    return max(1, round(turn / max(float(np.median(taken[len(taken) // 2 :])), 1e-9)))


def _seconds(call: Contender, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats
