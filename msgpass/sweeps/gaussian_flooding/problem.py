"""The numbers of a component in one run, as the sweeps take them."""

from __future__ import annotations

import numpy as np

from msgpass.errors import NumericalError
from msgpass.kernels.gaussian_flooding_types import Factors, Problem
from msgpass.sweeps.gaussian_flooding.layout import Group, Layout
from msgpass.sweeps.stacked_quadratics import Stacked


def forms(stacks) -> list:
    """Every family's potentials as functions of its latent variables; None where it has no instance."""
    for made in stacks:
        if made is not None and made.exact:
            raise NumericalError(
                f"the noise of {made.family.name!r} is singular: it says something exactly, which no message "
                "of Flooding can. Give its covariance a small positive diagonal, or run the graph with "
                "JunctionTree() (with Sequential() where it has no loops)"
            )
    return [None if made is None else made.form for made in stacks]


def assemble(layout: Layout, found: list) -> Problem:
    """Quadratics over one variable added up, those over more stacked by shape."""
    sizes = layout.sizes
    starts = np.concatenate([[0], np.cumsum(sizes * sizes)])
    h, precision = np.zeros(int(sizes.sum())), np.zeros(int(starts[-1]))
    for k in layout.unaries:
        v = layout.flat.scopes[k][:, 0]
        if not len(v):
            continue
        s = int(sizes[v[0]])
        _add(h, layout.starts[v][:, None] + np.arange(s), found[k].h)
        _add(precision, starts[v][:, None] + np.arange(s * s), found[k].precision.reshape(-1, s * s))
    groups = tuple(_factors(layout, g, group, found) for g, group in enumerate(layout.groups))
    return Problem(sizes, h, precision, groups)


def _add(total: np.ndarray, places: np.ndarray, numbers: np.ndarray) -> None:
    total += np.bincount(places.ravel(), np.broadcast_to(numbers, places.shape).ravel(), len(total))


def _factors(layout: Layout, g: int, group: Group, found: list) -> Factors:
    """Potentials of one shape, and which of them each factor has."""
    own = [c for c in layout.chunks if c.group == g]
    n, wide = len(group.scopes), sum(group.sizes)
    if group.shared:
        total_h, total_p = np.zeros((n, wide)), np.zeros((n, wide, wide))
        for chunk in own:
            h, precision = _ordered(found[chunk.family], chunk.rows, chunk.cells)
            np.add.at(total_h, chunk.at, h)
            np.add.at(total_p, chunk.at, precision)
        return Factors(group.scopes, group.sizes, total_h, total_p, np.arange(n))
    parts, table, count = [], np.empty(n, np.int64), 0
    for chunk in own:
        form = found[chunk.family]
        alike = len(form.h) == len(form.precision) == 1
        parts.append(_ordered(form, chunk.rows[:1] if alike else chunk.rows, chunk.cells))
        table[chunk.at] = count + (0 if alike else np.arange(len(chunk.rows)))
        count += len(parts[-1][0])
    h, precision = (np.concatenate(stack) for stack in zip(*parts, strict=True))
    return Factors(group.scopes, group.sizes, h, precision, table)


def _ordered(form: Stacked, rows: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(h, precision) of some instances, cells in another order."""
    h, precision = (
        part[rows] if len(part) > 1 else np.broadcast_to(part, (len(rows), *part.shape[1:]))
        for part in (form.h, form.precision)
    )
    return h[:, cells], precision[:, cells[:, None], cells]
