"""EM from batches of sequences, one in memory at a time: a pass through all of them is an iteration.

What an E-step says of a batch are sums (:class:`~hmm.learning.expectation.Expected` with statistics), which
are added in the order of the batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import Any, TypeVar

import numpy as np

from hmm.chain import Chain
from hmm.emissions.base import Emission
from hmm.learning.checkpoint import Checkpoint, add_sample, frozen_values, with_settings
from hmm.learning.expectation import Expectation, Expected, maximised
from hmm.learning.fitting import Fitting
from hmm.learning.restrictions import Restrictions
from hmm.learning.survey import Survey
from hmm.sample import Sample
from hmm.sequences import column_names, same_names
from hmm.starting import check_settings, model_restrictions
from msgpass.errors import DataError, MessagePassingError, ShapeError, UnsupportedError

KEYS = ("X", "lengths", "weights", "labels")
"""Of a batch that is a dict."""

NOTHING = "batches hold nothing; wanted at least one batch of sequences"

R = TypeVar("R")


def begun(model, batches, checkpoint=None) -> tuple[Fitting, Checkpoint | None, Source]:
    """The climbs of :meth:`hmm.base.BaseHMM.fit_batches`, the file that keeps them, and what they read."""
    check_settings(model)
    require_em(model, "fit_batches")
    source = Source(model, batches, hashed=checkpoint is not None)

    def surveyed(chain: Chain) -> Chain:
        return replace(chain, emission=model.surveyed(chain.emission, source.survey))

    def start(origin, rng: np.random.Generator) -> Chain:
        chain = origin._start(source.first(), rng)
        require_sums(chain, model.params)
        return surveyed(chain)

    kept = None
    if checkpoint is not None:
        kept = Checkpoint(
            checkpoint,
            model,
            with_settings(source.digest, model, frozen_values(model)),
            lambda draft: surveyed(draft._learned(source.first().X)),
        )
    restricted = model_restrictions(model)
    fitting = model._fitting(start, lambda _: Summation(source, restricted, model.params), kept)
    return fitting, kept, source


def require_em(model, call: str) -> None:
    """Raise where a model is not fitted by EM."""
    if model.method != "em":
        raise UnsupportedError(
            f"{call} is EM, but method is {model.method!r}; set method='em', or call fit on all data"
        )


def require_sums(chain: Chain, params: str) -> None:
    """Raise where what a chain learns from is no sum over sequences."""
    kind = chain.transition
    if "t" in params and (kind.STEPWISE or kind.n_inputs):
        raise UnsupportedError(
            f"{type(kind).__name__} transitions are fitted to rows, and not to sums that batches add up to; "
            "leave 't' out of params to keep them as they are, or call fit on all data"
        )
    if set(params) - {"s", "t"} and not chain.emission.additive:
        refused = next(own for own in _leaves(chain.emission) if not own.additive)
        Emission.statistics(refused, None, np.empty(0))  # raises


def _leaves(emission) -> Iterator[Emission]:
    """An emission, or the parts of a mixed one."""
    parts = getattr(emission, "parts", None)
    yield from (emission,) if parts is None else (part.emission for part in parts)


class Source:
    """Batches as checked samples, which can be gone through again and again.

    Parameters
    ----------
    model : any model of ``hmm``
    batches : iterable or callable
    hashed : bool
        Whether the first pass makes a digest of the data.
    """

    def __init__(self, model, batches, hashed: bool):
        self.model, self._open = model, opener(batches)
        self.width = 0
        self.names: np.ndarray | None = None
        self.digest = hashlib.sha256()
        self._hashed = hashed
        if hashed:
            _ = self.survey  # a checkpoint is looked up by the digest, before anything else

    def first(self) -> Sample:
        """The first batch."""
        for sample in self.each(lambda sample: sample):
            return sample
        raise DataError(NOTHING)

    @cached_property
    def survey(self) -> Survey:
        """Of all batches."""
        found = self.total(self._look)
        if found is None:
            raise DataError(NOTHING)
        return found

    def _look(self, sample: Sample) -> Survey:
        if self._hashed:
            add_sample(self.digest, sample)
        return Survey.of(sample)

    def each(self, look: Callable[[Sample], R]) -> Iterator[R]:
        """What ``look`` says of each batch. A batch is let go before the next one is asked for."""
        return map(lambda n, item: look(self._sample(n, item)), count(), self._open())

    def total(self, look: Callable[[Sample], Any]) -> Any:
        """The sum of it, None where there is no batch."""
        total = None
        for found in self.each(look):
            total = found if total is None else total + found
        return total

    def _sample(self, n: int, item) -> Sample:
        try:
            return self._checked(item)
        except MessagePassingError as problem:
            problem.args = (f"in batch {n}: {problem}", *problem.args[1:])
            raise

    def _checked(self, item) -> Sample:
        given = unpacked(item)
        names = column_names(given["X"])
        sample, width = self.model._sample(**given)
        if not self.width:
            self.width, self.names = width, names
        same_names(self.names, names, type(self.model).__name__)
        if width != self.width:
            raise ShapeError(f"X has {width} columns, but the first batch has {self.width}")
        return sample


def opener(batches) -> Callable[[], Iterator]:
    """A function that begins a pass, or an error where there can be one only."""
    if callable(batches):
        return lambda: _iterator(batches())
    if isinstance(batches, str | bytes | Mapping) or hasattr(batches, "columns"):
        raise DataError(
            f"batches is a {type(batches).__name__}; wanted a list of batches, or what gives them"
        )
    if getattr(batches, "ndim", 3) < 3:
        raise DataError(
            f"batches is one array of shape {batches.shape}; cut it into batches of whole sequences by "
            "hmm.batches(X, lengths), or call fit"
        )
    if not isinstance(batches, Iterable):
        raise DataError(f"batches is a {type(batches).__name__}, which cannot be iterated over")
    if iter(batches) is batches:
        raise DataError(
            f"batches is a {type(batches).__name__}, which can be gone through once, and EM goes through it "
            "in every iteration; pass the function that makes it (fit_batches(read), not "
            "fit_batches(read())), or a list"
        )
    return lambda: iter(batches)


def _iterator(made) -> Iterator:
    if not isinstance(made, Iterable) or getattr(made, "ndim", 3) < 3:
        raise DataError(
            f"the function that gives batches returned a {type(made).__name__}; wanted an iterator over "
            "them, such as it returns where it has a yield"
        )
    return iter(made)


def unpacked(item) -> dict[str, Any]:
    """The arguments of ``fit`` that a batch holds."""
    if isinstance(item, Mapping) and not hasattr(item, "columns"):
        if "X" not in item or set(item) - set(KEYS):
            raise DataError(f"a batch is a dict with keys {list(item)}; wanted 'X' and any of {KEYS[1:]}")
        return dict(item)
    if isinstance(item, tuple):
        if len(item) != 2:
            raise DataError(
                f"a batch is a tuple of {len(item)}; a pair is (X, lengths), and several sequences are a list"
            )
        return {"X": item[0], "lengths": item[1]}
    return {"X": item}


class Summation:
    """E-steps that add up over batches.

    Parameters
    ----------
    source : Source
    restrictions : Restrictions
        Of the M-steps.
    params : str
        Letters of what is estimated.
    """

    def __init__(self, source: Source, restrictions: Restrictions, params: str):
        self.source, self.restrictions, self.params = source, restrictions, params

    def __call__(self, chain: Chain) -> Expected:
        """One pass."""
        rows = sequences = 0

        def look(sample: Sample) -> Expected:
            nonlocal rows, sequences
            rows, sequences = rows + len(sample.X), sequences + len(sample.lengths)
            expectation = Expectation(sample, chain, self.restrictions, keep=True)
            expected = expectation.summed(chain, self.params)
            expectation.release()
            return expected

        expected = self.source.total(look)
        wanted = self.source.survey.rows, self.source.survey.sequences
        if (rows, sequences) != wanted:
            raise DataError(
                f"batches held {rows} rows in {sequences} sequences in this pass, and {wanted[0]} in "
                f"{wanted[1]} in the first; they must be the same every time, and a function returns a new "
                "iterator at each call"
            )
        return expected

    def maximise(self, chain: Chain, expected: Expected, params: str) -> Chain:
        """M-step."""
        return maximised(chain, expected, params, self.restrictions)
