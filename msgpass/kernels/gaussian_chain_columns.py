"""The compiled passes on what a filter pass left behind, whichever form made it: adjoint, and means of
many columns.

Signatures are those of :mod:`~msgpass.kernels.gaussian_chain_reference`. The columns of a sequence are
series that share its covariances.
"""

import numpy as np

from msgpass.kernels import gaussian_chain_covariance as covariance
from msgpass.kernels import gaussian_chain_mean as mean
from msgpass.kernels import gaussian_chain_small as small
from msgpass.kernels.gaussian_chain_groups import every_one
from msgpass.kernels.gaussian_chain_passes import family, flat, stride
from msgpass.kernels.gaussian_chain_types import AdjointPass, FilterPass, GaussianChainArrays
from msgpass.kernels.runtime import aligned_zeros


class _Columns:
    """What the kernels want to know of ``columns`` series a sequence."""

    def __init__(self, arrays: GaussianChainArrays, done: FilterPass, columns: int):
        (self.T, self.p), self.n = arrays.y.shape, arrays.mean.shape[-1]
        offsets = np.asarray(arrays.offsets, np.int64)
        self.N = len(offsets) - 1
        self.family = family(self.n, self.p)
        self.size = (self.n, self.p, self.family.states, self.family.outputs)
        self.F, self.fs, self.H, self.hs = flat(arrays.F), stride(arrays.F), flat(arrays.H), stride(arrays.H)
        self.U = self._padded(done.filtered_cov, self.family.states)
        self.Ct = self._padded(np.swapaxes(done.gain, -1, -2), self.family.states)
        self.SI = self._padded(done.precision, self.family.outputs)
        self.index = np.arange(self.T)
        self.lengths = np.diff(offsets)
        many = np.arange(columns) * self.T
        self.rows = (offsets[:-1] + many[:, None]).reshape(-1)
        pairs = np.minimum(offsets[:-1] - np.arange(self.N), max(self.T - self.N - 1, 0))
        self.pairs = np.tile(pairs, columns)
        self.lead = np.arange(self.N)
        self.members = (self.lead[:, None] + self.N * np.arange(columns)).reshape(-1)
        self.bounds = np.arange(self.N + 1) * columns
        self.columns = columns

    def _padded(self, matrices: np.ndarray, width: int) -> np.ndarray:
        count, rows, columns = matrices.shape
        whole = aligned_zeros(((count + 8) * rows, width))
        whole[: count * rows, :columns] = matrices.reshape(-1, columns)
        return whole.reshape(-1)

    def work(self) -> np.ndarray:
        """For passes of means."""
        if self.family.in_registers:
            return aligned_zeros(small.ROWS * self.n + 64)
        return aligned_zeros(mean.work_size(*self.size, len(self.members)))

    def leading(self, columns: np.ndarray) -> np.ndarray:
        """(T, ·, c) with columns first, flat."""
        return flat(np.moveaxis(columns, -1, 0))

    def trailing(self, numbers: np.ndarray, rows: int) -> np.ndarray:
        """Back to (T, ·, c)."""
        return np.moveaxis(numbers.reshape(self.columns, self.T, rows), 0, -1)


def forward_columns(arrays: GaussianChainArrays, done: FilterPass, start: np.ndarray, y=None):
    """As :func:`msgpass.kernels.gaussian_chain_reference.forward_columns`."""
    c = start.shape[-1]
    setting = _Columns(arrays, done, c)
    n, p, T, N = setting.n, setting.p, setting.T, setting.N
    starts = flat(np.broadcast_to(np.moveaxis(start, -1, 0).reshape(c, -1, n), (c, N, n)))
    missing = np.isnan(arrays.y)
    data = np.zeros((T, p, c)) if y is None else np.where(missing[..., None], 0.0, y)
    predicted, filtered, v, e = (
        np.empty(c * T * n),
        np.empty(c * T * n),
        np.empty(c * T * p),
        np.empty(c * T * p),
    )
    setting.family.kernels.mean_forward(
        *setting.size,
        setting.F,
        setting.fs,
        np.zeros(n),
        0,
        setting.H,
        setting.hs,
        setting.leading(data),
        False,
        starts,
        n,
        setting.rows,
        setting.pairs,
        setting.lead,
        setting.lengths,
        setting.bounds,
        setting.members,
        0,
        len(setting.members),
        0,
        int(setting.lengths.max()),
        setting.index,
        setting.Ct,
        setting.SI,
        predicted,
        filtered,
        v,
        e,
        np.zeros(N * c),
        setting.work(),
    )
    v = setting.trailing(v, p)
    v[missing] = 0
    return setting.trailing(predicted, n), setting.trailing(filtered, n), v


def adjoint_columns(arrays: GaussianChainArrays, done: FilterPass, innovations: np.ndarray) -> np.ndarray:
    """As :func:`msgpass.kernels.gaussian_chain_reference.adjoint_columns`."""
    c = innovations.shape[-1]
    setting = _Columns(arrays, done, c)
    n, p, T = setting.n, setting.p, setting.T
    r, unread, u = np.empty(c * T * n), np.zeros(c * T * n), np.empty(c * T * p)
    setting.family.kernels.mean_backward(
        *setting.size,
        setting.F,
        setting.fs,
        setting.H,
        setting.hs,
        setting.rows,
        setting.pairs,
        setting.lead,
        setting.lengths,
        setting.bounds,
        setting.members,
        0,
        len(setting.members),
        0,
        int(setting.lengths.max()),
        setting.index,
        setting.Ct,
        setting.U,
        unread,
        setting.leading(done.precision @ innovations),
        unread,
        r,
        u,
        setting.work(),
    )
    return setting.trailing(r, n)


def adjoint_pass(arrays: GaussianChainArrays, done: FilterPass, innovations: np.ndarray) -> AdjointPass:
    """As :func:`msgpass.kernels.gaussian_chain_reference.adjoint_pass`."""
    setting = _Columns(arrays, done, 1)
    groups, (n, _, ld, _) = every_one(setting.lengths), setting.size
    N_at, steps = aligned_zeros((setting.T, n, ld)), int(setting.lengths.max())
    setting.family.kernels.backward(
        *setting.size,
        setting.F,
        setting.fs,
        setting.H,
        setting.hs,
        flat(arrays.y),
        False,
        setting.rows,
        setting.pairs,
        groups.lead,
        groups.steps,
        groups.base,
        0,
        setting.N,
        0,
        steps,
        aligned_zeros(n * ld),
        -1.0,
        setting.index,
        setting.U,
        setting.Ct,
        setting.SI,
        N_at.reshape(-1),
        np.empty(0),
        np.empty((setting.N, 0)),
        np.empty(setting.N, np.int64),
        aligned_zeros(8 if setting.family.in_registers else covariance.backward_work(*setting.size)),
        np.empty(steps, np.int64),
        np.empty(steps, np.bool_),
    )
    return AdjointPass(adjoint_columns(arrays, done, innovations), N_at[..., :n])
