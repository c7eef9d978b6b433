"""What a fit of a switching model may move, and what its regimes share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hmm.state_space.space import COVARIANCES
from hmm.state_space.structure import Structure, free_covariance
from hmm.state_space.switching.space import MATRICES, NAMES, SHARED, SwitchingSpace
from msgpass.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False)
class SwitchingStructure:
    """What a fit may move.

    Parameters
    ----------
    free : dict of str to array of bool
        By parameter that is learned, the entries that move, with a regime axis.
    types : dict of str to str
        Of each covariance.
    concentrations : dict of str to array or float
        Of Dirichlet priors of "startprob" and "transmat".
    floors : dict of str to array
        Least variances.
    """

    free: dict[str, np.ndarray]
    types: dict[str, str]
    concentrations: dict[str, Any]
    floors: dict[str, Any] = field(default_factory=dict)

    def of_covariance(self, name: str, regime: int) -> Structure:
        """As the M-step of one covariance reads it."""
        floors = {name: self.floors[name]} if name in self.floors else {}
        return Structure({name: self.free[name][regime]}, {name: self.types[name]}, floors)


def check_names(setting: str, names, known=NAMES) -> list[str]:
    """Names of parameters, with or without the attribute's underscore."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise DataError(f"{setting} is a list of names such as {known[0]!r}, got {names!r}")
    found = [str(name).removesuffix("_") for name in names]
    wrong = [name for name in found if name not in known]
    if wrong:
        raise DataError(
            f"{setting} names {', '.join(map(repr, wrong))}; the parameters are {', '.join(known)}"
        )
    return found


def shared_names(shared) -> frozenset[str]:
    """The setting ``shared``."""
    return frozenset(SHARED if shared is None else check_names("shared", shared, MATRICES))


def frozen_entries(frozen) -> dict[str, Any]:
    """The setting ``frozen``: name → True or a mask."""
    if frozen is None:
        return {}
    names = check_names("frozen", frozen)
    return dict(
        zip(names, frozen.values() if isinstance(frozen, Mapping) else [True] * len(names), strict=True)
    )


def learned_names(model, n_sequences: int) -> list[str]:
    """Parameters that a fit moves at all."""
    held = [name for name, mask in frozen_entries(model.frozen).items() if mask is True]
    if model.learned is not None:
        found = check_names("learned", model.learned)
    else:
        few = n_sequences < (
            2 if "initial_covariance" in shared_names(model.shared) else 2 * model.n_components
        )
        left_out = {"observation_offset", *(["initial_covariance"] if few else [])}
        found = [name for name in NAMES if name not in left_out]
    return [name for name in NAMES if name in found and name not in held]


def structure(model, space: SwitchingSpace, n_sequences: int) -> SwitchingStructure:
    """What the settings of a model say, for a fit that starts from ``space``."""
    types = {name: getattr(model, f"{name}_type") for name in COVARIANCES}
    masks, free = frozen_entries(model.frozen), {}
    for name in learned_names(model, n_sequences):
        value, shape = getattr(space, name), space.attributes()[name].shape
        mask = np.ones(value.shape, bool)
        if name in masks:
            mask = np.broadcast_to(~_mask(name, masks[name], shape), value.shape)
        if name in COVARIANCES:
            mask = np.stack(
                [free_covariance(name, m, v, types[name]) for m, v in zip(mask, value, strict=True)]
            )
        if mask.any():
            free[name] = mask
    return SwitchingStructure(
        free, types, {name: getattr(model, f"{name}_prior") for name in ("startprob", "transmat")}
    )


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
