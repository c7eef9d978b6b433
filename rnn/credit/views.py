"""The two views of TD(λ) as one graph, read forward and backward.

    v_t = w·x_t,      u_t = γ_{t−1} λ_{t−1} u_{t−1} + v_t,      L = −Σ_t δ_t u_t        (δ held)

is a recurrent net of one linear unit. Its sensitivities ∂u_t/∂w, carried forward (real-time recurrent
learning), are the eligibility traces e_t: the backward view. Its adjoints −∂L/∂u_t, carried backward
(back-propagation through time), are δ_t + γ_t λ_t (−∂L/∂u_{t+1}) = G_t − V(s_t): the forward view. Either way
−∂L/∂w = Σ_t δ_t e_t = Σ_t (G_t − V(s_t)) x_t, and a window of K steps of the one truncates the other.

Sources: Sutton (1988); Sutton & Barto (2018), chapter 12.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from msgpass import FactorGraph, Loss, Messages, Step, Tangent, run
from msgpass.schedule.base import Schedule
from rnn.credit.affine import affine, affine_vjp, step
from rnn.credit.features import Visits
from rnn.credit.returns import lambda_returns
from rnn.credit.rows import Rows
from rnn.credit.td import first_weights
from rnn.credit.traces import traces


def credit_graph(visits: Visits, weights: np.ndarray) -> FactorGraph:
    """The net above; parameter w, sequences v and u."""
    g = FactorGraph()
    length = visits.rows.length
    v, u = g.sequence("v", length=length), g.sequence("u", length=length)
    x, w = g.observe("x", visits.x), g.parameter("w", weights)
    decay, delta = g.observe("decay", visits.decay), g.observe("delta", td_errors_of(visits, weights))
    value = Step(lambda x, w: x @ w, lambda i, c: (None, c @ i[0]), jvp=_value_jvp, vectorized=True)
    g.factor(value, x[:], w, out=v[:], name="value")
    u0 = g.parameter("u0", 0.0)
    g.factor(step(affine, affine_vjp), u.after(u0), decay[:], v[:], out=u[:], name="trace")
    loss = Loss(lambda u, d: (-float((u * d).sum()), (-d, None)), vectorized=True)
    g.factor(loss, u[:], delta[:], name="credit")
    return g


def _value_jvp(inputs, tangents):
    x, _ = inputs
    return x @ tangents[1]


def td_errors_of(visits: Visits, weights: np.ndarray) -> np.ndarray:
    """δ of linear values."""
    return visits.r + visits.gamma * (visits.y @ weights) - visits.x @ weights


@dataclass(frozen=True, repr=False)
class SemiGradient:
    """Σ_t (G_t − V(s_t)) x_t, by back-propagation through the traces' net.

    Attributes
    ----------
    direction : (d,) array
        The sum over all episodes; TD(λ) with step size α, off-line, moves w by α times it.
    advantages : (T,) array or a list
        G_t − V(s_t): the adjoints. Under a window of K steps, their first K terms Σ_{k<K} (γλ)^k δ_{t+k}.
    messages : Messages
    """

    direction: np.ndarray
    advantages: np.ndarray | list[np.ndarray]
    messages: Messages = field(repr=False)

    def __repr__(self) -> str:
        return f"<SemiGradient: {len(self.direction)} weights, norm {np.linalg.norm(self.direction):.6g}>"


def semi_gradient(
    features, rewards, weights, discounts=1.0, lambda_=0.9, *, n_states=None, schedule: Schedule | None = None
) -> SemiGradient:
    """The off-line TD(λ) update as a run of BPTT, whole or truncated.

    Parameters
    ----------
    features, rewards, discounts, lambda_, n_states
        As for :func:`td_lambda`.
    weights : (d,) array
        Of V(s) = w·x(s).
    schedule : schedule, optional
        ``Truncated(1, K)`` keeps K steps of each advantage, a share 1 − (γλ)ᴷ of its weight;
        :func:`truncation_for` says which K keeps how much.

    Returns
    -------
    SemiGradient

    Examples
    --------
    >>> from msgpass import Truncated
    >>> episode = [0, 1, 2], [0.0, 0.0, 1.0]
    >>> semi_gradient(*episode, np.zeros(3), 1.0, 0.5, n_states=3).direction
    array([0.25, 0.5 , 1.  ])
    >>> semi_gradient(*episode, np.zeros(3), 1.0, 0.5, n_states=3, schedule=Truncated(1, 2)).direction
    array([0. , 0.5, 1. ])
    """
    visits = Visits.of(features, rewards, discounts, lambda_, n_states)
    w = first_weights(weights, visits.x.shape[1])
    m = run(credit_graph(visits, w), schedule=schedule)
    return SemiGradient(0 - m.parameters["w"], visits.rows.split(0 - m.gradient["u"]), m)  # no −0


@dataclass(frozen=True, repr=False)
class Views:
    """Identity 11 on the caller's episodes: forward and backward view, each by two routes.

    Attributes
    ----------
    rows : Rows
    forward, backward : (d,) array
        Σ (G_t − V(s_t)) x_t with λ-returns; Σ δ_t e_t with traces.
    adjoint : (d,) array
        −∂L/∂w of BPTT.
    returns, adjoints : (N,) arrays
        G_t − V(s_t), and the adjoints that are the same.
    traces, sensitivities : (N, d) arrays
        e_t, and ∂u_t/∂w carried forward.
    td_errors : (N,) array
    """

    rows: Rows
    forward: np.ndarray
    backward: np.ndarray
    adjoint: np.ndarray
    returns: np.ndarray
    adjoints: np.ndarray
    traces: np.ndarray
    sensitivities: np.ndarray
    td_errors: np.ndarray

    @property
    def gap(self) -> float:
        """Largest difference between routes, relative to the largest number of its kind."""
        pairs = (
            (self.forward, self.backward),
            (self.forward, self.adjoint),
            (self.returns, self.adjoints),
            (self.traces, self.sensitivities),
        )
        return float(max(np.abs(a - b).max() / max(np.abs(a).max(), 1e-300) for a, b in pairs))

    def __repr__(self) -> str:
        place = int(np.argmax(np.abs(self.forward)))
        return (
            f"Σ (G_t − V) x_t by λ-returns {self.forward[place]:.12g}, Σ δ_t e_t by traces "
            f"{self.backward[place]:.12g}, −∂L/∂w by BPTT {self.adjoint[place]:.12g} (weight {place}); "
            f"largest relative gap {self.gap:.1e}"
        )

    def plot(self, episode: int = 0, figure=None):
        """Traces going forward and advantages going backward through one episode.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnn.credit.plot import plot_views

        return plot_views(self, episode, figure)


def compare_views(features, rewards, weights, discounts=1.0, lambda_=0.9, *, n_states=None) -> Views:
    """Both views of TD(λ), from the same episodes, by the engine.

    Parameters
    ----------
    features, rewards, weights, discounts, lambda_, n_states
        As for :func:`semi_gradient`.

    Examples
    --------
    >>> compare_views([0, 1, 1, 2], [0.0, 2.0, 0.0, 1.0], [0.5, 0.0, 1.0], 0.9, 0.8, n_states=3).gap < 1e-14
    True
    """
    visits = Visits.of(features, rewards, discounts, lambda_, n_states)
    rows, x = visits.rows, visits.x
    w = first_weights(weights, x.shape[1])
    v, delta = x @ w, td_errors_of(visits, w)
    ends = (visits.y @ w)[rows.last]
    given = (rows.split(a) for a in (visits.r, v, visits.gamma, visits.lam))
    G = lambda_returns(*given, bootstrap=ends if rows.ragged else ends[0])
    advantage = (np.concatenate(G) if rows.ragged else G) - v
    e = traces(visits).forward["e"]
    graph = credit_graph(visits, w)
    m = run(graph)
    width = len(w)
    sensitivities = run(graph, Tangent({"w": slice(0, width)}, columns=width)).forward["u"].tangent
    return Views(
        rows,
        advantage @ x,
        delta @ e,
        -m.parameters["w"],
        advantage,
        -m.gradient["u"],
        e,
        sensitivities,
        delta,
    )
