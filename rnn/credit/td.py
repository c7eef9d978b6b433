"""``td_lambda``: learn a linear value function from episodes, V(s) = w·x(s)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Messages, run
from msgpass.errors import DataError, NumericalError, ShapeError, UnsupportedError
from rnn.credit.features import Visits, coded, step_sizes
from rnn.credit.learning_graph import TRACES, UPDATES, Experience, learning_graph
from rnn.credit.rows import Rows, is_number
from rnn.credit.traces import check_kind
from rnn.validation import one_of


def td_lambda(
    features,
    rewards,
    discounts=1.0,
    lambda_=0.9,
    step_size=0.1,
    *,
    trace: str = "accumulating",
    update: str = "online",
    weights=None,
    n_states: int | None = None,
) -> TDRun:
    """TD(λ) over episodes, one after another.

    Parameters
    ----------
    features : (T, d) or (T + 1, d) array, or a list of such arrays
        Of the states visited. T rows for T rewards: the episode ended behind the last one. T + 1 rows: the
        last state is the one in which it was cut off, and its value stands for what would have come. States
        (T,) with ``n_states``.
    rewards : (T,) array, or a list
        ``rewards[t]`` comes with the step from s_t to s_{t+1}.
    discounts : float in [0, 1], (T,) array or a list
        γ_t of that step.
    lambda_ : float in [0, 1], (T,) array, a list, or a function
        λ_t of that step. A function takes the states of an episode, as they were given, and returns one λ a
        state; it may look back and not ahead, which is tried.
    step_size : float ≥ 0, (T,) array or a list
        α.
    trace : {"accumulating", "replacing", "dutch"}
        "dutch" is true online TD(λ) (van Seijen & Sutton 2014).
    update : {"online", "episode", "batch"}
        When weights change: at every step, or off-line at the end of each episode or of all. Dutch traces are
        on-line.
    weights : (d,) array, optional
        To begin with; zero by default.
    n_states : int, optional
        Tabular: states are numbers from 0 to n_states − 1.

    Returns
    -------
    TDRun

    Raises
    ------
    ShapeError, DataError
        With the episode and the time.
    NumericalError
        Where the weights grow beyond all bounds, with the episode and the time.

    Examples
    --------
    >>> td_lambda([[1, 2], [1, 0]], [[0.0, 1.0], [0.0, 0.0]], n_states=3, step_size=0.5, lambda_=1.0).weights
    array([0.  , 0.25, 0.5 ])
    """
    visits = Visits.of(features, rewards, discounts, lambda_, n_states)
    start = first_weights(weights, visits.x.shape[1])
    alpha = step_sizes(visits.rows, step_size)
    graph = course(visits, lambda_, alpha, start, trace, update)
    with np.errstate(over="ignore", invalid="ignore"):
        m = run_learning(graph, visits.rows)
    return TDRun(visits.rows, m.forward["w"], m.forward["e"], m.forward["delta"][:, 0], start, n_states, m)


def td_graph(
    features,
    rewards,
    discounts=1.0,
    lambda_=0.9,
    step_size=0.1,
    *,
    trace: str = "accumulating",
    update: str = "online",
    weights=None,
    n_states: int | None = None,
) -> FactorGraph:
    """The graph of :func:`td_lambda`, to which losses of the weights may be added.

    Sequences w, e and delta, all episodes end to end; parameters w0, and lambda and step_size where they are
    one number, so that a loss of the weights learned has gradients there.

    Parameters
    ----------
    features, rewards, discounts, lambda_, step_size, trace, update, weights, n_states
        As for :func:`td_lambda`.

    Examples
    --------
    >>> from msgpass import Loss, run
    >>> g = td_graph([0, 1, 0], [0.0, 0.0, 1.0], n_states=2, step_size=0.5)
    >>> _ = g.factor(Loss(lambda w: (0.5 * float((w - 1) @ (w - 1)), (w - 1,))), g["w"][-1])
    >>> bool(run(g).parameters["step_size"] < 0)  # a larger one would have been better
    True
    """
    visits = Visits.of(features, rewards, discounts, lambda_, n_states)
    start = first_weights(weights, visits.x.shape[1])
    return course(visits, lambda_, step_sizes(visits.rows, step_size), start, trace, update)


def course(visits: Visits, lambda_, alpha, start: np.ndarray, trace: str, update: str) -> FactorGraph:
    """The graph of episodes that have been read."""
    one_of("trace", trace, tuple(TRACES))
    one_of("update", update, UPDATES)
    if trace == "dutch" and update != "online":
        raise UnsupportedError(
            f"dutch traces (true online TD(λ)) are for update='online', got {update!r}; off-line take "
            "'accumulating'"
        )
    check_kind(trace, visits.x, visits.rows)
    gamma, lam = visits.before
    now = np.zeros(visits.rows.steps)
    now[visits.rows.last if update == "episode" else -1] = 1.0
    data = Experience(visits.x, visits.y, *(a[:, None] for a in (visits.r, visits.gamma, gamma, now)))
    lam = visits.lam[:1] if is_number(lambda_) else lam[:, None]
    alpha = np.array([alpha]) if is_number(alpha) else alpha[:, None]
    return learning_graph(data, lam, alpha, start, trace, update)


def run_learning(graph: FactorGraph, rows: Rows, values: dict | None = None) -> Messages:
    """Forward; weights that are not finite are an error with its place."""
    try:
        return run(graph, schedule=ForwardOnly(), values=values)
    except NumericalError as problem:
        where = "" if problem.step is None else f" at {rows.place(problem.step)}"
        raise NumericalError(
            f"the weights became NaN or infinite{where}; {DIVERGED}", problem.step
        ) from problem


DIVERGED = "take a smaller step_size (about 1 / ‖x‖² over 1 − γλ), or features of about that size"


def first_weights(weights, width: int) -> np.ndarray:
    """(d,) finite."""
    if weights is None:
        return np.zeros(width)
    array = np.asarray(weights, float)
    if array.shape != (width,):
        raise ShapeError(f"weights have shape {array.shape}, features want {(width,)}")
    if not np.isfinite(array).all():
        raise DataError("weights must be finite")
    return array


@dataclass(frozen=True, repr=False)
class TDRun:
    """What TD(λ) learned, step by step.

    Attributes
    ----------
    rows : Rows
        How steps lie.
    path : (N, d) array
        Weights after every step of all episodes.
    trace_path, error_path : (N, d) and (N,) arrays
        e_t and δ_t.
    start : (d,) array
    n_states : int or None
    messages : Messages
    """

    rows: Rows
    path: np.ndarray
    trace_path: np.ndarray
    error_path: np.ndarray
    start: np.ndarray
    n_states: int | None
    messages: Messages = field(repr=False)

    @property
    def weights(self) -> np.ndarray:
        """(d,): after the last step."""
        return self.path[-1].copy()

    @property
    def weights_by_episode(self) -> np.ndarray:
        """(episodes, d): after each."""
        return self.path[self.rows.last]

    @property
    def weights_by_step(self):
        """(T, d) of each episode, after each step."""
        return self.rows.split(self.path)

    @property
    def traces(self):
        """(T, d) of each episode."""
        return self.rows.split(self.trace_path)

    @property
    def td_errors(self):
        """(T,) of each episode, with the weights of their time."""
        return self.rows.split(self.error_path)

    def predict(self, features) -> np.ndarray:
        """V of states, (n,)."""
        return coded(features, self.n_states, 0, False) @ self.weights

    def errors(self, true_values, features=None) -> np.ndarray:
        """Root mean squared error of V, before the first episode and after each, (episodes + 1,).

        Parameters
        ----------
        true_values : (n,) array
            NaN for states that do not count, such as terminal ones.
        features : (n, d) array, optional
            Of these states; tabular by default.
        """
        truth = np.asarray(true_values, float)
        x = np.eye(len(self.start)) if features is None else coded(features, None, 0, False)
        if truth.shape != (len(x),):
            raise ShapeError(f"true_values have shape {truth.shape} for {len(x)} states")
        w = np.vstack([self.start, self.weights_by_episode])
        return np.sqrt(np.nanmean((w @ x.T - truth) ** 2, axis=1))

    def __repr__(self) -> str:
        return (
            f"<TDRun: {len(self.rows.lengths)} episodes, {self.rows.steps} steps, {len(self.start)} "
            f"weights, last δ {self.error_path[-1]:.3g}>"
        )
