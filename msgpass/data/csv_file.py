"""One column of a CSV file as a `Series`, with errors that name the line."""

from __future__ import annotations

import csv
import math
from os import PathLike
from pathlib import Path

import numpy as np

from msgpass.data.series import Kind, Series
from msgpass.errors import DataError

MISSING = frozenset({"", "na", "n/a", "nan", "null", "?"})
DELIMITERS = ",;\t"
DISPERSION = 1000.0  # variance over mean beyond which whole numbers are taken for measurements
EXACT = 2**53  # whole numbers up to here are exact in float64


def read_csv(
    path: str | PathLike[str],
    column: str | None = None,
    *,
    kind: Kind | None = None,
    index: str | None = None,
    minimum: int = 2,
) -> Series:
    """Read one column of a CSV file.

    The first line names the columns; cells are separated by commas, semicolons or tabs (whichever the first
    line has most of) and decimals are written with a point. An empty cell, ``NA``, ``N/A``, ``NaN``, ``null``
    or ``?`` is a missing value; blank lines are skipped.

    Parameters
    ----------
    path : path-like
        A text file in UTF-8.
    column : str, optional
        The column of values; may be left out where the file has one column, or two of which the first labels
        the steps.
    kind : {"counts", "real", "categorical"}, optional
        "categorical" takes every distinct text as a category, in sorted order. By default a column of
        non-negative whole numbers is "counts", unless their variance is a thousand times their mean, and any
        other column of numbers is "real".
    index : str, optional
        The column that labels the steps; by default the first one if it is not `column`, else the steps are
        numbered from 0.
    minimum : int
        The fewest values, missing ones not counted, that will do.

    Returns
    -------
    Series

    Raises
    ------
    DataError
        If the file cannot be read or is no CSV, the column is unknown, a cell does not fit `kind` (with its
        line), or there are fewer than `minimum` values.
    """
    path = Path(path)
    header, lines, rows = _table(path)
    if column is None:
        if len(header) > 2:
            raise DataError(f"{path} has several columns; name one of {_listed(header)}.")
        column = header[-1]
    place = _place(header, column, path)
    label_place = _place(header, index, path) if index is not None else 0
    cells = [row[place] for row in rows]
    categories: tuple[str, ...] = ()
    if kind == "categorical":
        values, categories = _codes(cells)
        observed = int(np.sum(values >= 0))
    else:
        values, kind = _numbers(cells, lines, kind, f"column {column!r} of {path}")
        observed = int(np.sum(~np.isnan(values)))
    if observed < max(minimum, 1):
        raise DataError(
            f"Column {column!r} of {path} has too few values: {observed} of {len(cells)} cells "
            "hold one, and at "
            f"least {max(minimum, 1)} are needed."
        )
    labels = _labels([row[label_place] for row in rows]) if label_place != place else np.arange(len(rows))
    return Series(column, f"{column} ({path.name})", values, labels, "", kind, categories, source=path.name)


def _table(path: Path) -> tuple[list[str], list[int], list[list[str]]]:
    """Header, line number of each row, rows; blank lines are skipped."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(DELIMITERS, key=first.count), strict=True)
            numbered = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except FileNotFoundError:
        raise DataError(f"There is no file {path}. Give the path of a CSV file.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Give the path of a CSV file.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8 ({error}). Export it as CSV first.") from None
    if not numbered:
        raise DataError(f"{path} is empty. Wanted a line that names the columns, then one line a step.")
    header = numbered[0][1]
    if any("\0" in cell for cell in header):
        raise DataError(f"{path} is not a CSV file in UTF-8 (it holds NUL bytes). Export it as CSV first.")
    if header and all(_is_number(cell) for cell in header):
        raise DataError(
            f"The first line of {path} must name the columns, but holds {_listed(header)}. Put a "
            "line such as "
            "'value' in front."
        )
    if len(set(header)) < len(header):
        raise DataError(f"{path} has two columns of one name: {_listed(header)}. Rename one.")
    for line, row in numbered[1:]:
        if len(row) != len(header):
            raise DataError(f"Line {line} of {path} has {len(row)} cells, but the header has {len(header)}.")
    return header, [line for line, _ in numbered[1:]], [row for _, row in numbered[1:]]


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _place(header: list[str], column: str, path: Path) -> int:
    if column not in header:
        raise DataError(f"{path} has no column {column!r}; its columns are {_listed(header)}.")
    return header.index(column)


def _numbers(cells: list[str], lines: list[int], kind: Kind | None, where: str) -> tuple[np.ndarray, Kind]:
    numbered = zip(cells, lines, strict=True)
    values = np.array(
        [math.nan if _is_missing(cell) else _number(cell, line, where) for cell, line in numbered]
    )
    missing = np.isnan(values)
    whole = missing | ((values >= 0) & (values == np.floor(values)) & (values < EXACT))
    if kind == "counts" and not whole.all():
        first = int(np.argmin(whole))
        raise DataError(
            f"Line {lines[first]}, {where}: {cells[first]!r} is not a count (0, 1, 2, …). "
            "For real numbers give the kind real (kind='real', --kind real)."
        )
    kind = kind or ("counts" if whole.all() and _like_counts(values[~missing]) else "real")
    return (values.astype(np.int64) if kind == "counts" and not missing.any() else values), kind


def _like_counts(values: np.ndarray) -> bool:
    """Not so scattered that no mixture of Poisson distributions of nearby rates could show them."""
    return values.size == 0 or float(values.var()) <= DISPERSION * max(float(values.mean()), 1.0)


def _number(cell: str, line: int, where: str) -> float:
    try:
        # Python's float takes 1_000, which no CSV means as a number
        value = math.inf if "_" in cell else float(cell)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise DataError(
            f"Line {line}, {where}: {cell!r} is not a finite number. Leave the cell empty if the value is "
            "missing; for a column of categories give the kind categorical (kind='categorical', "
            "--kind categorical)."
        )
    return value


def _codes(cells: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    categories = tuple(sorted({cell for cell in cells if not _is_missing(cell)}))
    code = {category: k for k, category in enumerate(categories)}
    return np.array([code.get(cell, -1) for cell in cells], dtype=np.int64), categories


def _labels(cells: list[str]) -> np.ndarray:
    """Whole numbers (years) as int64, anything else as text."""
    whole = all(cell.isdecimal() and len(cell) < 16 for cell in cells)
    return np.array([int(cell) for cell in cells]) if whole else np.array(cells)


def _is_missing(cell: str) -> bool:
    return cell.lower() in MISSING


def _listed(header: list[str]) -> str:
    return ", ".join(repr(name) for name in header)
