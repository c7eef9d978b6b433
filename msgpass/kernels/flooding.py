"""Loopy belief propagation, chosen by sizes, shapes and order alone.

:mod:`~msgpass.kernels.flooding_reference` is the text to read, and runs small problems and other algebras.
Synchronous sweeps over binary pairs go to ratios (:mod:`~msgpass.kernels.flooding_ratio`), other synchronous
sweeps a group of factors of one shape at a time (:mod:`~msgpass.kernels.flooding_steps`); the other orders go
message by message (:mod:`~msgpass.kernels.flooding_ordered`, :mod:`~msgpass.kernels.flooding_residual`).
"""

from __future__ import annotations

import numpy as np

from msgpass.kernels import flooding_ratio, flooding_reference
from msgpass.kernels.flooding_program import Program, program_of
from msgpass.kernels.flooding_reference import Problem, Progress, split

FEWEST = {"flood": 512, "sequential": 24, "residual": 24}
"""Messages of a sweep from which compiled code is worth its loading; NumPy's cost goes by the sweep in the
first order, and by the message in the others."""


def run(
    problem: Problem, order: str, damping: float, tol: float, max_iter: int, start, reduce, maximise=None
):
    """As :func:`msgpass.kernels.flooding_reference.run`.

    ``maximise`` says which of log-sum-exp and max ``reduce`` is; None where it is another.
    """
    given = problem, order, damping, tol, max_iter, start, reduce
    if maximise is None or problem.messages < FEWEST[order] or not max_iter:
        return flooding_reference.run(*given)
    if order == "flood" and flooding_ratio.fits(problem, start):
        return flooding_ratio.run(problem, damping, tol, max_iter, start, maximise)
    if order == "flood":
        return _flood(problem, damping, tol, max_iter, start, reduce, maximise)
    state = _State(problem, start, damping, maximise, reduce)
    progress = state.residual(tol, max_iter) if order == "residual" else state.sequential(tol, max_iter)
    return state.split(), progress


def _flood(problem: Problem, damping: float, tol: float, max_iter: int, start, reduce, maximise: bool):
    from msgpass.kernels.flooding_steps import incoming, settle

    messages = [np.array(m, np.float64, order="C") for m in start]
    places = [np.ascontiguousarray(g.places(problem.where)) for g in problem.groups]
    said = [np.empty_like(m) for m in messages]
    crossings = [_Crossing(g, maximise, reduce) for g in problem.groups]
    history: list[float] = []
    impossible = False
    for _ in range(max_iter):
        total, dead = beliefs(problem, messages, places)
        largest = 0.0
        for cross, own, at, told in zip(crossings, messages, places, said, strict=True):
            incoming(total, dead, own.reshape(-1), at.reshape(-1), told.reshape(-1))
            new = np.ascontiguousarray(cross(told)).reshape(-1)
            change, contradictory = settle(new, own.shape[1], cross.ends, damping, own.reshape(-1))
            largest, impossible = max(largest, change), impossible or contradictory
        history.append(largest)
        if impossible or largest <= tol:
            break
    done = history[-1] <= tol and not impossible
    return messages, Progress(np.array(history), problem.messages * len(history), done, impossible)


class _Crossing:
    """How messages cross the factors of a group: plain numbers under sum-product, logarithms under max."""

    def __init__(self, group, maximise: bool, reduce):
        self.group, self.maximise, self.reduce = group, maximise, reduce
        self.ends, self.states = np.cumsum(group.states), np.array(group.states, np.int64)
        self.index = np.empty(len(group.states), np.int64)
        if group.structured is not None:
            return
        self.shared = len(group.logs) == 1
        self.logs = np.ascontiguousarray(group.logs, np.float64).reshape(-1)
        if not maximise:
            axes = tuple(range(1, group.logs.ndim))
            best = group.logs.max(axis=axes, keepdims=True)
            self.tables = np.exp(group.logs - np.where(best > -np.inf, best, 0.0))

    def __call__(self, said: np.ndarray) -> np.ndarray:
        """New log messages, (n, width)."""
        from msgpass.kernels import flooding_steps as steps

        if self.group.structured is not None:
            shape = (len(said), *self.states.shape, int(self.states[0]))
            return self.group.structured.log_messages(said.reshape(shape)).reshape(said.shape)
        flat, new = said.reshape(-1), np.empty_like(said)
        if self.maximise:
            steps.best_products(
                self.logs, self.shared, flat, self.states, self.ends, self.index, new.reshape(-1)
            )
            return new
        steps.top(flat, said.shape[1], self.ends)
        plain = np.exp(said)
        if len(self.states) == 2 and self.shared and min(self.states) > 2:
            left, table = int(self.states[0]), self.tables[0]
            np.matmul(plain[:, left:], table.T, out=new[:, :left])
            np.matmul(plain[:, :left], table, out=new[:, left:])
        elif len(self.states) == 2:
            sizes = int(self.states[0]), int(self.states[1])
            steps.sum_pairs(self.tables.reshape(-1), self.shared, plain.reshape(-1), *sizes, new.reshape(-1))
        else:
            steps.sum_products(
                self.tables.reshape(-1), self.shared, plain.reshape(-1), self.states, self.ends,
                self.index, new.reshape(-1),
            )  # fmt: skip
        with np.errstate(divide="ignore"):
            logs = np.log(new)
        steps.repair(
            self.logs, self.shared, flat, self.states, self.ends, self.index, new.reshape(-1),
            logs.reshape(-1),
        )  # fmt: skip
        return logs


def beliefs(problem: Problem, messages, places) -> tuple[np.ndarray, np.ndarray]:
    """(finite sums, how many terms of each are −∞)."""
    from msgpass.kernels.flooding_steps import add_messages

    total, gone = split(problem.local)
    dead = gone.astype(np.float64)
    for group, own, at in zip(problem.groups, messages, places, strict=True):
        add_messages(own.reshape(-1), at.reshape(-1), own.shape[1], group.counting, total, dead)
    return total, dead


class _State:
    """Messages of all groups end to end, and the beliefs that they make."""

    def __init__(self, problem: Problem, start, damping: float, maximise: bool, reduce):
        self.problem, self.damping, self.maximise, self.reduce = problem, damping, maximise, reduce
        self.program, self.spans = program_of(problem)
        self.flat = np.concatenate([np.asarray(m, np.float64).ravel() for m in start])
        self.places = [np.ascontiguousarray(g.places(problem.where)) for g in problem.groups]
        self.renew()
        widths = [g.width for g in problem.groups]
        sizes = [int(np.prod(g.states)) for g in problem.groups if g.structured is None]
        arity = max(g.scopes.shape[1] for g in problem.groups)
        self.scratch = np.empty(max(widths)), np.empty(max(sizes, default=1)), np.empty(arity, np.int64)

    def split(self) -> list[np.ndarray]:
        """Messages of each group, (n, width), as views."""
        sizes = [len(g) * g.width for g in self.problem.groups]
        parts = np.split(self.flat, np.cumsum(sizes)[:-1])
        return [p.reshape(len(g), g.width) for p, g in zip(parts, self.problem.groups, strict=True)]

    def renew(self) -> None:
        """Beliefs from all messages, without what rounding has added up."""
        self.total, self.dead = beliefs(self.problem, self.split(), self.places)

    def sequential(self, tol: float, max_iter: int) -> Progress:
        """Sweeps forward and backward in turn."""
        history: list[float] = []
        impossible = False
        for iteration in range(max_iter):
            largest, backward = 0.0, iteration % 2 == 1
            for g in reversed(range(len(self.spans))) if backward else range(len(self.spans)):
                change, contradictory = self.group(g, backward)
                largest, impossible = max(largest, change), impossible or contradictory
            history.append(largest)
            if impossible or largest <= tol:
                break
            self.renew()
        done = history[-1] <= tol and not impossible
        return Progress(np.array(history), self.problem.messages * len(history), done, impossible)

    def group(self, g: int, backward: bool) -> tuple[float, bool]:
        """One group's factors: in turn, or at once where they have no tables."""
        from msgpass.kernels.flooding_ordered import sweep
        from msgpass.kernels.flooding_steps import incoming, settle

        group = self.problem.groups[g]
        if group.structured is None:
            return sweep(
                self.program, *self.spans[g], backward, self.total, self.dead, self.flat, self.maximise,
                self.damping, *self.scratch, np.empty(group.width),
            )  # fmt: skip
        own = self.split()[g]
        said = np.empty_like(own)
        incoming(self.total, self.dead, own.reshape(-1), self.places[g].reshape(-1), said.reshape(-1))
        new = np.ascontiguousarray(flooding_reference.crossed(group, said, self.reduce)).reshape(-1)
        found = settle(new, group.width, np.cumsum(group.states), self.damping, own.reshape(-1))
        self.renew()
        return found

    def residual(self, tol: float, max_iter: int) -> Progress:
        """As many messages as ``max_iter`` sweeps have, at most."""
        from msgpass.kernels.flooding_residual import advance, begin

        program, edges = self.program, len(self.program.variable)
        pending, moved, keys = np.empty_like(self.flat), np.empty(edges), np.empty(edges)
        heap, spot = np.empty(edges, np.int64), np.empty(edges, np.int64)
        how = self.maximise, self.damping, *self.scratch
        impossible = begin(program, self.total, self.dead, self.flat, pending, moved, heap, keys, spot, *how)
        history, updates, sweep = [float(keys[0])], 0, self.problem.messages
        while not impossible and history[-1] > tol and updates < max_iter * sweep:
            sent, impossible = advance(
                program, sweep, tol, self.total, self.dead, self.flat, pending, moved, heap, keys, spot,
                *how,
            )  # fmt: skip
            updates += sent
            history.append(float(keys[0]))
            self.renew()
        return Progress(np.array(history), updates, history[-1] <= tol and not impossible, impossible)


__all__ = ["FEWEST", "Program", "beliefs", "run"]
