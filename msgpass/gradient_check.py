"""``check_gradients``: what arrives at parameters, against central differences of the total.

    ∂total/∂θ_i ≈ (total(θ + h e_i) − total(θ − h e_i)) / 2h,        h = ε^{1/3} max(1, |θ_i|)

Some entries of every array are looked at one by one, so that a failure has a place, and one random direction
through the whole array, so that no entry escapes (after autograd's ``test_util``). Where the difference does
not agree it is taken again at h / 2 and extrapolated, so that a total that bends strongly passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.algebra.tangent import Tangent
from msgpass.errors import DataError, GradientError, UnavailableError, UnsupportedError
from msgpass.graph import FactorGraph
from msgpass.nodes import Parameter
from msgpass.run import run


@dataclass(frozen=True)
class CheckedEntry:
    """One number that was checked: ``place`` is an index, or "direction" for a whole array along a random
    one."""

    name: str
    place: tuple[int, ...] | str
    gradient: float
    difference: float
    tolerance: float

    @property
    def gap(self) -> float:
        """|gradient − difference|."""
        return abs(self.gradient - self.difference)

    @property
    def where(self) -> str:
        """weight[0, 1]."""
        own = self.place
        inside = own if isinstance(own, str) else ", ".join(map(str, own))
        return f"{self.name}[{inside}]" if inside else self.name

    def __str__(self) -> str:
        return (
            f"{self.where}: gradient {self.gradient:.10g}, difference {self.difference:.10g}, "
            f"gap {self.gap:.2g} of {self.tolerance:.2g}"
        )


@dataclass(frozen=True)
class GradientCheck:
    """What was compared.

    Attributes
    ----------
    entries : tuple of CheckedEntry
        The worst first, by gap over tolerance.
    """

    entries: tuple[CheckedEntry, ...]

    @property
    def failed(self) -> tuple[CheckedEntry, ...]:
        """Entries that differ by more than their tolerance (NaN differs)."""
        return tuple(e for e in self.entries if not e.gap <= e.tolerance)

    def __repr__(self) -> str:
        worst = f"; worst {self.entries[0]}" if self.entries else ""
        return f"<GradientCheck: {len(self.entries)} entries, {len(self.failed)} failed{worst}>"


def check_gradients(
    subject,
    names: list[str] | None = None,
    values: dict | None = None,
    *,
    algebra=None,
    schedule=None,
    hvp: bool = False,
    entries: int = 12,
    step: float | None = None,
    rtol: float | None = None,
    random_state=0,
) -> GradientCheck:
    """Compare gradients with central differences of the total; raise where they differ.

    Parameters
    ----------
    subject : FactorGraph, or a function
        The function takes a dict of arrays and returns Messages, or (total, dict of gradients).
    names : list of str, optional
        Parameters and real observations that move; all parameters by default (of a function all ``values``).
    values : dict, optional
        Arrays of the run, as :func:`msgpass.run` takes them; a function needs them.
    algebra, schedule
        As for :func:`msgpass.run`.
    hvp : bool
        Also compare Hessian-vector products, along one random direction through all names together, with
        central differences of the gradients. Graphs only.
    entries : int
        Most entries of one array that are looked at one by one.
    step : float, optional
        h; by default ε^{1/3} max(1, |θ|).
    rtol : float, optional
        Tolerance over the largest gradient of the array, beside what rounding of the total allows; ε^{0.4} by
        default, 5e-7 in double precision and 2e-3 in single.
    random_state : int or Generator
        Which entries, which direction.

    Returns
    -------
    GradientCheck

    Raises
    ------
    GradientError
        With both values and the place of the worst entries.

    Notes
    -----
    Entries that are not finite (−∞ in log tables, missing data) do not move. A total that bends within h, as
    relu's and the best score of MaxProduct do, may fail at the bend.

    Examples
    --------
    >>> from msgpass import FactorGraph, Loss, check_gradients
    >>> from msgpass.errors import GradientError
    >>> g = FactorGraph()
    >>> w = g.parameter("w", [1.0, 2.0])
    >>> _ = g.factor(Loss(lambda w: (0.25 * (w**4).sum(), (w**3,))), w)
    >>> len(check_gradients(g, hvp=True).entries)
    5
    >>> h = FactorGraph()
    >>> _ = h.factor(Loss(lambda w: (0.25 * (w**4).sum(), (w**2,))), h.parameter("w", [1.0, 2.0]))
    >>> try:
    ...     _ = check_gradients(h)
    ... except GradientError as problem:
    ...     print(
    ...         next(line for line in str(problem).splitlines() if "w[1]" in line).strip().split(", gap")[0]
    ...     )
    w[1]: gradient 4, difference 8
    """
    rng = np.random.default_rng(random_state)
    given = {getattr(k, "name", k): np.asarray(v) for k, v in (values or {}).items()}
    evaluate, names = _evaluation(subject, names, given, algebra, schedule)
    found: list[CheckedEntry] = []
    total, gradients = evaluate({})
    for name in names:
        found += _first_order(evaluate, name, gradients[name], given[name], total, entries, step, rtol, rng)
    if hvp:
        found += _second_order(subject, evaluate, names, given, gradients, algebra, step, rtol, rng)
    ordered = sorted(found, key=lambda e: -e.gap / e.tolerance if e.gap == e.gap else -np.inf)
    check = GradientCheck(tuple(ordered))
    if check.failed:
        lines = "\n  ".join(map(str, check.failed[:10]))
        raise GradientError(
            f"{len(check.failed)} of {len(found)} gradients differ from central differences:\n  {lines}"
        )
    return check


def _evaluation(subject, names, given, algebra, schedule) -> tuple[Callable, list[str]]:
    """(moved arrays → (total, gradients by name), names); ``given`` gets the values of all names."""
    if isinstance(subject, FactorGraph):
        nodes = subject.nodes
        names = names or [n for n, v in nodes.items() if isinstance(v, Parameter)]
        for name in names:
            if getattr(nodes.get(name), "value", None) is None or nodes[name].discrete:
                raise UnavailableError(f"{name!r} is no parameter or real observation of the graph")
            given.setdefault(name, nodes[name].value)

        def evaluate(moved: dict) -> tuple[float, Any]:
            m = run(subject, algebra, schedule, {**given, **moved})
            return float(m.total), m.gradient

    elif callable(subject):
        names = names or list(given)
        missing = [n for n in names if n not in given]
        if missing or not names:
            raise DataError(
                f"a function needs values={{name: array}}; there is none of {missing or 'any name'}"
            )

        def evaluate(moved: dict) -> tuple[float, Any]:
            found = subject({**given, **moved})
            return (
                (float(found[0]), found[1])
                if isinstance(found, tuple)
                else (float(found.total), found.gradient)
            )

    else:
        raise DataError(
            "check_gradients takes a FactorGraph or a function of a dict of arrays, got "
            f"{type(subject).__name__}"
        )
    for name in names:
        if given[name].dtype != np.float32:
            given[name] = np.asarray(given[name], np.float64)
    return evaluate, list(names)


def _first_order(evaluate, name, gradient, value, total, entries, step, rtol, rng) -> list[CheckedEntry]:
    gradient = np.asarray(gradient, float)
    if gradient.shape != value.shape:
        raise GradientError(f"the gradient of {name!r} has shape {gradient.shape}, its value {value.shape}")
    movable = np.argwhere(np.isfinite(value))
    if not len(movable):
        return []
    few = len(movable) <= entries
    chosen = movable if few else movable[np.sort(rng.choice(len(movable), entries, replace=False))]
    along = np.where(np.isfinite(value), rng.normal(size=value.shape), 0.0)
    moves: list[tuple[Any, np.ndarray]] = [("direction", along / max(1e-300, np.abs(along).max()))]
    for place in map(tuple, chosen):
        unit = np.zeros(value.shape)
        unit[place] = 1
        moves.append((tuple(int(i) for i in place), unit))
    eps = float(np.finfo(value.dtype).eps)
    rtol = eps**0.4 if rtol is None else rtol
    slope = np.where(np.isfinite(value), gradient, 0.0)
    measured = []
    for place, d in moves:
        h = step or eps ** (1 / 3) * max(1.0, float(np.abs(value[d != 0]).max()))
        found, noise = _difference(evaluate, name, value, d, h, total)
        measured.append((place, d, h, float((slope * d).sum()), found, noise))
    scale = max([*(abs(m[3]) for m in measured), *(abs(m[4]) for m in measured), 1e-300])
    checked = []
    for place, d, h, own, found, noise in measured:
        if not abs(own - found) <= rtol * scale + noise:
            near, noise = _difference(evaluate, name, value, d, h / 2, total)
            found = (4 * near - found) / 3
        checked.append(CheckedEntry(name, place, own, found, rtol * scale + noise))
    return checked


def _difference(evaluate, name, value, d, h, total) -> tuple[float, float]:
    """(central difference along d, what rounding of the total makes of it)."""
    up, down = value + (h * d).astype(value.dtype), value - (h * d).astype(value.dtype)
    # What was really added, after rounding.
    moved = d != 0
    width = float(((up[moved] - down[moved]) / d[moved]).mean())
    ahead, behind = evaluate({name: up})[0], evaluate({name: down})[0]
    eps = float(np.finfo(value.dtype).eps)
    return (ahead - behind) / width, 16 * eps * max(abs(ahead), abs(behind), abs(total)) / width


def _second_order(subject, evaluate, names, given, first, algebra, step, rtol, rng) -> list[CheckedEntry]:
    if not isinstance(subject, FactorGraph):
        raise UnsupportedError("hvp=True needs a graph, which can be run under Tangent")
    directions = {n: np.where(np.isfinite(given[n]), rng.normal(size=given[n].shape), 0.0) for n in names}
    over = {} if algebra is None else algebra
    m = run(subject, Tangent(directions, over=over), values=given)
    eps = max(float(np.finfo(given[n].dtype).eps) for n in names)
    largest = max(float(np.abs(given[n][np.isfinite(given[n])]).max(initial=1.0)) for n in names)
    h, rtol = step or eps ** (1 / 3) * max(1.0, largest), eps**0.4 if rtol is None else rtol

    def differences(h: float) -> dict[str, np.ndarray]:
        ahead, behind = (
            evaluate({n: given[n] + (s * directions[n]).astype(given[n].dtype) for n in names})[1]
            for s in (h, -h)
        )
        return {n: (np.asarray(ahead[n], float) - np.asarray(behind[n], float)) / (2 * h) for n in names}

    products = {n: np.asarray(m.gradient[n].tangent, float) for n in names}
    # A gradient that is small may be a difference of large ones, so that rounding is by the largest.
    noise = 64 * eps * max(np.abs(np.asarray(first[n], float)).max(initial=1.0) for n in names) / h
    found = differences(h)
    checked = [e for n in names for e in _products(n, products[n], found[n], directions[n], rtol, noise)]
    if any(not e.gap <= e.tolerance for e in checked):
        near = differences(h / 2)
        found = {n: (4 * near[n] - found[n]) / 3 for n in names}
        checked = [e for n in names for e in _products(n, products[n], found[n], directions[n], rtol, noise)]
    return checked


def _products(name, product, difference, direction, rtol, noise) -> list[CheckedEntry]:
    """The worst entry of a Hessian-vector product, and all of it along the direction."""
    scale = max(np.abs(product).max(initial=0), np.abs(difference).max(initial=0), 1e-300)
    gaps = np.abs(product - difference)
    worst = np.unravel_index(int(np.argmax(gaps)), gaps.shape) if gaps.ndim else ()
    place = f"hvp at {tuple(int(i) for i in worst)}"
    entry = CheckedEntry(name, place, float(product[worst]), float(difference[worst]), rtol * scale + noise)
    moved, along = float(np.sum(product * direction)), float(np.sum(difference * direction))
    size = scale * float(np.abs(direction).sum())
    return [entry, CheckedEntry(name, "hvp along the direction", moved, along, rtol * size + noise)]
