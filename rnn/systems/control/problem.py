"""``LinearQuadratic``: linear dynamics and a quadratic cost, fixed or changing with time, as one value.

x_{t+1} = A x_t + B u_t + b
J = Σ_{t<T} ½ x_tᵀQ x_t + x_tᵀN u_t + ½ u_tᵀR u_t + q·x_t + r·u_t  +  ½ x_TᵀQ_f x_T + q_f·x_T
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.errors import ShapeError
from rnn.systems.control.checks import matrix, positive_definite, real, symmetric, whole

PAYS = "every control must cost something, else an infinite one may be best; add a small multiple of I"


class Stages(NamedTuple):
    """A problem step by step. What does not change has a leading axis of 1."""

    A: np.ndarray  # (1|T, n, n)
    B: np.ndarray  # (1|T, n, m)
    b: np.ndarray  # (1|T, n)
    Q: np.ndarray  # (1|T, n, n)
    R: np.ndarray  # (1|T, m, m)
    N: np.ndarray  # (1|T, n, m)
    q: np.ndarray  # (1|T, n)
    r: np.ndarray  # (1|T, m)
    Q_final: np.ndarray  # (n, n)
    q_final: np.ndarray  # (n,)
    horizon: int

    def cost(self, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Cost of every step, the last one the terminal cost: (…, T + 1) from (…, T + 1, n), (…, T, m)."""
        x, u, last = states[..., :-1, :], inputs, states[..., -1, :]
        stage = (
            0.5 * _form(x, self.Q, x) + 0.5 * _form(u, self.R, u) + _form(x, self.N, u)
            + (self.q * x).sum(-1) + (self.r * u).sum(-1)
        )  # fmt: skip
        final = 0.5 * _form(last, self.Q_final, last) + last @ self.q_final
        return np.concatenate([stage, final[..., None]], axis=-1)


def _form(left, M, right):
    return (left * (M @ right[..., None])[..., 0]).sum(-1)


class LinearQuadratic:
    """A linear-quadratic problem.

    Parameters
    ----------
    A : (n, n) array
    B : (n, m) array, or (n,) with one control
    Q : (n, n) array
        Symmetric. It may be indefinite as long as the problem stays convex in the controls.
    R : (m, m) array
        Symmetric, positive definite.
    N : (n, m) array, optional
        Cross term xᵀN u.
    q, r : (n,), (m,) arrays, optional
        Linear costs.
    b : (n,) array, optional
        Offset of the dynamics.
    Q_final, q_final : (n, n), (n,) arrays, optional
        Terminal cost; by default Q and q (of the last step).

    Notes
    -----
    Any of A, B, Q, R, N, q, r, b may have an axis of steps in front.

    Examples
    --------
    >>> problem = LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0)
    >>> problem.states, problem.inputs, problem.steps
    (2, 1, None)
    """

    def __init__(self, A, B, Q, R, N=None, q=None, r=None, b=None, Q_final=None, q_final=None):
        A, B = real("A", A), real("B", B)
        self.states = n = A.shape[-1] if A.ndim else 1
        if B.ndim == 0 or B.shape == (n,):
            B = B.reshape(-1, 1)
        self.inputs = m = B.shape[-1]
        if n == 0 or m == 0:
            raise ShapeError(f"a problem has states and controls, got {n} states and {m} controls")
        self.A, self.B = matrix("A", A, (n, n)), matrix("B", B, (n, m))
        self.Q = symmetric("Q", matrix("Q", Q, (n, n)))
        self.R = positive_definite("R", matrix("R", R, (m, m)), PAYS)
        self.N = matrix("N", np.zeros((n, m)) if N is None else N, (n, m))
        self.q = matrix("q", np.zeros(n) if q is None else q, (n,))
        self.r = matrix("r", np.zeros(m) if r is None else r, (m,))
        self.b = matrix("b", np.zeros(n) if b is None else b, (n,))
        self.Q_final = self.q_final = None
        if Q_final is not None:
            self.Q_final = symmetric("Q_final", _single("Q_final", matrix("Q_final", Q_final, (n, n)), 2))
        if q_final is not None:
            self.q_final = _single("q_final", matrix("q_final", q_final, (n,)), 1)
        self._check_steps()

    def _check_steps(self) -> None:
        lengths = {name: len(array) for name, array in self._timed().items()}
        if 0 in lengths.values():
            raise ShapeError("an axis of steps holds none; a horizon has at least one")
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} has {steps}" for name, steps in lengths.items())
            raise ShapeError(f"the arrays disagree about the number of steps: {listed}")
        self.steps = next(iter(lengths.values()), None)

    def _timed(self) -> dict[str, np.ndarray]:
        """The arrays with a step axis."""
        arrays = {name: getattr(self, name) for name in ("A", "B", "Q", "R", "N", "q", "r", "b")}
        return {name: a for name, a in arrays.items() if a.ndim > (1 if name in "qrb" else 2)}

    def __repr__(self) -> str:
        time = f", {self.steps} steps" if self.steps else ""
        return f"LinearQuadratic({self.states} states, {self.inputs} controls{time})"

    @classmethod
    def tracking(cls, A, B, Q, R, states=None, inputs=None, C=None, Q_final=None, b=None) -> LinearQuadratic:
        """Follow a reference: ½ Σ (C x_t − s_t)ᵀQ(C x_t − s_t) + ½ Σ (u_t − v_t)ᵀR(u_t − v_t).

        Parameters
        ----------
        A, B, Q, R, b
            As for the class; Q is (p, p) where C is given.
        states : (T + 1, n) or (n,) array, optional
            The reference s, of C x where C is given; zero by default. Its last row is that of the terminal
            cost.
        inputs : (T, m) or (m,) array, optional
            The reference v of the controls; zero by default.
        C : (p, n) array, optional
            What is followed; the state itself by default.
        Q_final : array, optional
            Of the shape of Q; Q by default.

        Notes
        -----
        The constant ½ s·Qs + ½ v·Rv is no part of the problem: costs differ from the sum of squares by it.

        Examples
        --------
        >>> problem = LinearQuadratic.tracking(1.0, 1.0, 2.0, 1.0, states=np.ones((6, 1)))
        >>> problem.steps, problem.q[0].item()
        (5, -2.0)
        """
        A, B = real("A", A), real("B", B)
        n = A.shape[-1] if A.ndim else 1
        m = B.shape[-1] if B.ndim > 1 else 1
        C = np.eye(n) if C is None else real("C", C)
        if C.ndim != 2 or C.shape[1] != n:
            raise ShapeError(f"C has shape {C.shape}, wanted (outputs, {n})")
        p = len(C)
        Q = symmetric("Q", matrix("Q", Q, (p, p)))
        R = matrix("R", R, (m, m))
        Q_last = (Q[-1] if Q.ndim == 3 else Q) if Q_final is None else matrix("Q_final", Q_final, (p, p))
        s = matrix("states", np.zeros(p) if states is None else states, (p,))
        v = matrix("inputs", np.zeros(m) if inputs is None else inputs, (m,))
        if s.ndim == 2 and len(s) < 2:
            raise ShapeError("states needs at least two rows, the last for the terminal cost")
        here, last = (s, s) if s.ndim == 1 else (s[:-1], s[-1])
        return cls(
            A,
            B,
            C.T @ Q @ C,
            R,
            q=-(here[..., None, :] @ Q @ C)[..., 0, :],
            r=-(v[..., None, :] @ R)[..., 0, :],
            b=b,
            Q_final=C.T @ Q_last @ C,
            q_final=-(last @ Q_last @ C),
        )

    def stages(self, horizon: int | None = None) -> Stages:
        """The problem over ``horizon`` steps (by default as many as its arrays have)."""
        if horizon is None:
            if self.steps is None:
                raise ShapeError(
                    "nothing in this problem has a step axis, so that its horizon is open: give horizon=, "
                    "or use stationary_lqr for an infinite one"
                )
            horizon = self.steps
        horizon = whole("horizon", horizon)
        if self.steps not in (None, horizon):
            raise ShapeError(f"horizon is {horizon}, but the problem's arrays have {self.steps} steps")
        arrays = {
            name: getattr(self, name)
            if name in self._timed()
            else getattr(self, name)[None]
            for name in ("A", "B", "b", "Q", "R", "N", "q", "r")
        }  # fmt: skip
        last_Q, last_q = arrays["Q"][-1], arrays["q"][-1]
        return Stages(
            **arrays,
            Q_final=last_Q if self.Q_final is None else self.Q_final,
            q_final=last_q if self.q_final is None else self.q_final,
            horizon=horizon,
        )


def _single(name: str, array: np.ndarray, axes: int) -> np.ndarray:
    if array.ndim != axes:
        raise ShapeError(f"{name} has shape {array.shape}: the terminal cost has no step axis")
    return array
