"""How well a fit knows its parameters: standard errors and confidence intervals, by attribute."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hmm.learning.information import Information, observed_information
from hmm.learning.parameters import values_of
from hmm.starting import model_restrictions
from msgpass.errors import DataError
from msgpass.optional import pandas

SHOWN = 24
"""Rows of a repr."""

Arrays = dict[str, np.ndarray]


class Interval(NamedTuple):
    """Ends of intervals, in the parameter's shape."""

    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class StandardErrors(Mapping[str, np.ndarray]):
    """Standard errors by attribute of the model, as ``errors["means_"]``, each in its attribute's shape.

    NaN stands where there is none: zeros of the structure, frozen numbers, estimates at the edge of their
    range.

    Attributes
    ----------
    estimates : dict of str to array
    errors : dict of str to array
    coordinates : list of str
        Numbers in whose unconstrained coordinates (see :mod:`hmm.coordinates`) the next two are.
    information : array, (n, n)
        Minus the second derivatives of what was maximised.
    covariance : array, (n, n)
        Its inverse.
    """

    estimates: Arrays
    errors: Arrays
    coordinates: list[str]
    information: np.ndarray
    covariance: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        return self.errors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.errors)

    def __len__(self) -> int:
        return len(self.errors)

    def to_frame(self):
        """One row a number: ``parameter``, ``index`` ("0,1"), ``estimate``, ``standard_error``."""
        return _frame(self.estimates, {"standard_error": self.errors})

    def __repr__(self) -> str:
        def line(name: str, index: tuple[int, ...]) -> str:
            return f"{self.estimates[name][index]:.6g} ± {self.errors[name][index]:.3g}"

        return _table("StandardErrors", self.errors, line)


@dataclass(frozen=True, eq=False, repr=False)
class ConfidenceIntervals(Mapping[str, Interval]):
    """Intervals by attribute of the model: ``lower, upper = intervals["means_"]``, in its attribute's shape.

    Attributes
    ----------
    level : float
        How often such an interval covers the truth, if there are many data.
    estimates : dict of str to array
    intervals : dict of str to Interval
    """

    level: float
    estimates: Arrays
    intervals: dict[str, Interval]

    def __getitem__(self, name: str) -> Interval:
        return self.intervals[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.intervals)

    def __len__(self) -> int:
        return len(self.intervals)

    def to_frame(self):
        """One row a number: ``parameter``, ``index`` ("0,1"), ``estimate``, ``lower``, ``upper``."""
        ends = {end: {name: getattr(v, end) for name, v in self.items()} for end in Interval._fields}
        return _frame(self.estimates, ends)

    def __repr__(self) -> str:
        def line(name: str, index: tuple[int, ...]) -> str:
            lower, upper = self.intervals[name]
            return f"{self.estimates[name][index]:.6g}  [{lower[index]:.6g}, {upper[index]:.6g}]"

        title = f"ConfidenceIntervals, level={self.level:g}"
        return _table(title, {name: own.lower for name, own in self.items()}, line)


def _frame(estimates: Arrays, columns: dict[str, Arrays]):
    rows: list[dict[str, Any]] = []
    for name in next(iter(columns.values())):
        for index in np.ndindex(estimates[name].shape):
            row = {"parameter": name, "index": ",".join(map(str, index)), "estimate": estimates[name][index]}
            rows.append(row | {column: own[name][index] for column, own in columns.items()})
    return pandas().DataFrame(rows, columns=["parameter", "index", "estimate", *columns])


def _table(title: str, known: Arrays, line) -> str:
    places = [(name, index) for name, own in known.items() for index in np.argwhere(~np.isnan(own)).tolist()]
    labels = [f"{name}[{', '.join(map(str, index))}]" if index else name for name, index in places]
    width = max(map(len, labels[:SHOWN]), default=0)
    lines = [
        f"  {label:<{width}}  {line(name, tuple(index))}"
        for label, (name, index) in zip(labels[:SHOWN], places, strict=False)
    ]
    more = [f"  … {len(places) - SHOWN} more; to_frame() has all"] if len(places) > SHOWN else []
    return "\n".join([title, *lines, *more])


# -- of a model -------------------------------------------------------------------------------------------


def standard_errors(model, X, lengths, weights, labels) -> StandardErrors:
    """See :meth:`hmm.base.BaseHMM.standard_errors`."""
    found = _information(model, X, lengths, weights, labels)
    names = [field.name for field in found.parameters.fields]
    errors = _by_attribute(model, found, found.errors())
    return StandardErrors(
        _estimates(model, found, names),
        errors,
        found.parameters.labels(),
        found.matrix,
        found.covariance,
    )


def confidence_intervals(model, X, lengths, level, weights, labels) -> ConfidenceIntervals:
    """See :meth:`hmm.base.BaseHMM.confidence_intervals`."""
    from scipy.special import ndtri

    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise DataError(f"level is a number between 0 and 1, such as 0.95; got {level!r}")
    found = _information(model, X, lengths, weights, labels)
    names = [field.name for field in found.parameters.fields]
    ends = found.intervals(found.errors(), float(ndtri(0.5 + level / 2)))
    low, high = (_by_attribute(model, found, own) for own in ends)
    intervals = {name: Interval(low[name], high[name]) for name in low}
    return ConfidenceIntervals(level, _estimates(model, found, names), intervals)


def _information(model, X, lengths, weights, labels) -> Information:
    sample = model._inference_sample(model.chain(), X, lengths, weights, labels)
    return observed_information(model.chain(sample.X), sample, model.params, model_restrictions(model))


def _estimates(model, found: Information, names: list[str]) -> Arrays:
    values = values_of(found.chain)
    return _attributes(model, found, {name: values[name] for name in names})


def _by_attribute(model, found: Information, arrays: Arrays) -> Arrays:
    """Arrays of fields as attributes, NaN where an attribute shows more than the field holds (the zeros
    beside a diagonal)."""
    there = _attributes(model, found, {name: np.ones(value.shape) for name, value in arrays.items()})
    shown = _attributes(model, found, arrays)
    return {name: np.where(there[name] == 0, np.nan, value) for name, value in shown.items()}


def _attributes(model, found: Information, arrays: Arrays) -> Arrays:
    """Fields as the model shows them."""
    own = {"startprob", *found.chain.transition.FIELDS}
    shown = {f"{name}_": value for name, value in arrays.items() if name in own}
    emitted = {name: value for name, value in arrays.items() if name not in own}
    draft = copy.copy(model)
    draft.store_emission(found.chain.emission.with_fields(emitted))
    for name in emitted:
        part, _, field = name.rpartition(".")
        holder = draft.parts_[int(part)] if part else draft
        shown[f"parts_[{part}].{field}_" if part else f"{field}_"] = np.array(getattr(holder, f"{field}_"))
    return shown
