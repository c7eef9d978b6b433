"""``ReactionNetwork``: reactions as matrices, their law of mass action, and what they conserve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.systems.kinetics.conservation import conservation_laws
from rnn.systems.kinetics.errors import UnknownSpeciesError
from rnn.systems.kinetics.mass_action import MassAction
from rnn.systems.kinetics.parsing import parse
from rnn.validation import real_array


class ReactionNetwork:
    """A network of reactions under mass action.

    Parameters
    ----------
    reactions : str or iterable of str
        ``"k1: 2 A + B -> C"``; ``<->`` for both directions (two rates, ``"kf, kr: A <-> B"``); nothing on a
        side for a source or sink (``"-> A"``, ``"B -> 0"``). In one string, a reaction a line.
    species : sequence of str, optional
        The order of concentrations; by default as they first appear. May name more than the reactions do.
    orders : dict, optional
        Orders that are not the coefficients, real: ``{"k1": {"A": 0.5}}``.

    Attributes
    ----------
    reactions : tuple of Reaction
    species, rate_names : tuple of str
    consumed, produced : (S, R) arrays
        Coefficients of both sides.
    stoichiometry : (S, R) array
        N = produced − consumed: dc/dt = N v.
    orders : (R, S) array
    conservation_laws : (L, S) whole numbers

    Examples
    --------
    >>> enzyme = ReactionNetwork(["bind, free: E + S <-> ES", "cat: ES -> E + P"])
    >>> enzyme.species
    ('E', 'S', 'ES', 'P')
    >>> enzyme.conservation_laws
    array([[1, 0, 1, 0],
           [0, 1, 1, 1]])
    >>> enzyme.rhs(0.0, [1, 10, 0, 0], [1, 1, 1])
    array([-10., -10.,  10.,   0.])
    """

    def __init__(
        self,
        reactions: str | Iterable[str],
        species: Sequence[str] | None = None,
        orders: Mapping[str, Mapping[str, float]] | None = None,
    ):
        self.reactions = parse(reactions)
        named = tuple(dict.fromkeys(s for r in self.reactions for s in (*r.reactants, *r.products)))
        if isinstance(species, str):
            raise DataError(f"species is a sequence of names, got the text {species!r}")
        self.species = named if species is None else tuple(species)
        if len(set(self.species)) != len(self.species):
            raise DataError(f"species names one twice: {', '.join(self.species)}")
        if missing := [s for s in named if s not in self.species]:
            raise UnknownSpeciesError(f"reactions name {', '.join(missing)}, which species lacks")
        self.rate_names = tuple(r.name for r in self.reactions)
        sides = [[[getattr(r, part).get(s, 0) for r in self.reactions] for s in self.species]
                 for part in ("reactants", "products")]  # fmt: skip
        self._exact = [[b - a for a, b in zip(x, y, strict=True)] for x, y in zip(*sides, strict=True)]
        self.consumed, self.produced = (np.array(part, dtype=float) for part in sides)
        self.stoichiometry = np.array(self._exact, dtype=float)
        self.orders = self._orders(orders or {})
        self.law = MassAction(self.orders, self.stoichiometry)

    def _orders(self, given) -> np.ndarray:
        found = self.consumed.T.copy()
        wanted = "orders is a dict by rate of dicts by species, {'k1': {'A': 0.5}}"
        if not isinstance(given, Mapping):
            raise DataError(f"{wanted}; got {given!r}")
        for name, row in given.items():
            r = self.rate_index(name)
            if not isinstance(row, Mapping):
                raise DataError(f"{wanted}; got {row!r} for {name}")
            for s, order in row.items():
                if not isinstance(order, int | float | np.number) or not 0 <= order < np.inf:
                    raise DataError(f"the order of {s} in {name} must be a finite number ≥ 0, got {order!r}")
                found[r, self.index(s)] = order
        return found

    # -- names ---------------------------------------------------------------------------------------

    def index(self, species: str) -> int:
        """A species' place."""
        if species not in self.species:
            raise UnknownSpeciesError(f"there is no species {species!r}; there are {', '.join(self.species)}")
        return self.species.index(species)

    def rate_index(self, name: str) -> int:
        """A rate's place."""
        if name not in self.rate_names:
            raise DataError(f"there is no rate {name!r}; there are {', '.join(self.rate_names)}")
        return self.rate_names.index(name)

    def rate_vector(self, k, what: str = "rates") -> np.ndarray:
        """R numbers ≥ 0 from an array or a dict by name."""
        array = self._vector(k, self.rate_names, self.rate_index, what)
        if array.shape != (len(self.rate_names),):
            raise ShapeError(
                f"{what} has shape {array.shape}, wanted {len(self.rate_names)} numbers: "
                f"{', '.join(self.rate_names)}"
            )
        return checked(what, array, self.rate_names)

    def concentrations(self, c, what: str = "start") -> np.ndarray:
        """(…, S) numbers ≥ 0 from an array, or a dict by name of numbers or arrays of samples; species that a
        dict leaves out are 0."""
        if isinstance(c, Mapping):
            given = {self.index(s): real_array(f"{what}[{s!r}]", x, np.dtype(float)) for s, x in c.items()}
            try:
                shape = np.broadcast_shapes(*(x.shape for x in given.values()))
            except ValueError:
                raise ShapeError(f"{what}: species have different numbers of samples") from None
            array = np.zeros((*shape, len(self.species)))
            for i, x in given.items():
                array[..., i] = x
        else:
            array = real_array(what, c, np.dtype(float))
        if array.ndim == 0 or array.shape[-1] != len(self.species):
            raise ShapeError(
                f"{what} has shape {array.shape}, wanted a last axis of {len(self.species)}: "
                f"{', '.join(self.species)}"
            )
        return checked(what, array, self.species)

    def _vector(self, given, names, index, what) -> np.ndarray:
        if not isinstance(given, Mapping):
            return real_array(what, given, np.dtype(float))
        array = np.full(len(names), np.nan)
        for name, x in given.items():
            place = index(name)
            number = real_array(f"{what}[{name!r}]", x, np.dtype(float))
            if number.ndim:
                raise ShapeError(f"{what}[{name!r}] must be a number, got shape {number.shape}")
            array[place] = number
        if missing := [n for n in names if n not in given]:
            raise DataError(f"{what} lacks {', '.join(missing)}")
        return array

    # -- the law -------------------------------------------------------------------------------------

    def rates(self, c, k) -> np.ndarray:
        """v_r = k_r Π_j c_j^{o_rj}, (…, R)."""
        return self.rate_vector(k) * self.law.monomials(np.asarray(c, float))

    def rhs(self, t, c, k) -> np.ndarray:
        """dc/dt = N v, (…, S)."""
        return self.law.forward(np.asarray(c, float), np.asarray(self.rate_vector(k)))

    def jacobian(self, c, k) -> np.ndarray:
        """∂(dc/dt)/∂c, (…, S, S)."""
        return self.law.jacobian(np.asarray(c, float), self.rate_vector(k))

    def jacobian_rates(self, c) -> np.ndarray:
        """∂(dc/dt)/∂k, (…, S, R)."""
        return self.stoichiometry * self.law.monomials(np.asarray(c, float))[..., None, :]

    # -- what is conserved ---------------------------------------------------------------------------

    @cached_property
    def conservation_laws(self) -> np.ndarray:
        """Weights w with w·c constant, (L, S)."""
        return conservation_laws(self._exact)

    def conserved(self, c) -> np.ndarray:
        """The totals w·c, (…, L)."""
        return np.asarray(c, float) @ self.conservation_laws.T

    def conserved_names(self) -> tuple[str, ...]:
        """The laws to read: ``E + ES``."""
        found = []
        for law in self.conservation_laws.tolist():
            terms = [(w, s) for w, s in zip(law, self.species, strict=True) if w]
            text = " ".join(
                f"{'−' if w < 0 else '+'} {'' if abs(w) == 1 else f'{abs(w)} '}{s}" for w, s in terms
            )
            found.append(text.removeprefix("+ "))
        return tuple(found)

    def __repr__(self) -> str:
        lines = "".join(f"\n  {r}" for r in self.reactions)
        return f"<ReactionNetwork: {len(self.species)} species, {len(self.reactions)} reactions{lines}>"


def checked(what: str, array: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Finite and ≥ 0 along a last axis with names."""
    for wrong, is_what in ((~np.isfinite(array), "NaN or infinite"), (array < 0, "negative")):
        if wrong.any():
            name = names[int(np.argwhere(wrong)[0, -1])]
            raise DataError(f"{what}: {name} is {is_what}, {array[wrong][0]:g}; give finite numbers ≥ 0")
    return array


def pair_of(name: str, pair) -> tuple[float, float]:
    """Bounds of a variable: two numbers."""
    ends = real_array(f"bounds of {name}", pair, np.dtype(float))
    if ends.shape != (2,):
        raise ShapeError(f"bounds of {name} are (low, high), got {pair!r}")
    return float(ends[0]), float(ends[1])
