"""Messages as one tidy pandas frame, a row for every number."""

from __future__ import annotations

import numpy as np

from msgpass.messages import Messages
from msgpass.nodes import Sequence

COLUMNS = ["name", "kind", "step", "index", "value"]


def messages_frame(m: Messages):
    """All messages, beliefs, gradients and parameter messages of a run.

    Parameters
    ----------
    m : Messages

    Returns
    -------
    pandas.DataFrame
        Columns ``name``; ``kind`` (forward, backward, belief, gradient, parameter; with Gaussian messages
        also the part, such as "belief mean"); ``step``, missing where there is no time; ``index``, the state
        or the place within the step's array ("1", "0,2"; "" of a single number); ``value``.

    Raises
    ------
    MissingDependencyError
        Without pandas.

    Examples
    --------
    >>> from msgpass import FactorGraph, Table, run
    >>> g = FactorGraph()
    >>> z = g.sequence("z", length=3, states=2)
    >>> _ = g.factor(Table([[0.0, -1.0], [-1.0, 0.0]]), z[:-1], z[1:])
    >>> frame = run(g).to_frame()
    >>> frame.kind.unique().tolist(), len(frame)
    (['forward', 'backward', 'belief'], 18)
    """
    from msgpass.optional import pandas

    rows: list[tuple] = []
    for name, kind, value, stepped in _quantities(m):
        array = np.asarray(value, float)
        if not stepped:
            array = array[None]
        labels = [",".join(map(str, place)) for place in np.ndindex(array.shape[1:])]
        for step, values in enumerate(array.reshape(len(array), -1).tolist()):
            rows += [
                (name, kind, step if stepped else None, *pair) for pair in zip(labels, values, strict=True)
            ]
    return pandas().DataFrame(rows, columns=COLUMNS).astype({"step": "Int64", "value": float})


def _quantities(m: Messages):
    """(name, kind, array, whether its first axis is time) of everything that a run can tell."""
    nodes = m.graph.nodes
    for name, node in nodes.items():
        sequence = isinstance(node, Sequence)
        if sequence and m.schedule.slots is None:
            yield from _parts(name, "forward", m.forward[name], True)
        if sequence and m.has_backward:
            yield from _parts(name, "backward", m.backward[name], True)
        if not m.has_backward:
            continue
        if name in m.belief:
            yield from _parts(name, "belief", m.belief[name], sequence)
        if name in m.parameters:
            yield from _parts(name, "parameter", m.parameters[name], False)
        elif name in m.gradient:
            array = m.gradient[name]
            stepped = np.ndim(getattr(array, "value", array)) > 0 and not _single(node)
            yield from _parts(name, "gradient", array, stepped)


def _single(node) -> bool:
    return not isinstance(node, Sequence) and not hasattr(node, "value")


def _parts(name: str, kind: str, value, stepped: bool):
    for fields in (("h", "precision"), ("mean", "cov"), ("value", "tangent")):
        if hasattr(value, fields[0]) and hasattr(value, fields[1]):
            for field in fields:
                yield from _parts(name, f"{kind} {field}", getattr(value, field), stepped)
            return
    yield name, kind, value, stepped
