"""The passes over a linear-Gaussian chain by associative scans; as
:mod:`~msgpass.kernels.gaussian_chain_reference`, in a logarithmic number of batched steps.

The filter (Särkkä & García-Fernández 2021, *Temporal parallelization of Bayesian smoothers*): a row is

    p(x_t | x_{t−1}, y_t) = N(A x_{t−1} + b, C),      p(y_t | x_{t−1}) ∝ exp(η·x_{t−1} − ½ x_{t−1}ᵀ J x_{t−1})

and two rows after each other have the same five:

    A = A₂ M⁻¹ A₁,  b = A₂ M⁻¹ (b₁ + C₁ η₂) + b₂,  C = A₂ M⁻¹ C₁ A₂ᵀ + C₂,           M = I + C₁ J₂
    η = (M⁻¹ A₁)ᵀ (η₂ − J₂ b₁) + η₁,  J = (M⁻¹ A₁)ᵀ J₂ A₁ + J₁

The first row of a sequence has A = 0, so that one scan serves sequences end to end: prefixes forget what is
before it. From the filter everything else of a row follows without its neighbours. Columns and the adjoint
are affine once the gains are known, and scan as such.

A row's own step is taken once more from the filter of the row before; where that disagrees with the scan, or
no density p(y_t | x_{t−1}) exists, the pass goes one row after another.
"""

from __future__ import annotations

import math

import numpy as np

from msgpass.kernels import gaussian_chain_reference as sequential
from msgpass.kernels.gaussian_chain_reference import SINGULAR, symmetric
from msgpass.kernels.gaussian_chain_types import CANCELLED, AdjointPass, FilterPass, GaussianChainArrays
from msgpass.kernels.scan import Element, affine, blocked_prefixes, suffixes

AGREE = 1e-9
"""What the scan's moments and a row's own step from them may differ by, relative to their size."""


class NoDensityError(Exception):
    """A covariance of innovations is singular."""


class Rows:
    """A chain's arrays by row: each row has the step that leads to it, the first of a sequence its prior.

    Missing cells see nothing: H is 0, R is 1, y is 0.
    """

    def __init__(self, arrays: GaussianChainArrays):
        T, n = len(arrays.y), arrays.mean.shape[-1]
        first, later = arrays.offsets[:-1], arrays.sources + 1
        self.first, self.later = first, later
        self.missing = np.isnan(arrays.y)
        self.F, self.Q, self.b = np.zeros((T, n, n)), np.empty((T, n, n)), np.empty((T, n))
        self.F[later], self.Q[later], self.b[later] = arrays.F, arrays.Q, arrays.b
        self.Q[first], self.b[first] = arrays.cov, arrays.mean
        self.H, self.R, self.y = arrays.H, arrays.R, arrays.y
        if self.missing.any():
            gone = self.missing
            self.H = np.where(gone[..., None], 0.0, self.H)
            self.R = np.where(gone[..., None] | gone[:, None], np.eye(gone.shape[1]), self.R)
            self.y = np.where(gone, 0.0, self.y)

    def before(self, moments: np.ndarray) -> np.ndarray:
        """Each row's predecessor; zeros for the first of a sequence, whose F is zero."""
        shifted = np.zeros_like(moments)
        shifted[self.later] = moments[self.later - 1]
        return shifted


def elements(rows: Rows) -> Element:
    """(A, b, C, η, J) of every row."""
    F, H = rows.F, rows.H
    inverse, _ = inverses(symmetric(H @ rows.Q @ transposed(H)) + rows.R)
    K = rows.Q @ transposed(H) @ inverse
    v = rows.y - through(H, rows.b)
    rest = remainders(K, H)
    C = symmetric(rest @ rows.Q @ transposed(rest) + K @ rows.R @ transposed(K))
    seen = transposed(H @ F)
    J = symmetric(seen @ inverse @ transposed(seen))
    return rest @ F, rows.b + through(K, v), C, through(seen @ inverse, v), J


def combine(earlier: Element, later: Element) -> Element:
    """Two rows, or stretches of rows, after each other."""
    (A1, b1, C1, eta1, J1), (A2, b2, C2, eta2, J2) = earlier, later
    n = A1.shape[-1]
    right = np.concatenate([A1, (b1 + through(C1, eta2))[..., None], C1], axis=-1)
    solved = np.linalg.solve(np.eye(n) + C1 @ J2, right)
    A, b, C = solved[..., :n], solved[..., n], solved[..., n + 1 :]
    back = transposed(A)
    return (
        A2 @ A,
        through(A2, b) + b2,
        symmetric(A2 @ C @ transposed(A2)) + C2,
        through(back, eta2 - through(J2, b1)) + eta1,
        symmetric(back @ J2 @ A1) + J1,
    )


def filter_pass(arrays: GaussianChainArrays) -> FilterPass:
    """As :func:`msgpass.kernels.gaussian_chain_reference.filter_pass`."""
    rows = Rows(arrays)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            _, mean, cov, _, _ = blocked_prefixes(elements(rows), combine)
            return _row_by_row(arrays, rows, mean, cov)
    except (NoDensityError, np.linalg.LinAlgError):
        return sequential.filter_pass(arrays)


def _row_by_row(arrays: GaussianChainArrays, rows: Rows, mean: np.ndarray, cov: np.ndarray) -> FilterPass:
    """Every row's own step, given the filter of all of them."""
    F, H, R = rows.F, rows.H, rows.R
    m, U = rows.before(mean), rows.before(cov)
    a, P = through(F, m) + rows.b, symmetric(F @ U @ transposed(F)) + rows.Q
    S = symmetric(H @ P @ transposed(H)) + R
    inverse, logdet = inverses(S)
    v, C = rows.y - through(H, a), P @ transposed(H) @ inverse
    rest = remainders(C, H)
    filtered = a + through(C, v)
    after = symmetric(rest @ P @ transposed(rest) + C @ R @ transposed(C))
    spread = np.sqrt(np.maximum(diagonal(after).max(axis=1), 0.0))
    agree = np.abs(after - cov).max(axis=(1, 2)) <= AGREE * spread**2
    agree &= np.abs(filtered - mean).max(axis=1) <= AGREE * (spread + np.abs(filtered).max(axis=1))
    if not agree.all():
        return sequential.filter_pass(arrays)
    doubtful = cancelled(after, rest, P) | cancelled(S, H, P)
    doubtful[rows.later] |= cancelled(P, F, U)[rows.later]
    suspicious = np.zeros(len(arrays.offsets) - 1, bool)
    suspicious[arrays.owner[doubtful]] = True
    seen = (~rows.missing).sum(axis=1)
    terms = -0.5 * (seen * math.log(2 * math.pi) + logdet + (v * through(inverse, v)).sum(axis=1))
    gone = rows.missing
    return FilterPass(
        a,
        P,
        filtered,
        after,
        np.where(gone, 0.0, v),
        np.where(gone[..., None] | gone[:, None], 0.0, inverse),
        np.where(gone[:, None], 0.0, C),
        terms,
        suspicious,
        np.full(len(suspicious), -1),
    )


def forward_columns(arrays: GaussianChainArrays, done: FilterPass, start: np.ndarray, y=None):
    """As :func:`msgpass.kernels.gaussian_chain_reference.forward_columns`."""
    rows, (n, c) = Rows(arrays), start.shape[-2:]
    rest = remainders(done.gain, rows.H)
    data = np.zeros((len(arrays.y), arrays.y.shape[1], c)) if y is None else y
    data = np.where(rows.missing[..., None], 0.0, data)
    own = done.gain @ data
    opening = np.zeros((len(arrays.y), n, c))
    opening[rows.first] = start
    own[rows.first] += rest[rows.first] @ opening[rows.first]
    _, filtered = blocked_prefixes((rest @ rows.F, own), affine)
    predicted = rows.F @ rows.before(filtered) + opening
    innovations = np.where(rows.missing[..., None], 0.0, data - rows.H @ predicted)
    return predicted, filtered, innovations


def adjoint_columns(arrays: GaussianChainArrays, done: FilterPass, innovations: np.ndarray) -> np.ndarray:
    """As :func:`msgpass.kernels.gaussian_chain_reference.adjoint_columns`."""
    own, back = _against(arrays, done, innovations)
    return suffixes((back, own), lambda early, late: affine(late, early))[1]


def adjoint_pass(arrays: GaussianChainArrays, done: FilterPass, innovations: np.ndarray) -> AdjointPass:
    """As :func:`msgpass.kernels.gaussian_chain_reference.adjoint_pass`."""
    own, back = _against(arrays, done, innovations)
    H = arrays.H
    steps = back, own, symmetric(transposed(H) @ done.precision @ H)

    def behind(early: Element, late: Element) -> Element:
        (G1, r1, N1), (G2, r2, N2) = early, late
        return G1 @ G2, r1 + G1 @ r2, N1 + symmetric(G1 @ N2 @ transposed(G1))

    return AdjointPass(*suffixes(steps, behind)[1:])


def _against(arrays: GaussianChainArrays, done: FilterPass, innovations: np.ndarray):
    """Hᵀ S⁻¹ v, and what takes r of the next row to this one: (I − C H)ᵀ Fᵀ, zero at the last row."""
    H, sources = arrays.H, arrays.sources
    back = np.zeros(done.predicted_cov.shape)
    back[sources] = transposed(arrays.F @ remainders(done.gain, H)[sources])
    return transposed(H) @ (done.precision @ innovations), back


def backward_information(arrays: GaussianChainArrays) -> tuple[np.ndarray, np.ndarray] | None:
    """(h, Λ) of what later rows say of each row: η and J of the suffix behind it; None without densities."""
    rows = Rows(arrays)
    try:
        *_, eta, J = suffixes(elements(rows), combine)
    except (NoDensityError, np.linalg.LinAlgError):
        return None
    h, precision = np.zeros_like(eta), np.zeros_like(J)
    h[arrays.sources], precision[arrays.sources] = eta[rows.later], J[rows.later]
    return h, precision


# --- batches of small matrices


def transposed(array: np.ndarray) -> np.ndarray:
    """The last two axes swapped."""
    return np.swapaxes(array, -1, -2)


def through(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(T | 1, m, n) times (T, n)."""
    return (matrices @ vectors[..., None])[..., 0]


def diagonal(matrices: np.ndarray) -> np.ndarray:
    """(T, n, n) → (T, n)."""
    return np.diagonal(matrices, axis1=1, axis2=2)


def inverses(S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """S⁻¹ and log|S| by factors of correlation matrices; NoDensityError where one is singular."""
    scale = np.sqrt(np.maximum(diagonal(S), 0.0))
    if not (scale > 0).all():
        raise NoDensityError
    L = np.linalg.cholesky(S / (scale[:, :, None] * scale[:, None]))
    pivots = diagonal(L)
    if (pivots**2 < SINGULAR).any():
        raise NoDensityError
    half = np.linalg.inv(L) / scale[:, None]
    return transposed(half) @ half, 2 * np.log(pivots * scale).sum(axis=1)


def remainders(C: np.ndarray, H: np.ndarray) -> np.ndarray:
    """I − C H, as :func:`msgpass.kernels.gaussian_chain_reference.remainder`."""
    product = C @ H
    rest = np.eye(product.shape[-1]) - product
    rest[np.abs(rest) < 1e-15 * np.abs(product).max(axis=(1, 2), keepdims=True)] = 0.0
    return rest


def cancelled(result: np.ndarray, A: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Rows in which a variance is far below what it is a difference of."""
    size = through(np.abs(A), np.sqrt(np.maximum(diagonal(P), 0.0))) ** 2
    return (diagonal(result) < CANCELLED * size).any(axis=1)
