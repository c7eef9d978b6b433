"""``QuadraticCost``: ½(x − s)ᵀQ(x − s) + (x − s)ᵀN(u − v) + ½(u − v)ᵀR(u − v), fixed or changing with
time."""

from __future__ import annotations

import numpy as np

from msgpass.errors import ShapeError
from rnn.systems.control.checks import matrix, real, symmetric
from rnn.systems.control.costs.base import Cost, Expansion, summed

AXES = {"Q": 2, "R": 2, "N": 2, "target": 1, "input_target": 1, "q": 1, "r": 1}


class QuadraticCost(Cost):
    """A quadratic distance from a target.

    Parameters
    ----------
    Q : (n, n) array
        Symmetric.
    R : (m, m) array, optional
        Symmetric; left out for a terminal cost.
    N : (n, m) array, optional
    target : (n,) array, optional
        s, zero by default.
    input_target : (m,) array, optional
        v, zero by default.
    q, r : (n,), (m,) arrays, optional
        Linear costs.

    Notes
    -----
    Each may have an axis of steps in front, which is indexed by the step's number.

    Examples
    --------
    >>> cost = QuadraticCost(np.eye(2), 0.1 * np.eye(1), target=[np.pi, 0.0])
    >>> cost.value(np.zeros((1, 2)), np.ones((1, 1)), np.zeros(1)).round(4)
    array([4.9848])
    """

    def __init__(self, Q, R=None, N=None, target=None, input_target=None, q=None, r=None):
        Q = real("Q", Q)
        n = Q.shape[-1] if Q.ndim else 1
        R = np.zeros((0, 0)) if R is None else real("R", R)
        m = R.shape[-1] if R.ndim else 1
        self.parameters = {
            "Q": symmetric("Q", matrix("Q", Q, (n, n))),
            "R": symmetric("R", matrix("R", R, (m, m))),
            "N": matrix("N", np.zeros((n, m)) if N is None else N, (n, m)),
        }
        for name, value, size in (
            ("target", target, n),
            ("input_target", input_target, m),
            ("q", q, n),
            ("r", r, m),
        ):
            self.parameters[name] = matrix(name, np.zeros(size) if value is None else value, (size,))

    def check(self, name, states, inputs):
        """Sizes of Q and R."""
        n, m = self.parameters["N"].shape[-2:]
        if n != states:
            raise ShapeError(f"{name}: Q is {n} × {n}, but the plant has {states} states")
        if m != inputs and inputs:
            says = "has no R" if m == 0 else f"R is {m} × {m}"
            raise ShapeError(
                f"{name}: the QuadraticCost {says}, but the plant has {inputs} controls; give R, of "
                "zeros where they cost nothing"
            )
        if m and not inputs:
            raise ShapeError(f"{name}: there is no control at the end; give the QuadraticCost no R, N or r")

    def _at(self, t):
        """The arrays at steps t, with a leading axis."""
        index = np.asarray(t).astype(int)
        arrays = []
        for name, axes in AXES.items():
            array = self.parameters[name]
            if array.ndim == axes:
                arrays.append(array[None])
            elif index.max(initial=0) < len(array):
                arrays.append(array[index])
            else:
                raise ShapeError(
                    f"QuadraticCost: {name} has {len(array)} steps, but step {index.max()} is asked for"
                )
        return arrays

    def value(self, x, u, t):
        """Of each row."""
        Q, R, N, s, v, q, r = self._at(t)
        e, d = x - s, u - v
        left = 0.5 * _times(Q, e) + _times(N, d)
        return (e * left + q * x).sum(-1) + (0.5 * d * _times(R, d) + r * u).sum(-1)

    def gradient(self, x, u, t):
        """Q e + N d + q and R d + Nᵀe + r."""
        Q, R, N, s, v, q, r = self._at(t)
        e, d = x - s, u - v
        return _times(Q, e) + _times(N, d) + q, _times(R, d) + _times(np.swapaxes(N, -1, -2), e) + r

    def parameter_gradient(self, x, u, t, weights=1.0):
        """½eeᵀ, ½ddᵀ, edᵀ, −(Qe + Nd), −(Rd + Nᵀe), x and u; with a step axis where the parameter has one."""
        Q, R, N, s, v, _, _ = self._at(t)
        e, d = x - s, u - v
        rows = {
            "Q": 0.5 * e[:, :, None] * e[:, None, :],
            "R": 0.5 * d[:, :, None] * d[:, None, :],
            "N": e[:, :, None] * d[:, None, :],
            "target": -_times(Q, e) - _times(N, d),
            "input_target": -_times(R, d) - _times(np.swapaxes(N, -1, -2), e),
            "q": x,
            "r": u,
        }
        return {
            name: summed(rows[name], self.parameters[name], axes, t, weights) for name, axes in AXES.items()
        }

    def expansion(self, x, u, t):
        """Exact."""
        Q, R, N = self._at(t)[:3]
        blocks = [np.broadcast_to(M, (len(x), *M.shape[1:])) for M in (Q, N, R)]
        return Expansion(*self.gradient(x, u, t), *blocks)


def _times(M, v):
    return (M @ v[..., None])[..., 0]
