"""Graphs in the UAI competition's format, ``.uai``.

Evidence is in :mod:`~msgpass.interop.uai_evidence`, results are in :mod:`~msgpass.interop.uai_results`.

    MARKOV                       or BAYES
    3                            variables, called x0, x1, x2 here
    2 2 3                        their states
    2                            factors
    2 0 1                        variables of each
    2 1 2
    4   1.0 0.5 0.5 1.0          values of each, the last variable fastest
    6   …

(http://www.hlt.utdallas.edu/~vgogate/uai14-competition/modelformat.html). Zeros become −∞.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from msgpass.errors import DataError, UnsupportedError
from msgpass.interop.directed import TOLERANCE, as_directed, log
from msgpass.interop.numbers_file import NumbersFile
from msgpass.interop.tables import written_out

MOST_STATES = 2**24
"""Of a variable; more are a slip, and one array of them would fill the memory."""


def read_uai(path, layout: str = "variables"):
    """Read a ``.uai`` file.

    Parameters
    ----------
    path : path
    layout : "variables" or "sequence"
        Variables x0, x1, … with one factor each; or, where all have the same number of states, one sequence
        ``x`` and one factor over picked rows for each number of variables, which is quick with 10⁶ factors.

    Returns
    -------
    FactorGraph
        The child of a BAYES file's tables is the last of a factor's variables.

    Raises
    ------
    DataError
        Names the line of what is wrong.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from msgpass import run
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "pair.uai"
    >>> _ = path.write_text("MARKOV 2  2 2  1  2 0 1  4  1 2 3 4")
    >>> round(float(np.exp(run(read_uai(path)).total)), 9)
    10.0
    """
    if layout not in ("variables", "sequence"):
        raise DataError(f'layout must be "variables" or "sequence", got {layout!r}')
    file = NumbersFile(path, heads=("MARKOV", "BAYES"))
    n = file.whole("the number of variables")
    states = file.wholes(n, "the states of a variable", 1, MOST_STATES)
    scopes = _scopes(file, n)
    tables = _tables(file, states, scopes)
    file.finish("the last table")
    return _flat(states, scopes, tables) if layout == "variables" else _picked(path, states, scopes, tables)


def _scopes(file: NumbersFile, n: int) -> list[np.ndarray]:
    found = []
    for k in range(file.whole("the number of factors")):
        size = file.whole(f"how many variables factor {k} has", 0, n)
        scope = file.wholes(size, f"a variable of factor {k}", 0, n - 1)
        if len(set(scope.tolist())) < size:
            raise file.error(f"factor {k} names a variable twice: {' '.join(map(str, scope))}")
        found.append(scope)
    return found


def _tables(file: NumbersFile, states: np.ndarray, scopes: list[np.ndarray]) -> list[np.ndarray]:
    found = []
    for k, scope in enumerate(scopes):
        shape = tuple(states[scope].tolist())
        size = math.prod(shape)
        given = file.whole(f"the number of values of factor {k}")
        if given != size:
            raise file.error(
                f"factor {k} has {given} values, wanted {size}: its variables "
                f"{_short(scope, ' ')} have {_short(shape, ' × ')} states"
            )
        start = file.at
        table = file.reals(size, f"{size} values of factor {k}")
        if (table < 0).any():
            wrong = int(np.argmax(table < 0))
            raise file.error(f"factor {k} has the negative value {table[wrong]:g}", start + wrong + 1)
        if file.head == "BAYES" and size:
            sums = table.reshape(-1, shape[-1] if shape else 1).sum(axis=1)
            if np.abs(sums - 1).max() > TOLERANCE:
                row = int(np.argmax(np.abs(sums - 1)))
                raise file.error(
                    f"factor {k}: a row of the table of variable {scope[-1] if size > 1 else k} sums to "
                    f"{sums[row]:.6g}, wanted 1 (BAYES: the last variable of a factor is the child)",
                    start + row * (shape[-1] if shape else 1) + 1,
                )
        found.append(table.reshape(shape))
    return found


def _short(numbers, between: str) -> str:
    """Numbers in a row, of many the first ones."""
    shown = between.join(map(str, numbers[:8]))
    return shown if len(numbers) <= 8 else f"{shown}{between}…"


def _flat(states, scopes, tables):
    from msgpass.graph import FactorGraph
    from msgpass.potentials import Table

    graph = FactorGraph()
    x = [graph.variable(f"x{i}", int(k)) for i, k in enumerate(states)]
    for k, (scope, table) in enumerate(zip(scopes, tables, strict=True)):
        if len(scope):
            graph.factor(Table(log(table)), *(x[i] for i in scope), name=f"f{k}")
        elif len(x):  # a factor of no variables multiplies the whole
            graph.factor(Table(np.full(int(states[0]), float(log(table)))), x[0], name=f"f{k}")
    _unbound(graph, x, {int(i) for scope in scopes for i in scope})
    return graph


def _picked(path, states, scopes, tables):
    from msgpass.graph import FactorGraph
    from msgpass.potentials import Table

    if len(set(states.tolist())) != 1:
        raise UnsupportedError(
            f"{path}: variables have {min(states, default=0)} to {max(states, default=0)} states; one "
            'sequence needs one number of states, so read it with layout="variables"'
        )
    graph, n, size = FactorGraph(), len(states), int(states[0])
    x = graph.sequence("x", length=n, states=size)
    arity = np.array([len(scope) for scope in scopes], np.int64)
    for a in np.unique(arity):
        chosen = np.nonzero(arity == a)[0]
        log_values = log(np.stack([tables[k] for k in chosen]))
        if a:
            rows = np.stack([scopes[k] for k in chosen])
            if len(rows) == 1:
                log_values = log_values[0]
            graph.factor(Table(log_values), *(x[rows[:, j]] for j in range(a)), name=f"factors of {a}")
        else:
            graph.factor(Table(np.full(size, log_values.sum())), x[0], name="factors of 0")
    loose = np.setdiff1d(np.arange(n), np.concatenate([s for s in scopes if len(s)] or [np.zeros(0, int)]))
    if len(loose):
        graph.factor(Table(np.zeros(size)), x[loose], name="loose")
    return graph


def _unbound(graph, x, bound: set[int]) -> None:
    """A variable in no factor still has states, which count in Z."""
    from msgpass.potentials import Table

    for i, variable in enumerate(x):
        if i not in bound:
            graph.factor(Table(np.zeros(variable.states)), variable, name=f"loose {variable.name}")


def write_uai(graph, path, kind: str = "MARKOV", values: dict | None = None) -> list[str]:
    """Write a graph of tables as a ``.uai`` file.

    Parameters
    ----------
    graph : FactorGraph
        Discrete; rows of sequences and observations are variables of their own.
    path : path
    kind : "MARKOV" or "BAYES"
        BAYES where every variable is the last one of one table whose rows sum to one.
    values : dict, optional
        Parameters of this file, as in ``run(graph, values=…)``.

    Returns
    -------
    list of str
        Names of variables 0, 1, …: the file has none. What is observed goes into a file of its own; see
        :func:`~msgpass.interop.uai_evidence.write_evid`.
    """
    if kind not in ("MARKOV", "BAYES"):
        raise DataError(f'kind must be "MARKOV" or "BAYES", got {kind!r}')
    found = written_out(graph, values, "a .uai file")
    if kind == "BAYES":
        found = as_directed(found, "BAYES")
    numbers = found.numbers
    lines = [kind, str(len(numbers)), " ".join(map(str, found.states.values())), str(len(found.factors))]
    lines += [" ".join(map(str, (len(f.scope), *(numbers[v] for v in f.scope)))) for f in found.factors]
    for f in found.factors:
        table = np.exp(f.log_values)
        rows = table.reshape(-1, table.shape[-1] if table.ndim else 1)
        lines += ["", str(table.size), *(" " + " ".join(map(repr, row)) for row in rows.tolist())]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return list(numbers)
