"""The contract of a transition: what a state says about the next one.

A transition is a frozen dataclass. The fields that ``FIELDS`` names are arrays that a fit estimates (None
until then); a model holds them as attributes, ``transmat`` as ``transmat_``. The others are settings. To add
a kind, subclass :class:`Transition` and write

- ``check(n_components)``, ``start(allowed, stay, rng)`` and ``n_components``;
- ``attach(graph, z, inputs)``, factors over z[:-1], z[1:] whose parameter is called "transition", and
  ``values(inputs)``, what that parameter is under this transition;
- ``learn(arrived, inputs, restrictions)``, the M-step from what arrived at the parameter: ∂log Z/∂log A;
- ``row(state, inputs, t)``, one row of probabilities, for sampling, and ``entries``;
- ``matrix``, or where there is no one matrix ``support``, which transitions there are;
- ``n_parameters()``, and ``log_prior()`` and ``with_prior(value)`` where there is a prior;
- ``check_restrictions`` and ``obeying`` where rows can be frozen or tied;
- ``domains()`` and ``gradient(arrived, inputs)`` (``prior_gradient()``, too, where there is a prior) for fits
  by gradients and standard errors.

A kind may look at trailing columns of X (``n_inputs``; ``prepare`` makes of them what the other methods get
as ``inputs``), and its states may be finer than the model's: ``regimes`` then says to which of the model's
states each of its own belongs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

from hmm.coordinates import Domain
from hmm.learning.restrictions import Restrictions, refuse_rows
from hmm.simplex import draw
from msgpass import FactorGraph
from msgpass.errors import UnsupportedError


class Transition(ABC):
    """Base of all transitions."""

    FIELDS: ClassVar[tuple[str, ...]] = ()
    """Fields that a fit estimates, by the letter "t" of ``params``."""

    STEPWISE: ClassVar[bool] = False
    """Whether what arrives at the parameter has a row for each pair of neighbours, and not their sum."""

    SPARSE: ClassVar[bool] = False
    """Whether ``start`` takes, and ``support`` gives, a sparse mask."""

    n_inputs: int = 0
    """Trailing columns of X that it reads."""

    def with_prior(self, concentration) -> Self:
        """Itself with a model's setting ``transmat_prior``, where it has such a prior."""
        return self

    def prior_shape(self, n_components: int) -> tuple[int, ...]:
        """What a model's ``transmat_prior`` broadcasts to."""
        return (n_components, n_components)

    @abstractmethod
    def check(self, n_components: int) -> Self:
        """Itself with arrays made of what the user set, or a typed error."""

    @abstractmethod
    def start(self, allowed: np.ndarray, stay: float, rng: np.random.Generator) -> Self:
        """Where EM starts.

        Parameters
        ----------
        allowed : array of bool, (K, K)
            Which transitions there may be.
        stay : float
            Mass that goes to staying where one is before the rest is drawn.
        """

    @property
    @abstractmethod
    def n_components(self) -> int:
        """States K of the model."""

    @property
    def support(self) -> Any:
        """Mask of the transitions between the model's states that are possible, (K, K)."""
        return self.matrix > 0

    def check_restrictions(self, restrictions: Restrictions) -> None:
        """Raise where it cannot freeze or tie what ``restrictions`` say; most kinds can do neither."""
        refuse_rows(restrictions, type(self).__name__)

    def obeying(self, restrictions: Restrictions) -> Self:
        """Itself as a fit under ``restrictions`` may start from it: tied rows alike."""
        return self

    @property
    def regimes(self) -> np.ndarray | None:
        """The model's state for each of the graph's, (S,); None where they are the same."""
        return None

    @property
    def groups(self) -> np.ndarray | None:
        """What of the graph's states an emission sees, (S,); by default the regimes."""
        return self.regimes

    def initial(self, startprob: np.ndarray) -> np.ndarray:
        """Initial distribution over the graph's states, (S,), of one over the model's, (K,)."""
        return startprob

    def prepare(self, U: np.ndarray, lengths: list[int]) -> Any:
        """What ``attach``, ``learn`` and ``row`` need of the (T, n_inputs) input columns."""
        return None

    @abstractmethod
    def attach(self, graph: FactorGraph, z, inputs) -> None:
        """Add the factors between neighbours of ``z``."""

    @abstractmethod
    def values(self, inputs) -> dict[str, np.ndarray]:
        """Values of the graph's parameters under this transition."""

    @abstractmethod
    def learn(self, arrived: np.ndarray, inputs, restrictions: Restrictions) -> Self:
        """M-step from expected counts."""

    @abstractmethod
    def row(self, state: int, inputs, t: int) -> np.ndarray:
        """Probabilities of the state at row t, given ``state`` at row t − 1, (S,)."""

    @abstractmethod
    def entries(self, arrived: np.ndarray, inputs) -> np.ndarray:
        """Expected number of times that each of the model's states is entered from another, (K,)."""

    def sojourn(self) -> np.ndarray:
        """Mean number of steps of a visit to each state, (K,)."""
        raise UnsupportedError(
            f"{type(self).__name__} transitions change with their inputs; ask for the sojourn given data"
        )

    @property
    def n_matrices(self) -> int:
        """Matrices (K, K) of probabilities whose rows are free under topology, ties and frozen entries alone;
        0 of kinds that count otherwise."""
        return 0

    @abstractmethod
    def n_parameters(self) -> int:
        """Free numbers."""

    def log_prior(self) -> float:
        """Log prior density, up to a constant; 0 under maximum likelihood."""
        return 0.0

    def domains(self) -> dict[str, Domain]:
        """Where the numbers of each of ``FIELDS`` live."""
        raise UnsupportedError(
            f"{type(self).__name__} transitions have no gradient; method='em' fits them, and without 't' in "
            "params the others have one"
        )

    def gradient(self, arrived: np.ndarray, inputs) -> dict[str, np.ndarray]:
        """∂log Z/∂θ of each of ``FIELDS``, in its own shape, from what arrived at the parameter."""
        raise UnsupportedError(f"{type(self).__name__} transitions have no gradient; method='em' fits them")

    def prior_gradient(self) -> dict[str, np.ndarray]:
        """∂ log prior/∂θ; fields without a prior may be left out."""
        return {}

    @property
    def matrix(self) -> np.ndarray:
        """Transition probabilities between the model's states, (K, K), where one matrix has them."""
        raise UnsupportedError(f"{type(self).__name__} transitions have no one matrix")

    def stationary(self) -> np.ndarray:
        """The distribution π over the model's states with π A = π, (K,)."""
        raise UnsupportedError(
            f"{type(self).__name__} transitions change from step to step, so there is no stationary "
            "distribution"
        )

    def path(self, first: int, n: int, inputs, rng: np.random.Generator) -> np.ndarray:
        """Draw n states of the graph from ``first`` on, (n,)."""
        states = [first]
        for t, u in enumerate(rng.random(n - 1).tolist(), start=1):
            states.append(draw(np.cumsum(self.row(states[-1], inputs, t)).tolist(), u))
        return np.array(states)
