"""The log-likelihood of a Gaussian HMM: densities and the forward half of the E-step."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import peers
from benchmarks.cases import Effort, estep, gaussian, normal_data
from benchmarks.cases.normal_data import NormalData
from benchmarks.harness import Contender, Problem

TITLE = "Log-likelihood of a Gaussian HMM"
ABOUT = (
    "score(X, lengths) on the data of the EM iteration, float64. dynamax's marginal_log_prob is jitted, and "
    "vmapped over sequences."
)


def problems(effort: Effort) -> Iterator[Problem]:
    """The shapes of the EM iteration."""
    contenders = {"msgpass": msgpass, "hmmlearn scaling": hmmlearn, "dynamax": dynamax}
    return gaussian.on_normal_data(effort, contenders, estep.TOLERANCE)


def msgpass(data: NormalData) -> Contender:
    return gaussian.called(normal_data.msgpass_model(data), "score", _score, data)


def hmmlearn(data: NormalData) -> Contender:
    return gaussian.called(normal_data.hmmlearn_model(data), "score", _score, data)


def _score(value: float) -> dict[str, float]:
    return {"log_likelihood": value}


def dynamax(data: NormalData) -> Contender:
    model, parameters, _ = normal_data.dynamax_model(data)
    jax = peers.jax_float64()
    sequences = jax.numpy.asarray(data.observations)

    @jax.jit
    def score(parameters, sequences):
        return jax.vmap(lambda one: model.marginal_log_prob(parameters, one))(sequences).sum()

    return lambda: {"log_likelihood": jax.block_until_ready(score(parameters, sequences))}
