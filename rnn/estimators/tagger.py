"""``SequenceTagger``: one label a step, each on its own or as a chain of tags."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d

from msgpass.errors import DataError
from rnn.crf import CRFTagger
from rnn.estimators.base import SequenceEstimator
from rnn.estimators.labels import classes_of, encoded, required, softmax, weights_of
from rnn.estimators.sequences import Sequences
from rnn.losses import CrossEntropy, OutputLoss
from rnn.validation import flag


class SequenceTagger(ClassifierMixin, SequenceEstimator):
    """A recurrent network that labels every step.

    Parameters
    ----------
    crf : bool
        The labels are a chain on top of the network (a conditional random field): neighbours are scored
        together, ``predict`` is the best sequence of labels, ``predict_proba`` the marginals.
    bidirectional : bool
        By default True: a step's label may depend on what comes after it.
    hidden_size, cell, num_layers, dropout, embedding, scale, optimizer, lr, n_iter, batch_size, validation, \
patience, tol, clip_norm, class_weight, schedule, checkpoint, dtype, warm_start, verbose, random_state
        As for :class:`SequenceClassifier`; ``class_weight`` not with ``crf``.
    window : int, optional
        Train on pieces of at most so many steps, which begin anew.

    Attributes
    ----------
    classes_, network_, readout_, history_, n_features_in_
        As for :class:`SequenceClassifier`.
    tagger_ : CRFTagger or None
        With ``crf`` network, readout and chain as one model: its best taggings and their probabilities.

    Notes
    -----
    A label that is not known is NaN among labels that are numbers. A plain (T, D) array is one sequence.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(20, 10, 1))
    >>> y = np.where(np.cumsum(X[..., 0], axis=1) > 0, "above", "below")
    >>> model = SequenceTagger(8, n_iter=40, lr=0.03, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9), model.predict(X).shape
    (True, (20, 10))
    """

    def __init__(
        self,
        hidden_size: int = 32,
        cell: str = "lstm",
        *,
        crf: bool = False,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        embedding: int | None = None,
        scale: bool = True,
        window: int | None = None,
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
        self.hidden_size, self.cell, self.crf = hidden_size, cell, crf
        self.num_layers, self.bidirectional, self.dropout = num_layers, bidirectional, dropout
        self.embedding, self.scale, self.window = embedding, scale, window
        self.optimizer, self.lr, self.n_iter, self.batch_size = optimizer, lr, n_iter, batch_size
        self.validation, self.patience, self.tol = validation, patience, tol
        self.clip_norm, self.class_weight = clip_norm, class_weight
        self.schedule, self.checkpoint = schedule, checkpoint
        self.dtype, self.warm_start = dtype, warm_start
        self.verbose, self.random_state = verbose, random_state

    classes_: np.ndarray
    tagger_: CRFTagger | None
    _class_weight: np.ndarray | None

    def _check(self) -> None:
        super()._check()
        if flag("crf", self.crf) and self.class_weight is not None:
            raise DataError("class_weight weighs labels one by one, and crf=True scores them together")

    def _begin(self, classes=None, **first: Any) -> None:
        super()._begin(**first)
        if classes is not None:
            self._given = np.unique(classes)

    def _encode(self, y, sequences: Sequences, reset: bool) -> np.ndarray:
        required(y, self)
        if sequences.form in ("plain", "flat"):
            y = column_or_1d(y, warn=True)
        parts = [_column(part) for part in sequences.beside(y)]
        if reset:
            self.classes_ = self.__dict__.pop("_given", classes_of(np.concatenate(parts)))
        places = [encoded(part, self.classes_) for part in parts]
        if reset:
            self._class_weight = weights_of(self.class_weight, self.classes_, np.concatenate(places))
        return sequences.padded(places, -1)

    def _answers(self) -> int:
        return len(self.classes_)

    def _make_more(self, rng: np.random.Generator) -> None:
        self.tagger_ = None
        if self.crf:
            self.tagger_ = CRFTagger(self.network_, self._answers(), random_state=rng)
            self.readout_ = self.tagger_.readout

    def _loss(self, targets: np.ndarray, reduction: str = "mean") -> OutputLoss:
        if self.tagger_ is not None:
            return self.tagger_.loss(targets, reduction)
        return CrossEntropy(targets, reduction, self.readout_, class_weight=self._class_weight)

    # -- answers -------------------------------------------------------------------------------------

    def _by_chain(self, sequences: Sequences, read, *width: int) -> np.ndarray:
        """A reading of the tagger, (N, T, …)."""
        found = np.zeros((len(sequences), sequences.x.shape[1], *width), float if width else int)
        for rows, x, extra in self._groups(sequences):
            found[rows, : x.shape[1]] = read(x, **extra)
        return found

    def predict_proba(self, X, lengths=None):
        """Probabilities of the classes at every step, in the form of X with a last axis of classes."""
        sequences = self._read(X, lengths)
        if self.tagger_ is None:
            return sequences.given_back(softmax(self._outputs(sequences)))
        return sequences.given_back(self._by_chain(sequences, self.tagger_.marginals, self._answers()))

    def predict(self, X, lengths=None):
        """The likeliest class of every step, with ``crf`` the likeliest sequence, in the form of X."""
        sequences = self._read(X, lengths)
        if self.tagger_ is None:
            places = self._outputs(sequences).argmax(axis=-1)
        else:
            places = np.maximum(self._by_chain(sequences, self.tagger_.decode), 0)
        return sequences.given_back(self.classes_[places])

    def score(self, X, y, lengths=None) -> float:
        """Share of labelled steps whose class is right."""
        sequences = self._read(X, lengths)
        wanted = np.concatenate([_column(part) for part in sequences.beside(y)])
        found = self.predict(X, lengths)
        flat = np.concatenate(list(found)) if sequences.form in ("list", "array") else found
        seen = ~np.isnan(wanted) if wanted.dtype.kind == "f" else np.ones(wanted.shape, bool)
        if not seen.any():
            raise DataError("y holds no label: every one of them is NaN")
        return float((flat == wanted)[seen].mean())


def _column(part: np.ndarray) -> np.ndarray:
    """Labels (T,) of one sequence."""
    if part.ndim == 2 and part.shape[1] == 1:
        return part[:, 0]
    if part.ndim != 1:
        raise DataError(f"y of a sequence has shape {part.shape}; one label a step is wanted")
    return part
