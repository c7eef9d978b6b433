"""``marginal_map``: the best assignment of some discrete variables, the others summed out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.elimination import RULES, check_size, fronts, greedy_order, interaction, tree_of_fronts
from msgpass.errors import DataError, GraphError, ImpossibleEvidenceError, TreewidthError, UnsupportedError
from msgpass.kernels.clique_marginal_map import MarginalMap
from msgpass.nodes import Sequence, Slice
from msgpass.plan import TableChain, Tree
from msgpass.run import resolve_values
from msgpass.sweeps.expanded import table_instances
from msgpass.sweeps.flattened import Flat, flat_of


class BestMarginal(NamedTuple):
    """What :func:`marginal_map` returns.

    Attributes
    ----------
    score : float
        log max over the asked variables of Σ over the others: log p(assignment, evidence).
    assignment : dict
        Best states by node; −1 at rows that were summed out.
    """

    score: float
    assignment: dict[str, np.ndarray]


def marginal_map(
    graph, over, values: dict | None = None, order: str = "min-fill", max_size: int = 1 << 26
) -> BestMarginal:
    """The assignment of some variables that is most probable given the evidence (marginal MAP).

    It is not made of each variable's own best states, nor is it part of the best assignment of all: the
    others are summed out, and before the maximum is taken. That constrains the order of elimination, so that
    the width may be far beyond the graph's own (Park & Darwiche 2004).

    Parameters
    ----------
    graph : FactorGraph
        Of discrete variables alone.
    over : sequence of variables, rows such as ``z[3]``, sequences or names
        What is maximised.
    values : dict, optional
        As for :func:`msgpass.run`.
    order : str
        Rule of elimination within each of the two groups; see :class:`msgpass.JunctionTree`.
    max_size : int
        Entries that a table may have.

    Raises
    ------
    TreewidthError
        The constrained order needs a larger table.

    Examples
    --------
    >>> from msgpass import FactorGraph, Table, marginal_map
    >>> g = FactorGraph()
    >>> a, b = g.variable("a", states=2), g.variable("b", states=3)
    >>> _ = g.factor(Table(np.log([[0.4, 0.05, 0.0001], [0.2, 0.2, 0.1499]])), a, b)
    >>> best = marginal_map(g, [a])
    >>> best.assignment["a"].item(), round(float(np.exp(best.score)), 4)
    (1, 0.5499)
    """
    if order not in RULES:
        raise DataError(f"marginal_map: order is one of {', '.join(RULES)}, got {order!r}")
    plan = graph.plan()
    wanted = _wanted(plan, over)
    arrays, clamp = resolve_values(plan, values)
    score, assignment = 0.0, {}
    for k, block in enumerate(plan.blocks):
        if not isinstance(block, TableChain | Tree) or block.gaussian:
            raise UnsupportedError(
                f"marginal_map runs on graphs of discrete variables alone; this one has {block!r}"
            )
        flat = flat_of(plan, k, block)
        asked = {name: rows for name, rows in wanted.items() if name in flat.first}
        maximised = np.zeros(len(flat), bool)
        for name, rows in asked.items():
            maximised[flat.first[name] + rows] = True
        made = _sweep(block, flat, maximised, arrays, clamp, order, max_size)
        score += float(made.totals.sum())
        if score == -np.inf:
            raise ImpossibleEvidenceError(
                f"the evidence on {', '.join(block.nodes[:4])} has probability zero: no assignment is best"
            )
        states = made.best()
        shape = graph.nodes[block.nodes[0]].shape
        for name in asked:
            own = states[:, flat.of(name)].T.reshape(flat.rows[name], *shape)
            assignment[name] = own if isinstance(graph.nodes[name], Sequence) else own[0]
    return BestMarginal(score, assignment)


def _wanted(plan, over) -> dict[str, np.ndarray]:
    """Rows by node."""
    found: dict[str, np.ndarray] = {}
    for entry in [over] if isinstance(over, str) else over:
        node = getattr(entry, "node", entry)
        name = getattr(node, "name", node)
        if name not in plan.owner or not plan.graph.nodes[name].discrete:
            raise GraphError(f"marginal_map: {name!r} is not a latent discrete variable of the graph")
        node = plan.graph.nodes[name]
        rows = node.clock.total if isinstance(node, Sequence) else 1
        own = np.arange(rows)
        if isinstance(entry, Slice) and entry.kind == "index":
            own = own[[entry.start]]
        found[name] = np.union1d(found.get(name, []), own).astype(np.int64)
    if not found:
        raise GraphError("marginal_map: name one variable or more to maximise over")
    return found


def _sweep(block, flat: Flat, maximised, values, clamp, order: str, max_size: int) -> MarginalMap:
    from msgpass.sweeps.junction_tree.inputs import logs_of
    from msgpass.sweeps.junction_tree.layout import named
    from msgpass.sweeps.junction_tree.run import label_logs

    sizes = flat.states.tolist()
    around = interaction(flat.scopes, len(sizes))
    try:
        found = greedy_order(around, sizes, order, None, max_size, np.flatnonzero(maximised).tolist())
        tree = tree_of_fronts(fronts(around, found), found, sizes)
        check_size(tree, max_size)
    except TreewidthError as problem:
        raise named(problem, flat, max_size, "marginal MAP, which sums out before it maximises,") from None
    node = block.families[0].factor.graph.nodes[block.nodes[0]]
    scopes = list(flat.scopes)
    tables = [logs_of(table_instances(f, values), node.shape) for f in block.families]
    batch = int(np.prod(node.shape, dtype=np.int64))
    for name in set(clamp) & set(flat.first):
        labels = np.asarray(clamp[name]).reshape(flat.rows[name], batch).T
        scopes.append(np.arange(flat.rows[name])[:, None] + flat.first[name])
        tables.append(label_logs(labels, int(flat.states[flat.first[name]])))
    return MarginalMap(tree, scopes, tables, maximised, batch)
