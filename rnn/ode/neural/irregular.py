"""What the estimators of irregular series share: an :class:`ODERNN` in the place of a recurrent network, and
time in units of the usual gap."""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.estimators.base import AT_ONCE, SequenceEstimator
from rnn.estimators.scaling import Scale
from rnn.estimators.sequences import Sequences
from rnn.ode.neural.ode_rnn import ODERNN
from rnn.ode.neural.series import Irregular, laid_out, read_asked, read_series
from rnn.readout import Linear
from rnn.validation import generator, positive


class IrregularEstimator(SequenceEstimator):
    """Abstract base; its settings are described in :class:`rnn.IrregularRegressor`."""

    # What every constructor stores.
    hidden_sizes: Any
    activation: str
    time: bool
    method: Any
    steps: int
    longest: float

    # What the base asks of recurrent networks.
    cell = "gru"
    num_layers = 1
    bidirectional = False
    embedding = None
    window = None

    # What a fit leaves.
    _origin: float
    _unit: float

    @property
    def _read_before(self) -> bool:
        """Answers come from states before the jumps."""
        return False

    def _check(self) -> None:
        positive("longest", self.longest)
        super()._check()

    def _read(self, X, lengths=None, reset: bool = False) -> Irregular:
        return self._laid(X, None, lengths, reset)

    def _laid(self, X, asked, lengths=None, reset: bool = False) -> Irregular:
        """X as scaled rows, with those of times that are asked for."""
        if lengths is not None:
            raise DataError("X is a list of series (t, x), which have their own lengths; leave lengths= out")
        if not reset:
            self._check_fitted()
        series, single = read_series(X)
        columns = series[0][1].shape[1]
        if reset:
            self.n_features_in_ = self._features = columns
            self.n_tokens_ = 0
            self._take_note(series)
        elif columns != self._features:
            raise ShapeError(
                f"X has {columns} features, but {type(self).__name__} is expecting {self._features} features "
                "as input"
            )
        times = None if asked is None else [self._clock(t) for t in read_asked(asked, series)]
        scaled = [(self._clock(t), self.x_scale_.there(x)) for t, x in series]
        return laid_out(scaled, times, self.longest, "plain" if single else "list")

    def _take_note(self, series: list) -> None:
        """Scales of a fit's data."""
        gaps = np.concatenate([np.diff(t) for t, _ in series])
        self._origin = float(min(t[0] for t, _ in series)) if self.scale else 0.0
        self._unit = float(np.median(gaps)) if self.scale and gaps.size else 1.0
        rows = np.concatenate([x for _, x in series])
        if np.isnan(rows).all():
            raise DataError("X holds NaN and nothing else; NaN is missing")
        with np.errstate(over="ignore"):
            self.x_scale_ = Scale.of(rows) if self.scale else Scale.none(self._features)
        if not np.isfinite(self.x_scale_.deviation).all():
            raise DataError("x is so large that its standard deviation is infinite; scale it")

    def _clock(self, t: np.ndarray) -> np.ndarray:
        """Times in units of the usual gap."""
        return (t - self._origin) / self._unit

    def _make(self) -> None:
        """Draw the network."""
        rng = generator(self.random_state)
        self.network_ = ODERNN(
            self._features,
            self.hidden_size,
            self.hidden_sizes,
            self.activation,
            time=self.time,
            read="before" if self._read_before else "after",
            initial="learned",
            dropout=self.dropout,
            method=self.method,
            steps=self.steps,
            batch_first=True,
            dtype=self.dtype,
            random_state=rng,
        )
        self.readout_ = Linear(self.hidden_size, self._answers(), dtype=self.dtype, random_state=rng)
        self._seed = int(rng.spawn(1)[0].integers(2**31))
        self._make_more(rng)

    @staticmethod
    def _groups(sequences: Sequences):
        """(rows, x, extra) of series of about one length."""
        assert isinstance(sequences, Irregular)
        order = np.argsort(sequences.lengths, kind="stable")
        for first in range(0, len(order), AT_ONCE):
            rows = order[first : first + AT_ONCE]
            lengths = sequences.lengths[rows]
            longest = lengths.max()
            extra = {"t": sequences.t[rows, :longest], "lengths": lengths}
            yield rows, sequences.x[rows, :longest], extra
