"""One step of TD(λ), a function a trace. Straight-line NumPy over rows (…, d); numbers are rows (…, 1).

    δ = r + γ w·x′ − w·x accumulating  e ← γ₋λ e + x                            w ← w + α δ e replacing     e
    ← x where x ≠ 0, else γ₋λ e            w ← w + α δ e true online   e ← γ₋λ e + (1 − α γ₋λ e·x) x
    w ← w + α (δ + w·x − v) e − α (w·x − v) x,   v ← w·x′

γ₋ is the discount of the step before, and 0 where an episode starts: there e = x, and v is of no account.

Sources: Sutton (1988); Singh & Sutton (1996); van Seijen & Sutton (2014), True online TD(λ) (dutch traces).
"""

from __future__ import annotations

import numpy as np


def dot(a, b):
    """Σ over the last axis, which stays."""
    return np.sum(a * b, axis=-1, keepdims=True)


def td_error(w, x, y, r, gamma):
    """δ."""
    return r + gamma * dot(w, y) - dot(w, x)


def accumulated(e, x, decay):
    """The trace that adds up."""
    return decay * e + x


def replaced(e, x, decay):
    """The trace that starts anew at each visit."""
    return np.where(x != 0, x, decay * e)


def dutch(e, x, decay, alpha):
    """The trace of true online TD(λ)."""
    return decay * e + (1 - alpha * decay * dot(e, x)) * x


def accumulating(w, e, x, y, r, gamma, before, lam, alpha):
    """On-line TD(λ)."""
    delta = td_error(w, x, y, r, gamma)
    e = accumulated(e, x, before * lam)
    return w + alpha * delta * e, e, delta


def replacing(w, e, x, y, r, gamma, before, lam, alpha):
    """On-line TD(λ) with replacing traces."""
    delta = td_error(w, x, y, r, gamma)
    e = replaced(e, x, before * lam)
    return w + alpha * delta * e, e, delta


def true_online(w, e, v, x, y, r, gamma, before, lam, alpha):
    """True online TD(λ)."""
    here, there = dot(w, x), dot(w, y)
    delta = r + gamma * there - here
    e = dutch(e, x, before * lam, alpha)
    w = w + alpha * (delta + here - v) * e - alpha * (here - v) * x
    return w, e, there, delta


def accumulating_later(w, e, p, x, y, r, gamma, before, lam, alpha, now):
    """Off-line TD(λ): changes wait in p until ``now`` is 1."""
    delta = td_error(w, x, y, r, gamma)
    e = accumulated(e, x, before * lam)
    p = p + alpha * delta * e
    return w + now * p, e, (1 - now) * p, delta


def replacing_later(w, e, p, x, y, r, gamma, before, lam, alpha, now):
    """Off-line TD(λ) with replacing traces."""
    delta = td_error(w, x, y, r, gamma)
    e = replaced(e, x, before * lam)
    p = p + alpha * delta * e
    return w + now * p, e, (1 - now) * p, delta
