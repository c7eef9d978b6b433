"""``stationary_lqg``: regulator and filter over an infinite horizon. The filter is the regulator of the
transposed problem (A, C, W, V) ↔ (Aᵀ, Cᵀ, Q, R): Kalman's duality, one fixed point of messages solves both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.errors import NumericalError
from rnn.systems.control.checks import covariance, positive_definite, real, single
from rnn.systems.control.problem import LinearQuadratic
from rnn.systems.control.stationary import StationaryRegulator, stationary_lqr


class StationaryController(NamedTuple):
    """What :func:`stationary_lqg` returns.

    Attributes
    ----------
    regulator : StationaryRegulator
    gain : (n, p) array
        L: x̂_t = predicted + L (y_t − C predicted).
    predicted, filtered : (n, n) arrays
        Covariance of the estimate before and after each measurement.
    rate : float
        Cost a step in the long run: that of the regulator which sees the state, and ``estimation``.
    estimation : float
        The price of not seeing it, ½ tr Kᵀ(R + BᵀPB)K Σ.
    closed_loop : (2n, 2n) array
        Of (state, error of the prediction): block triangular, its eigenvalues are those of A − BK and A −
        ALC.
    """

    regulator: StationaryRegulator
    gain: np.ndarray
    predicted: np.ndarray
    filtered: np.ndarray
    rate: float
    estimation: float
    closed_loop: np.ndarray


def stationary_lqg(problem: LinearQuadratic, C, W, V) -> StationaryController:
    """Regulator and filter that do not change with time.

    Parameters
    ----------
    problem : LinearQuadratic
        Without a step axis.
    C, W, V : (p, n), (n, n), (p, p) arrays
        As for :func:`lqg`; V positive definite.

    Returns
    -------
    StationaryController

    Raises
    ------
    NumericalError
        When some unstable mode is not controlled, costs nothing, is not measured, or is not disturbed.

    Examples
    --------
    >>> problem = LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0)
    >>> found = stationary_lqg(problem, [1, 0], 0.01 * np.eye(2), 0.04)
    >>> bool(np.abs(np.linalg.eigvals(found.closed_loop)).max() < 1)
    True
    """
    n = problem.states
    W = covariance("W", single("W", W, (n, n)))
    regulator = stationary_lqr(problem, noise=W)
    C = real("C", C)
    C = single("C", C.reshape(1, -1) if C.ndim < 2 else C, (C.shape[-2] if C.ndim > 1 else 1, n))
    p = len(C)
    V = positive_definite("V", single("V", V, (p, p)), "give every measurement some noise")
    try:
        dual = stationary_lqr(LinearQuadratic(problem.A.T, C.T, W, V))
    except NumericalError as reason:
        raise NumericalError(
            "the filter does not settle. It is the regulator of the transposed problem, and there, with "
            f"C for the controls and W for the costs: {reason}"
        ) from reason
    predicted = dual.P
    gain = np.linalg.solve(C @ predicted @ C.T + V, C @ predicted).T
    rest = np.eye(n) - gain @ C
    filtered = rest @ predicted @ rest.T + gain @ V @ gain.T
    A, B, K = problem.A, problem.B, regulator.gain
    estimation = float(0.5 * (K.T @ (problem.R + B.T @ regulator.P @ B) @ K * filtered).sum())
    # x′ = A x − B K x̂ with x̂ = x − (I − LC)e, e′ = A(I − LC)e + noise.
    loop = np.block([[A - B @ K, B @ K @ rest], [np.zeros((n, n)), A @ rest]])
    return StationaryController(
        regulator, gain, predicted, filtered, regulator.rate + estimation, estimation, loop
    )
