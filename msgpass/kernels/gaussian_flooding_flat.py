"""Factors and edges of Gaussian loopy belief propagation as flat arrays, for compiled sweeps.

An edge is a factor's place at a variable; the edges of a factor follow each other. Every number of a problem
has one address: what variables know, what factors are, what edges carry.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.kernels.gaussian_flooding_types import Problem


class Edges(NamedTuple):
    """What depends on scopes alone.

    Attributes
    ----------
    first : int array, (factors + 1,)
        First edge of each factor.
    factor, variable : int arrays, (edges,)
    size : int array, (edges,)
        Of the edge's variable.
    cell, block : int arrays, (edges,)
        Where the variable starts in h and in precision.
    h, precision : int arrays, (edges,)
        Where the edge's message starts.
    form_h, form_precision : int arrays, (factors,)
        Where the factor's h and Λ start; of two scalars (``scalar``), form_h is the row of their eight.
    scalar : bool array, (factors,)
    around, starts : int arrays, (edges,) and (variables + 1,)
        Edges of each variable.
    widest : int
        Largest D of a factor.
    """

    first: np.ndarray
    factor: np.ndarray
    variable: np.ndarray
    size: np.ndarray
    cell: np.ndarray
    block: np.ndarray
    h: np.ndarray
    precision: np.ndarray
    form_h: np.ndarray
    form_precision: np.ndarray
    scalar: np.ndarray
    around: np.ndarray
    starts: np.ndarray
    widest: int


class Forms(NamedTuple):
    """Numbers of all factors: h (·,), Λ row after row (·,), pairs of scalars (m, 8)."""

    h: np.ndarray
    precision: np.ndarray
    pairs: np.ndarray


def flattened(problem: Problem) -> tuple[Edges, Forms]:
    """All groups, one behind the other."""
    groups = problem.groups
    variable = np.concatenate([g.scopes.ravel() for g in groups]).astype(np.int64)
    arity = np.concatenate([np.full(len(g), g.scopes.shape[1]) for g in groups])
    size = problem.sizes[variable]
    form_h, form_p, scalar, hs, ps, pairs = [], [], [], [], [], []
    at_h = at_p = at_pair = 0
    for g in groups:
        wide, alone = g.widths[0], g.sizes == (1, 1)
        scalar.append(np.full(len(g), alone))
        if alone:
            form_h.append(at_pair + g.table)
            form_p.append(np.zeros(len(g), np.int64))
            pairs.append(g.pairs)
            at_pair += len(g.pairs)
            continue
        form_h.append(at_h + wide * g.table)
        form_p.append(at_p + wide * wide * g.table)
        hs.append(g.h.ravel())
        ps.append(g.precision.ravel())
        at_h, at_p = at_h + g.h.size, at_p + g.precision.size
    edges = Edges(
        first=_ends(arity),
        factor=np.repeat(np.arange(len(arity)), arity),
        variable=variable,
        size=size,
        cell=problem.cells[variable],
        block=problem.blocks[variable],
        h=_ends(size)[:-1],
        precision=_ends(size * size)[:-1],
        form_h=np.concatenate(form_h),
        form_precision=np.concatenate(form_p),
        scalar=np.concatenate(scalar),
        around=np.argsort(variable, kind="stable"),
        starts=_ends(np.bincount(variable, minlength=len(problem.sizes))),
        widest=max(g.widths[0] for g in groups),
    )
    return edges, Forms(_end_to_end(hs), _end_to_end(ps), np.concatenate([np.empty((0, 8)), *pairs]))


def _ends(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _end_to_end(arrays) -> np.ndarray:
    return np.concatenate([np.empty(0), *arrays])
