"""What an identity says and what was measured of it: the two sides, their gap, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Identity:
    """One identity, evaluated on one model.

    Attributes
    ----------
    number : int
        Its number in the list of identities.
    name, statement : str
        The function that measured it, and what it says.
    left_is, right_is : str
        What stands on either side, that is by which route each was computed.
    left, right : ndarray
        The two sides, of one shape.
    source : str
        Where the identity is stated or proved.
    tolerance : float
        The largest gap, relative to the larger side (or to 1 where both are small), at which it holds.
    allowance : float
        An absolute gap that theory allows besides, 0 unless the identity is a limit.
    shown : int
        Place of the entry that tables show, −1 for the one of largest magnitude.
    details : dict
        Further numbers, such as a convergence row.
    """

    number: int
    name: str
    statement: str
    left_is: str
    right_is: str
    left: np.ndarray
    right: np.ndarray
    source: str
    tolerance: float = 1e-9
    allowance: float = 0.0
    shown: int = -1
    details: dict = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """Largest absolute difference of the two sides (∞ if either side holds NaN)."""
        gap = float(np.abs(np.asarray(self.left) - np.asarray(self.right)).max(initial=0.0))
        return gap if np.isfinite(gap) else np.inf

    @property
    def size(self) -> float:
        """Largest magnitude on either side."""
        return float(max(np.abs(self.left).max(initial=0.0), np.abs(self.right).max(initial=0.0)))

    @property
    def relative(self) -> float:
        """Gap over size."""
        return self.gap / self.size if self.gap else 0.0

    @property
    def holds(self) -> bool:
        """Whether the gap is within tolerance."""
        return self.gap <= self.tolerance * max(self.size, 1.0) + self.allowance

    @property
    def example(self) -> tuple[float, float]:
        """One entry, as either side has it: as a rule the one of largest magnitude."""
        place = self.shown if self.shown >= 0 else int(np.argmax(np.abs(self.left)))
        return float(np.ravel(self.left)[place]), float(np.ravel(self.right)[place])

    def __repr__(self) -> str:
        left, right = self.example
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        return (
            f"Identity {self.number}: {self.statement}\n  {self.left_is}: {left:.12g}\n  {self.right_is}: "
            f"{right:.12g}\n  {verdict}: gap {self.gap:.1e} over {np.size(self.left)} numbers, relative "
            f"{self.relative:.1e} ({self.source})"
        )


class IdentityTable(tuple):
    """Several identities, printed as a table."""

    __slots__ = ()

    @property
    def holds(self) -> bool:
        """Whether all of them hold."""
        return all(one.holds for one in self)

    def to_frame(self):
        """A pandas frame with one row an identity."""
        from msgpass.optional import pandas

        columns = [
            "number",
            "statement",
            "left_is",
            "right_is",
            "left",
            "right",
            "gap",
            "relative",
            "holds",
            "source",
        ]
        rows = [
            (i.number, i.statement, i.left_is, i.right_is, *i.example, i.gap, i.relative, i.holds, i.source)
            for i in self
        ]
        return pandas().DataFrame(rows, columns=columns)

    def __repr__(self) -> str:
        head = f"{'':>2}  {'identity':<66} {'left':>13} {'right':>13} {'gap':>8}"
        rows = [
            f"{i.number:>2}  {i.statement:<66} {i.example[0]:>13.6g} {i.example[1]:>13.6g} "
            f"{i.gap:>8.0e}{'' if i.holds else '  does not hold'}"
            for i in self
        ]
        return "\n".join([head, *rows])

    def _repr_html_(self) -> str:
        from html import escape

        cells = ""
        for i in self:
            left, right = i.example
            verdict = "holds" if i.holds else "<b>does not hold</b>"
            cells += f"<tr><td>{i.number}</td><td>{escape(i.statement)}</td><td>{left:.6g}</td>"
            cells += f"<td>{right:.6g}</td><td>{i.gap:.0e}</td><td>{verdict}</td></tr>"
        head = "".join(f"<th>{title}</th>" for title in ("", "identity", "left", "right", "gap", ""))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"
