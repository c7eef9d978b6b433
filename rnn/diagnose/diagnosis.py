"""``Diagnosis``: how far a network's state speaks to its later states, in figures and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnn.diagnose.state import State

LARGE = 100.0
"""A gradient that grows beyond this over the sequence explodes; below its inverse it vanishes."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What :func:`rnn.diagnose` finds. Means over sequences are geometric.

    Attributes
    ----------
    state : State
        Names and sizes of the sequences that make up the state s.
    lags : array (K,)
        k = 0, …, T − 1; of long sequences a geometric choice of them.
    log_singular_values : array (K, n)
        Of P_k = ∂s_T/∂s_{T−k}, natural logarithms, the largest first; below 1e-16 of the largest they are
        rounding.
    adjoint : array (K,)
        |∂ℓ_T/∂s_{T−k}|, ℓ_T being the loss of the last step.
    paths : dict of str to array (K,)
        Largest singular value of the block of each sequence, such as ∂c_T/∂c_{T−k}.
    direct : dict of str to array (K,), or None
        The same along that sequence alone, all others held: of an LSTM's c, the product of its forget gates.
        None where a time step is more than one factor.
    exponents : array (n,) or None
        Lyapunov exponents per step, the largest first.
    exponents_error : float or None
        Standard error of the largest, from the sequences that were given.
    """

    state: State
    lags: np.ndarray
    log_singular_values: np.ndarray
    adjoint: np.ndarray
    paths: dict[str, np.ndarray]
    direct: dict[str, np.ndarray] | None
    exponents: np.ndarray | None
    exponents_error: float | None

    @property
    def norms(self) -> np.ndarray:
        """Largest singular value by lag, (K,)."""
        with np.errstate(over="ignore"):
            return np.exp(self.log_singular_values[:, 0])

    @property
    def singular_values(self) -> np.ndarray:
        """By lag, (K, n)."""
        with np.errstate(over="ignore"):
            return np.exp(self.log_singular_values)

    @property
    def rate(self) -> float:
        """Factor a step by which the largest singular value changes, from its course over all lags."""
        logs = self.log_singular_values[:, 0]
        seen = np.isfinite(logs) & (self.lags > 0)
        if seen.sum() < 2:
            return float(np.exp(logs[-1] / max(1, self.lags[-1])))
        return float(np.exp(np.polyfit(self.lags[seen], logs[seen], 1)[0]))

    def horizon(self, share: float = 0.01) -> int | None:
        """Lag from which on less than ``share`` of a cotangent arrives; None where all of it is heard."""
        below = self.log_singular_values[:, 0] < np.log(share) + self.log_singular_values[0, 0]
        stays = np.logical_and.accumulate(below[::-1])[::-1]
        return int(self.lags[np.argmax(stays)]) if stays.any() else None

    @property
    def verdict(self) -> str:
        """ "vanishing", "exploding" or "steady"."""
        last = self.log_singular_values[-1, 0]
        if last > np.log(LARGE):
            return "exploding"
        return "vanishing" if last < -np.log(LARGE) else "steady"

    def __str__(self) -> str:
        lag, horizon = int(self.lags[-1]), self.horizon()
        size = np.format_float_scientific(self.norms[-1], precision=1, trim="-")
        lines = [
            f"{', '.join(self.state.names)}: {self.verdict}",
            f"  over {lag} steps a cotangent becomes {size} times as long, {self.rate:.3f} a step",
            "  all of the sequence is heard"
            if horizon is None
            else f"  what is {horizon} steps back or more arrives with less than 1 % of its length",
        ]
        if self.exponents is not None:
            error = "" if self.exponents_error is None else f" ± {self.exponents_error:.2g}"
            lines.append(f"  largest Lyapunov exponent {self.exponents[0]:.3f}{error} a step")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Diagnosis of {', '.join(self.state.names)}: {self.verdict}, {self.rate:.3f} a step>"

    def to_frame(self):
        """One row a lag: ``norm``, ``adjoint``, and the paths."""
        from msgpass.optional import pandas

        columns = {"lag": self.lags, "norm": self.norms, "adjoint": self.adjoint}
        columns |= {f"path {name}": values for name, values in self.paths.items()}
        columns |= {f"direct {name}": values for name, values in (self.direct or {}).items()}
        return pandas().DataFrame(columns).set_index("lag")

    def plot(self):
        """Figure: adjoint and norms by lag, all singular values, Lyapunov spectrum."""
        from rnn.diagnose.plot import plot

        return plot(self)
