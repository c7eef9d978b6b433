"""``parity_checks``: the checks of a code as factors, one family for each degree."""

from __future__ import annotations

import numpy as np

from msgpass.codes.linear_code import LinearCode, as_bits
from msgpass.errors import GraphError
from msgpass.nodes import Observation, Sequence
from msgpass.potentials.structured import Parity


def parity_checks(graph, x: Sequence, checks, target=None, name: str = "check") -> list:
    """Add a :class:`~msgpass.Parity` factor over ``x`` for each row of a parity-check matrix.

    Parameters
    ----------
    graph : FactorGraph
    x : sequence of two states, as long as a word
    checks : LinearCode, or what makes one
    target : 0/1 array (m,) or observation of the graph, optional
        The parity of each check (a syndrome); even where it is not given.
    name : str
        Factors are called ``"check 3"``, … after their degree.

    Returns
    -------
    list of factors, one for each degree

    Examples
    --------
    >>> from msgpass import FactorGraph, JunctionTree, Table, run
    >>> g = FactorGraph()
    >>> x = g.sequence("x", length=3, states=2)
    >>> _ = g.factor(Table(np.log([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])), x[:])
    >>> [f.name for f in parity_checks(g, x, [[1, 1, 0], [1, 1, 1]])]
    ['check 2', 'check 3']
    >>> np.exp(run(g, schedule=JunctionTree()).belief["x"][:, 1]).round(3).tolist()
    [0.027, 0.027, 0.0]
    """
    code = checks if isinstance(checks, LinearCode) else LinearCode(checks)
    if not isinstance(x, Sequence) or x.clock.total != code.n:
        found = x.clock.total if isinstance(x, Sequence) else type(x).__name__
        raise GraphError(f"parity_checks: words of this code have {code.n} bits, but x has {found}")
    seen = target if isinstance(target, Observation) else None
    bits = None if target is None or seen is not None else as_bits("a target", target, code.m)
    degrees, added = np.fromiter(map(len, code.checks), int), []
    for degree in sorted(set(degrees.tolist())):
        rows = np.flatnonzero(np.equal(degrees, degree))
        places = np.stack([code.checks[k] for k in rows.tolist()])
        columns = [x[places[:, k]] for k in range(degree)]
        potential = Parity() if bits is None else Parity(bits[rows])
        if seen is not None:
            columns.append(seen[rows])
        added.append(graph.factor(potential, *columns, name=f"{name} {degree}"))
    return added
