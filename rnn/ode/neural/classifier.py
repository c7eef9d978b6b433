"""``IrregularClassifier``: one label a series that was seen at times of its own."""

from __future__ import annotations

from typing import Any

from rnn.estimators.classifier import SequenceClassifier
from rnn.ode.neural.irregular import IrregularEstimator


class IrregularClassifier(IrregularEstimator, SequenceClassifier):
    """An ODE-RNN that says of which class a series is.

    Parameters
    ----------
    hidden_size, hidden_sizes, activation, time, method, steps, longest, dropout, scale
        As for :class:`IrregularRegressor`, whose form of X it takes.
    pooling : {"last", "mean", "max"}
        What the answer is read from: the state after the last observation, or all states' mean or maximum.
    class_weight, optimizer, lr, n_iter, batch_size, validation, patience, tol, clip_norm, schedule, \
checkpoint, dtype, warm_start, verbose, random_state
        As for :class:`rnn.SequenceClassifier`.

    Attributes
    ----------
    classes_, network_, readout_, history_, n_features_in_
        As for :class:`rnn.SequenceClassifier`.

    Examples
    --------
    The values are noise; the times alone tell busy from calm:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = rng.choice(["busy", "calm"], 60)
    >>> gap = np.where(y == "busy", 0.2, 1.0)
    >>> X = [(np.cumsum(rng.exponential(g, 10)), rng.normal(size=10)) for g in gap]
    >>> model = IrregularClassifier(12, n_iter=40, lr=0.02, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    def __init__(
        self,
        hidden_size: int = 32,
        hidden_sizes: Any = (32,),
        *,
        pooling: str = "last",
        activation: str = "tanh",
        time: bool = False,
        method: Any = "midpoint",
        steps: int = 1,
        longest: float = 2.0,
        dropout: float = 0.0,
        scale: bool = True,
        class_weight: Any = None,
        optimizer: Any = "adam",
        lr: Any = 1e-2,
        n_iter: int = 100,
        batch_size: Any = "auto",
        validation: float | None = None,
        patience: int | None = None,
        tol: float = 1e-4,
        clip_norm: float | None = None,
        schedule=None,
        checkpoint=None,
        dtype: Any = "float64",
        warm_start: bool = False,
        verbose: bool = False,
        random_state: Any = None,
    ):
        self.hidden_size, self.hidden_sizes, self.pooling = hidden_size, hidden_sizes, pooling
        self.activation, self.time, self.method = activation, time, method
        self.steps, self.longest, self.dropout, self.scale = steps, longest, dropout, scale
        self.class_weight, self.optimizer, self.lr, self.n_iter = class_weight, optimizer, lr, n_iter
        self.batch_size, self.validation, self.patience, self.tol = batch_size, validation, patience, tol
        self.clip_norm, self.schedule, self.checkpoint = clip_norm, schedule, checkpoint
        self.dtype, self.warm_start = dtype, warm_start
        self.verbose, self.random_state = verbose, random_state
