"""Factors of tables as flat arrays, for the compiled sweeps of loopy propagation.

An edge is one variable of one factor; edges of a factor stand next to each other, in its order of variables.
Messages of all groups lie end to end, each group's row by row as in the reference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.kernels.flooding_reference import Problem


class Program(NamedTuple):
    """Where everything is.

    Attributes
    ----------
    ends : int array (factors + 1,)
        First edge of each factor.
    variable, states, place : int arrays (edges,)
        Variable, its states, and where the message to it starts.
    where : int array (variables + 1,)
        Where a variable's beliefs start.
    table : int array (factors,)
        Where a factor's table starts in ``logs``, row by row.
    logs : array
    counting : array (factors,)
    touch_ends, touching : int arrays
        Edges of each variable.
    owner : int array (edges,)
        Factor of each edge.
    """

    ends: np.ndarray
    variable: np.ndarray
    states: np.ndarray
    place: np.ndarray
    where: np.ndarray
    table: np.ndarray
    logs: np.ndarray
    counting: np.ndarray
    touch_ends: np.ndarray
    touching: np.ndarray
    owner: np.ndarray


def program_of(problem: Problem) -> tuple[Program, list[tuple[int, int]]]:
    """(program of the groups that have tables, first and last factor of every group); a group without tables
    has no factors here, but its messages keep their places."""
    ends, variable, states, place, table, logs, counting, spans = [], [], [], [], [], [], [], []
    edges = factors = at = entries = 0
    for group in problem.groups:
        n, arity = group.scopes.shape
        if group.structured is None:
            rows = np.arange(n)
            ends.append(edges + rows * arity)
            variable.append(group.scopes.ravel())
            states.append(np.tile(group.states, n))
            starts = np.array([c.start for c in group.columns])
            place.append((at + rows[:, None] * group.width + starts).ravel())
            size = int(np.prod(group.states))
            table.append(entries + (rows * size if len(group.logs) > 1 else np.zeros(n, np.int64)))
            logs.append(np.ascontiguousarray(group.logs, np.float64).ravel())
            counting.append(group.counting)
            spans.append((factors, factors + n))
            edges, factors, entries = edges + n * arity, factors + n, entries + logs[-1].size
        else:
            spans.append((factors, factors))
        at += n * group.width
    ends.append(np.array([edges]))
    variable_all = _joined(variable, np.int64)
    ends_all = _joined(ends, np.int64)
    order = np.argsort(variable_all, kind="stable")
    touch_ends = np.concatenate([[0], np.cumsum(np.bincount(variable_all, minlength=len(problem.where) - 1))])
    return Program(
        ends_all, variable_all, _joined(states, np.int64), _joined(place, np.int64),
        problem.where.astype(np.int64), _joined(table, np.int64), _joined(logs, np.float64),
        _joined(counting, np.float64), touch_ends.astype(np.int64), order,
        np.repeat(np.arange(factors), np.diff(ends_all)),
    ), spans  # fmt: skip


def _joined(parts, dtype) -> np.ndarray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)
