"""Distributions of scipy.stats whose weighted maximum has a formula, by name and by which parameters are
free.

Each takes values x, weights w that sum to one, and all parameters, of which those that are held keep their
value.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Parameters = dict[str, float]


def _norm(x: np.ndarray, w: np.ndarray, p: Parameters) -> Parameters:
    loc = float(w @ x)
    return {"loc": loc, "scale": float(np.sqrt(w @ (x - loc) ** 2))}


def _laplace(x: np.ndarray, w: np.ndarray, p: Parameters) -> Parameters:
    order = np.argsort(x, kind="stable")
    loc = float(x[order][np.searchsorted(np.cumsum(w[order]), 0.5 * w.sum())])
    return {"loc": loc, "scale": float(w @ np.abs(x - loc))}


def _expon(x: np.ndarray, w: np.ndarray, p: Parameters) -> Parameters:
    return {"scale": float(w @ (x - p["loc"]))}


def _lognorm(x: np.ndarray, w: np.ndarray, p: Parameters) -> Parameters:
    y = np.log(x - p["loc"])
    mean = float(w @ y)
    return {"s": float(np.sqrt(w @ (y - mean) ** 2)), "scale": float(np.exp(mean))}


def _rayleigh(x: np.ndarray, w: np.ndarray, p: Parameters) -> Parameters:
    return {"scale": float(np.sqrt(w @ (x - p["loc"]) ** 2 / 2))}


def _halfnorm(x: np.ndarray, w: np.ndarray, p: Parameters) -> Parameters:
    return {"scale": float(np.sqrt(w @ (x - p["loc"]) ** 2))}


def _poisson(x: np.ndarray, w: np.ndarray, p: Parameters) -> Parameters:
    return {"mu": float(w @ (x - p["loc"]))}


def _geom(x: np.ndarray, w: np.ndarray, p: Parameters) -> Parameters:
    return {"p": 1 / float(w @ (x - p["loc"]))}


def _bernoulli(x: np.ndarray, w: np.ndarray, p: Parameters) -> Parameters:
    return {"p": min(float(w @ (x - p["loc"])), 1.0)}


def _binom(x: np.ndarray, w: np.ndarray, p: Parameters) -> Parameters:
    return {"p": min(float(w @ (x - p["loc"])) / p["n"], 1.0)}


CLOSED: dict[str, tuple[frozenset[str], Callable[[np.ndarray, np.ndarray, Parameters], Parameters]]] = {
    "norm": (frozenset({"loc", "scale"}), _norm),
    "laplace": (frozenset({"loc", "scale"}), _laplace),
    "expon": (frozenset({"scale"}), _expon),
    "lognorm": (frozenset({"s", "scale"}), _lognorm),
    "rayleigh": (frozenset({"scale"}), _rayleigh),
    "halfnorm": (frozenset({"scale"}), _halfnorm),
    "poisson": (frozenset({"mu"}), _poisson),
    "geom": (frozenset({"p"}), _geom),
    "bernoulli": (frozenset({"p"}), _bernoulli),
    "binom": (frozenset({"p"}), _binom),
}
"""Name → the parameters that must be free, all others held, and the formula."""
