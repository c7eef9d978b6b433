"""``SwitchingSpace``: the parameters of a switching model as a value, checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from hmm.state_space.space import COVARIANCES, shapes
from hmm.validation import probabilities
from msgpass.errors import DataError, ShapeError
from msgpass.potentials.quadratic import check_covariance

PROBABILITIES = ("startprob", "transmat")
TRANSITION = ("transition_matrix", "transition_offset", "transition_covariance")
OBSERVATION = ("observation_matrix", "observation_offset", "observation_covariance")
INITIAL = ("initial_mean", "initial_covariance")
MATRICES = (*TRANSITION, *OBSERVATION, *INITIAL)
NAMES = (*PROBABILITIES, *MATRICES)
SHARED = (*OBSERVATION, *INITIAL)
"""What regimes share unless told otherwise."""


@dataclass(frozen=True, eq=False)
class SwitchingSpace:
    """Parameters of K regimes with n states and p outputs; all matrices have a regime axis here.

    Parameters
    ----------
    startprob, transmat : array, (K,) and (K, K)
    transition_matrix, transition_offset, transition_covariance : array, (K, n, n), (K, n), (K, n, n)
        Of the regime that a step arrives in.
    observation_matrix, observation_offset, observation_covariance : array, (K, p, n), (K, p), (K, p, p)
    initial_mean, initial_covariance : array, (K, n), (K, n, n)
    shared : frozenset of str
        Parameters that are the same in all regimes.
    """

    startprob: np.ndarray
    transmat: np.ndarray
    transition_matrix: np.ndarray
    transition_offset: np.ndarray
    transition_covariance: np.ndarray
    observation_matrix: np.ndarray
    observation_offset: np.ndarray
    observation_covariance: np.ndarray
    initial_mean: np.ndarray
    initial_covariance: np.ndarray
    shared: frozenset[str] = frozenset(SHARED)

    @property
    def n_regimes(self) -> int:
        """K."""
        return len(self.startprob)

    @property
    def n_states(self) -> int:
        """n."""
        return self.transition_matrix.shape[-1]

    @property
    def n_outputs(self) -> int:
        """p."""
        return self.observation_matrix.shape[-2]

    def values(self) -> dict[str, np.ndarray]:
        """All parameters by name, with a regime axis."""
        return {name: getattr(self, name) for name in NAMES}

    def attributes(self) -> dict[str, np.ndarray]:
        """As users see them: what is shared has no regime axis."""
        return {name: v[0] if name in self.shared else v for name, v in self.values().items()}

    def with_values(self, found: dict[str, np.ndarray]) -> SwitchingSpace:
        """Some parameters replaced."""
        return replace(self, **cast(Any, found))


def by_regime(name: str, value: Any, K: int, shape: tuple[int, ...], shared: bool) -> np.ndarray:
    """A parameter with a regime axis, (K, …): what has none is repeated.

    Raises
    ------
    DataError, ShapeError
    """
    label = f"{name}_"
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{label} is not an array of numbers: {problem}") from None
    if set(shape) <= {1} and array.ndim <= 1 and array.size in (1, K) and array.shape != shape:
        one = array.size == 1 and (array.ndim == 0 or K > 1)  # numbers stand for arrays of size 1
        array = array.reshape(shape if one or shared else (K, *shape))
    if array.shape != shape and not (array.shape == (K, *shape) and not shared):
        more = "" if shared else f", or {(K, *shape)} for one a regime"
        hint = f"; regimes share it: leave {name!r} out of shared" if array.shape == (K, *shape) else ""
        raise ShapeError(f"{label} has shape {array.shape}, wanted {shape}{more}{hint}")
    if not np.isfinite(array).all():
        flat = " (a switching model has no flat starts)" if name == "initial_covariance" else ""
        raise DataError(f"{label} holds NaN or an infinite value{flat}")
    if name in COVARIANCES:
        check_covariance(label, array)
        array = (array + np.swapaxes(array, -1, -2)) / 2
    return np.array(np.broadcast_to(array, (K, *shape)))


def outputs_of(values: dict[str, Any], n: int) -> int:
    """p, as the observation's parameters say."""
    H = np.asarray(values["observation_matrix"], dtype=np.float64)
    return H.shape[-2] if H.ndim >= 2 else 1


def checked(values: dict[str, Any], K: int, n: int, p: int, shared: frozenset[str]) -> SwitchingSpace:
    """A switching space from values by name, none of them None."""
    wanted = shapes(n, p, 0)
    found = {name: by_regime(name, values[name], K, wanted[name], name in shared) for name in MATRICES}
    return SwitchingSpace(
        probabilities("startprob_", values["startprob"], (K,)),
        probabilities("transmat_", values["transmat"], (K, K)),
        **found,
        shared=shared,
    )
