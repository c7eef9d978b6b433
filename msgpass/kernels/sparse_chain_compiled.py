"""The compiled sweeps over a sparse chain on two threads: sequences shared out, or one swept from both ends."""

import numpy as np

from msgpass.kernels import sparse_chain_sweep as sweep
from msgpass.kernels.runtime import aligned_empty, compiling, run_pair
from msgpass.kernels.sparse_chain_types import SparseProblem

PAIRED = 100_000
"""Entries times steps from which on two threads are used: the hand-over costs some 10 µs."""


class Sweep:
    """The arrays of a problem as the kernels take them.

    Entries shared by all pairs are brought into the order of a sweep here; those of each pair within the
    sweep, which would otherwise hold them three times.
    """

    def __init__(self, problem: SparseProblem, lost: float):
        p, self.problem, self.lost = problem.pattern, problem, lost
        self.shared = problem.values.ndim == 1
        nobody = np.empty(0, np.int64)
        self.offsets = np.ascontiguousarray(problem.offsets, np.int64)
        self.by_target, self.by_source = (nobody, nobody) if self.shared else (p.by_target, p.by_source)
        values = np.ascontiguousarray(problem.values)
        self.inward = values[p.by_target][None] if self.shared else values
        self.outward = values[p.by_source][None] if self.shared else values
        rows = nobody if problem.rows is None else np.ascontiguousarray(problem.rows, np.int64)
        groups = np.empty(0, np.int32) if problem.groups is None else problem.groups.astype(np.int32)
        self.local = (problem.final, np.ascontiguousarray(problem.evidence), rows, groups, self.offsets)
        self.scale = np.ones(self.offsets[-1])
        self.failed = np.zeros(len(self.offsets) - 1, bool)
        self.threads = p.nnz * int(self.offsets[-1]) >= PAIRED

    def pair(self, f, args_f, g, args_g):
        """Two kernels at once where that pays."""
        return run_pair(f, args_f, g, args_g) if self.threads else (f(*args_f), g(*args_g))

    @property
    def middle(self) -> int:
        """Row at which the two sweeps over one sequence meet; 0 where there is none."""
        return int(self.offsets[-1]) // 2 if len(self.offsets) == 2 else 0

    def share(self) -> int:
        """Number of sequences for the first of two threads, about half of all steps."""
        return int(np.abs(self.offsets - self.offsets[-1] / 2).argmin())

    # -- scales alone ------------------------------------------------------------------------------------

    def forward_scale(self) -> np.ndarray:
        """log Z of every sequence; what it is of a failed one means nothing."""
        p, problem, init = self.problem.pattern, self.problem, self.problem.init
        if self.middle:
            rings = np.empty((2, p.n_states)), np.empty((2, p.n_states))
            return np.array([self._meet(*rings)[0]])
        head = (p.into, p.source, self.by_target, self.inward, init, *self.local)
        half, n = self.share(), len(self.failed)
        tail = (self.lost, self.scale, self.failed)
        self.pair(sweep.forwards, (*head, 0, half, *tail), sweep.forwards, (*head, half, n, *tail))
        return self._log_scale(problem)

    def _log_scale(self, problem: SparseProblem) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.add.reduceat(np.log(self.scale), problem.offsets[:-1])

    def _meet(self, alpha: np.ndarray, beta: np.ndarray) -> tuple[float, float]:
        """Sweep from both ends to the middle: log Z, and the Σ a b by which what goes on is scaled."""
        p, m, init = self.problem.pattern, self.middle, self.problem.init
        fine = self.pair(
            sweep.forward,
            (
                p.into,
                p.source,
                self.inward,
                self.by_target,
                init,
                *self.local,
                0,
                m,
                self.lost,
                alpha,
                self.scale,
            ),
            sweep.backward,
            (
                p.out_of,
                p.target,
                self.outward,
                self.by_source,
                *self.local,
                0,
                m,
                self.lost,
                beta,
                self.scale,
            ),
        )
        self.failed[0] = not all(fine)
        if self.failed[0]:
            return 0.0, 1.0
        # One step more brings b to the row before the middle.
        local, self.before = np.empty(p.n_states), np.empty(p.n_states)
        final, evidence, rows, groups, offsets = self.local
        sweep.evidence_at(evidence, rows, groups, final, m, m == offsets[1] - 1, local)
        table = sweep.table_at(self.outward, self.by_source, m - 1, np.empty(self.by_source.size))
        u, total = self.scale[m], np.empty(1)
        alive = sweep.step_back(
            p.out_of, p.target, table, local, beta[m % len(beta)], 1.0 / u, self.before, total, 0, self.lost
        )
        here = alpha[(m - 1) % len(alpha)]
        met = sweep.meet(here, self.before, 1.0 / self.scale[m - 1])
        if not (alive and met >= self.lost * total[0]):
            self.failed[0] = True
            return 0.0, 1.0
        return float(np.log(self.scale).sum() + np.log(met)), met * self.scale[m - 1]

    # -- marginals and counts ----------------------------------------------------------------------------

    def counts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As :func:`~msgpass.kernels.sparse_chain_reference.scaled_sweep`."""
        p, problem = self.problem.pattern, self.problem
        self.gamma = aligned_empty((int(self.offsets[-1]), p.n_states))
        self.stepped = np.zeros(problem.values.shape) if not self.shared else np.empty((0, 0))
        log_scale = self._one() if self.middle else self._many()
        self.gamma[np.repeat(self.failed, np.diff(self.offsets))] = 0.0
        xi = self.xi if self.shared else self.stepped
        return log_scale, self.gamma, xi, self.failed

    def _buffers(self) -> tuple[np.ndarray, np.ndarray]:
        return tuple(np.zeros(self.problem.pattern.nnz) for _ in range(2))

    def _one(self) -> np.ndarray:
        p, m = self.problem.pattern, self.middle
        log_z, scale = self._meet(self.gamma, self.gamma)
        left, right = self._buffers()
        self.xi = np.zeros(p.nnz)
        if self.failed[0]:
            return np.zeros(1)
        before = self.gamma[m - 1] / scale
        tail = (self.lost, self.gamma, self.scale)
        fine = self.pair(
            sweep.collect_backward,
            (
                *(p.out_of, p.target, self.outward, self.by_source, *self.local),
                *(0, m - 1, self.before / scale, *tail, left, self.stepped),
            ),
            sweep.collect_forward,
            (
                *(p.into, p.source, self.inward, self.by_target, *self.local),
                *(0, m, before, *tail, right, self.stepped),
            ),
        )
        self.failed[0] = not all(fine)
        if self.failed[0]:
            self.stepped[...] = 0.0
        elif self.shared:
            self.xi[p.by_source] = left * self.outward[0]
            self.xi[p.by_target] += right * self.inward[0]
        return np.array([log_z])

    def _many(self) -> np.ndarray:
        p = self.problem.pattern
        half, n = self.share(), len(self.failed)
        head = (
            p.into,
            p.source,
            self.by_target,
            p.out_of,
            p.target,
            self.by_source,
            self.inward,
            self.outward,
        )
        head = (*head, self.problem.init, *self.local)
        while True:
            # A sequence may fail on its way back, with counts left behind: then all is done again without it.
            known = self.failed.copy()
            left, right = self._buffers()
            tail = (self.lost, self.gamma, self.scale)
            self.pair(
                sweep.sequences,
                (*head, 0, half, *tail, left, self.stepped, self.failed),
                sweep.sequences,
                (*head, half, n, *tail, right, self.stepped, self.failed),
            )
            if (known == self.failed).all():
                break
            self.stepped[...] = 0.0
        self.xi = np.zeros(p.nnz)
        if self.shared:
            self.xi[p.by_source] = (left + right) * self.outward[0]
        return self._log_scale(self.problem)


def scaled_sweep(problem: SparseProblem, lost: float):
    """log Z, γ, ξ and which sequences failed, as the reference has them."""
    with compiling("the sparse chain sweep", sweep.forward, sweep.collect_backward):
        return Sweep(problem, lost).counts()


def forward_scale(problem: SparseProblem, lost: float) -> tuple[np.ndarray, np.ndarray]:
    """log Z of every sequence, and which failed; no messages are kept."""
    with compiling("the sparse forward sweep", sweep.forward):
        made = Sweep(problem, lost)
        return made.forward_scale(), made.failed
