"""What a comparison finds: parts, each a quantity that both sides have, with gap, cosine and scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from msgpass.errors import UnavailableError


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """One quantity that both sides have.

    Attributes
    ----------
    kind, name : str
        What it is (forward, backward, belief, parameters, gradient, total, array) and of which variable.
    left, right : ndarray
        As they are compared: without the free constant, or each step's size where the shapes of a step
        differ.
    stepped : bool
        The first axis is time.
    how : str
        "values", "up to a constant", "up to a scale" or "size of each step".
    """

    kind: str
    name: str
    left: np.ndarray
    right: np.ndarray
    stepped: bool
    how: str = "values"

    @property
    def steps(self) -> np.ndarray:
        """Largest absolute gap of each step, shape (T,) (one entry if there is no time axis)."""
        gaps = _gaps(self.left, self.right)
        return (
            gaps.reshape(len(gaps), -1).max(axis=1, initial=0.0)
            if self.stepped
            else gaps.reshape(1, -1).max(axis=1, initial=0.0)
        )

    @property
    def gap(self) -> float:
        """Largest absolute gap; ∞ where one side is infinite or NaN and the other is not the same."""
        return float(self.steps.max(initial=0.0))

    @property
    def relative(self) -> float:
        """Largest absolute gap over the largest magnitude of the quantity."""
        sides = np.abs(np.concatenate([self.left.ravel(), self.right.ravel()]))
        size = sides[np.isfinite(sides)].max(initial=0.0)
        return self.gap / size if self.gap and size else (np.inf if self.gap else 0.0)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between the two, 1 for the same direction; NaN if either is zero."""
        left, right = self._vectors()
        norms = np.linalg.norm(left) * np.linalg.norm(right)
        return float(np.clip(left @ right / norms, -1.0, 1.0)) if norms else np.nan

    @property
    def scale(self) -> float:
        """The s that brings s · right nearest to left (least squares); NaN if right is zero."""
        left, right = self._vectors()
        square = right @ right
        return float(left @ right / square) if square else np.nan

    def _vectors(self) -> tuple[np.ndarray, np.ndarray]:
        left, right = self.left, self.right
        if self.how == "up to a constant":
            left, right = _centred(left), _centred(right)
        left, right = left.ravel(), right.ravel()
        both = np.isfinite(left) & np.isfinite(right)
        return left[both], right[both]


class Comparison:
    """What :func:`compare` found: every quantity that both sides have, as a `Part`, and the largest gaps.

    Attributes
    ----------
    parts : tuple of Part
    only_left, only_right : tuple of str
        Quantities that the other side lacks.
    """

    def __init__(
        self, parts: tuple[Part, ...], only_left: tuple[str, ...] = (), only_right: tuple[str, ...] = ()
    ):
        self.parts, self.only_left, self.only_right = parts, only_left, only_right

    @property
    def gap(self) -> float:
        """Largest absolute gap of all parts."""
        return max((part.gap for part in self.parts), default=0.0)

    @property
    def relative(self) -> float:
        """Largest relative gap of all parts."""
        return max((part.relative for part in self.parts), default=0.0)

    @property
    def cosine(self) -> float:
        """Smallest cosine of all parts that have one."""
        return min((c for part in self.parts if np.isfinite(c := part.cosine)), default=np.nan)

    @property
    def scale(self) -> float:
        """Scale of the part whose scale is farthest from 1."""
        scales = [s for part in self.parts if np.isfinite(s := part.scale)]
        return max(scales, key=lambda s: abs(s - 1.0), default=np.nan)

    @property
    def steps(self) -> np.ndarray:
        """Largest absolute gap of each step over the parts that have time, shape (T,)."""
        stepped = [part.steps for part in self.parts if part.stepped] or [part.steps for part in self.parts]
        longest = max((len(s) for s in stepped), default=0)
        return np.max([np.pad(s, (0, longest - len(s))) for s in stepped], axis=0) if stepped else np.zeros(0)

    def __getitem__(self, key) -> Part:
        kind, name = key if isinstance(key, tuple) else (None, key)
        for part in self.parts:
            if part.name == name and kind in (None, part.kind):
                return part
        have = ", ".join(f"({part.kind!r}, {part.name!r})" for part in self.parts)
        raise UnavailableError(f"the comparison has no part {key!r}; it has {have}")

    def __iter__(self) -> Iterator[Part]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def to_frame(self):
        """Tidy pandas frame: one row a part and step, with columns kind, name, step, gap, relative."""
        from msgpass.optional import pandas

        rows = [
            (part.kind, part.name, step if part.stepped else None, gap, gap / size if size else gap)
            for part in self.parts
            for size in [_size(part)]
            for step, gap in enumerate(part.steps)
        ]
        frame = pandas().DataFrame(rows, columns=["kind", "name", "step", "gap", "relative"])
        return frame.astype({"step": "Int64"})

    def plot(self):
        """Matplotlib figure: gap over time of every part."""
        from msgpass.plot import plot_comparison

        return plot_comparison(self)

    def rows(self) -> list[tuple[str, str, str, float, float, float, float]]:
        """(kind, name, how, gap, relative, cosine, scale) of every part."""
        return [(p.kind, p.name, p.how, p.gap, p.relative, p.cosine, p.scale) for p in self.parts]

    def __repr__(self) -> str:
        wide = max([4, *(len(part.name) for part in self.parts)])
        lines = [
            f"{'kind':<10} {'name':<{wide}} {'gap':>8} {'relative':>8} {'cosine':>8} {'scale':>9}  compared"
        ]
        lines += [
            f"{kind:<10} {name:<{wide}} {gap:>8.1e} {relative:>8.1e} {cosine:>8.5f} {scale:>9.5g}  {how}"
            for kind, name, how, gap, relative, cosine, scale in self.rows()
        ]
        lines += self._missing()
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from html import escape

        head = "".join(
            f"<th>{t}</th>" for t in ("kind", "name", "gap", "relative", "cosine", "scale", "compared")
        )
        cells = "".join(
            f"<tr><td>{kind}</td><td>{escape(name)}</td><td>{gap:.1e}</td><td>{relative:.1e}</td><td>{cosine:.5f}</td><td>{scale:.5g}</td><td>{how}</td></tr>"
            for kind, name, how, gap, relative, cosine, scale in self.rows()
        )
        notes = "".join(f"<p>{escape(line)}</p>" for line in self._missing())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>{notes}"

    def _missing(self) -> list[str]:
        sides = (("left", self.only_left), ("right", self.only_right))
        return [f"only on the {side}: {', '.join(names)}" for side, names in sides if names]


def _centred(log_message: np.ndarray) -> np.ndarray:
    finite = np.isfinite(log_message)
    count = np.maximum(finite.sum(axis=-1, keepdims=True), 1)
    return log_message - np.where(finite, log_message, 0.0).sum(axis=-1, keepdims=True) / count


def _gaps(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        gaps = np.abs(left - right)
    return np.where(same, 0.0, np.where(np.isnan(gaps), np.inf, gaps))


def _size(part: Part) -> float:
    sides = np.abs(np.concatenate([part.left.ravel(), part.right.ravel()]))
    return float(sides[np.isfinite(sides)].max(initial=0.0))
