"""Weighted multinomial logistic regression: argmax_θ Σ_tj w_tj log softmax_j(0, X_t θ_1, …) − ½ Σ penalty θ².

Concave. Newton's method with halved steps while the curvature is small enough to be solved, L-BFGS beyond.
"""

from __future__ import annotations

import numpy as np

from hmm.simplex import NEGLIGIBLE

ROUNDS = 12
HALVINGS = 30
SETTLED = 1e-13
"""A Newton step that promises less, relative to the weight, ends the search."""

MOST = 256
"""Numbers to be found up to which the curvature, that many squared, is made and solved."""


def climb(design: np.ndarray, weights: np.ndarray, start: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Coefficients (m, F) not worse than ``start``.

    Parameters
    ----------
    design : array, (n, F)
    weights : array, (n, 1 + m)
        Of the reference, and of the other outcomes.
    start : array, (m, F)
    penalty : array, (F,)

    Examples
    --------
    >>> climb(np.ones((2, 1)), np.array([[1.0, 2.0], [1.0, 0.0]]), np.zeros((1, 1)), np.zeros(1)).round(9)
    array([[0.]])
    """
    mass = float(weights.sum())
    if not start.size or mass <= NEGLIGIBLE:
        return start
    regression = Regression(design, weights, penalty)
    if start.size > MOST:
        return _lbfgs(regression, start)
    theta, value = start, regression.value(start)
    # Where outcomes are separated the curvature vanishes: damped, a step stays finite.
    damping = 1e-10 * mass * np.tile((design**2).mean(axis=0) + 1e-12, len(start))
    for _ in range(ROUNDS):
        slope, curvature = regression.slope(theta).ravel(), regression.curvature(theta)
        curvature[np.diag_indices(len(curvature))] += damping
        step = np.linalg.solve(curvature, slope)
        if step @ slope <= SETTLED * mass:
            break
        step = step.reshape(theta.shape)
        for halving in range(HALVINGS):
            moved = theta + 0.5**halving * step
            if (level := regression.value(moved)) > value:
                break
        else:
            break
        theta, value = moved, level
    return theta


class Regression:
    """Objective of one regression and its derivatives."""

    def __init__(self, design: np.ndarray, weights: np.ndarray, penalty: np.ndarray):
        self.design, self.weights, self.penalty = design, weights, penalty
        self.mass = weights.sum(axis=1)

    def value(self, theta: np.ndarray) -> float:
        """Log-likelihood plus log prior."""
        logits = self.design @ theta.T
        top = np.maximum(logits.max(axis=1), 0)
        norm = top + np.log(np.exp(-top) + np.exp(logits - top[:, None]).sum(axis=1))
        fit = (self.weights[:, 1:] * logits).sum() - self.mass @ norm
        return float(fit - 0.5 * (self.penalty * theta**2).sum())

    def probabilities(self, theta: np.ndarray) -> np.ndarray:
        """Of the outcomes beside the reference, (n, m)."""
        logits = self.design @ theta.T
        top = np.maximum(logits.max(axis=1, keepdims=True), 0)
        p = np.exp(logits - top)
        return p / (np.exp(-top) + p.sum(axis=1, keepdims=True))

    def slope(self, theta: np.ndarray) -> np.ndarray:
        """Gradient, (m, F)."""
        gap = self.weights[:, 1:] - self.mass[:, None] * self.probabilities(theta)
        return gap.T @ self.design - self.penalty * theta

    def curvature(self, theta: np.ndarray) -> np.ndarray:
        """Minus the second derivatives, (m F, m F)."""
        p = self.probabilities(theta)
        m, F = theta.shape
        found = np.empty((m, F, m, F))
        for a in range(m):
            for b in range(a, m):
                weight = self.mass * p[:, a] * ((a == b) - p[:, b])
                block = (self.design * weight[:, None]).T @ self.design
                found[a, :, b], found[b, :, a] = block, block.T
        whole = found.reshape(m * F, m * F)
        whole[np.diag_indices(m * F)] += np.tile(self.penalty, m)
        return whole


def _lbfgs(regression: Regression, start: np.ndarray) -> np.ndarray:
    from scipy.optimize import minimize

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        theta = flat.reshape(start.shape)
        return -regression.value(theta), -regression.slope(theta).ravel()

    found = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 40})
    moved = found.x.reshape(start.shape)
    return moved if regression.value(moved) >= regression.value(start) else start
