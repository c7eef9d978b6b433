"""Whole fits: twenty iterations of Baum-Welch on fifty short sequences."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort, normal_data
from benchmarks.cases.estep import SYMBOLS, Data
from benchmarks.cases.normal_data import NormalData
from benchmarks.harness import Contender, Problem

TITLE = "A whole fit"
ABOUT = (
    "20 iterations of Baum-Welch from the same start on 50 sequences of 100 steps, float64, maximum "
    "likelihood: no priors, no early stop. Emissions are 16 symbols, or normal vectors of 2 independent "
    "features. Timed is all that fit(X, lengths) does for its user, checks of the data included; the start "
    'is set anew before every call. hmmlearn\'s fit has implementation="scaling" and its default priors set '
    "to nothing. dynamax runs the loop of its fit_em, jitted once and kept, with its priors set to nothing; "
    "fit_em itself compiles anew at every call. pomegranate's DenseHMM.fit also learns how sequences end and "
    "has no way to leave that out, so it computes something else and is not here."
)
STATES = (2, 4, 10)
ITERATIONS = 20
SEQUENCES, LENGTH = 50, 100
TOLERANCE = 1e-6  # of the largest entry; EM carries differences on from iteration to iteration
NEVER = -np.inf  # a gain below which to stop


def problems(effort: Effort) -> Iterator[Problem]:
    """Symbols, then normal vectors, with few states and with more."""
    sequences = 10 if effort == "quick" else SEQUENCES
    for states in STATES[:2] if effort == "quick" else STATES:
        symbols = symbols_from_a_chain(states, sequences)
        yield _problem(
            f"{SYMBOLS} symbols, K={states}",
            {
                "msgpass": partial(msgpass_symbols, symbols),
                "hmmlearn scaling": partial(hmmlearn_symbols, symbols),
                "dynamax": partial(dynamax_symbols, symbols),
            },
        )
    for states in STATES[:2] if effort == "quick" else STATES:
        vectors = NormalData.random(states, 2, sequences, LENGTH)
        yield _problem(
            f"normal, D=2, K={states}",
            {
                "msgpass": partial(msgpass_vectors, vectors),
                "hmmlearn scaling": partial(hmmlearn_vectors, vectors),
                "dynamax": partial(dynamax_vectors, vectors),
            },
        )


def _problem(label: str, contenders) -> Problem:
    return Problem(label, contenders, tolerance=TOLERANCE, unit="ms", per=1e3)


def symbols_from_a_chain(states: int, sequences: int, seed: int = 0) -> Data:
    """Symbols drawn from one model, and another one to start from."""
    rng = np.random.default_rng(seed)
    initial, transition = np.full(states, 1 / states), normal_data.sticky(states, rng)
    emission = rng.dirichlet(np.full(SYMBOLS, 0.5), states)
    path = normal_data.states_of(initial, transition, sequences, LENGTH, rng)
    symbols = (rng.random((*path.shape, 1)) > np.cumsum(emission, axis=1)[path]).sum(axis=2)
    start = 0.5 * emission + 0.5 * rng.dirichlet(np.ones(SYMBOLS), states)
    return Data(initial, normal_data.sticky(states, rng), start, symbols.clip(max=SYMBOLS - 1))


# -- symbols ---------------------------------------------------------------------------------------------


def msgpass_symbols(data: Data) -> Contender:
    from hmm import CategoricalHMM

    settings = {"n_iter": ITERATIONS, "tol": NEVER, "init_params": ""}
    return _symbols(CategoricalHMM(len(data.initial), n_features=SYMBOLS, **settings), data)


def hmmlearn_symbols(data: Data) -> Contender:
    hmm = peers.require("hmmlearn.hmm")
    settings = {"n_iter": ITERATIONS, "tol": NEVER, "init_params": "", "implementation": "scaling"}
    return _symbols(hmm.CategoricalHMM(len(data.initial), n_features=SYMBOLS, **settings), data)


def _symbols(model, data: Data) -> Contender:
    """A fit; hmm and hmmlearn are called alike."""
    x, lengths = data.symbols.reshape(-1, 1), [data.symbols.shape[1]] * len(data.symbols)

    def fit() -> dict[str, Any]:
        model.startprob_, model.transmat_ = data.initial.copy(), data.transition.copy()
        model.emissionprob_ = data.emission.copy()
        model.fit(x, lengths=lengths)
        return {"emission": model.emissionprob_, **_common(model)}

    return fit


def dynamax_symbols(data: Data) -> Contender:
    models = peers.require("dynamax.hidden_markov_model")
    jnp = peers.jax_float64().numpy
    flat = {"initial_probs_concentration": 1.0, "transition_matrix_concentration": 1.0}
    model = models.CategoricalHMM(len(data.initial), 1, SYMBOLS, emission_prior_concentration=1.0, **flat)
    start, properties = model.initialize(
        initial_probs=jnp.asarray(data.initial),
        transition_matrix=jnp.asarray(data.transition),
        emission_probs=jnp.asarray(data.emission)[:, None],
    )
    fit = dynamax_loop(model, properties, jnp.asarray(data.symbols)[:, :, None], ITERATIONS)

    def results() -> dict[str, Any]:
        found, history = fit(start)
        return {"emission": found.emissions.probs[:, 0], **_dynamax_common(found, history)}

    return results


# -- normal vectors --------------------------------------------------------------------------------------


def msgpass_vectors(data: NormalData, iterations: int = ITERATIONS) -> Contender:
    return _vectors(normal_data.msgpass_model(data, n_iter=iterations, tol=NEVER, init_params=""), data)


def hmmlearn_vectors(data: NormalData, iterations: int = ITERATIONS) -> Contender:
    return _vectors(normal_data.hmmlearn_model(data, n_iter=iterations, tol=NEVER, init_params=""), data)


def _vectors(model, data: NormalData) -> Contender:
    x, lengths = data.rows, data.lengths

    def fit() -> dict[str, Any]:
        normal_data.set_parameters(model, data)
        model.fit(x, lengths=lengths)
        return {"means": model.means_, "covars": model.covars_, **_common(model)}

    return fit


def dynamax_vectors(data: NormalData, iterations: int = ITERATIONS) -> Contender:
    model, start, properties = normal_data.dynamax_model(data)
    jnp = peers.jax_float64().numpy
    fit = dynamax_loop(model, properties, jnp.asarray(data.observations), iterations)

    def results() -> dict[str, Any]:
        found, history = fit(start)
        variances = np.square(np.asarray(found.emissions.scale_diags))
        covars = variances[:, :, None] * np.eye(data.means.shape[1])
        return {"means": found.emissions.means, "covars": covars, **_dynamax_common(found, history)}

    return results


# -- what they share -------------------------------------------------------------------------------------


def _common(model) -> dict[str, Any]:
    return {
        "history": np.array(model.monitor_.history),
        "initial": model.startprob_,
        "transition": model.transmat_,
    }


def dynamax_loop(model, properties, emissions, iterations: int):
    """The loop of dynamax's fit_em over a batch of sequences, jitted once: parameters → (parameters,
    log-likelihoods)."""
    jax = peers.jax_float64()

    def iteration(carry, _):
        parameters, state = carry
        statistics, totals = jax.vmap(lambda sequence: model.e_step(parameters, sequence))(emissions)
        return model.m_step(parameters, properties, statistics, state), totals.sum()

    @jax.jit
    def fit(start):
        state = model.initialize_m_step_state(start, properties)
        (found, _), history = jax.lax.scan(iteration, (start, state), None, iterations)
        return found, history

    return lambda start: jax.block_until_ready(fit(start))


def _dynamax_common(found, history) -> dict[str, Any]:
    return {
        "history": history,
        "initial": found.initial.probs,
        "transition": found.transitions.transition_matrix,
    }
