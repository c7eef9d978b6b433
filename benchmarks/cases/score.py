"""The log-likelihood of a categorical HMM alone: the forward half of the E-step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort, estep
from benchmarks.harness import Contender, Problem

TITLE = "Log-likelihood of a categorical HMM"
ABOUT = (
    "log p(symbols) of the models of the E-step, float64. msgpass runs a kept graph forward and reads "
    "m.total; hmmlearn calls score, pomegranate log_probability on a tensor of equally long sequences."
)


def problems(effort: Effort) -> Iterator[Problem]:
    """The shapes of the E-step."""
    shapes = ((1, 10_000), (100, 100)) if effort == "quick" else ((1, 100_000), (1000, 100))
    for sequences, length in shapes:
        for states in estep.STATES[:2] if effort == "quick" else estep.STATES:
            data = estep.Data.random(states, sequences, length)
            contenders = {
                "msgpass": partial(msgpass_score, data),
                "hmmlearn scaling": partial(hmmlearn_score, data),
            }
            if sequences > 1:  # it loops over steps
                contenders["pomegranate"] = partial(pomegranate_score, data)
            yield Problem(
                label=f"K={states}, {sequences} × {length}",
                contenders=contenders,
                tolerance=estep.TOLERANCE,
                unit="ns/step",
                per=1e9 / (sequences * length),
                flops=2.0 * states**2 * sequences * length,
                traffic=8.0 * sequences * length,  # the symbols, read once
            )


def msgpass_score(data: estep.Data) -> Contender:
    from msgpass import ForwardOnly, run

    graph = estep.msgpass_graph(data)
    return lambda: {"log_likelihood": run(graph, schedule=ForwardOnly()).total}


def hmmlearn_score(data: estep.Data) -> Contender:
    hmm = peers.require("hmmlearn.hmm")
    sequences, length = data.symbols.shape
    model = hmm.CategoricalHMM(len(data.initial), n_features=estep.SYMBOLS, implementation="scaling")
    model.startprob_, model.transmat_, model.emissionprob_ = data.initial, data.transition, data.emission
    x, lengths = data.symbols.reshape(-1, 1), np.full(sequences, length)
    return lambda: {"log_likelihood": model.score(x, lengths)}


def pomegranate_score(data: estep.Data) -> Contender:
    model, symbols, _ = estep.pomegranate_model(data)
    return lambda: {"log_likelihood": model.log_probability(symbols).sum().item()}
