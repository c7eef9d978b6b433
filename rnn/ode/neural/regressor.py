"""``IrregularRegressor``: numbers at any time from series seen at times of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from msgpass.errors import DataError, ShapeError
from rnn.estimators.scaling import Scale
from rnn.estimators.sequences import Sequences
from rnn.losses import OutputLoss, SquaredError
from rnn.ode.neural.irregular import IrregularEstimator
from rnn.ode.neural.series import Irregular, is_shared, real_numbers


class IrregularRegressor(RegressorMixin, IrregularEstimator):
    """An ODE-RNN trained on squared errors: what a series will be, or what goes with it, at any time.

    Without targets it learns to say each row from those before it; a time between rows or beyond the last one
    is answered from what was seen before it. With targets y it answers from what was seen up to then.

    Parameters
    ----------
    hidden_size : int
    hidden_sizes : sequence of int
        Of the MLP that moves the state between observations.
    activation : {"tanh", "softplus", "relu", "sigmoid", "silu"}
    time : bool
        The MLP reads the time itself, too, for what depends on the date.
    method : str
        An explicit solver of :data:`rnn.ode.METHODS`.
    steps : int
        Solver steps between two rows.
    longest : float
        Gaps longer than this, in units of the training data's median gap, are cut into equal parts.
    dropout : float
        Chance that an observation is hidden while training, and still is a target: longer forecasts.
    scale : bool
        Bring each feature, and targets, to mean 0 and standard deviation 1, and time to the median gap.
    optimizer, lr, n_iter, batch_size, validation, patience, tol, clip_norm, schedule, checkpoint, dtype, \
warm_start, verbose, random_state
        As for :class:`rnn.SequenceRegressor`.

    Attributes
    ----------
    network_ : ODERNN
    readout_, history_, n_features_in_
        As for :class:`rnn.SequenceRegressor`.

    Notes
    -----
    X is a list of series (t, x): increasing times (T,), and values (T, D) or (T,), NaN where missing. One
    pair alone is one series. Times differ from series to series.

    Examples
    --------
    Waves of one period, each seen at twelve times of its own:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> T = [np.sort(rng.uniform(0, 9, 12)) for _ in range(40)]
    >>> X = [(t, np.sin(t + shift)) for t, shift in zip(T, rng.uniform(0, 6, 40))]
    >>> model = IrregularRegressor(12, n_iter=60, lr=0.02, random_state=0).fit(X)
    >>> bool(model.score(X) > 0.7)
    True
    >>> model.predict(X, np.linspace(9, 10, 5)).shape  # beyond the end
    (40, 5)
    """

    def __init__(
        self,
        hidden_size: int = 32,
        hidden_sizes: Any = (32,),
        *,
        activation: str = "tanh",
        time: bool = False,
        method: Any = "midpoint",
        steps: int = 1,
        longest: float = 2.0,
        dropout: float = 0.0,
        scale: bool = True,
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
        self.hidden_size, self.hidden_sizes, self.activation = hidden_size, hidden_sizes, activation
        self.time, self.method, self.steps, self.longest = time, method, steps, longest
        self.dropout, self.scale = dropout, scale
        self.optimizer, self.lr, self.n_iter, self.batch_size = optimizer, lr, n_iter, batch_size
        self.validation, self.patience, self.tol = validation, patience, tol
        self.clip_norm, self.schedule, self.checkpoint = clip_norm, schedule, checkpoint
        self.dtype, self.warm_start = dtype, warm_start
        self.verbose, self.random_state = verbose, random_state

    # What a fit leaves beside the base's.
    y_scale_: Scale
    _flat: bool
    _own: bool

    def fit(self, X, y=None, validation_data=None):  # type: ignore[override]
        """Train a network from newly drawn weights (with ``warm_start`` from the present ones).

        Parameters
        ----------
        X : list of (t, x)
        y : list of arrays (T_i, K) or (T_i,), optional
            Targets at the times of each series, NaN where missing; by default the series themselves.
        validation_data : tuple (X,) or (X, y), optional
            Decides which weights are kept and, with ``patience``, when to stop.

        Returns
        -------
        self
        """
        if validation_data is not None:
            validation_data = (*validation_data, None)[:2]
        return super().fit(X, y, validation_data=validation_data)

    def partial_fit(self, X, y=None):  # type: ignore[override]
        """One epoch over some more series, from the present weights."""
        return super().partial_fit(X, y)

    @property
    def _read_before(self) -> bool:
        return self._own

    def _encode(self, y, sequences: Sequences, reset: bool) -> np.ndarray:
        assert isinstance(sequences, Irregular)
        if reset:
            self._own = y is None
        if (y is None) != self._own:
            raise DataError(
                "the model was fitted without targets and takes none"
                if self._own
                else "the model was fitted with targets y; give them here, too"
            )
        if y is None:
            if reset:
                self.y_scale_, self._flat = self.x_scale_, self._features == 1
            return sequences.x
        parts = self._targets(y, sequences)
        if reset:
            rows = np.concatenate([part.reshape(len(part), -1) for part in parts])
            if np.isnan(rows).all():
                raise DataError("Input y contains NaN and nothing else; NaN is a missing target")
            self._flat = parts[0].ndim == 1
            self.y_scale_ = Scale.of(rows) if self.scale else Scale.none(rows.shape[1])
        width = len(self.y_scale_.mean)
        found = np.full((len(sequences), sequences.x.shape[1], width), np.nan)
        for k, (part, rows) in enumerate(zip(parts, sequences.places, strict=True)):
            columns = part.reshape(len(part), -1)
            if columns.shape[1] != width:
                raise ShapeError(f"y of series {k} has {columns.shape[1]} columns, wanted {width}")
            found[k, rows] = self.y_scale_.there(columns)
        return found

    def _targets(self, y, sequences: Irregular) -> list[np.ndarray]:
        given = [y] if sequences.form == "plain" and not isinstance(y, list) else y
        if len(given) != len(sequences):
            raise ShapeError(f"y has {len(given)} parts, X has {len(sequences)} series; one each is wanted")
        parts = [real_numbers(part, f"y of series {k}") for k, part in enumerate(given)]
        for k, (part, rows) in enumerate(zip(parts, sequences.places, strict=True)):
            if part.ndim not in (1, 2) or len(part) != len(rows):
                raise ShapeError(
                    f"y of series {k} has shape {part.shape}; the series has {len(rows)} times, one row each "
                    "is wanted"
                )
            if np.isinf(part).any():
                raise DataError(f"y of series {k} holds an infinite value; NaN is missing")
        return parts

    def _answers(self) -> int:
        return len(self.y_scale_.mean)

    def _loss(self, targets: np.ndarray, reduction: str = "mean") -> OutputLoss:
        return SquaredError(targets, reduction, self.readout_)

    # -- answers -------------------------------------------------------------------------------------

    def predict(self, X, t=None):
        """Numbers at any time from the first observation on.

        Parameters
        ----------
        X : list of (t, x)
        t : array (M,), or list of arrays, one a series; optional
            Times that are asked for, in any order; by default those of X. Beyond a series' end they are
            forecasts. Without targets, the answer at t is from observations before t; with targets from those
            up to t.

        Returns
        -------
        list of arrays (M_i, K), or one array (N, M, K) where all are asked for the same times; without the
        last axis where there is one number. Of one series alone its array.
        """
        rows = self._laid(X, t)
        found = self.y_scale_.back(self._outputs(rows).astype(np.float64))
        parts = rows.at(found[..., 0] if self._flat else found, rows.asked)
        if rows.form == "plain":
            return parts[0]
        return np.stack(parts) if t is not None and is_shared(t) else parts

    def score(self, X, y=None) -> float:
        """R² at the times of X over all targets that are there, averaged over columns."""
        rows = self._read(X)
        wanted, found = self._encode(y, rows, reset=False), self._outputs(rows)
        wanted, found = (np.concatenate(rows.at(a, rows.places)) for a in (wanted, found))
        scores = []
        for a, b in zip(wanted.T, found.T, strict=True):
            seen = ~np.isnan(a)
            if seen.any():
                scores.append(r2_score(a[seen], b[seen]))
        if not scores:
            raise DataError("no target is there: all are NaN, which is missing; R² needs some")
        return float(np.mean(scores))
