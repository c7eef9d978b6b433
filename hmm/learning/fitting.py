"""One call of ``fit``: climbs from one start or several, with the best chain so far at hand at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from hmm.chain import Chain
from hmm.monitor import ConvergenceMonitor, Progress, log

Start = Callable[[np.random.Generator], Chain]
Climb = Callable[[Chain], Iterator[Chain]]


@dataclass
class State:
    """Where a fit is: enough to go on as if nothing had happened.

    Attributes
    ----------
    seeds : list of int
        One a start after the first, which is drawn from the model's own generator.
    restart : int
        Number of the climb that is under way.
    chain : Chain or None
        Where it is; None before its first iteration.
    history : list of float
        Objectives of that climb.
    best : Chain or None
        The best of all climbs so far, this one included.
    best_restart : int
        The climb that it comes from.
    best_history : list of float
    """

    seeds: list[int]
    restart: int = 0
    chain: Chain | None = None
    history: list[float] = field(default_factory=list)
    best: Chain | None = None
    best_restart: int = 0
    best_history: list[float] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether all climbs have ended."""
        return self.restart > len(self.seeds)


class Fitting:
    """Climbs in turn.

    Parameters
    ----------
    start : callable
        Generator → chain to start from.
    climb : callable
        Chain → better and better chains, their objectives reported to ``monitor``.
    monitor : ConvergenceMonitor
    rng : numpy.random.Generator
    n_init : int
    state : State, optional
        Where an earlier fit was cut short.
    after : callable, optional
        Told the state after every iteration.
    """

    def __init__(
        self,
        start: Start,
        climb: Climb,
        monitor: ConvergenceMonitor,
        rng: np.random.Generator,
        n_init: int,
        state: State | None = None,
        after: Callable[[State], None] = lambda _: None,
    ):
        self.start, self.climb, self.monitor, self.after = start, climb, monitor, after
        self.first = start(rng)
        seeds = rng.integers(2**62, size=n_init - 1).tolist()
        self.state = state or State(seeds)

    def __iter__(self) -> Iterator[Chain]:
        """The best chain so far, after each iteration that changed it."""
        state, monitor = self.state, self.monitor
        n_starts = len(state.seeds) + 1
        if state.best is None:
            state.best = self.first
        elif state.done:  # under a later n_iter or another tol the best may have more to gain
            state.seeds, state.restart, state.best_restart, n_starts = [], 0, 0, 1
            state.chain, state.history = state.best, state.best_history
        yield state.best
        label = "fit" if n_starts == 1 else f"fit, start 1 of {n_starts}"
        with Progress(monitor.n_iter * n_starts, label, quiet=monitor.verbose) as progress:
            while not state.done:
                progress.label = label if n_starts == 1 else f"fit, start {state.restart + 1} of {n_starts}"
                resumed, begin = state.chain is not None, state.chain or self._begin()
                monitor.reset()
                if resumed:
                    monitor.history, monitor.iter = list(state.history), len(state.history)
                for chain in self.climb(begin):
                    state.chain, state.history = chain, list(monitor.history)
                    progress.advance(f"objective {monitor.history[-1]:.6g}")
                    if self._improves():
                        state.best, state.best_history = chain, state.history
                        state.best_restart = state.restart
                        yield chain
                    self.after(state)
                if n_starts > 1:
                    end = state.history[-1] if state.history else float("nan")
                    log.info("start %d of %d ended at %.8g", state.restart + 1, n_starts, end)
                state.restart, state.chain, state.history = state.restart + 1, None, []
                self.after(state)
        self.settle()

    def settle(self) -> None:
        """Let the monitor show the climb that the best chain comes from."""
        state, monitor = self.state, self.monitor
        monitor.history, monitor.iter = list(state.best_history), len(state.best_history)

    def _begin(self) -> Chain:
        state = self.state
        if state.restart == 0:
            return self.first
        return self.start(np.random.default_rng(state.seeds[state.restart - 1]))

    def _improves(self) -> bool:
        """Whether the climb under way is the best so far; one that is stays it, for it rises."""
        state = self.state
        return state.restart == state.best_restart or state.history[-1] > state.best_history[-1]
