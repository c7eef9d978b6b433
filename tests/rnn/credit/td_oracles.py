"""Definitions, written out: sums over all n-step returns, and the on-line λ-return algorithm step by step."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st


class Episode(NamedTuple):
    """Everything a step may depend on."""

    x: np.ndarray  # (T + 1, d), the last row zero where the episode ended
    r: np.ndarray
    gamma: np.ndarray
    lam: np.ndarray
    w: np.ndarray


@st.composite
def episodes(draw, longest=9, binary=False):
    """Random features, rewards, discounts and λ, some of them 0 or 1."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    T, d = draw(st.integers(1, longest)), draw(st.integers(1, 4))
    x = rng.integers(0, 2, size=(T + 1, d)).astype(float) if binary else rng.normal(size=(T + 1, d))
    if draw(st.booleans()):
        x[T] = 0.0
    gamma, lam = rng.random(T), rng.random(T)
    for array in (gamma, lam):
        array[rng.random(T) < 0.15] = 0.0
        array[rng.random(T) < 0.15] = 1.0
    return Episode(x, rng.normal(size=T), gamma, lam, rng.normal(size=d))


def n_step(r, gamma, v, t, n):
    """G_t^(n) from v[0 … T]."""
    total, weight = 0.0, 1.0
    for k in range(t, t + n):
        total += weight * r[k]
        weight *= gamma[k]
    return total + weight * v[t + n]


def lambda_return(r, gamma, lam, v, t):
    """Σ_n λ_t ⋯ λ_{t+n−2} (1 − λ_{t+n−1}) G_t^(n), the rest of the weight on the last."""
    T, total, weight = len(r), 0.0, 1.0
    for n in range(1, T - t):
        total += weight * (1 - lam[t + n - 1]) * n_step(r, gamma, v, t, n)
        weight *= lam[t + n - 1]
    return total + weight * n_step(r, gamma, v, t, T - t)


def online_lambda_return(x, r, gamma, lam, alpha, w):
    """Weights after each step: at every horizon h, all updates towards interim λ-returns are made anew.

    The bootstrap at s_k uses the weights that were last at horizon k − 1 (van Seijen et al. 2016).
    """
    last = [w]
    for h in range(1, len(r) + 1):
        v = np.array([np.nan, *(x[k] @ last[k - 1] for k in range(1, h + 1))])
        moving = w
        for t in range(h):
            target = lambda_return(r[:h], gamma[:h], lam[:h], v, t)
            moving = moving + alpha * (target - moving @ x[t]) * x[t]
        last.append(moving)
    return np.array(last[1:])


def online_td(x, r, gamma, lam, alpha, w, kind):
    """Weights after each step of TD(λ) with accumulating or replacing traces."""
    e, path = np.zeros_like(w), []
    for t in range(len(r)):
        decay = gamma[t - 1] * lam[t - 1] if t else 0.0
        delta = r[t] + gamma[t] * w @ x[t + 1] - w @ x[t]
        if kind == "accumulating":
            e = decay * e + x[t]
        else:
            e = np.array([xi if xi else decay * ei for xi, ei in zip(x[t], e, strict=True)])
        w = w + alpha * delta * e
        path.append(w)
    return np.array(path)
