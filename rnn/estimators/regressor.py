"""``SequenceRegressor``: real numbers at every step, or once a sequence, and forecasts of what comes."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn.estimators.base import SequenceEstimator
from rnn.estimators.labels import required
from rnn.estimators.pooling import pooled, pooled_rows
from rnn.estimators.scaling import Scale
from rnn.estimators.sequences import Sequences
from rnn.losses import OutputLoss, SquaredError
from rnn.losses.pooled import POOLINGS
from rnn.networks import Embedded
from rnn.validation import one_of, whole


class SequenceRegressor(RegressorMixin, SequenceEstimator):
    """A recurrent network that puts out numbers, trained on squared errors.

    Parameters
    ----------
    pooling : {"last", "mean", "max"}, optional
        None: a target every step (many to many). Otherwise one target a sequence (many to one), from the last
        state, or from the mean or maximum of the outputs.
    cell, hidden_size, num_layers, bidirectional, dropout, embedding, scale, window, optimizer, lr, n_iter, \
batch_size, validation, patience, tol, clip_norm, schedule, checkpoint, dtype, warm_start, verbose, \
random_state
        As for :class:`SequenceClassifier`. With ``scale`` targets are scaled too, and answers come in the
        user's units.

    Attributes
    ----------
    network_, readout_, history_, n_features_in_
        As for :class:`SequenceClassifier`.

    Notes
    -----
    Missing targets are NaN, cell by cell. A plain (T, D) array is one sequence; with ``pooling`` a plain
    (N, T) array is N sequences of one feature.

    Examples
    --------
    The next value of a wave, and forecasts from there on:

    >>> import numpy as np
    >>> wave = np.sin(np.arange(80) / 3)[:, None]
    >>> model = SequenceRegressor(hidden_size=8, optimizer="lbfgs", n_iter=60, random_state=0)
    >>> model = model.fit(wave[:-1], wave[1:])
    >>> bool(model.score(wave[:-1], wave[1:]) > 0.99)
    True
    >>> bool(np.abs(model.forecast(wave, 5)[:, 0] - np.sin(np.arange(80, 85) / 3)).max() < 0.1)
    True
    """

    def __init__(
        self,
        hidden_size: int = 32,
        cell: str = "lstm",
        *,
        pooling: str | None = None,
        num_layers: int = 1,
        bidirectional: bool = False,
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
        schedule=None,
        checkpoint=None,
        dtype: Any = "float64",
        warm_start: bool = False,
        verbose: bool = False,
        random_state: Any = None,
    ):
        self.hidden_size, self.cell, self.pooling = hidden_size, cell, pooling
        self.num_layers, self.bidirectional, self.dropout = num_layers, bidirectional, dropout
        self.embedding, self.scale, self.window = embedding, scale, window
        self.optimizer, self.lr, self.n_iter, self.batch_size = optimizer, lr, n_iter, batch_size
        self.validation, self.patience, self.tol = validation, patience, tol
        self.clip_norm, self.schedule, self.checkpoint = clip_norm, schedule, checkpoint
        self.dtype, self.warm_start = dtype, warm_start
        self.verbose, self.random_state = verbose, random_state

    # What a fit leaves beside the base's.
    y_scale_: Scale
    _flat: bool

    @property
    def _by_sequence(self) -> bool:
        return self.pooling is not None

    def _check(self) -> None:
        if self.pooling is not None:
            one_of("pooling", self.pooling, POOLINGS)
        super()._check()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _encode(self, y, sequences: Sequences, reset: bool) -> np.ndarray:
        required(y, self)
        parts = [np.asarray(y)] if self._by_sequence else sequences.beside(y)
        parts = [_real(part) for part in parts]
        if self._by_sequence and (parts[0].ndim not in (1, 2) or len(parts[0]) != len(sequences)):
            raise ShapeError(
                f"y has shape {parts[0].shape}; X has {len(sequences)} sequences, one row each is wanted"
            )
        flat = parts[0].ndim == 1
        columns = [part[:, None] if part.ndim == 1 else part for part in parts]
        if any(part.ndim != 2 or part.shape[1] != columns[0].shape[1] for part in columns):
            raise ShapeError("all sequences of y need as many columns")
        if all(np.isnan(part).all() for part in columns):
            raise DataError("Input y contains NaN and nothing else; NaN is a missing target")
        if reset:
            rows = np.concatenate(columns)
            self.y_scale_ = Scale.of(rows) if self.scale else Scale.none(rows.shape[1])
            self._flat = flat
        elif columns[0].shape[1] != len(self.y_scale_.mean):
            raise ShapeError(
                f"y has {columns[0].shape[1]} columns, the fit's had {len(self.y_scale_.mean)}; give as many"
            )
        scaled = [self.y_scale_.there(part) for part in columns]
        return scaled[0] if self._by_sequence else sequences.padded(scaled, np.nan)

    def _answers(self) -> int:
        return len(self.y_scale_.mean)

    def _loss(self, targets: np.ndarray, reduction: str = "mean") -> OutputLoss:
        return pooled(self, SquaredError(targets, reduction, self.readout_))

    def _read_out(self, output: np.ndarray, extra: dict) -> np.ndarray:
        return super()._read_out(pooled_rows(self, output, extra), extra)

    # -- answers -------------------------------------------------------------------------------------

    def predict(self, X, lengths=None):
        """Numbers at every step, in the form of X, or one row a sequence.

        Returns
        -------
        array (N, T, K), list of arrays (T_i, K), or array (Σ T_i, K); with ``pooling`` (N, K)
            Without the last axis where y had none.
        """
        sequences = self._read(X, lengths)
        found = self.y_scale_.back(self._outputs(sequences).astype(np.float64))
        found = found[..., 0] if self._flat else found
        return found if self._by_sequence else sequences.given_back(found)

    def score(self, X, y, lengths=None) -> float:
        """R² over all targets that are there, averaged over columns."""
        sequences = self._read(X, lengths)
        wanted, found = self._encode(y, sequences, reset=False), self._outputs(sequences)
        if not self._by_sequence:
            wanted, found = (np.concatenate(sequences.each(a)) for a in (wanted, found))
        seen = ~np.isnan(wanted).any(axis=1)
        return float(r2_score(wanted[seen], found[seen]))

    def forecast(self, X, steps: int, lengths=None):
        """What follows each sequence, each forecast being the next step's input.

        The targets must have been the next steps' inputs: ``fit(series[:-1], series[1:])``.

        Parameters
        ----------
        X, lengths
            What has been seen, up to now.
        steps : int

        Returns
        -------
        array (N, steps, D); of a plain array (steps, D)
        """
        sequences, n = self._read(X, lengths), whole("steps", steps)
        columns = self._features
        if self._by_sequence or self.bidirectional or isinstance(self.network_, Embedded):
            raise UnsupportedError(
                "a forecast needs a network that reads numbers in one direction and answers each step: "
                "pooling=None, bidirectional=False, embedding=None"
            )
        if self._answers() != columns:
            raise ShapeError(
                f"the model puts out {self._answers()} numbers a step and reads {columns}; a forecast needs "
                "targets that are the next step's inputs"
            )
        output, state = self.network_(sequences.x, **sequences.extra)
        row = output[np.arange(len(sequences)), sequences.lengths - 1]
        found = np.zeros((len(sequences), n, columns))
        for k in range(n):
            found[:, k] = self.y_scale_.back(self.readout_(row).astype(np.float64))
            if k + 1 < n:
                x = self.x_scale_.there(found[:, k : k + 1])
                output, state = self.network_(x, state)
                row = output[:, -1]
        return found[0] if sequences.form == "plain" else found


def _real(part: np.ndarray) -> np.ndarray:
    """Targets as float64; NaN is missing."""
    try:
        array = part.astype(np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"y must hold real numbers: {problem}") from None
    if np.isinf(array).any():
        raise DataError("Input y contains infinity or a value too large for dtype('float64'); NaN is missing")
    return array
