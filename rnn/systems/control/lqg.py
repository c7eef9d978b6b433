"""``lqg``: a linear plant seen through noise, steered by the regulator of its cost at the Kalman filter's
estimate.

Separation: the regulator is that of the plant without noise, the filter that of the plant without a cost,
and the two together are optimal. What noise costs adds up in three parts,

    J = V_0(mean) + ½ tr P_0 Σ_{0|−1} + ½ Σ_t tr P_{t+1}W + ½ Σ_t tr K_tᵀ(R + BᵀP_{t+1}B)K_t Σ_{t|t}

the start and the disturbances as the regulator would pay for them if it saw the state, and the price of not
seeing it.

Sources: Joseph & Tou (1961); Åström (1970), Introduction to Stochastic Control Theory, ch. 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from msgpass import Messages
from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.systems.control.checks import covariance, matrix, real, vector, whole
from rnn.systems.control.finite import Regulator, Rollout, lqr
from rnn.systems.control.kalman import FilterGains, Observer, filter_gains, filtered_states
from rnn.systems.control.problem import LinearQuadratic


class NoiseCosts(NamedTuple):
    """What an LQG problem costs on average: ``certain`` (from the mean, without noise), ``start`` (its
    spread), ``disturbances``, and ``estimation``, the price of not seeing the state."""

    certain: float
    start: float
    disturbances: float
    estimation: float

    @property
    def total(self) -> float:
        """Their sum."""
        return float(sum(self))


class Seen(NamedTuple):
    """A path and what was seen of it: the rollout, measurements (T, p), estimates (T, n)."""

    rollout: Rollout
    measurements: np.ndarray
    estimates: np.ndarray


@dataclass(frozen=True, eq=False)
class Controller:
    """What :func:`lqg` returns.

    Attributes
    ----------
    regulator : Regulator
        u_t = −K_t x̂_t + k_t.
    estimator : FilterGains
        ``gain`` (T, n, p), and the covariances ``predicted`` and ``filtered`` (T, n, n).
    observer : Observer
    """

    regulator: Regulator
    estimator: FilterGains
    observer: Observer

    def update(self, t: int, predicted, y) -> np.ndarray:
        """The estimate of x_t from its prediction and the measurement y_t; NaN in y is missing."""
        return self.update_many(
            t, np.asarray(predicted, float)[None], np.atleast_1d(np.asarray(y, float))[None]
        )[0]

    def update_many(self, t: int, predicted: np.ndarray, y: np.ndarray) -> np.ndarray:
        """:meth:`update` of several plants at once: (N, n) predictions, (N, p) measurements, complete
        ones.
        """
        if np.isnan(y).any():
            raise DataError(
                "a measurement is missing, and the gains are those of complete ones: give what was "
                "measured, or read estimates from a run over the record (Controller.filter)"
            )
        C = _at(self.observer.C, t)
        if predicted.shape[1:] != (C.shape[1],) or y.shape != (len(predicted), len(C)):
            raise ShapeError(
                f"a prediction and a measurement have shapes {predicted.shape[1:]} and {y.shape[1:]}, wanted "
                f"{(C.shape[1],)} and {(len(C),)}"
            )
        return predicted + (y - predicted @ C.T) @ self.estimator.gain[t].T

    def predict(self, t: int, estimate: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The prediction of x_{t+1}."""
        s = self.regulator.stages
        return estimate @ _at(s.A, t).T + u @ _at(s.B, t).T + _at(s.b, t)

    def filter(self, y, inputs) -> Messages:
        """Messages over a whole record: ``forward["x"].mean`` are the estimates, NaN in y is missing.

        Parameters
        ----------
        y : (T, p) array
        inputs : (T, m) array
        """
        T, p, m = self.regulator.stages.horizon, self.observer.C.shape[-2], self.regulator.stages.B.shape[-1]
        y, inputs = np.asarray(y, float), real("inputs", inputs)
        if y.shape != (T, p) or inputs.shape != (T, m):
            raise ShapeError(
                f"y and inputs have shapes {y.shape} and {inputs.shape}, wanted {(T, p)} and {(T, m)}"
            )
        return filtered_states(self.regulator.stages, self.observer, y, inputs)

    def simulate(self, rng: np.random.Generator | int, count: int | None = None) -> Seen:
        """Plant, measurements, filter and regulator together, from a generator or a seed; ``count`` runs at
        once add a leading axis.
        """
        s, o = self.regulator.stages, self.observer
        N, rng = 1 if count is None else whole("count", count), np.random.default_rng(rng)
        x = o.mean + rng.normal(size=(N, len(o.mean))) @ _root(o.cov).T
        predicted = np.tile(o.mean, (N, 1))
        states, inputs, measured, estimates = [x], [], [], []
        for t in range(s.horizon):
            C, V, W = _at(o.C, t), _at(o.V, t), _at(o.W, t)
            y = states[-1] @ C.T + rng.normal(size=(N, len(C))) @ _root(V).T
            estimate = self.update_many(t, predicted, y)
            u = self.regulator.policy.feedforward[t] - estimate @ self.regulator.policy.gain[t].T
            noise = rng.normal(size=x.shape) @ _root(W).T
            states.append(self.predict(t, states[-1], u) + noise)
            predicted = self.predict(t, estimate, u)
            inputs.append(u)
            measured.append(y)
            estimates.append(estimate)
        parts = [np.stack(part, axis=1) for part in (states, inputs, measured, estimates)]
        X, U, Y, E = parts if count is not None else [part[0] for part in parts]
        return Seen(Rollout(X, U, s.cost(X, U)), Y, E)

    @property
    def expected_cost(self) -> NoiseCosts:
        """The average cost by its parts."""
        s, o, value, K = (
            self.regulator.stages,
            self.observer,
            self.regulator.cost_to_go,
            self.regulator.policy.gain,
        )
        P = value.P[1:]
        Quu = s.R + np.swapaxes(s.B, 1, 2) @ P @ s.B
        paid = np.swapaxes(K, 1, 2) @ Quu @ K
        return NoiseCosts(
            value(0, o.mean),
            float(0.5 * (value.P[0] * o.cov).sum()),
            float(0.5 * (P * o.W).sum()),
            float(0.5 * (paid * self.estimator.filtered).sum()),
        )


def lqg(problem: LinearQuadratic, C, W, V, mean, cov, horizon: int | None = None) -> Controller:
    """Regulator and filter of a linear-quadratic problem whose states are measured with noise.

    Parameters
    ----------
    problem : LinearQuadratic
    C : (p, n) array
        y_t = C x_t + noise, measured before u_t is chosen.
    W, V : (n, n), (p, p) arrays
        Covariances of the disturbances and of the measurements; W may be singular, and so may V as long as no
        measurement is known beforehand.
    mean, cov : (n,), (n, n) arrays
        Of x_0.
    horizon : int, optional
        As for :func:`lqr`. C, W and V may have an axis of that many steps in front.

    Returns
    -------
    Controller

    Examples
    --------
    >>> problem = LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0)
    >>> C, W, V = [[1, 0]], 0.01 * np.eye(2), 0.04
    >>> controller = lqg(problem, C, W, V, [1, 0], 0.1 * np.eye(2), horizon=50)
    >>> costs = controller.expected_cost
    >>> round(costs.total, 2), round(costs.estimation, 2)
    (25.76, 7.94)
    >>> np.allclose(controller.regulator.policy.gain, lqr(problem, 50).policy.gain)  # separation
    True
    """
    regulator = lqr(problem, horizon)
    n, T = problem.states, regulator.stages.horizon
    C = real("C", C)
    p = C.shape[-2] if C.ndim > 1 else 1
    if C.ndim < 2:
        C = C.reshape(1, -1)
    observer = Observer(
        _lead("C", matrix("C", C, (p, n)), T),
        _lead("W", covariance("W", matrix("W", W, (n, n))), T),
        _lead("V", covariance("V", matrix("V", V, (p, p))), T),
        vector("mean", mean, n),
        covariance("cov", matrix("cov", cov, (n, n))),
    )
    if observer.cov.ndim != 2:
        raise ShapeError(f"cov has shape {observer.cov.shape}: there is one first state")
    try:
        gains = filter_gains(regulator.stages, observer)
    except (NumericalError, np.linalg.LinAlgError) as reason:
        raise NumericalError(
            f"the filter has no gain ({reason}): some measurement is known beforehand, for V is singular "
            "and the state behind it certain; leave it out, or give it noise"
        ) from reason
    return Controller(regulator, gains, observer)


def _lead(name: str, array: np.ndarray, T: int) -> np.ndarray:
    if array.ndim == 2:
        return array[None]
    if len(array) != T:
        raise ShapeError(f"{name} has {len(array)} steps, wanted {T}")
    return array


def _at(array: np.ndarray, t: int) -> np.ndarray:
    return array[t] if len(array) > 1 else array[0]


def _root(cov: np.ndarray) -> np.ndarray:
    """L with LLᵀ = cov, which may be singular."""
    values, vectors = np.linalg.eigh(cov)
    return vectors * np.sqrt(np.maximum(values, 0.0))
