"""A run drawn on its graph: beliefs as bars at variables, what factors say as the width of their lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import UnavailableError, UnsupportedError
from msgpass.interop.views import view_of
from msgpass.plot_view import draw_view

MOST = 200
"""Rows and factor instances that are drawn."""


def plot_run(m, ax=None):
    """Draw the unrolled graph of a run over tables.

    Parameters
    ----------
    m : Messages
    ax : matplotlib axes, optional

    Returns
    -------
    matplotlib axes
        A variable's bar holds the probabilities of its states, first state left and light. A line is as wide
        and blue as the message from the factor to the variable is informative: log K − entropy, in bits;
        where cliques have been passed on and no such message exists (``JunctionTree``), the mutual
        information of the variable and the factor's others.
    """
    instances = sum(f.n for f in m.graph.factors.values())
    if instances > MOST:
        raise UnsupportedError(
            f"a run is drawn with up to {MOST} factor instances, and the graph has {instances}; see m.plot() "
            "for messages over time"
        )
    view = view_of(m.graph, "unrolled")
    beliefs, weights, mutual = {}, {}, False
    for key, part in view.parts.items():
        node = m.graph.nodes.get(part.name)
        if part.kind == "variable" and node is not None and node.discrete and part.name in m.belief:
            table = m.belief[part.name]
            beliefs[key] = np.exp(table if part.row is None else table[part.row])
    for a, b, _, _ in view.edges:
        factor, node = (b, a) if view.parts[b].kind == "factor" else (a, b)
        if node in beliefs and np.ndim(beliefs[node]) == 1:
            found, direct = _information(m, view.parts[factor], view.parts[node])
            if found is not None:
                weights[factor, node] = found
                mutual |= not direct
    beliefs = {k: p for k, p in beliefs.items() if p.ndim == 1}
    largest = max(weights.values(), default=0.0)
    what = "mutual information of variable and factor" if mutual else "information in the factor's message"
    title = f"Lines: {what}, up to {largest:.2g} bits" if weights else ""
    return draw_view(m.graph, view, ax, beliefs, weights, title)


def _information(m, factor, node) -> tuple[float | None, bool]:
    """Bits on one line, and whether they are a message's."""
    own, variable = m.graph.factors[factor.name], m.graph.nodes[node.name]
    try:
        table = m.message(own[factor.row], variable if node.row is None else variable[node.row])
        return _bits(np.asarray(table, float)), True
    except (UnavailableError, UnsupportedError):
        pass
    try:
        joint = np.exp(np.asarray(m.belief[factor.name], float))
    except (UnavailableError, UnsupportedError, TypeError):
        return None, False
    free = [s for s in own.args if not hasattr(s.node, "value")]
    joint = joint[factor.row] if joint.ndim > len(free) else joint
    axis = next(
        (
            k
            for k, s in enumerate(free)
            if s.node is variable and (node.row is None or _row(own, s, factor.row) == node.row)
        ),
        None,
    )
    if axis is None or joint.ndim != len(free):
        return None, False
    rest = joint.sum(axis=axis)
    return _entropy(joint.sum(axis=tuple(k for k in range(joint.ndim) if k != axis))) + _entropy(rest) - (
        _entropy(joint)
    ), False


def _row(factor, s, j: int) -> Any:
    from msgpass.plan import resolve
    from msgpass.sweeps.rows import instance_numbers

    arg = next(a for a in resolve(factor).args if a.slice is s)
    numbers = instance_numbers(resolve(factor), arg)
    return int(numbers[j if len(numbers) > 1 else 0])


def _bits(log_table: np.ndarray) -> float:
    """log₂ K − entropy of a message."""
    p = np.exp(log_table - log_table.max())
    return float(np.log2(len(p)) - _entropy(p / p.sum()))


def _entropy(p: np.ndarray) -> float:
    kept = p[p > 0]
    return float(-(kept * np.log2(kept)).sum())
