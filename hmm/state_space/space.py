"""``StateSpace``: the parameters of a linear-Gaussian model as a value, checked."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np

from msgpass.errors import DataError, ShapeError
from msgpass.potentials.quadratic import check_covariance

INITIALS = ("known", "diffuse", "stationary")

TRANSITION = ("transition_matrix", "transition_input_matrix", "transition_offset", "transition_covariance")
OBSERVATION = (
    "observation_matrix",
    "observation_input_matrix",
    "observation_offset",
    "observation_covariance",
)
INITIAL = ("initial_mean", "initial_covariance")
NAMES = (*TRANSITION, *OBSERVATION, *INITIAL)
COVARIANCES = ("transition_covariance", "observation_covariance", "initial_covariance")

AXES = {name: 1 if name.endswith(("offset", "mean")) else 2 for name in NAMES}
"""Axes of each parameter when it is the same at all steps."""


@dataclass(frozen=True, eq=False)
class StateSpace:
    """Parameters of a model with n states, p outputs and k inputs; all but the initial ones may have a step
    axis in front.

    Parameters
    ----------
    transition_matrix : array, (n, n)
        F.
    transition_input_matrix : array, (n, k)
        B.
    transition_offset : array, (n,)
        b.
    transition_covariance : array, (n, n)
        Q, which may be singular.
    observation_matrix : array, (p, n)
        H.
    observation_input_matrix : array, (p, k)
        D.
    observation_offset : array, (p,)
        d.
    observation_covariance : array, (p, p)
        R.
    initial_mean, initial_covariance : array, (n,) and (n, n)
        Of the first state; an infinite variance stands for a flat density.
    initial : {"known", "diffuse", "stationary"}
        Where the first state comes from: these two, a flat density, or the distribution that the transition
        keeps.
    """

    transition_matrix: np.ndarray
    transition_input_matrix: np.ndarray
    transition_offset: np.ndarray
    transition_covariance: np.ndarray
    observation_matrix: np.ndarray
    observation_input_matrix: np.ndarray
    observation_offset: np.ndarray
    observation_covariance: np.ndarray
    initial_mean: np.ndarray
    initial_covariance: np.ndarray
    initial: str = "known"

    @property
    def n_states(self) -> int:
        """n."""
        return self.transition_matrix.shape[-1]

    @property
    def n_outputs(self) -> int:
        """p."""
        return self.observation_matrix.shape[-2]

    @property
    def n_inputs(self) -> int:
        """k."""
        return self.transition_input_matrix.shape[-1]

    def values(self) -> dict[str, np.ndarray]:
        """All parameters by name."""
        return {name: getattr(self, name) for name in NAMES}

    def with_values(self, found: dict[str, np.ndarray]) -> StateSpace:
        """Some parameters replaced; a stationary start follows the transition."""
        moved = replace(self, **cast(Any, found))
        return moved.settled() if self.initial == "stationary" and set(found) & set(TRANSITION) else moved

    def varies(self, name: str) -> bool:
        """Whether a parameter has a step axis."""
        return getattr(self, name).ndim > AXES[name]

    @property
    def varying(self) -> list[str]:
        """Parameters that have a step axis."""
        return [name for name in NAMES if self.varies(name)]

    def settled(self) -> StateSpace:
        """With the start that ``initial="stationary"`` stands for: x = F x + b and P = F P Fᵀ + Q."""
        from scipy.linalg import solve_discrete_lyapunov

        moving = [name for name in TRANSITION if name != "transition_input_matrix" and self.varies(name)]
        if moving:
            raise DataError(
                f"{', '.join(moving)} vary over time, so that there is no stationary distribution to start "
                f"from; "
                'use initial="known" or "diffuse"'
            )
        F, n = self.transition_matrix, self.n_states
        radius = spectral_radius(F)
        if not radius < 1:
            raise DataError(
                f'initial="stationary", but the transition is not stable: its matrix has spectral radius '
                f'{radius:.6g}, wanted below 1; use initial="diffuse" (or "known"), or another '
                f"transition_matrix"
            )
        mean = np.linalg.solve(np.eye(n) - F, self.transition_offset)
        cov = solve_discrete_lyapunov(F, self.transition_covariance)
        return replace(self, initial_mean=mean, initial_covariance=(cov + cov.T) / 2)


def spectral_radius(F: np.ndarray) -> float:
    """Largest modulus of the eigenvalues."""
    return float(np.abs(np.linalg.eigvals(F)).max(initial=0.0))


def shapes(n: int, p: int, k: int) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter without a step axis."""
    return {
        "transition_matrix": (n, n),
        "transition_input_matrix": (n, k),
        "transition_offset": (n,),
        "transition_covariance": (n, n),
        "observation_matrix": (p, n),
        "observation_input_matrix": (p, k),
        "observation_offset": (p,),
        "observation_covariance": (p, p),
        "initial_mean": (n,),
        "initial_covariance": (n, n),
    }


def as_numbers(label: str, value: Any) -> np.ndarray:
    """A new array of numbers."""
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{label} is not an array of numbers: {problem}") from None


def check_parameter(name: str, value: Any, shape: tuple[int, ...], label: str | None = None) -> np.ndarray:
    """One parameter as an array of ``shape``, perhaps with a step axis in front; a number stands for one of
    size 1.

    Raises
    ------
    DataError, ShapeError
    """
    label = label or f"{name}_"
    array = as_numbers(label, value)
    if array.ndim == 0 and set(shape) <= {1}:
        array = array.reshape(shape)
    stepped = name not in INITIAL and array.ndim == len(shape) + 1 and len(array)
    if array.shape != shape and not (stepped and array.shape[1:] == shape):
        more = (
            "" if name in INITIAL else f", or (steps, {', '.join(map(str, shape))}) where it varies over time"
        )
        raise ShapeError(f"{label} has shape {array.shape}, wanted {shape}{more}")
    if name == "initial_covariance" and np.isposinf(np.diag(array)).any():
        _check_flat(label, array)
        return array
    if not np.isfinite(array).all():
        raise DataError(f"{label} holds NaN or an infinite value")
    if name in COVARIANCES:
        check_covariance(label, array)
        array = (array + np.swapaxes(array, -1, -2)) / 2
    return array


def _check_flat(label: str, cov: np.ndarray) -> None:
    """Infinite variances have no covariances."""
    flat = np.isposinf(np.diag(cov))
    rest = np.where(np.eye(len(cov), dtype=bool) & flat, 0.0, cov)
    if not np.isfinite(rest).all() or rest[flat].any() or rest[:, flat].any():
        raise DataError(
            f"{label} has infinite variances (flat directions), beside which covariances must be 0 and all "
            f"else "
            "finite"
        )
    check_covariance(label, rest)


def checked(space_values: dict[str, Any], initial: str, n: int, owner: str = "this model") -> StateSpace:
    """A state space from values by name; what is None is zero (inputs and offsets) or an error.

    Parameters
    ----------
    space_values : dict
    initial : str
    n : int
        States.
    owner : str
        For messages.
    """
    H = as_numbers("observation_matrix_", space_values["observation_matrix"])
    p = H.shape[-2] if H.ndim >= 2 else 1
    given = [space_values.get(name) for name in ("transition_input_matrix", "observation_input_matrix")]
    widths = {np.shape(v)[-1] if np.ndim(v) >= 2 else 1 for v in given if v is not None}
    if len(widths) > 1:
        raise ShapeError(
            f"transition_input_matrix_ and observation_input_matrix_ of {owner} have {sorted(widths)} "
            f"columns; both "
            "take the same inputs: give both a column for each, with zeros where it has no effect"
        )
    k = widths.pop() if widths else 0
    found = {}
    for name, shape in shapes(n, p, k).items():
        value = space_values.get(name)
        found[name] = np.zeros(shape) if value is None else check_parameter(name, value, shape)
    space = StateSpace(**found, initial=initial)
    return space.settled() if initial == "stationary" else space


FIELDS = tuple(field.name for field in fields(StateSpace))
