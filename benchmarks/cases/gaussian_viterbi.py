"""The best path of a Gaussian HMM: densities and Viterbi."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks import peers
from benchmarks.cases import Effort, gaussian, normal_data
from benchmarks.cases.normal_data import NormalData
from benchmarks.harness import Contender, Problem

TITLE = "Viterbi path of a Gaussian HMM"
ABOUT = (
    "decode(X, lengths) on the data of the EM iteration, float64. All paths have to be the same. dynamax's "
    "most_likely_states is jitted, and vmapped over sequences."
)


def problems(effort: Effort) -> Iterator[Problem]:
    """The shapes of the EM iteration."""
    contenders = {"msgpass": msgpass, "hmmlearn": hmmlearn, "dynamax": dynamax}
    return gaussian.on_normal_data(effort, contenders, 0.0)


def msgpass(data: NormalData) -> Contender:
    return gaussian.called(normal_data.msgpass_model(data), "decode", _path, data)


def hmmlearn(data: NormalData) -> Contender:
    return gaussian.called(normal_data.hmmlearn_model(data), "decode", _path, data)


def _path(decoded: tuple) -> dict[str, Any]:
    return {"path": decoded[1]}


def dynamax(data: NormalData) -> Contender:
    model, parameters, _ = normal_data.dynamax_model(data)
    jax = peers.jax_float64()
    sequences = jax.numpy.asarray(data.observations)

    @jax.jit
    def decode(parameters, sequences):
        return jax.vmap(lambda one: model.most_likely_states(parameters, one))(sequences).ravel()

    return lambda: {"path": jax.block_until_ready(decode(parameters, sequences))}
