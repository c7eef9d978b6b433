"""Identity 11: both views of TD(λ), and how much of one a window of the other keeps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.algebra import Adjoint
from msgpass.errors import DataError, ShapeError
from msgpass.graph import FactorGraph
from msgpass.identities.record import Identity
from msgpass.potentials import Loss, Step
from msgpass.run import run
from msgpass.schedule import ForwardOnly, Truncated


class Episode(NamedTuple):
    """Features x (T + 1, d) of the states s_0 … s_T, rewards, γ and λ (T,) of the steps between them, and the
    weights w (d,) of V(s) = w·x.

    The last row of x is 0 where the episode ended.
    """

    x: np.ndarray
    rewards: np.ndarray
    discounts: np.ndarray
    lambdas: np.ndarray
    w: np.ndarray

    @property
    def td_errors(self) -> np.ndarray:
        """δ_t = r_t + γ_t V(s_{t+1}) − V(s_t)."""
        v = self.x @ self.w
        return self.rewards + self.discounts * v[1:] - v[:-1]

    @property
    def decay(self) -> np.ndarray:
        """γλ of the step before, 0 at the first."""
        return np.append(0.0, (self.discounts * self.lambdas)[:-1])


def random_episode(seed=0, length: int = 20, features: int = 4) -> Episode:
    """Normal features and rewards; γ and λ change from step to step."""
    rng = np.random.default_rng(seed)
    x, rewards = rng.normal(size=(length + 1, features)), rng.normal(size=length)
    discounts, lambdas = rng.uniform(0.5, 1, size=(2, length))
    return Episode(x, rewards, discounts, lambdas, rng.normal(size=features))


def td_views_agree(episode: Episode | None = None, *, seed=0, windows=(1, 2, 4, 8)) -> Identity:
    """11. Σ_t δ_t e_t = Σ_t (G_t − V(s_t)) x_t: eligibility traces give what λ-returns give, over an episode.

    Traces e_t = γλ e_{t−1} + x_t are messages in the order of time, λ-returns messages against it. One
    recurrence has both: u_t = γλ u_{t−1} + w·x_t, of which e_t is ∂u_t/∂w and G_t − V(s_t) the adjoint under
    the loss −Σ δ_t u_t. Truncated to K steps, that adjoint keeps 1 − λᴷ of the weight.

    Parameters
    ----------
    episode : Episode, optional
        A random one by default.
    seed : int or numpy.random.Generator
    windows : sequence of int
        K, on a chain of twice the longest window with the episode's mean λ.

    Examples
    --------
    >>> td_views_agree(seed=1).holds
    True
    """
    episode = random_episode(seed) if episode is None else _checked(episode)
    v = episode.x @ episode.w
    e = run(trace_graph(episode.x[:-1], episode.decay), schedule=ForwardOnly()).forward["e"]
    advantage = run(return_graph(episode), schedule=ForwardOnly()).forward["G"] - v[:-1]
    adjoint = -run(value_trace_graph(episode), Adjoint()).gradient["u"]
    lam = float(np.mean(episode.lambdas))
    kept = np.array([_share(lam, K, 2 * max(windows)) for K in windows])
    theory = 1 - lam ** np.asarray(windows, float)
    return Identity(
        11,
        "td_views_agree",
        "Σ δ_t e_t = Σ (G_t − V(s_t)) x_t; K steps keep 1 − λ^K",
        "traces, forward in time; adjoints of BPTT; what Truncated(1, K) keeps",
        "λ-returns, against time; G_t − V(s_t); 1 − λ^K",
        np.concatenate([episode.td_errors @ e, adjoint, kept]),
        np.concatenate([advantage @ episode.x[:-1], advantage, theory]),
        "Sutton 1988; Sutton & Barto 2018",
        shown=0,
        details={f"kept by {K} steps": float(share) for K, share in zip(windows, kept, strict=True)},
    )


def trace_graph(x: np.ndarray, decay: np.ndarray) -> FactorGraph:
    """Sequence e, the traces (T, d)."""
    g = FactorGraph()
    e = g.sequence("e", length=len(x), shape=x.shape[1:])
    given, by = g.observe("x", x), g.observe("decay", decay[:, None])
    start = g.parameter("e0", np.zeros(x.shape[1]))
    g.factor(Step(_affine, vectorized=True), e.after(start), by[:], given[:], out=e[:])
    return g


def return_graph(episode: Episode) -> FactorGraph:
    """Sequence G, the λ-returns (T,)."""
    r, gamma, lam = episode.rewards, episode.discounts, episode.lambdas
    v = episode.x @ episode.w
    g = FactorGraph()
    G = g.sequence("G", length=len(r))
    gain, by = g.observe("gain", r + gamma * (1 - lam) * v[1:]), g.observe("decay", gamma * lam)
    g.factor(Step(_affine, vectorized=True), G.before(g.parameter("end", v[-1])), by[:], gain[:], out=G[:])
    return g


def value_trace_graph(episode: Episode) -> FactorGraph:
    """Sequence u, the trace of values, and the loss −Σ δ_t u_t with δ held."""
    g = FactorGraph()
    u = g.sequence("u", length=len(episode.rewards))
    x, by = g.observe("x", episode.x[:-1]), g.observe("decay", episode.decay)
    delta = g.observe("delta", episode.td_errors)
    step = Step(lambda u, by, x, w: by * u + x @ w, vectorized=True)
    g.factor(step, u.after(g.parameter("u0", 0.0)), by[:], x[:], g.parameter("w", episode.w), out=u[:])
    g.factor(Loss(lambda u, d: (-float((u * d).sum()), (-d, None)), vectorized=True), u[:], delta[:])
    return g


def _affine(y, decay, gain):
    return decay * y + gain


def _share(lam: float, window: int, length: int) -> float:
    """Of the weights (1 − λ) λⁿ⁻¹ of all n-step returns, those that reach back over a window."""
    g = trace_graph(np.zeros((length, 1)), np.full(length, lam))
    g.factor(Loss(lambda e: (float(e[0]), (np.ones(1),))), g["e"][-1])
    m = run(g, Adjoint(), Truncated(1, window))
    return float((1 - lam) * m.gradient["x"].sum())


def _checked(episode: Episode) -> Episode:
    if not isinstance(episode, Episode):
        raise ShapeError(
            "td_views_agree takes an Episode (x, rewards, discounts, lambdas, w), got "
            f"{type(episode).__name__}"
        )
    found = Episode(*(np.asarray(part, float) for part in episode))
    T = len(found.rewards) if found.rewards.ndim == 1 else 0
    d = found.w.size
    wanted = {"x": (T + 1, d), "rewards": (T,), "discounts": (T,), "lambdas": (T,), "w": (d,)}
    for name, shape in wanted.items():
        array = getattr(found, name)
        if array.shape != shape or not T:
            raise ShapeError(f"{name} of the episode has shape {array.shape}, wanted {shape} with T ≥ 1")
        bad = ~np.isfinite(array)
        if name in ("discounts", "lambdas"):
            bad |= (array < 0) | (array > 1)
        if bad.any():
            t = int(np.argwhere(bad)[0][0])
            raise DataError(
                f"{name} of the episode is {array[bad].flat[0]} at t={t}; wanted finite numbers, γ and λ in "
                "[0, 1]"
            )
    return found
