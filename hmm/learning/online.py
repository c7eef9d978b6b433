"""Online EM (Cappé & Moulines 2009), a batch of whole sequences at a time.

    s ← (1 − γ) s + γ ŝ(batch)        θ ← the M-step from s

with s the sufficient statistics for each row. Within a batch posteriors are exact: sequences are whole, and
their log-likelihood is that of the parameters before the batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hmm.emissions.statistics import Statistics
from hmm.learning.batches import require_em, require_sums
from hmm.learning.expectation import Expectation, Expected, maximised
from hmm.learning.survey import Survey
from hmm.sequences import column_names, end_to_end, same_names
from hmm.starting import check_settings, free_parameters, model_restrictions
from hmm.validation import generator, rows_of_numbers, same_width
from msgpass.errors import DataError

WARM_UP = 5
"""Numbers of data for each free parameter before parameters move."""


@dataclass(frozen=True, eq=False)
class Running:
    """What online EM remembers of the batches so far.

    Parameters
    ----------
    rows : float
        How many there were, those of sequences that count more counted more.
    mean : Expected
        Statistics for each row, late batches weighing more.
    survey : Survey
    """

    rows: float
    mean: Expected
    survey: Survey

    def moved(self, batch: Running, decay: float, offset: float) -> Running:
        """With one more batch."""
        rows = self.rows + batch.rows
        step = min((rows / batch.rows + offset) ** -decay, 1.0)
        return Running(rows, (1 - step) * self.mean + step * batch.mean, self.survey + batch.survey)

    def plain(self) -> dict[str, Any]:
        """Numbers, strings and arrays: what a model can be saved with."""
        statistics = self.mean.statistics
        return {
            "rows": self.rows,
            "initial": self.mean.initial,
            "transition": self.mean.transition,
            "statistics": None if statistics is None else statistics.plain(),
            "survey": self.survey.plain(),
        }

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Running:
        """The inverse of ``plain``."""
        try:
            own = plain["statistics"]
            statistics = None if own is None else Statistics.of_plain(own)
            mean = Expected(0.0, plain["initial"], plain["transition"], None, None, statistics)
            return cls(plain["rows"], mean, Survey.of_plain(plain["survey"]))
        except (KeyError, TypeError, AttributeError) as problem:
            raise DataError(
                f"what the model remembers of earlier batches is damaged ({problem}); fit it anew"
            ) from None


def partial_fit(model, X, y, lengths, weights, labels, learning_decay: float, learning_offset: float):
    """See :meth:`hmm.base.BaseHMM.partial_fit`."""
    check_settings(model)
    require_em(model, "partial_fit")
    decay, offset = _steps(learning_decay, learning_offset)
    before, fitted = model.__dict__.get("_running_"), model.has("n_features_in")
    X, lengths, names = *end_to_end(X, lengths, flat=model.FLAT), column_names(X)
    if fitted:
        same_names(model.__dict__.get("feature_names_in_"), names, type(model).__name__)
        same_width(rows_of_numbers(X, flat=model.FLAT), model.n_features_in_, type(model).__name__)
    sample, width = model._sample(X, y, lengths, weights, labels)
    survey = Survey.of(sample)
    running = None if before is None else Running.of_plain(before)
    if running is None:
        draft = copy.copy(model)
        if fitted:
            draft.init_params = ""
        chain = draft._start(sample, generator(model.random_state))
    else:
        chain = model._learned(sample.X)
    seen = survey if running is None else running.survey + survey
    chain = replace(chain, emission=model.surveyed(chain.emission, seen))
    require_sums(chain, model.params)
    restricted = model_restrictions(model)
    expectation = Expectation(sample, chain, restricted, keep=True)
    expected = expectation.summed(chain, model.params)
    expectation.release()
    counts = np.ones(len(sample.lengths)) if sample.weights is None else sample.weights
    rows = float(counts @ np.asarray(sample.lengths))
    batch = Running(rows, (1 / rows) * expected, survey)
    running = batch if running is None else running.moved(batch, decay, offset)
    free = sum(n for letter, n in free_parameters(model, chain).items() if letter in model.params)
    if running.survey.rows * sample.X.shape[1] >= WARM_UP * free:
        chain = maximised(chain, running.rows * running.mean, model.params, restricted)
    if before is None:
        model._fresh_monitor()
        model._seen(width, names if names is not None else model.__dict__.get("feature_names_in_"))
    monitor = model.monitor_
    monitor.history.append(expected.log_likelihood)
    monitor.iter += 1
    model._store(chain)
    model._running_ = running.plain()
    return model


def _steps(decay, offset) -> tuple[float, float]:
    """Settings of the step, checked."""
    for name, value, words, right in (
        ("learning_decay", decay, "above 0.5 and at most 1", lambda v: 0.5 < v <= 1),
        ("learning_offset", offset, "not negative", lambda v: 0 <= v < np.inf),
    ):
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not right(value):
            raise DataError(f"{name} must be a number {words}, got {value!r}")
    return float(decay), float(offset)
