"""One iteration of Baum-Welch for a Gaussian HMM: densities, E-step and M-step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

from benchmarks.cases import Effort, fit
from benchmarks.cases.normal_data import NormalData
from benchmarks.harness import Contender, Problem

TITLE = "An EM iteration of a Gaussian HMM"
ABOUT = (
    "fit(X, lengths) with one iteration, from parameters near those that the data were drawn from: 4 "
    "features, covariances diagonal or full, float64, maximum likelihood. hmmlearn has "
    'implementation="scaling" and its default priors set to nothing. dynamax runs the iteration of its '
    "fit_em, jitted once and kept; its full covariances have a prior that cannot be set to nothing, so that "
    "it computes something else there and is left out."
)
STATES, FEATURES = (4, 16, 64), 4
TOLERANCE = 1e-6  # of the largest entry; hmmlearn and dynamax take E[x²] − μ² for the variances


def problems(effort: Effort) -> Iterator[Problem]:
    """One long sequence and many short ones, for each number of states and kind of covariances."""
    contenders = {
        "msgpass": partial(fit.msgpass_vectors, iterations=1),
        "hmmlearn scaling": partial(fit.hmmlearn_vectors, iterations=1),
        "dynamax": partial(fit.dynamax_vectors, iterations=1),
    }
    for problem in on_normal_data(effort, contenders, TOLERANCE):
        compared = dict(problem.contenders)
        if problem.label.startswith("full"):
            del compared["dynamax"]
        yield replace(problem, contenders=compared)


def on_normal_data(
    effort: Effort, contenders: Mapping[str, Callable[[NormalData], Contender]], tolerance: float
) -> Iterator[Problem]:
    """The problems of the cases about Gaussian HMMs."""
    quick = effort == "quick"
    for sequences, length in ((1, 10_000), (100, 100)) if quick else ((1, 100_000), (1000, 100)):
        for covariance_type in ("diag", "full"):
            for states in STATES[:2] if quick else STATES:
                draw = cache(partial(NormalData.random, states, FEATURES, sequences, length, covariance_type))
                yield Problem(
                    label=f"{covariance_type}, K={states}, {sequences} × {length}",
                    contenders={
                        name: partial(_prepared, prepare, draw) for name, prepare in contenders.items()
                    },
                    tolerance=tolerance,
                    unit="ns/step",
                    per=1e9 / (sequences * length),
                    flops=2.0 * states**2 * sequences * length,
                    traffic=8.0 * FEATURES * sequences * length,  # the data, read once
                )


def _prepared(prepare: Callable[[NormalData], Contender], draw: Callable[[], NormalData]) -> Contender:
    """A contender on data that are drawn once, when the first of them is prepared."""
    return prepare(draw())


def called(model: Any, method: str, read: Callable[[Any], dict[str, Any]], data: NormalData) -> Contender:
    """A method of a model, called with the data as hmm and hmmlearn take them."""
    rows, lengths, call = data.rows, data.lengths, getattr(model, method)
    return lambda: read(call(rows, lengths=lengths))
