"""The contract of a component: a few states x, what they add to the series, and how its parameters make both.

    y_t = Σ_components h_t · x_t + ε_t,    x_{t+1} = F x_t + η_t,    η_t ~ N(0, Q),    x_0 ~ N(mean, cov),
    ε_t ~ N(0, R)

A component is a frozen dataclass of settings. A parameter that is given as a number is held at it, None is
estimated. To add a kind, write ``n_states``, ``parameters``, ``blocks``, ``pullback`` and ``start``, and what
it can be read for: ``readings`` and ``breaks``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from hmm.coordinates import Domain
from msgpass.errors import DataError

Values = dict[str, np.ndarray]
"""Arrays by the name of a component's parameter."""


@dataclass(frozen=True, eq=False)
class Parameter:
    """A parameter of a component.

    Parameters
    ----------
    name : str
    domain : Domain
        Where it lives, and free coordinates for it.
    shape : tuple of int
    fixed : array or None
        The value that it is held at.
    spread : bool
        Whether it is a variance of the series' own unit squared, so that it scales as the series does.
    """

    name: str
    domain: Domain
    shape: tuple[int, ...] = ()
    fixed: np.ndarray | None = None
    spread: bool = False


class Blocks(NamedTuple):
    """A component's part of the matrices; also ∂f/∂ each of them, entries taken as independent."""

    F: np.ndarray
    """(n, n)"""
    Q: np.ndarray
    """(n, n)"""
    H: np.ndarray
    """(1, n), or (T, n) where it changes."""
    R: np.ndarray
    """()"""
    mean: np.ndarray
    """(n,)"""
    cov: np.ndarray
    """(n, n); ∞ on the diagonal, with zeros beside it, is a flat start."""


class Summary(NamedTuple):
    """What data say about where to start."""

    y: np.ndarray
    """(T,), NaN where missing."""
    inputs: np.ndarray
    """(T, k) columns of this component."""
    noise: float
    """A variance that the series has from one step to the next, over and above its seasons."""


@dataclass(frozen=True)
class Component(ABC):
    """Base of all components; see :mod:`hmm.state_space.components.base`."""

    name: str = ""
    KIND: ClassVar[str]
    """The name of a component that was given none."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or "." in self.name:
            raise DataError(
                f"a component's name, its first argument, is a string without a dot, got {self.name!r}; give "
                f"settings by keyword, as in Seasonal(period=12)"
            )
        self.check()

    def check(self) -> None:
        """Raise where settings do not make sense."""
        self.parameters()

    @property
    def label(self) -> str:
        """The name, or the kind's."""
        return self.name or self.KIND

    @property
    @abstractmethod
    def n_states(self) -> int:
        """States n."""

    @property
    def n_inputs(self) -> int:
        """Columns of ``exog`` that it takes."""
        return 0

    @property
    def period(self) -> int:
        """Steps after which it repeats itself, 0 if it does not."""
        return 0

    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """All of them, held ones too."""

    @abstractmethod
    def blocks(self, values: Values, inputs: np.ndarray) -> Blocks:
        """Matrices at some values; ``inputs`` (T, n_inputs)."""

    @abstractmethod
    def pullback(self, values: Values, slopes: Blocks) -> Values:
        """∂f/∂parameters from ∂f/∂blocks."""

    @abstractmethod
    def start(self, about: Summary, rng: np.random.Generator | None) -> Values:
        """Values to climb from: usual ones, or drawn ones if there is a generator."""

    def readings(self) -> dict[str, np.ndarray]:
        """Rows (n,) of what is worth reading beside h · x, by name."""
        return {}

    def breaks(self) -> dict[str, int]:
        """States whose disturbance is a break of its own kind, by name."""
        return {}


# -- shared by the kinds ----------------------------------------------------------------------------------


def as_blocks(F, Q, H, *, R=0.0, mean=None, cov=None) -> Blocks:
    """Blocks from what is not trivial; a flat start by default."""
    F, Q, H = np.atleast_2d(F), np.atleast_2d(Q), np.atleast_2d(H)
    n = len(F)
    start = flat(n) if cov is None else cov
    return Blocks(
        np.asarray(F, float), np.asarray(Q, float), np.asarray(H, float), np.asarray(R, float),
        np.zeros(n) if mean is None else mean, start,
    )  # fmt: skip


def flat(n: int) -> np.ndarray:
    """The covariance (n, n) of a flat start."""
    return np.diag(np.full(n, np.inf))


def drawn(rng: np.random.Generator | None, usual: float, noise: float, decades: float = 1.0) -> np.ndarray:
    """A variance to start from: a usual share of the noise, or one some decades around it."""
    power = 0.0 if rng is None else rng.uniform(-decades, decades)
    return np.asarray(usual * noise * 10.0**power)


def variance_of(name: str, fixed: Any, shape: tuple[int, ...] = ()) -> Parameter:
    """A variance, checked where it is held."""
    from hmm.coordinates import Variance

    return Parameter(name, Variance(), shape, held(name, fixed, shape, least=0.0), spread=True)


def held(
    name: str, value: Any, shape: tuple[int, ...], *, least: float = -np.inf, most: float = np.inf
) -> np.ndarray | None:
    """A value that was given, as an array of ``shape``; None if none was."""
    if value is None:
        return None
    try:
        array = np.asarray(value, dtype=float)
        if array.ndim and array.shape != shape:  # a number stands for all, an array for itself
            raise ValueError
        array = np.broadcast_to(array, shape).copy()
    except (TypeError, ValueError):
        what = "a number" if not shape else f"{shape[0]} numbers" if len(shape) == 1 else f"of shape {shape}"
        raise DataError(f"{name} is {what}, or None to be estimated; got {value!r}") from None
    if not (np.isfinite(array) & (array >= least) & (array <= most)).all():
        raise DataError(f"{name} must be finite and within [{least:g}, {most:g}], got {value!r}")
    return array
