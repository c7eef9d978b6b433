"""``TDLearner``: TD(λ) in scikit-learn's manners."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.base import BaseEstimator

from msgpass.errors import ConvergenceWarning, NotFittedError, ShapeError
from rnn.credit.features import Visits, coded, step_sizes
from rnn.credit.td import course, first_weights, run_learning
from rnn.validation import not_negative, whole


class TDLearner(BaseEstimator):
    """Linear value functions V(s) = w·x(s) by TD(λ).

    Parameters
    ----------
    lambda_, step_size, discount, trace, update, n_states
        As for :func:`td_lambda`; ``discount`` is its ``discounts``.
    n_epochs : int
        Passes over the episodes. With ``update="batch"`` and a small step size they come to rest: at λ = 1 at
        the least-squares fit to the returns, at λ = 0 at the certainty equivalent (Sutton 1988).
    tol : float
        Stop when a pass moves no weight by more. 0: all passes are made.

    Attributes
    ----------
    weights_ : (d,) array
    weights_by_episode_ : (episodes, d) array
        After each episode of the last pass.
    td_errors_ : (T,) array or a list
        Of the last pass.
    n_epochs_ : int
        Passes made.
    n_features_in_ : int

    Examples
    --------
    >>> from rnn.credit import random_walk
    >>> walk = random_walk(5)
    >>> episodes = walk.sample(1000, random_state=0)
    >>> learner = TDLearner(lambda_=0.8, step_size=0.01, n_states=7).fit(episodes.states, episodes.rewards)
    >>> bool(np.abs(learner.predict([1, 2, 3, 4, 5]) - walk.values()[1:6]).max() < 0.1)
    True
    """

    def __init__(
        self,
        lambda_=0.9,
        step_size=0.1,
        discount=1.0,
        trace="dutch",
        update="online",
        n_states=None,
        n_epochs=1,
        tol=0.0,
    ):
        self.lambda_ = lambda_
        self.step_size = step_size
        self.discount = discount
        self.trace = trace
        self.update = update
        self.n_states = n_states
        self.n_epochs = n_epochs
        self.tol = tol

    def fit(self, features, rewards) -> TDLearner:
        """Learn from zero weights.

        Parameters
        ----------
        features, rewards
            As for :func:`td_lambda`.

        Warns
        -----
        ConvergenceWarning
            When ``n_epochs`` passes did not meet ``tol`` > 0.
        """
        return self._learn(features, rewards, None, whole("n_epochs", self.n_epochs))

    def partial_fit(self, features, rewards) -> TDLearner:
        """Go on with further episodes, one pass."""
        return self._learn(features, rewards, getattr(self, "weights_", None), 1)

    def _learn(self, features, rewards, weights, n_epochs: int) -> TDLearner:
        tol = not_negative("tol", self.tol)
        visits = Visits.of(features, rewards, self.discount, self.lambda_, self.n_states)
        w = first_weights(weights, visits.x.shape[1])
        alpha = step_sizes(visits.rows, self.step_size)
        graph = course(visits, self.lambda_, alpha, w, self.trace, self.update)
        moved, made = np.inf, 0
        while made < n_epochs and moved > tol:
            with np.errstate(over="ignore", invalid="ignore"):
                m = run_learning(graph, visits.rows, {"w0": w})
            path = m.forward["w"]
            moved, w = float(np.abs(path[-1] - w).max()), path[-1].copy()
            made += 1
        self.n_epochs_ = made
        self.weights_, self.n_features_in_ = w, len(w)
        self.weights_by_episode_ = path[visits.rows.last]
        self.td_errors_ = visits.rows.split(m.forward["delta"][:, 0])
        if tol and moved > tol and n_epochs > 1:
            warnings.warn(
                f"after {n_epochs} passes weights still move by {moved:.3g} a pass, more than tol={tol:g}; "
                "raise n_epochs, or loosen tol",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def predict(self, features) -> np.ndarray:
        """V of states: (n, d) features or (n,) states → (n,)."""
        if not hasattr(self, "weights_"):
            raise NotFittedError("this TDLearner has no weights yet; call fit with episodes first")
        x = coded(features, self.n_states, 0, False)
        if x.shape[1] != len(self.weights_):
            raise ShapeError(f"features have {x.shape[1]} columns, those of fit had {len(self.weights_)}")
        return x @ self.weights_
