"""What a fit may move: parameters, entries of them, and the shape of covariances; and priors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hmm.state_space.priors import Priors
from hmm.state_space.space import COVARIANCES, INITIAL, NAMES, StateSpace
from hmm.validation import one_of
from msgpass.errors import DataError, ShapeError, UnsupportedError

COVARIANCE_TYPES = ("full", "diag", "spherical", "scaled")


@dataclass(frozen=True, eq=False)
class Structure:
    """What a fit may move.

    Parameters
    ----------
    free : dict of str to array of bool
        By parameter that is learned at all, the entries that move (of covariances, all or a diagonal's own).
    types : dict of str to str
        Of each covariance: "full", "diag", "spherical" (a multiple of the identity) or "scaled" (a multiple
        of the matrix that it starts from).
    floors : dict of str to float or array
        Least variances.
    priors : Priors
    """

    free: dict[str, np.ndarray]
    types: dict[str, str]
    floors: dict[str, Any] = field(default_factory=dict)
    priors: Priors = field(default_factory=Priors)

    @property
    def learned(self) -> list[str]:
        """Names of parameters that move."""
        return [name for name in NAMES if name in self.free and self.free[name].any()]

    @property
    def apart(self) -> bool:
        """Whether outputs have independent noise throughout the fit."""
        return self.types["observation_covariance"] in ("diag", "spherical")

    def n_free(self, space: StateSpace) -> int:
        """Numbers that are estimated, less the n² of a change of basis where nothing ties the states down."""
        total = 0
        for name in self.learned:
            mask, n = self.free[name], self.free[name].shape[-1]
            if name not in COVARIANCES:
                total += int(mask.sum())
                continue
            noisy = int(np.sum(np.diag(np.atleast_2d(getattr(space, name))) > 0))
            kind = self.types[name]
            own = {"full": noisy * (noisy + 1) // 2, "diag": int(np.diag(mask)[:n].sum())}
            total += own.get(kind, 1)
        return total - (space.n_states**2 if self.rotates else 0)

    @property
    def rotates(self) -> bool:
        """Whether any invertible change of the states' basis leads to another model that the fit might have
        found."""
        whole = ("transition_matrix", "transition_covariance", "observation_matrix")
        if not all(name in self.free and self.free[name].all() for name in whole):
            return False
        return self.types["transition_covariance"] == "full"


def check_names(setting: str, names) -> list[str]:
    """Names of parameters, with or without the attribute's underscore."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise DataError(f"{setting} is a list of names such as {NAMES[0]!r}, got {names!r}")
    found = [str(name).removesuffix("_") for name in names]
    wrong = [name for name in found if name not in NAMES]
    if wrong:
        raise DataError(
            f"{setting} names {', '.join(map(repr, wrong))}; the parameters are {', '.join(NAMES)}"
        )
    return found


def structure(model, space: StateSpace, n_sequences: int) -> Structure:
    """What the settings of a model say, for a fit that starts from ``space``."""
    types = {
        name: one_of(f"{name}_type", getattr(model, f"{name}_type"), COVARIANCE_TYPES) for name in COVARIANCES
    }
    frozen = _frozen(model.frozen)
    learned = _learned(model.learned, frozen, space, n_sequences)
    free = {}
    for name in learned:
        value = getattr(space, name)
        mask = np.ones(value.shape, bool)
        held = frozen.get(name)
        if held is not None:
            mask = ~_mask(name, held, value.shape)
        if name in COVARIANCES:
            _check_type(name, value, types[name])
            mask = free_covariance(name, mask, value, types[name])
        if mask.any():
            free[name] = mask
    return Structure(free, types, priors=Priors.of(model.priors, space))


def untouched(learned, frozen) -> list[str]:
    """Parameters that these settings leave as they are, whatever the data."""
    held = _frozen(frozen)
    found = [name for name in NAMES if held.get(name) is True]
    if learned is not None:
        moved = check_names("learned", learned)
        return [name for name in NAMES if name in found or name not in moved]
    return found + ["observation_offset"] * (
        "observation_matrix" in found and "observation_offset" not in found
    )


def _frozen(frozen) -> dict[str, Any]:
    if frozen is None:
        return {}
    if isinstance(frozen, Mapping):
        return dict(zip(check_names("frozen", frozen), frozen.values(), strict=True))
    return dict.fromkeys(check_names("frozen", frozen), True)


def _learned(learned, frozen: Mapping[str, Any], space: StateSpace, n_sequences: int) -> list[str]:
    """Names that move, checked against the kind of start and step axes."""
    if learned is None:
        found = [name for name in NAMES if name != "transition_offset" and not space.varies(name)]
        if not space.n_inputs:
            found = [name for name in found if not name.endswith("input_matrix")]
        if frozen.get("observation_matrix") is True:
            found = [name for name in found if name != "observation_offset"]
        if space.initial != "known":
            found = [name for name in found if name not in INITIAL]
        elif n_sequences == 1 or not np.isfinite(space.initial_covariance).all():
            found = [
                name for name in found if name != "initial_covariance"
            ]  # of one draw the best variance is none
    else:
        found = check_names("learned", learned)
        moving = [name for name in found if space.varies(name)]
        if moving:
            raise UnsupportedError(
                f"{', '.join(moving)} vary over time and cannot be learned; leave them out of learned, or "
                f"give one "
                "matrix for all steps"
            )
    return [name for name in found if frozen.get(name) is not True]


def _mask(name: str, held, shape: tuple[int, ...]) -> np.ndarray:
    try:
        mask = np.asarray(held)
    except ValueError:
        mask = np.empty(0)
    if mask.dtype != bool or mask.shape != shape:
        raise ShapeError(
            f"frozen[{name!r}] is True, or a mask of {shape} that is True where an entry is held; got "
            f"{mask.dtype} of shape {mask.shape}"
        )
    return mask


def _check_type(name: str, cov: np.ndarray, kind: str) -> None:
    """A start is of the type that it will have."""
    own = {"diag": np.diag(np.diag(cov)), "spherical": cov[0, 0] * np.eye(len(cov))}.get(kind, cov)
    if not np.allclose(cov, own, rtol=1e-9, atol=0):
        raise DataError(
            f'{name} is to be learned as {name}_type="{kind}", but the fit would start from a matrix that is '
            f"not; "
            "give one that is, or set another type"
        )


def free_covariance(name: str, mask: np.ndarray, value: np.ndarray, kind: str) -> np.ndarray:
    """A covariance moves as a whole, but for rows without noise; of a diagonal one each variance by
    itself."""
    noisy = np.diag(value) > 0
    n = len(value)
    if kind == "diag":
        return np.diag(np.diag(mask) & noisy)
    block = mask[np.ix_(noisy, noisy)]
    if block.any() and not block.all():
        raise UnsupportedError(
            f"frozen[{name!r}] holds some entries of a covariance of type {kind!r}, which moves as a whole; "
            f"hold all "
            f'of it, or set {name}_type="diag"'
        )
    found = np.zeros((n, n), bool)
    found[np.ix_(noisy, noisy)] = block
    return found
