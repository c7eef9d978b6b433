"""The compiled sweeps over sparse chains on two threads: sequences are shared out, one is swept from both
ends."""

import numpy as np

from msgpass.kernels import sparse_chain_sweep as sweep
from msgpass.kernels.runtime import aligned_empty, compiling, run_pair
from msgpass.kernels.sparse_chain_types import SparseProblem

PAIRED = 200_000
"""Entries times steps from which on two threads are used: the hand-over costs some 10 µs."""


class Sweep:
    """The arrays of a problem as the kernels take them.

    Entries shared by all pairs are brought into the order of their runs here, those of each pair within the
    sweep, which would otherwise hold them twice.
    """

    def __init__(self, problem: SparseProblem, lost: float):
        p, self.problem, self.lost = problem.pattern, problem, lost
        self.shared = problem.values.ndim == 1
        runs, nobody = p.runs, np.empty(0, np.int64)
        values = np.ascontiguousarray(problem.values)
        values = values[runs.order][None] if self.shared else values
        order = nobody if self.shared else runs.order
        self.entries = (runs.runs, runs.kinds, runs.loose, order, values)
        self.offsets = np.ascontiguousarray(problem.offsets, np.int64)
        rows = nobody if problem.rows is None else np.ascontiguousarray(problem.rows, np.int64)
        groups = np.empty(0, np.int32) if problem.groups is None else problem.groups.astype(np.int32)
        self.local = (problem.final, np.ascontiguousarray(problem.evidence), rows, groups, self.offsets)
        self.scale = np.ones(self.offsets[-1])
        self.failed = np.zeros(len(self.offsets) - 1, bool)
        self.threads = p.nnz * int(self.offsets[-1]) >= PAIRED

    def pair(self, f, args_f, g, args_g):
        """Two kernels at once where that pays."""
        return run_pair(f, args_f, g, args_g) if self.threads else (f(*args_f), g(*args_g))

    def share(self, kernel, *arguments) -> None:
        """One kernel over the first sequences and over the last, about half of all steps each; a tuple among
        the arguments has one for each."""
        half, n = int(np.abs(self.offsets - self.offsets[-1] / 2).argmin()), len(self.failed)
        head = (self.entries, self.problem.init, self.local)
        first, second = zip(*(a if isinstance(a, tuple) else (a, a) for a in arguments), strict=True)
        self.pair(kernel, (*head, 0, half, *first), kernel, (*head, half, n, *second))

    @property
    def middle(self) -> int:
        """Row at which the two sweeps over one sequence meet; 0 where there is none."""
        return int(self.offsets[-1]) // 2 if len(self.offsets) == 2 else 0

    # -- scales alone ------------------------------------------------------------------------------------

    def forward_scale(self) -> np.ndarray:
        """log Z of every sequence; what it is of a failed one means nothing."""
        if self.middle:
            states = self.problem.pattern.n_states
            return np.array([self._meet(np.empty((2, states)), np.empty((2, states)))[0]])
        self.share(sweep.forwards, self.lost, self.scale, self.failed)
        return self._log_scale()

    def _log_scale(self) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.add.reduceat(np.log(self.scale), self.offsets[:-1])

    def _meet(self, alpha: np.ndarray, beta: np.ndarray) -> tuple[float, float]:
        """Sweep from both ends to the middle; see :meth:`_met`."""
        m, tail = self.middle, (self.lost,)
        fine = self.pair(
            sweep.forward,
            (self.entries, self.problem.init, self.local, 0, 0, m, *tail, alpha, self.scale),
            sweep.backward,
            (self.entries, self.local, 0, int(self.offsets[1]) - 1, m, *tail, beta, self.scale),
        )
        return self._met(all(fine), alpha, beta)

    def _met(self, fine: bool, alpha: np.ndarray, beta: np.ndarray) -> tuple[float, float]:
        """log Z of one sequence swept to its middle, and the Σ a b by which what goes on is scaled."""
        m = self.middle
        self.failed[0] = not fine
        if not fine:
            return 0.0, 1.0
        # One step more brings b to the row before the middle.
        self.before = np.empty(self.problem.pattern.n_states)
        total = sweep.step_back(
            self.entries, self.local, 0, m, 1.0 / self.scale[m], beta[m % len(beta)], self.before
        )
        met = float((alpha[(m - 1) % len(alpha)] * (self.before / self.scale[m - 1])).sum())
        if not (total >= self.lost and met >= self.lost * total):
            self.failed[0] = True
            return 0.0, 1.0
        return float(np.log(self.scale).sum() + np.log(met)), met * self.scale[m - 1]

    # -- marginals and counts ----------------------------------------------------------------------------

    def counts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As :func:`~msgpass.kernels.sparse_chain_reference.scaled_sweep`."""
        p = self.problem.pattern
        self.gamma = aligned_empty((int(self.offsets[-1]), p.n_states))
        self.stepped = np.empty((0, 0)) if self.shared else np.zeros(self.problem.values.shape)
        log_scale, pairs = self._one() if self.middle else self._many()
        self.gamma[np.repeat(self.failed, np.diff(self.offsets))] = 0.0
        if not self.shared:
            return log_scale, self.gamma, self.stepped, self.failed
        xi = np.empty(p.nnz)
        xi[p.runs.order] = pairs * self.entries[4][0]
        return log_scale, self.gamma, xi, self.failed

    def _buffers(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(self.problem.pattern.nnz), np.zeros(self.problem.pattern.nnz)

    def _one(self) -> tuple[np.ndarray, np.ndarray]:
        m, (left, right) = self.middle, self._buffers()
        log_z, scale = self._meet(self.gamma, self.gamma)
        if self.failed[0]:
            return np.zeros(1), left
        before, tail = self.gamma[m - 1] / scale, (self.lost, self.gamma, self.scale)
        self.before /= scale
        total = sweep.marginals(self.gamma[m - 1], self.before)
        head = (self.entries, self.local, 0)
        fine = self.pair(
            sweep.collect_backward,
            (*head, 0, m - 1, total, self.before, *tail, left, self.stepped),
            sweep.collect_forward,
            (*head, m, int(self.offsets[1]), 1.0, before, *tail, right, self.stepped),
        )
        self.failed[0] = not all(fine)
        if self.failed[0]:
            self.stepped[...] = left[...] = right[...] = 0.0
        return np.array([log_z]), left + right

    def _many(self) -> tuple[np.ndarray, np.ndarray]:
        while True:
            # A sequence may fail on its way back, with counts left behind: then all is done again without it.
            known, buffers = self.failed.copy(), self._buffers()
            self.share(sweep.sequences, self.lost, self.gamma, self.scale, buffers, self.stepped, self.failed)
            if (known == self.failed).all():
                return self._log_scale(), buffers[0] + buffers[1]
            self.stepped[...] = 0.0


def scaled_sweep(problem: SparseProblem, lost: float):
    """log Z, γ, ξ and which sequences failed, as the reference has them."""
    with compiling("the sparse chain sweep", sweep.forward, sweep.collect_backward):
        return Sweep(problem, lost).counts()


def forward_scale(problem: SparseProblem, lost: float) -> tuple[np.ndarray, np.ndarray]:
    """log Z of every sequence, and which failed; no messages are kept."""
    with compiling("the sparse forward sweep", sweep.forward):
        made = Sweep(problem, lost)
        return made.forward_scale(), made.failed


def best_path(logs: SparseProblem) -> tuple[np.ndarray, np.ndarray]:
    """Best scores and the best path, as :func:`~msgpass.kernels.sparse_chain_reference.trace_back`."""
    from msgpass.kernels import sparse_chain_viterbi as viterbi

    p, made = logs.pattern, Sweep(logs, 0.0)
    delta = aligned_empty((int(made.offsets[-1]), p.n_states))
    path = np.empty(len(delta), np.int64)
    with compiling("the sparse Viterbi sweep", viterbi.scores):
        made.share(viterbi.scores, delta)
        values = np.ascontiguousarray(logs.values).reshape(-1, p.nnz)
        viterbi.trace_back(p.into, p.source, p.by_target, values, made.shared, made.offsets, delta, path)
    return delta[made.offsets[1:] - 1].max(axis=1), path
