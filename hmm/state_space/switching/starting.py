"""Where a fit starts: one state space for all data, and regimes by which its transitions differ.

The likelihood of a switching model has many maxima. The first start fits a :class:`LinearGaussianSSM`, which
settles the basis of the states, and a Markov-switching autoregression, which says where regimes may lie. EM
as if these were known, which is exact, makes the matrices of each regime: without it, a common state space
that takes fast regimes for noise leaves the climb on a plateau. Other starts take
other autoregressions and, in turn, random stretches of the data as regimes.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from hmm.models.autoregressive import AutoregressiveHMM
from hmm.state_space import inference
from hmm.state_space.model import LinearGaussianSSM
from hmm.state_space.series import Series
from hmm.state_space.space import StateSpace
from hmm.state_space.starting import filled
from hmm.state_space.switching.expectation import Expectation, Expected, weighted
from hmm.state_space.switching.maximise import maximise
from hmm.state_space.switching.space import MATRICES, PROBABILITIES, SwitchingSpace, checked
from hmm.state_space.switching.structure import SwitchingStructure
from msgpass.errors import MessagePassingError

ITERATIONS = 30
"""Of EM for the common state space, for the autoregression, and for the matrices given regimes."""

DOUBT = 0.05
"""Weight of all regimes alike beside what a segmentation says."""

STRETCHES = 4
"""Random stretches for each regime."""


def starting_space(
    given: dict[str, Any],
    series: Series,
    K: int,
    n: int,
    shared: frozenset[str],
    structure_of,
    number: int,
    rng: np.random.Generator,
) -> SwitchingSpace:
    """A space to climb from.

    Parameters
    ----------
    given : dict
        Values by name that are taken as they are; None where they come from the data.
    series : Series
    K, n : int
    shared : frozenset of str
    structure_of : callable
        Space → what a fit from there may move.
    number : int
        Of the start, from 0.
    rng : numpy.random.Generator
    """
    known = {name: value for name, value in given.items() if value is not None}
    p = series.y.shape[1]
    chance = {"startprob": np.full(K, 1 / K), "transmat": _sticky(K)}
    if all(name in known for name in MATRICES):
        return checked(chance | known, K, n, p, shared)
    filler = _blank(n, p) | chance
    valid = checked(filler | known, K, n, p, shared)  # shapes of what is given, before it is used
    means = {name: getattr(valid, name).mean(0) for name in MATRICES if name in known}
    base = _common(means, series, n, rng, number == 0)
    regimes = _regimes(series, K, n, number, rng)
    soft = (1 - DOUBT) * regimes + DOUBT / K
    space = checked(chance | {name: getattr(base, name) for name in MATRICES} | known, K, n, p, shared)
    own = structure_of(space)
    free = {name: mask for name, mask in own.free.items() if known.get(name) is None}
    moved = SwitchingStructure(free, own.types, own.concentrations, own.floors)
    space = maximise(space, _expected(base, series, soft), moved)
    return _given_regimes(space, series, regimes.argmax(axis=1), moved)


def _given_regimes(
    space: SwitchingSpace, series: Series, regimes: np.ndarray, structure: SwitchingStructure
) -> SwitchingSpace:
    """EM as if regimes were known; their chain stays as it is."""
    free = {name: mask for name, mask in structure.free.items() if name not in PROBABILITIES}
    known = SwitchingStructure(free, structure.types, structure.concentrations, structure.floors)
    expectation = Expectation(series)
    for _ in range(ITERATIONS):
        try:
            space = maximise(space, expectation(space, regimes), known)
        except (MessagePassingError, np.linalg.LinAlgError):
            break
    return space


def _sticky(K: int) -> np.ndarray:
    return np.full((K, K), 0.1 / (K - 1)) + (0.9 - 0.1 / (K - 1)) * np.eye(K) if K > 1 else np.ones((1, 1))


def _blank(n: int, p: int) -> dict[str, np.ndarray]:
    return {
        "transition_matrix": np.zeros((n, n)),
        "transition_offset": np.zeros(n),
        "transition_covariance": np.eye(n),
        "observation_matrix": np.zeros((p, n)),
        "observation_offset": np.zeros(p),
        "observation_covariance": np.eye(p),
        "initial_mean": np.zeros(n),
        "initial_covariance": np.eye(n),
    }


def _common(means: dict[str, np.ndarray], series: Series, n: int, rng, first: bool) -> StateSpace:
    """One state space for all of the data."""
    seed = 0 if first else int(rng.integers(2**31))
    model = LinearGaussianSSM(n, frozen=list(means), n_iter=ITERATIONS, tol=1e-2, random_state=seed)
    model.set_params(**means)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(series.y, lengths=series.lengths).space()


def _regimes(series: Series, K: int, n: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """Probabilities of regimes at every step, (T, K)."""
    if number % 2 == 0:
        order = int(np.clip(-(-n // series.y.shape[1]), 1, 3))
        seed = 0 if number == 0 else int(rng.integers(2**31))
        model = AutoregressiveHMM(K, order=order, n_iter=ITERATIONS, random_state=seed)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return model.fit(series.y, lengths=series.lengths).predict_proba(series.y, series.lengths)
        except (MessagePassingError, np.linalg.LinAlgError):
            pass  # series too short for it, say
    found = np.zeros((len(series.y), K))
    mean_length = max(len(series.y) / (STRETCHES * K), 2.0)
    for begin, end in zip(series.offsets[:-1], series.offsets[1:], strict=True):
        t = begin
        while t < end:
            length = int(rng.geometric(1 / mean_length))
            found[t : min(t + length, end), rng.integers(K)] = 1
            t += length
    return found


def _expected(base: StateSpace, series: Series, regimes: np.ndarray) -> Expected:
    """Moments of the common state space, shared out to regimes."""
    m = inference.messages(base, series)
    pair, x, first = m.belief["transition"], m.belief["x"], series.offsets[:-1]
    n, p = base.n_states, base.n_outputs
    z = np.concatenate([x.mean, filled(series)], axis=1)
    used = ~np.isnan(series.y).all(axis=1)
    cov = np.pad(x.cov, [(0, 0), (0, p), (0, p)])
    return Expected(
        float(m.total),
        regimes[first].sum(0),
        regimes[series.sources].T @ regimes[series.sources + 1],
        {
            "transition": weighted(
                regimes[series.sources + 1],
                pair.mean.reshape(-1, 2 * n),
                pair.cov.reshape(-1, 2 * n, 2 * n),
                n,
            ),
            "observation": weighted(regimes[used], z[used], cov[used], n),
            "initial": weighted(regimes[first], x.mean[first], x.cov[first], 0),
        },
    )
