"""The oracle: all states and observations of a sequence as one normal vector, conditioned by dense algebra;
and random models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm import LinearGaussianSSM


@dataclass
class Joint:
    """(x_0 … x_{T−1}, y_0 … y_{T−1}) of one sequence."""

    mean: np.ndarray
    cov: np.ndarray
    T: int
    n: int
    p: int

    def given(self, y: np.ndarray, up_to: int | None = None):
        """Moments of all states given the cells of y that are there (of the first rows)."""
        y = y.copy()
        if up_to is not None:
            y[up_to:] = np.nan
        m = self.T * self.n
        seen = np.flatnonzero(~np.isnan(y.ravel()))
        places = m + seen
        S = self.cov[np.ix_(places, places)]
        cross = self.cov[:m][:, places]
        gain = np.linalg.solve(S, cross.T).T if len(seen) else np.zeros((m, 0))
        away = y.ravel()[seen] - self.mean[places]
        mean = self.mean[:m] + gain @ away
        cov = self.cov[:m, :m] - gain @ cross.T
        total = -0.5 * (
            len(seen) * np.log(2 * np.pi) + np.linalg.slogdet(S)[1] + away @ np.linalg.solve(S, away)
        )
        return mean.reshape(self.T, self.n), cov.reshape(self.T, self.n, self.T, self.n), total


def at(array: np.ndarray, axes: int, t: int) -> np.ndarray:
    return array[t] if array.ndim > axes else array


def joint(space, T: int, u: np.ndarray) -> Joint:
    """By propagation of every source of randomness: z = A e + c with independent unit-free noises e."""
    n, p = space.n_states, space.n_outputs
    size = n + (T - 1) * n + T * p
    noise = np.zeros((size, size))
    noise[:n, :n] = space.initial_covariance
    x_mean, x_map = [space.initial_mean], [np.eye(n, size)]
    for t in range(T - 1):
        F, B = at(space.transition_matrix, 2, t), at(space.transition_input_matrix, 2, t)
        own = slice(n + t * n, n + (t + 1) * n)
        noise[own, own] = at(space.transition_covariance, 2, t)
        moved = F @ x_map[-1]
        moved[:, own] += np.eye(n)
        x_map.append(moved)
        x_mean.append(F @ x_mean[-1] + B @ u[t] + at(space.transition_offset, 1, t))
    y_mean, y_map = [], []
    for t in range(T):
        H, D = at(space.observation_matrix, 2, t), at(space.observation_input_matrix, 2, t)
        start = n + (T - 1) * n + t * p
        noise[start : start + p, start : start + p] = at(space.observation_covariance, 2, t)
        seen = H @ x_map[t]
        seen[:, start : start + p] += np.eye(p)
        y_map.append(seen)
        y_mean.append(H @ x_mean[t] + D @ u[t] + at(space.observation_offset, 1, t))
    A = np.concatenate([*x_map, *y_map])
    return Joint(np.concatenate([*x_mean, *y_mean]), A @ noise @ A.T, T, n, p)


def covariance(rng: np.random.Generator, n: int, rank: int | None = None) -> np.ndarray:
    L = rng.normal(size=(n, n if rank is None else rank))
    return L @ L.T / n + (0.1 * np.eye(n) if rank is None else 0)


def random_model(
    rng: np.random.Generator, n=2, p=2, k=0, steps: int | None = None, **settings
) -> LinearGaussianSSM:
    """With every matrix given; with ``steps`` all that may vary over time do."""
    lead = () if steps is None else (steps,)

    def stacked(make):
        return make() if steps is None else np.stack([make() for _ in range(steps)])

    def stable():
        F = rng.normal(size=(n, n))
        return 0.9 * F / np.abs(np.linalg.eigvals(F)).max()

    values = {
        "transition_matrix": stacked(stable),
        "transition_covariance": stacked(lambda: covariance(rng, n)),
        "transition_offset": rng.normal(size=(*lead, n)),
        "observation_matrix": rng.normal(size=(*lead, p, n)),
        "observation_covariance": stacked(lambda: covariance(rng, p)),
        "observation_offset": rng.normal(size=(*lead, p)),
        "initial_mean": rng.normal(size=n),
        "initial_covariance": covariance(rng, n),
    }
    if k:
        values["transition_input_matrix"] = rng.normal(size=(*lead, n, k))
        values["observation_input_matrix"] = rng.normal(size=(*lead, p, k))
    return LinearGaussianSSM(n, **(values | settings))


def with_gaps(rng: np.random.Generator, y: np.ndarray, share: float = 0.25) -> np.ndarray:
    """Missing cells, and one missing row."""
    y = np.where(rng.random(y.shape) < share, np.nan, y)
    if len(y) > 2:
        y[len(y) // 2] = np.nan
    return y
