"""The best path of a categorical HMM (Viterbi) and its score."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort, estep
from benchmarks.harness import Contender, Problem

TITLE = "Viterbi path of a categorical HMM"
ABOUT = (
    "Best path and its log-probability under the models of the E-step, float64. msgpass runs a kept graph "
    "under MaxProduct and reads m.total and m.assignment; hmmlearn calls decode. Scores are compared, not "
    "paths: with few symbols several paths share a score."
)


def problems(effort: Effort) -> Iterator[Problem]:
    """The shapes of the E-step."""
    shapes = ((1, 10_000), (100, 100)) if effort == "quick" else ((1, 100_000), (1000, 100))
    for sequences, length in shapes:
        for states in estep.STATES[:2] if effort == "quick" else estep.STATES:
            data = estep.Data.random(states, sequences, length)
            yield Problem(
                label=f"K={states}, {sequences} × {length}",
                contenders={
                    "msgpass": partial(_scored, msgpass_viterbi, data),
                    "hmmlearn": partial(_scored, hmmlearn_viterbi, data),
                },
                tolerance=1e-11,
                unit="ns/step",
                per=1e9 / (sequences * length),
                flops=2.0 * states**2 * sequences * length,
                traffic=8.0 * sequences * length,  # the symbols, read once
            )


def _scored(prepare, data: estep.Data) -> Contender:
    """The contender's score, its path computed and left out."""
    call = prepare(data)
    return lambda: {"score": call()["score"]}


def msgpass_viterbi(data: estep.Data) -> Contender:
    from msgpass import MaxProduct, run

    graph, algebra = estep.msgpass_graph(data), MaxProduct()

    def viterbi() -> dict[str, object]:
        m = run(graph, algebra)
        return {"score": m.total, "path": m.assignment["z"]}

    return viterbi


def hmmlearn_viterbi(data: estep.Data) -> Contender:
    hmm = peers.require("hmmlearn.hmm")
    sequences, length = data.symbols.shape
    model = hmm.CategoricalHMM(len(data.initial), n_features=estep.SYMBOLS)
    model.startprob_, model.transmat_, model.emissionprob_ = data.initial, data.transition, data.emission
    x, lengths = data.symbols.reshape(-1, 1), np.full(sequences, length)

    def viterbi() -> dict[str, object]:
        score, path = model.decode(x, lengths, algorithm="viterbi")
        return {"score": score, "path": path}

    return viterbi
