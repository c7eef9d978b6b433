"""The messages of a chain of tables as a scan: the reference for
:mod:`~msgpass.kernels.table_chain_scan`.

A step is a matrix of log weights, from the state before it to its own, evidence included; two neighbouring
stretches combine by the product of matrices in the algebra's own sum (Hassan, Särkkä & García-Fernández 2021,
*Temporal parallelization of inference in hidden Markov models*):

    E_t(i, j) = A_t(i, j) b_t(j)      (E ∘ F)(i, k) = reduce_j E(i, j) F(j, k)
    α_t = (init b_0) ∘ E_1 ∘ … ∘ E_t      β_t = E_{t+1} ∘ … ∘ E_{L−1} ∘ 1

``reduce`` is a log-sum-exp or a maximum; nothing else differs between the two.
"""

from __future__ import annotations

import numpy as np

from msgpass.kernels.chain_reference import Reduction, log_sum_exp
from msgpass.kernels.scan import Element, prefixes, suffixes


def product(earlier: Element, later: Element, reduce: Reduction) -> Element:
    """(n, I, J) ∘ (n, J, K), matrix by matrix, in logarithms."""
    (a,), (b,) = earlier, later
    return (reduce(a[:, :, :, None] + b[:, None, :, :], 2),)


def log_sweep(
    log_init: np.ndarray, log_tables: np.ndarray, log_evidence: np.ndarray, reduce: Reduction = log_sum_exp
) -> tuple[np.ndarray, np.ndarray]:
    """Unnormalised log messages of one sequence; arguments and results as
    :func:`msgpass.kernels.chain_reference.log_sweep`, which passes them one after another.

    Examples
    --------
    >>> init, table, seen = np.log([0.5, 0.5]), np.log([[0.7, 0.3], [0.3, 0.7]]), np.log([[0.9, 0.2]] * 2)
    >>> alpha, beta = log_sweep(init, table[None], seen)
    >>> np.exp(alpha + beta).sum(axis=1).round(6).tolist()
    [0.3515, 0.3515]
    """

    def combine(earlier: Element, later: Element) -> Element:
        return product(earlier, later, reduce)

    steps = log_tables + log_evidence[1:, None, :]
    start = (log_init + log_evidence[0])[None, :]
    alpha, beta = np.empty(log_evidence.shape), np.zeros(log_evidence.shape)
    alpha[0] = start[0]
    if len(steps):
        (ahead,) = prefixes((steps,), combine)
        (behind,) = suffixes((steps,), combine)
        alpha[1:] = combine((np.broadcast_to(start, (len(steps), *start.shape)),), (ahead,))[0][:, 0]
        beta[:-1] = reduce(behind, 2)
    return alpha, beta
