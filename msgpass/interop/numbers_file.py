"""Text files that are words and then numbers: read in one go, with the line of whatever is wrong."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from msgpass.errors import DataError

_COMMENT = re.compile(r"(#|//)[^\n]*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE | re.ASCII)
LARGEST = 2**53
"""Whole numbers beyond are no longer all floats."""


def read_text(path) -> str:
    """The text of a file, or a :class:`DataError` that names it."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file") from None


class NumbersFile:
    """A cursor over the numbers of a text. Comments, ``#`` or ``//`` to the end of a line, are left out.

    Parameters
    ----------
    path : path
        Named in errors.
    text : str, optional
        In place of what the file holds.
    heads : tuple of str
        Words one of which comes first; () where there is none.
    finite : bool
        Infinite numbers are refused (NaN always is).
    """

    def __init__(self, path, text: str | None = None, heads: tuple[str, ...] = (), finite: bool = True):
        self.path, self.usable = path, np.isfinite if finite else lambda x: ~np.isnan(x)
        self.text = _COMMENT.sub("", read_text(path) if text is None else text)
        self.at, self.head, body = 0, "", self.text
        if heads:
            first = body.split(None, 1)
            self.head = first[0].upper() if first else ""
            if self.head not in heads:
                raise self.error(f"wanted {' or '.join(heads)}, got {first[0]!r}" if first else "is empty", 0)
            body = first[1] if len(first) > 1 else ""
        self.numbers = self._parse(body)

    def _parse(self, body: str) -> np.ndarray:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", DeprecationWarning)  # NumPy < 2.3 warns of what it cannot read
                found = np.fromstring(body, sep=" ") if body.strip() else np.zeros(0)
        except (ValueError, DeprecationWarning):
            found = None
        if found is not None and self.usable(found).all():
            return found
        for k, word in enumerate(body.split()):
            if _NUMBER.fullmatch(word) and self.usable(float(word)):
                continue
            raise self.error(f"wanted a number, got {word!r}", k + bool(self.head))
        return np.array(body.split(), float)  # white space that only Python knows

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def left(self) -> int:
        """Numbers that are still to come."""
        return len(self.numbers) - self.at

    def error(self, problem: str, word: int | None = None) -> DataError:
        """An error at a word, by default the one before the cursor."""
        word = max(0, self.at - 1) + bool(self.head) if word is None else word
        return DataError(f"{self.path}, line {self.line(word)}: {problem}")

    def line(self, word: int) -> int:
        """Line of the k-th word, or the last line."""
        seen, line = 0, 1
        for line, text in enumerate(self.text.split("\n"), 1):
            seen += len(text.split())
            if seen > word:
                return line
        return max(1, len(self.text.rstrip().split("\n")))

    def whole(self, what: str, low: int = 0, high: int | None = None) -> int:
        """The next number, a whole one from ``low`` to ``high``."""
        return int(self.wholes(1, what, low, high)[0])

    def wholes(self, count: int, what: str, low: int = 0, high: int | None = None) -> np.ndarray:
        """The next ``count`` numbers, whole ones from ``low`` to ``high``."""
        found = self.reals(count, what)
        wrong = (found != np.floor(found)) | (found < low) | (found > (LARGEST if high is None else high))
        if wrong.any():
            k = int(np.argmax(wrong))
            large = f"from {low} to {LARGEST}" if found[k] > LARGEST else f"≥ {low}"
            span = large if high is None else f"from {low} to {high}"
            raise self.error(
                f"wanted {what}, a whole number {span}, got {found[k]:g}",
                self.at - count + k + bool(self.head),
            )
        return found.astype(np.int64)

    def reals(self, count: int, what: str) -> np.ndarray:
        """The next ``count`` numbers."""
        if self.left < count:
            self.at = len(self.numbers)
            raise self.error(f"wanted {what}, but the file ends here", len(self.numbers) + bool(self.head))
        self.at += count
        return self.numbers[self.at - count : self.at]

    def finish(self, what: str) -> None:
        """Nothing may follow."""
        if self.left:
            raise self.error(
                f"{self.left} numbers follow after {what}, from {self.numbers[self.at]:g} on",
                self.at + bool(self.head),
            )
