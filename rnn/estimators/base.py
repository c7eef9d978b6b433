"""What the sequence estimators share: settings, the network they make, training, files.

An estimator says how its targets are read (``_encode``), which loss they make (``_loss``) and how outputs are
answered. Constructors only store.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.utils.validation import _check_feature_names

from msgpass import Messages
from msgpass.errors import DataError, NotFittedError, ShapeError, UnsupportedError
from msgpass.schedule.base import Schedule
from rnn.bptt import bptt
from rnn.embedding import Embedding
from rnn.estimators.scaling import Scale
from rnn.estimators.sequences import Sequences, from_list, read
from rnn.losses import OutputLoss
from rnn.networks import GRU, LSTM, RNN, Embedded
from rnn.optimizers import LBFGS
from rnn.readout import Linear
from rnn.training import History, fit
from rnn.training.settings import as_optimizer
from rnn.validation import flag, generator, one_of, whole

CELLS: dict[str, Any] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}

BATCH = 32
"""Sequences of a step where the user says nothing."""

AT_ONCE = 256
"""Sequences that are answered in one run."""


class UnfittedError(NotFittedError, SklearnNotFittedError):
    """An estimator that has not been fitted is asked for an answer."""


class SequenceEstimator(BaseEstimator, ABC):
    """Abstract base; its settings are described in :class:`rnn.SequenceClassifier`."""

    # What every constructor stores.
    cell: str
    hidden_size: int
    num_layers: int
    bidirectional: bool
    dropout: float
    embedding: int | None
    scale: bool
    window: int | None
    optimizer: Any
    lr: Any
    n_iter: int
    batch_size: Any
    validation: float | None
    patience: int | None
    tol: float
    clip_norm: float | None
    schedule: Schedule | None
    checkpoint: Any
    dtype: Any
    warm_start: bool
    verbose: bool
    random_state: Any

    # What a fit leaves.
    network_: Any  # RNN, LSTM, GRU, or one of these under an embedding
    readout_: Linear
    history_: History
    n_features_in_: int
    n_tokens_: int
    x_scale_: Scale
    _features: int

    # -- what an estimator says ----------------------------------------------------------------------

    @abstractmethod
    def _encode(self, y, sequences: Sequences, reset: bool) -> np.ndarray:
        """Targets as the loss takes them; with ``reset`` it takes note of classes and scales."""

    @abstractmethod
    def _loss(self, targets: np.ndarray, reduction: str = "mean") -> OutputLoss:
        """The loss of encoded targets."""

    @abstractmethod
    def _answers(self) -> int:
        """Numbers that the readout puts out."""

    @property
    def _by_sequence(self) -> bool:
        """There is one answer a sequence."""
        return False

    # -- fitting -------------------------------------------------------------------------------------

    def fit(self, X, y, lengths=None, validation_data=None):
        """Train a network from newly drawn weights (with ``warm_start`` from the present ones).

        Parameters
        ----------
        X : array (N, T, D), list of arrays (T_i, D), or array (Σ T_i, D) with ``lengths``
            Sequences; with ``embedding`` whole numbers without the last axis.
        y : array or list
            In the form of X where there is an answer a step, else one row a sequence.
        lengths : array of int, optional
            Steps of each sequence.
        validation_data : tuple (X, y) or (X, y, lengths), optional
            Decides which weights are kept and, with ``patience``, when to stop.

        Returns
        -------
        self
        """
        onward = self.warm_start and "network_" in self.__dict__
        if onward and self.checkpoint is not None:
            raise UnsupportedError(
                "warm_start goes on from the present weights, and checkpoint= from those in the file; leave "
                "one of them out"
            )
        with self._or_as_before():
            self._check()
            sequences = self._read(X, lengths, reset=not onward)
            targets = self._encode(y, sequences, reset=not onward)
            if not onward:
                self._make()
            self._train(sequences, targets, whole("n_iter", self.n_iter), validation_data)
        return self

    def partial_fit(self, X, y, lengths=None, **first: Any):
        """One epoch over some more sequences, from the present weights.

        The first call draws the weights and takes the scale of its data for all later ones; a classifier
        needs ``classes=`` then, unless all of them are in y. The optimiser begins anew each time.
        """
        begun = "network_" in self.__dict__
        if self.checkpoint is not None:
            raise UnsupportedError(
                "partial_fit goes on from the present weights and keeps no checkpoint; leave checkpoint= "
                "out, and save(path) what is to be kept"
            )
        with self._or_as_before():
            self._check()
            sequences = self._read(X, lengths, reset=not begun)
            if not begun:
                self._begin(**first)
            targets = self._encode(y, sequences, reset=not begun)
            if not begun:
                self._make()
            self._train(sequences, targets, 1)
        return self

    @contextmanager
    def _or_as_before(self):
        """Data or settings that are refused leave the estimator as it was."""
        before = dict(vars(self))
        try:
            yield
        except Exception:
            self.__dict__ = before
            raise

    def _begin(self, **first: Any) -> None:
        """Take note of what only a first ``partial_fit`` can be told."""
        if first:
            raise DataError(f"partial_fit of a {type(self).__name__} does not take {', '.join(first)}")

    def _check(self) -> None:
        one_of("cell", self.cell, tuple(CELLS))
        flag("scale", self.scale)
        flag("warm_start", self.warm_start)
        if self.window is not None:
            whole("window", self.window)
            if self._by_sequence:
                raise DataError("window= cuts sequences, which have one answer each; leave it out")

    def _read(self, X, lengths=None, reset: bool = False) -> Sequences:
        """X as scaled sequences."""
        if not reset:
            self._check_fitted()
        tokens = self.embedding is not None
        sequences = read(X, lengths, tokens=tokens, univariate=self._by_sequence)
        columns = 1 if tokens else sequences.x.shape[-1]
        width = sequences.x.shape[1] if sequences.form == "plain" and self._by_sequence else columns
        _check_feature_names(self, X if hasattr(X, "columns") else None, reset=reset)
        if reset:
            self.n_features_in_, self._features = width, columns
            self.n_tokens_ = int(sequences.x.max()) + 1 if tokens else 0
            rows = np.concatenate(sequences.each(sequences.x)) if self.scale and not tokens else None
            self.x_scale_ = Scale.none(columns) if rows is None else Scale.of(rows)
        elif width != self.n_features_in_ or columns != self._features:
            raise ShapeError(
                f"X has {width} features, but {type(self).__name__} is expecting {self.n_features_in_} "
                "features as input"
            )
        if tokens:
            return sequences
        x = self.x_scale_.there(sequences.x)
        return Sequences(np.where(_present(sequences)[..., None], x, 0), sequences.lengths, sequences.form)

    def _make(self) -> None:
        """Draw the network."""
        rng = generator(self.random_state)
        size = self.embedding if self.embedding is not None else self._features
        net = CELLS[self.cell](
            size,
            self.hidden_size,
            self.num_layers,
            batch_first=True,
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            dtype=self.dtype,
            random_state=rng,
        )
        self.network_ = net
        if self.embedding is not None:
            table = Embedding(self.n_tokens_, self.embedding, dtype=self.dtype, random_state=rng)
            self.network_ = Embedded(table, net)
        self.readout_ = Linear(net.output_size, self._answers(), dtype=self.dtype, random_state=rng)
        self._seed = int(rng.spawn(1)[0].integers(2**31))
        self._make_more(rng)

    def _make_more(self, rng: np.random.Generator) -> None:
        """What else has weights."""

    def _train(self, sequences: Sequences, targets: np.ndarray, n_iter: int, validation_data=None) -> None:
        if self.window is not None:
            sequences, targets = self._windows(sequences, targets, self.window)
        loss = self._loss(targets)
        validation: Any = self.validation
        if validation_data is not None:
            X, y, *more = validation_data
            tried = self._read(X, *more)
            validation = tried.x, self._loss(self._encode(y, tried, reset=False)), tried.extra
        batch = self.batch_size
        if isinstance(batch, str):
            one_of("batch_size", batch, ("auto",))
            batch = None if isinstance(as_optimizer(self.optimizer)[1], LBFGS) else min(BATCH, len(sequences))
        self.history_ = fit(
            self.network_,
            sequences.x,
            loss,
            self.optimizer,
            n_iter=n_iter,
            tol=None if self.patience is None else self.tol,
            patience=10 if self.patience is None else self.patience,
            lr=self.lr,
            batch_size=batch,
            validation=validation,
            clip_norm=self.clip_norm,
            schedule=self.schedule,
            progress=flag("verbose", self.verbose),
            checkpoint=self.checkpoint,
            seed=self._seed,
            **sequences.extra,
        )

    @staticmethod
    def _windows(sequences: Sequences, targets: np.ndarray, steps: int) -> tuple[Sequences, np.ndarray]:
        """Sequences cut into pieces of at most so many steps, which begin anew."""
        cuts = [[*range(0, n, steps)] for n in sequences.lengths]
        xs, ys = sequences.each(sequences.x), sequences.each(targets)
        pieces = [x[k : k + steps] for x, places in zip(xs, cuts, strict=True) for k in places]
        found = from_list(pieces)
        parts = [y[k : k + steps] for y, places in zip(ys, cuts, strict=True) for k in places]
        missing = np.nan if targets.dtype.kind == "f" else -1
        return found, found.padded(parts, missing)

    # -- answers -------------------------------------------------------------------------------------

    def _check_fitted(self) -> None:
        if "network_" not in self.__dict__:
            raise UnfittedError(f"this {type(self).__name__} is not fitted yet; call fit(X, y) first")

    def __sklearn_is_fitted__(self) -> bool:
        return "network_" in self.__dict__

    def _outputs(self, sequences: Sequences, loss: OutputLoss | None = None) -> np.ndarray:
        """What the readout puts out: (N, T, W), 0 beyond an end, or (N, W) with one answer a sequence."""
        found: np.ndarray | None = None
        for rows, x, extra in self._groups(sequences):
            output, _ = self.network_(x, **extra)
            answers = self._read_out(output, extra)
            if found is None:
                steps = () if self._by_sequence else (sequences.x.shape[1],)
                found = np.zeros((len(sequences), *steps, answers.shape[-1]), answers.dtype)
            if self._by_sequence:
                found[rows] = answers
            else:
                found[rows, : answers.shape[1]] = answers
        assert found is not None
        return found

    def _read_out(self, output: np.ndarray, extra: dict) -> np.ndarray:
        """The readout of outputs (n, T, H)."""
        return self.readout_(output)

    @staticmethod
    def _groups(sequences: Sequences):
        """(rows, x, extra) of sequences of about one length."""
        order = np.argsort(sequences.lengths, kind="stable")
        for first in range(0, len(order), AT_ONCE):
            rows = order[first : first + AT_ONCE]
            lengths = sequences.lengths[rows]
            x = sequences.x[rows, : lengths.max()]
            yield rows, x, {"lengths": lengths} if (lengths < lengths.max()).any() else {}

    def messages(self, X, y, lengths=None, schedule: Schedule | None = None) -> Messages:
        """The run behind the fit: the summed loss of data, with every message and gradient.

        Inputs and targets are scaled as the network sees them; rows are padded, time first.
        """
        sequences = self._read(X, lengths)
        loss = self._loss(self._encode(y, sequences, reset=False), "sum")
        return bptt(self.network_, sequences.x, loss, schedule, **sequences.extra)

    # -- files ---------------------------------------------------------------------------------------

    def save(self, path) -> None:
        """Write the fitted estimator to a safetensors file; :func:`rnn.load` reads it."""
        from rnn.estimators.keeping import save

        save(self, path)


def _present(sequences: Sequences) -> np.ndarray:
    """(N, T), True where a sequence still runs."""
    return np.arange(sequences.x.shape[1]) < sequences.lengths[:, None]
