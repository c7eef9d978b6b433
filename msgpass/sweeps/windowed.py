"""Truncated and fixed-lag passes: messages that leave a window of time are dropped.

Over steps, the whole plan is run back window by window: the losses of one window start, and only factors in
the window pass messages on. A plan that can be cut goes by stretches
(:mod:`~msgpass.sweeps.windowed_stretches`). Over a chain of tables or quadratics the belief at t takes its
backward message from the last window end that reaches t, which is what the windowed gradients of the
normalised filter add up to.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.nodes import Clock, Sequence
from msgpass.plan import Losses, Map, Recurrence
from msgpass.sweeps import real
from msgpass.sweeps.chain_readings import ChainReadings
from msgpass.sweeps.real import Store
from msgpass.sweeps.stretches import cut
from msgpass.sweeps.table_chain import deliver_counts
from msgpass.sweeps.windowed_stretches import backward_stretches

# -- steps -----------------------------------------------------------------------------------------------


def backward_windows(x, task, store: Store, later: Store) -> None:
    """All windows of one task, added up in ``store``."""
    _check_causal(x)
    pieces = cut(x.plan)
    if pieces is not None and pieces.moving:
        backward_stretches(x, pieces, task, store, later)
        return
    schedule = x.schedule
    longest = max((n for c in _clocks(x.plan) for n in c.lengths), default=1)
    losses = {
        k: grads for k, (_, grads) in x.losses.items() if x.plan.blocks[k].families[0].potential.task == task
    }
    moved = [n for b in x.plan.blocks if isinstance(b, Map | Recurrence) for n in b.nodes]
    own, own_later = Store(x.values), Store(x.values)
    for j in range(schedule.count(longest)):
        for k, grads in losses.items():
            block = x.plan.blocks[k]
            first, _, end = bounds(schedule, j, block.families[0], longest)
            chosen = instances(block.families[0], first, end)
            if chosen is not None:
                real.backward_loss(block, grads, own, own_later, chosen, shared=j == 0)
        for k in x.runs:
            if x.task_of(k) == task:
                _component_window(x, k, j, own)
        for k in range(len(x.plan.blocks) - 1, -1, -1):
            block = x.plan.blocks[k]
            if isinstance(block, Losses) or not any(own.has(n) for n in block.nodes):
                continue
            family = block.families[0]
            _, low, end = bounds(schedule, j, family, longest)
            chosen = instances(family, low, end)
            if isinstance(block, Map):
                if chosen is not None:
                    real.backward_map(block, x.values, own, own_later, chosen)
            else:
                x.sweeps[k].backward(
                    own, own_later, (low, end), chosen if chosen is not None else slice(0, 0)
                )
        _collect(x, j, longest, moved, own, store)
        _collect(x, j, longest, moved, own_later, later)
    for source, target in ((own, store), (own_later, later)):
        for name, g in source.items():
            if name not in moved:
                target[name] = target[name] + g


def _component_window(x, k: int, j: int, store: Store) -> None:
    """What window j's share of a component's log Z says to its parameters and to the real rows behind its
    tables.
    """
    made = x.runs[k]
    if not isinstance(made, WindowedChain):
        if j == 0:
            x.component_parameters(k, store)
        return
    if made.maximise:
        raise UnsupportedError(
            f"{x.schedule!r}: the best score of {made.block.node.name!r} does not split into "
            "shares of time; use "
            "SumProduct, or Sequential()"
        )
    for part, sign in x.shares(k):
        gamma, xi = part.window_counts(x.schedule, j)
        deliver_counts(part.tables, gamma, xi, None, store, sign)


def _collect(x, j, longest, moved, source, target) -> None:
    """Add the window's cotangents of computed variables to the sum, without those that left it, and clear
    them.
    """
    for name in moved:
        if not source.has(name):
            continue
        node = x.plan.graph.nodes[name]
        if not isinstance(node, Sequence):
            target[name] = target[name] + source[name]
            source[name] = np.zeros_like(source[name])
            continue
        _, low, end = x.schedule.window(j, node.clock.lengths)
        for offset, a, b in zip(node.clock.offsets[:-1], low, end, strict=True):
            target[name][offset + a : offset + b] += source[name][offset + a : offset + b]
            # A recurrence of order p writes at most p rows beyond the window.
            source[name][max(offset, offset + a - _reach(x, name)) : offset + b] = 0


def _reach(x, name: str) -> int:
    block = x.plan.owner[name]
    lags = [
        abs(f.first - a.first)
        for b in x.plan.blocks
        for f in b.families
        for a in f.args
        if a.name == name and a.slice.stepped
    ]
    return max([1, getattr(block, "order", 1), *lags])


def _clocks(plan) -> list[Clock]:
    return [f.clock for b in plan.blocks for f in b.families if f.clock is not None]


def bounds(schedule, j: int, family, longest: int):
    """(first loss time, first factor time, one past the last time) of window j on the family's clock."""
    lengths = family.clock.lengths if family.clock is not None else (longest,)
    return schedule.window(j, lengths)


def instances(family, low, high):
    """Instances whose local time is in the window: a slice or an index array; None if there are none."""
    if family.clock is None:
        return slice(0, 1) if low[0] <= family.first < high[0] else None
    if not family.factor.stepped:
        inside = np.flatnonzero((family.times >= low) & (family.times < high))
        return inside if len(inside) else None
    first = np.clip(low - family.first, 0, family.counts)
    last = np.clip(high - family.first, 0, family.counts)
    if len(first) == 1:
        return slice(int(first[0]), int(last[0])) if last[0] > first[0] else None
    parts = [np.arange(s + a, s + b) for s, a, b in zip(family.starts, first, last, strict=True) if b > a]
    return np.concatenate(parts) if parts else None


def _check_causal(x) -> None:
    for block in x.plan.blocks:
        if isinstance(block, Recurrence) and block.direction < 0:
            raise UnsupportedError(
                f"{x.schedule!r} drops messages that go far back in time, but "
                f"{', '.join(block.nodes)} runs against the clock; use Sequential() for it"
            )
        for family in block.families:
            read = [arg.slice for arg in family.args]
            at_once = any(s.kind == "all" for s in read) and not any(s.stepped for s in read)
            if at_once and len(family.times) > 1:
                raise UnsupportedError(
                    f"{x.schedule!r}: {family.name!r} computes its rows from a whole sequence at once, which "
                    "does not split into windows; use Sequential()"
                )
            for arg in family.args:
                if arg.slice.kind == "before" and isinstance(block, Map):
                    raise UnsupportedError(
                        f"{x.schedule!r}: {family.name!r} reads {arg.slice.name}, a later row; use "
                        "Sequential()"
                    )


# -- chains ----------------------------------------------------------------------------------------------


class WindowedChain(ChainReadings):
    """A :class:`ChainRun` with backward messages β_t over the evidence from t + 1 to the window end of t."""

    def __init__(self, run, schedule):
        self.run, self.block, self.layout, self.maximise = run, run.block, run.layout, run.maximise
        self.total, self.tables = run.total, run.tables
        self.end = schedule.horizons(self.layout.offsets)
        if self.tables.log_transition.ndim == 3 and self.layout.order is not None:
            raise UnsupportedError(
                f"{schedule!r} over an aligned batch with time-varying transitions: run its "
                "members one by one"
            )
        self.sweep()

    def impossible(self) -> None:
        """As for the exact run."""
        self.run.impossible()

    def sweep(self) -> None:
        """One more step of evidence for all t at once, until every t has reached its window end."""
        self.impossible()
        alpha = self.run.log_alpha_beta[0]
        t = self.tables
        evidence = t.log_evidence if t.rows is None else t.log_evidence[t.rows]
        rows = np.arange(len(alpha))
        steps = np.where(self.end >= 0, self.end - rows, 0)
        beta, reached = np.zeros_like(alpha), np.zeros_like(alpha)
        for m in range(1, int(steps.max(initial=0)) + 1):
            # β with m steps of evidence, from β with m − 1 steps one row later; rows that have reached their
            # end keep theirs.
            live = np.flatnonzero((rows + m < len(rows)) & (self.sequence == np.roll(self.sequence, -m)))
            fresh = np.zeros_like(beta)
            fresh[live] = self.step_back(live, evidence[live + 1] + beta[live + 1])
            beta = fresh
            now = steps == m
            reached[now] = beta[now]
        self.alpha, self.beta, self.evidence = alpha, reached, evidence

    @property
    def sequence(self) -> np.ndarray:
        """Sequence of each row."""
        return np.repeat(np.arange(self.layout.n), np.diff(self.layout.offsets))

    def step_back(self, rows: np.ndarray, ahead: np.ndarray) -> np.ndarray:
        """⊕_j A(i, j) + ahead(j) for many rows, in stretches that bound the memory."""
        K = self.layout.states
        out = np.empty_like(ahead)
        for a in range(0, len(rows), max(1, (1 << 20) // (K * K))):
            part = slice(a, a + max(1, (1 << 20) // (K * K)))
            out[part] = self.reduce(self.transition_after(rows[part]) + ahead[part][:, None, :], 2)
        return out

    def transition_after(self, rows: np.ndarray) -> np.ndarray:
        """Log transition from each row to the next."""
        table = self.tables.log_transition
        return table if table.ndim == 2 else table[rows - self.sequence[rows]]

    def reduce(self, logs: np.ndarray, axis) -> np.ndarray:
        """Log-sum-exp or max."""
        top = logs.max(axis=axis, keepdims=True)
        if self.maximise:
            return np.squeeze(top, axis)
        safe = np.where(np.isfinite(top), top, 0)
        with np.errstate(divide="ignore"):
            return np.log(np.exp(logs - safe).sum(axis=axis)) + np.squeeze(safe, axis)

    # What readings ask of a chain.

    def stacked(self, flat):
        """Kernel order → (T, *batch, …)."""
        return self.run.stacked(flat)

    @property
    def log_alpha_beta(self):
        """Exact forward messages, windowed backward messages."""
        return self.alpha, self.beta

    @property
    def path(self):
        """Best state of each time given the evidence in its window."""
        return (self.alpha + self.beta).argmax(axis=1)

    def log_belief(self) -> np.ndarray:
        """Normalised log marginals with a bounded look ahead."""
        both = self.alpha + self.beta
        return self.stacked(both - self.reduce(both, 1)[:, None])

    def pair_logs(self) -> tuple[np.ndarray, np.ndarray]:
        """(later row, normalised log joint) of every pair, with the evidence that reaches the later of the
        two.
        """
        inside = np.ones(len(self.alpha), bool)
        inside[self.layout.offsets[:-1]] = False
        after = np.flatnonzero(inside)
        joint = (
            self.alpha[after - 1][:, :, None]
            + self.transition_after(after - 1)
            + (self.evidence[after] + self.beta[after])[:, None, :]
        )
        return after, joint - self.reduce(joint.reshape(len(joint), joint.shape[1] * joint.shape[2]), 1)[
            :, None, None
        ]

    def pair_belief(self) -> np.ndarray:
        """Normalised log joint of neighbours."""
        return self.layout.pairs_out_of(self.pair_logs()[1], self.block.node.shape)

    def add_parameters(self, store, sign: float = 1.0) -> None:
        """What the windows' gradients of the normalised filter add up to; factors that no window reaches
        count nothing.
        """
        if self.maximise:
            raise UnsupportedError(
                "counts along a fixed-lag Viterbi path are not defined; read m.belief and "
                "m.assignment, or use Sequential()"
            )
        reached = self.end >= 0
        both = self.alpha + self.beta
        gamma = np.exp(both - self.reduce(both, 1)[:, None]) * reached[:, None]
        after, joint = self.pair_logs()
        xi = np.exp(joint) * reached[after][:, None, None]
        deliver_counts(
            self.tables,
            gamma,
            xi if self.tables.log_transition.ndim == 3 else xi.sum(axis=0),
            None,
            store,
            sign,
        )

    def window_counts(self, schedule, j: int) -> tuple[np.ndarray, np.ndarray]:
        """(γ, ξ) that window j adds: ∂/∂(log tables) of the window's share of log Z, log p(its evidence |
        earlier evidence).

        With e the window's end and e′ the one before, this is γ_t(e) − γ_t(e′) at the times in reach, the
        posteriors given the
        evidence up to e and up to e′.
        """
        offsets, K = self.layout.offsets, self.layout.states
        gamma = np.zeros((len(self.alpha), K))
        xi = np.zeros((self.layout.pairs, K, K) if self.tables.log_transition.ndim == 3 else (K, K))
        before, low, end = schedule.window(j, np.diff(offsets))
        for n, start in enumerate(offsets[:-1]):
            if end[n] <= before[n]:
                continue
            for stop, sign in ((end[n], 1.0), (before[n], -1.0)):
                beta = np.zeros(K)
                for t in range(start + stop - 1, start + low[n] - 1, -1):
                    both = self.alpha[t] + beta
                    gamma[t] += sign * np.exp(both - self.reduce(both, 0))
                    if t == start:
                        break
                    ahead = self.evidence[t] + beta
                    table = self.transition_after(np.array([t - 1])).reshape(K, K)
                    joint = self.alpha[t - 1][:, None] + table + ahead
                    joint = np.exp(joint - self.reduce(joint.ravel(), 0))
                    if xi.ndim == 3:
                        xi[t - 1 - n] += sign * joint
                    else:
                        xi += sign * joint
                    beta = self.reduce(table + ahead, 1)
        return gamma, xi
