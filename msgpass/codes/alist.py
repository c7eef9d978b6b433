"""MacKay's alist files of parity-check matrices.

n m                          bits, checks
most-bits most-checks        largest column and row weight
column weights (n numbers), row weights (m numbers)
n lines: checks of each bit, counted from 1, filled up with 0
m lines: bits of each check
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from msgpass.codes.linear_code import LinearCode
from msgpass.errors import DataError


def read_alist(path) -> LinearCode:
    """The code in an alist file; lines that are not filled up with zeros are read, too."""
    lines = [line.split() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]

    def numbers(k: int, what: str, count: int | None = None) -> list[int]:
        try:
            found = [int(word) for word in lines[k]]
        except IndexError:
            raise DataError(f"{path}: the file ends after {len(lines)} lines, before {what}") from None
        except ValueError:
            raise DataError(f"{path}, line {k + 1}: {what} are whole numbers, got {lines[k]}") from None
        if count is not None and len(found) != count:
            raise DataError(f"{path}, line {k + 1}: wanted {count} numbers, {what}, got {len(found)}")
        return found

    n, m = numbers(0, "the numbers of bits and checks", 2)
    numbers(1, "the largest weights", 2)
    columns, rows = numbers(2, "the weights of the bits", n), numbers(3, "the weights of the checks", m)
    checks: list[list[int]] = []
    for k, weight in enumerate(rows):
        place = 4 + n + k
        found = [b for b in numbers(place, f"the bits of check {k + 1}") if b]
        if len(found) != weight or not all(1 <= b <= n for b in found):
            raise DataError(
                f"{path}, line {place + 1}: check {k + 1} has weight {weight} and bits from 1 to {n}, got "
                f"{found}"
            )
        checks.append([b - 1 for b in found])
    counted = np.bincount(np.concatenate([np.zeros(0, int), *checks]).astype(int), minlength=n)
    if counted.tolist() != columns:
        bad = int(np.argmax(counted != columns))
        raise DataError(
            f"{path}, line 3: bit {bad + 1} has weight {columns[bad]}, but {counted[bad]} checks name it"
        )
    return LinearCode(checks, n)


def write_alist(code: LinearCode, path) -> None:
    """Write a code as an alist file."""
    own: list[list[int]] = [[] for _ in range(code.n)]
    for k, check in enumerate(code.checks):
        for bit in check.tolist():
            own[bit].append(k)
    lists = [own, [c.tolist() for c in code.checks]]
    most = [max(map(len, rows), default=0) for rows in lists]
    lines = [f"{code.n} {code.m}", f"{most[0]} {most[1]}"]
    lines += [" ".join(str(len(row)) for row in rows) for rows in lists]
    for rows, width in zip(lists, most, strict=True):
        filled = [[*(k + 1 for k in row), *[0] * (width - len(row))] for row in rows]
        lines += [" ".join(map(str, row)) for row in filled]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
