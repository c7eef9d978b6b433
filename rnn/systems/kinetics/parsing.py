"""Reactions from text: ``"k1: 2 A + B -> C"``, ``"kf, kr: E + S <-> ES"``, ``"-> A"``, ``"B -> 0"``.

One reaction a line (or between semicolons); ``#`` begins a comment. A coefficient is a number or a fraction,
``2 A``, ``2A``, ``0.5 A``, ``1/2 A``. Nothing is ``0``, ``∅`` or left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from msgpass.errors import DataError
from rnn.systems.kinetics.errors import ReactionSyntaxError

ARROWS = {"<->": True, "<=>": True, "⇌": True, "↔": True, "->": False, "=>": False, "→": False}
ARROW = re.compile("|".join(map(re.escape, ARROWS)))
NAME = re.compile(r"[^\W\d](?:[\w'*]|\([^\s()]*\))*")
NUMBER = re.compile(r"(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)(\s*/\s*(\d+))?")
NOTHING = ("0", "∅", "")


@dataclass(frozen=True)
class Reaction:
    """One direction of a reaction: coefficients by species on both sides, and the name of its rate."""

    name: str
    reactants: dict[str, Fraction] = field(hash=False)
    products: dict[str, Fraction] = field(hash=False)

    def __str__(self) -> str:
        return f"{self.name}: {side(self.reactants)} → {side(self.products)}"


def side(parts: dict[str, Fraction]) -> str:
    """``2 A + B``; ∅ for nothing."""
    terms = [name if n == 1 else f"{_number(n)} {name}" for name, n in parts.items()]
    return " + ".join(terms) or "∅"


def _number(n: Fraction) -> str:
    return str(n.numerator) if n.denominator == 1 else f"{float(n):g}"


def parse(reactions: str | Iterable[str]) -> tuple[Reaction, ...]:
    """All reactions, both directions of a reversible one after another.

    Unnamed rates are called k1, k2, … by their place; a reversible reaction with one name ``k`` has the rates
    ``k_f`` and ``k_r``.

    Examples
    --------
    >>> for reaction in parse(["2 A + B -> C", "kf, kr: C <-> D", "-> A"]):
    ...     print(reaction)
    k1: 2 A + B → C
    kf: C → D
    kr: D → C
    k4: ∅ → A
    """
    found: list[Reaction] = []
    for number, text in enumerate(_lines(reactions), 1):
        found += _reaction(text, number, len(found))
    if not found:
        raise DataError("there is no reaction; give texts such as 'A -> B'")
    seen: dict[str, Reaction] = {}
    for reaction in found:
        if reaction.name in seen:
            raise DataError(
                f"two rates are called {reaction.name!r}: {seen[reaction.name]}, and {reaction}; give each "
                "reaction a name of its own, 'name: A -> B'"
            )
        seen[reaction.name] = reaction
    return tuple(found)


def _lines(reactions) -> list[str]:
    if isinstance(reactions, Mapping):
        raise DataError("reactions are texts such as 'k1: A -> B', with their names in them; got a dict")
    if isinstance(reactions, str):
        reactions = re.split(r"[\n;]", reactions)
    try:
        texts = list(reactions)
    except TypeError:
        raise DataError(f"reactions are texts such as 'A -> B', got {type(reactions).__name__}") from None
    for text in texts:
        if not isinstance(text, str):
            raise DataError(f"a reaction is a text such as 'A -> B', got {text!r}")
    bare = (text.split("#")[0].rstrip() for text in texts)
    return [text for text in bare if text.strip()]


def _reaction(text: str, number: int, before: int) -> list[Reaction]:
    def wrong(message: str, position: int):
        return ReactionSyntaxError(message, text, position, number)

    colon = text.find(":")
    arrows = list(ARROW.finditer(text, colon + 1))
    if not arrows:
        raise wrong("there is no arrow; write 'A -> B', or 'A <-> B' for both directions", len(text))
    if len(arrows) > 1:
        raise wrong("there is a second arrow; write one reaction a line", arrows[1].start())
    (arrow,) = arrows
    both = ARROWS[arrow[0]]
    names = _names(text, colon, both, wrong)
    left = _side(text, colon + 1, arrow.start(), wrong)
    right = _side(text, arrow.end(), len(text), wrong)
    if left == right:
        raise wrong("both sides are the same, so that nothing happens", arrow.start())
    names = names or [f"k{before + i}" for i in (1, 2)]
    made = [Reaction(names[0], left, right)]
    return [*made, Reaction(names[1], right, left)] if both else made


def _names(text: str, colon: int, both: bool, wrong) -> list[str]:
    if colon < 0:
        return []
    names, position = [], 0
    for part in text[:colon].split(","):
        name = part.strip()
        if not NAME.fullmatch(name):
            start = position + len(part) - len(part.lstrip())
            raise wrong(f"{name!r} is no name of a rate; a name begins with a letter", start)
        names.append(name)
        position += len(part) + 1
    if both and len(names) == 1:
        return [f"{names[0]}_f", f"{names[0]}_r"]
    if len(names) != 1 + both:
        wanted = "two names, 'kf, kr: A <-> B'" if both else "one name, 'k: A -> B'"
        raise wrong(f"there are {len(names)} names of rates; write {wanted}", 0)
    return names


def _side(text: str, start: int, stop: int, wrong) -> dict[str, Fraction]:
    """Coefficients by species of text[start:stop]."""
    if text[start:stop].strip() in NOTHING:
        return {}
    found: dict[str, Fraction] = {}
    at = start
    while True:
        at = _blank(text, at, stop)
        coefficient, at = _coefficient(text, at, stop, wrong)
        name = NAME.match(text, at, stop)
        if name is None:
            what = repr(text[at]) if at < stop else "the arrow" if stop < len(text) else "the end"
            charge = ", and has its charge in parentheses, Na(+)" if found and "+" in text[start:at] else ""
            raise wrong(
                f"a species is missing before {what}; a name begins with a letter{charge}", min(at, stop)
            )
        found[name[0]] = found.get(name[0], Fraction(0)) + coefficient
        at = _blank(text, name.end(), stop)
        if at == stop:
            return found
        if text[at] != "+":
            raise wrong(f"expected '+' or an arrow after {name[0]!r}, got {text[at]!r}", at)
        at += 1


def _blank(text: str, at: int, stop: int) -> int:
    while at < stop and text[at].isspace():
        at += 1
    return at


def _coefficient(text: str, at: int, stop: int, wrong) -> tuple[Fraction, int]:
    number = NUMBER.match(text, at, stop)
    if number is None:
        return Fraction(1), at
    if number[3] is not None and int(number[3]) == 0:
        raise wrong("a coefficient is divided by zero", at)
    value = Fraction(number[1]) / int(number[3] or 1)
    if value <= 0:
        raise wrong("a coefficient must be > 0; leave the species out", at)
    at = _blank(text, number.end(), stop)
    if at < stop and text[at] in "*·":
        at = _blank(text, at + 1, stop)
    return value, at
