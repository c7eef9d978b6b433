"""``SequenceClassifier``: one label a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d

from msgpass.errors import DataError, ShapeError
from rnn.estimators.base import SequenceEstimator
from rnn.estimators.labels import classes_of, encoded, required, softmax, weights_of
from rnn.estimators.pooling import pooled, pooled_rows
from rnn.estimators.sequences import Sequences
from rnn.losses import CrossEntropy, OutputLoss
from rnn.losses.pooled import POOLINGS
from rnn.validation import one_of


class SequenceClassifier(ClassifierMixin, SequenceEstimator):
    """A recurrent network that says of which class a sequence is.

    Parameters
    ----------
    hidden_size : int
    cell : {"lstm", "gru", "rnn"}
    pooling : {"last", "mean", "max"}
        What the answer is read from: the last state (of both directions), or the mean or maximum of all
        outputs.
    num_layers : int
    bidirectional : bool
    dropout : float
        Between layers, while training.
    embedding : int, optional
        X holds tokens, whole numbers from 0, and each becomes a vector of so many numbers, which is learned.
    scale : bool
        Bring each feature to mean 0 and standard deviation 1, as the training data have it.
    optimizer : {"adam", "adamw", "rmsprop", "sgd", "lbfgs"} or an optimiser
    lr : float or LearningRate
    n_iter : int
        Epochs.
    batch_size : int, "auto" or None
        Sequences of a step. "auto" is 32, and all of them for L-BFGS.
    validation : float, optional
        A share of the sequences that is set aside and decides which weights are kept.
    patience : int, optional
        Stop after so many epochs in which the loss that decides has not fallen by ``tol``; by default all
        epochs are made.
    tol : float
    clip_norm : float, optional
        Bound of the gradient's length.
    class_weight : dict or "balanced", optional
        What a label of each class counts.
    schedule : schedule, optional
        Of the messages: ``Truncated(k1, k2)``, ``Checkpointed(slots)``.
    checkpoint : str or path, optional
        A file that the fit is kept in and goes on from; see :func:`rnn.fit`.
    dtype : {"float64", "float32"}
    warm_start : bool
        A second fit goes on from the present weights.
    verbose : bool
        A progress bar, on a terminal.
    random_state : int, Generator or None

    Attributes
    ----------
    classes_ : array
    network_, readout_ : Network, Linear
        What was trained; they can be given to :func:`rnn.bptt`.
    history_ : History
    n_features_in_ : int

    Notes
    -----
    Sequences of different lengths are a list of arrays, or arrays with ``lengths=``; a batch takes those of
    about one length. A plain (N, T) array is N sequences of one feature.

    Examples
    --------
    Is there more up than down?

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(rng.integers(3, 9), 1)) for _ in range(60)]
    >>> y = np.array(["up" if x.sum() > 0 else "down" for x in X])
    >>> model = SequenceClassifier(8, "gru", n_iter=40, lr=0.03, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.95), model.predict(X[:2]).tolist() == y[:2].tolist()
    (True, True)
    """

    def __init__(
        self,
        hidden_size: int = 32,
        cell: str = "lstm",
        *,
        pooling: str = "last",
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        embedding: int | None = None,
        scale: bool = True,
        optimizer: Any = "adam",
        lr: Any = 1e-2,
        n_iter: int = 100,
        batch_size: Any = "auto",
        validation: float | None = None,
        patience: int | None = None,
        tol: float = 1e-4,
        clip_norm: float | None = None,
        class_weight: Any = None,
        schedule=None,
        checkpoint=None,
        dtype: Any = "float64",
        warm_start: bool = False,
        verbose: bool = False,
        random_state: Any = None,
    ):
        self.hidden_size, self.cell, self.pooling = hidden_size, cell, pooling
        self.num_layers, self.bidirectional, self.dropout = num_layers, bidirectional, dropout
        self.embedding, self.scale = embedding, scale
        self.optimizer, self.lr, self.n_iter, self.batch_size = optimizer, lr, n_iter, batch_size
        self.validation, self.patience, self.tol = validation, patience, tol
        self.clip_norm, self.class_weight = clip_norm, class_weight
        self.schedule, self.checkpoint = schedule, checkpoint
        self.dtype, self.warm_start = dtype, warm_start
        self.verbose, self.random_state = verbose, random_state

    classes_: np.ndarray
    _class_weight: np.ndarray | None
    window = None

    @property
    def _by_sequence(self) -> bool:
        return True

    def _check(self) -> None:
        one_of("pooling", self.pooling, POOLINGS)
        super()._check()

    def _begin(self, classes=None, **first: Any) -> None:
        super()._begin(**first)
        if classes is not None:
            self._given = np.unique(classes)

    def _encode(self, y, sequences: Sequences, reset: bool) -> np.ndarray:
        required(y, self)
        try:
            labels = column_or_1d(y, warn=True)
        except ValueError as problem:
            raise DataError(f"y should be a 1d array, one label a sequence: {problem}") from None
        if len(labels) != len(sequences):
            raise ShapeError(
                f"y has {len(labels)} labels, X has {len(sequences)} sequences; one label each is wanted"
            )
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            raise DataError("Input y contains NaN; every sequence needs a label")
        if reset:
            found = classes_of(labels)
            self.classes_ = self.__dict__.pop("_given", found)
        places = encoded(labels, self.classes_)
        if reset:
            self._class_weight = weights_of(self.class_weight, self.classes_, places)
        return places

    def _answers(self) -> int:
        return len(self.classes_)

    def _loss(self, targets: np.ndarray, reduction: str = "mean") -> OutputLoss:
        loss = CrossEntropy(targets, reduction, self.readout_, class_weight=self._class_weight)
        return pooled(self, loss)

    def _read_out(self, output: np.ndarray, extra: dict) -> np.ndarray:
        return super()._read_out(pooled_rows(self, output, extra), extra)

    # -- answers -------------------------------------------------------------------------------------

    def predict_proba(self, X, lengths=None) -> np.ndarray:
        """Probabilities of the classes, (N, K) in the order of ``classes_``."""
        return softmax(self._outputs(self._read(X, lengths)))

    def predict(self, X, lengths=None) -> np.ndarray:
        """The likeliest class of every sequence, (N,)."""
        places = self._outputs(self._read(X, lengths)).argmax(axis=-1)
        return self.classes_[places]

    def score(self, X, y, lengths=None) -> float:
        """Share of sequences whose class is right."""
        return float((self.predict(X, lengths) == np.asarray(y).ravel()).mean())
