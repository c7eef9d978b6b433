"""One directed message between a factor instance and its neighbour, made when it is asked for.

A chain's messages are made from α, β and its tables, a tree's are kept by its run, and a step's are values
along its arrow and cotangents against it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import GraphError, UnavailableError, UnsupportedError
from msgpass.graph import Factor, FactorInstance
from msgpass.nodes import Parameter, Sequence, Slice, as_slice
from msgpass.plan import Losses, SwitchingChain, TableChain, Tree, noisy
from msgpass.sweeps.gaussian_chain import GaussianChainRun
from msgpass.sweeps.gaussian_messages import GaussianMessages
from msgpass.sweeps.local import vjp_one
from msgpass.sweeps.quadratic_instances import QuadraticInstances
from msgpass.sweeps.readings import full, gradient, needs_backward, on_chain
from msgpass.sweeps.real import Store, loss_messages
from msgpass.sweeps.rows import edges_of, per_instance, read, rows_of
from msgpass.sweeps.sparse_chain import SparseChainRun
from msgpass.sweeps.table_instances import TableInstances


def message(x, source, target):
    """One directed message; see :meth:`msgpass.Messages.message`."""
    x = full(x)
    if x.second is not None:
        raise x.second.without_tangents("a single message")
    if not x.schedule.backward:
        raise UnavailableError("ForwardOnly passes nothing backward; single messages need Sequential()")
    from_factor = isinstance(source, Factor | FactorInstance)
    if from_factor == isinstance(target, Factor | FactorInstance):
        raise GraphError(
            "a message runs between a factor instance and a variable instance: m.message(f[2], "
            "z[3]) or m.message(z[3], f[2])"
        )
    instance, variable = (source, target) if from_factor else (target, source)
    if isinstance(instance, Factor):
        if instance.n != 1:
            raise GraphError(
                f"factor {instance.name!r} has {instance.n} instances; say which: {instance.name}[t]"
            )
        instance = instance[0]
    if instance.factor.graph is not x.plan.graph:
        raise GraphError(f"factor {instance.factor.name!r} belongs to another graph")
    k, block, family = next(
        (k, b, f) for k, b in enumerate(x.plan.blocks) for f in b.families if f.name == instance.factor.name
    )
    if isinstance(block, SwitchingChain):
        raise UnsupportedError(
            "AssumedDensity keeps mixtures by row and no single messages; read m.forward, m.belief and "
            "m.mixture"
        )
    where = as_slice(variable)
    if where.node.graph is not x.plan.graph:
        raise GraphError(f"{where.name!r} belongs to another graph")
    if isinstance(where.node, Parameter):
        name = where.node.name
        return at_parameter(x, k, block, family, instance.t, name) if from_factor else x.values[name]
    name, row = where.node.name, _row(where)
    if isinstance(block, TableChain) and on_chain(x.runs[k]):
        return _chain_message(x.runs[k], family, instance.t, name, row, from_factor, x.clamp.get(name))
    if isinstance(block, TableChain | Tree):
        run = _by_message(x.runs[k])
        if hasattr(run, "read_message"):
            run.impossible()
            return run.read_message(block.families.index(family), instance, name, row, from_factor)
        if getattr(run, "o", None) is None:
            raise UnavailableError(
                f"{x.schedule!r} passes no messages between {instance.name} and {where.name}; read m.belief "
                "of either, or run a graph without loops under Sequential()"
            )
        return _tree_message(run, block.families.index(family), instance, name, row, from_factor)
    return _step_message(x, k, block, family, instance.t, name, row, from_factor)


def _by_message(run):
    """A Gaussian chain message by message."""
    return run.tree if isinstance(run, GaussianChainRun) else run


def _row(where: Slice) -> int:
    if where.kind == "single":
        return -1
    if where.kind != "index":
        raise GraphError(f"{where.name} names several rows; a message is at one: {where.node.name}[t]")
    rows = where.node.clock.total if isinstance(where.node, Sequence) else where.node.shape[0]
    # Rows of ragged sequences are counted end to end here, as in the stacked arrays.
    if not -rows <= where.start < rows:
        raise GraphError(f"{where.name}: there are {rows} rows")
    return where.start % rows


def _not_adjacent(instance_name: str, name: str, row: int):
    place = name if row < 0 else f"{name}[{row}]"
    return GraphError(f"{instance_name} and {place} are not neighbours; no message runs between them")


def _chain_message(run, family, j: int, name: str, row: int, from_factor: bool, labels=None):
    t, _layout, block = run.tables, run.layout, run.block
    if block.node.shape:
        raise UnsupportedError(
            "single messages of an aligned batch: read m.forward and m.backward, or run one member alone"
        )
    run.impossible()
    alpha, beta = run.log_alpha_beta
    arg = next(a for a in family.args if a.name == block.node.name)
    pair = next((flip for f, flip in block.pairs if f is family), None)
    if pair is None:
        made = next(m for m in t.unaries if m.family is family)
        if name != block.node.name or _instance_row(family, arg, j) != row:
            raise _not_adjacent(family.factor[j].name, name, row)
        own = made.table(j)
        if from_factor:
            return own
        # Everything but this factor: what arrives from the left, from the right and from the other local
        # factors.
        return _cross(run, row) + beta[row] + _local(run, row, labels, skip=(made, j))
    if len(block.pairs) > 1:
        raise UnsupportedError(
            f"several factors link neighbouring steps of {name!r}, so no single message of one of "
            "them exists; add their tables into one"
        )
    first = next(a for a in family.args if a.name == block.node.name and a.first == 0)
    earlier = _instance_row(family, first, j)
    if name != block.node.name or row not in (earlier, earlier + 1):
        raise _not_adjacent(family.factor[j].name, name, row)
    if row == earlier + 1:
        return _cross(run, row) if from_factor else beta[row] + _local(run, row, labels)
    return beta[row] if from_factor else alpha[row]


def _instance_row(family, arg, j: int) -> int:
    rows = rows_of(family, arg, slice(j, j + 1))
    return int(rows.start if isinstance(rows, slice) else rows[0])


def _local(run, row: int, labels=None, skip=None) -> np.ndarray:
    """Sum of the local tables at a row, but for one instance, and what its label leaves."""
    total = np.zeros(run.layout.states)
    if labels is not None and labels[row] >= 0:
        total[np.arange(run.layout.states) != labels[row]] = -np.inf
    for m in run.tables.unaries:
        arg = next(a for a in m.family.args if a.name == run.block.node.name)
        rows = rows_of(m.family, arg)
        rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        for j in np.flatnonzero(rows == row):
            own = skip is not None and m is skip[0] and j == skip[1]
            # The initial table arrives from the left (_cross), unless everything but one factor is wanted.
            from_left = skip is None and any(m is i for i in run.tables.initial)
            if not own and not from_left:
                total = total + m.table(int(j))
    return total


def _cross(run, row: int) -> np.ndarray:
    """What arrives at a row from the step before it."""
    if isinstance(run, SparseChainRun):
        return run.cross(row)
    offsets = run.layout.offsets
    if row in offsets[:-1]:
        return np.zeros(run.layout.states)
    n = int(np.searchsorted(offsets, row, side="right")) - 1
    table = run.tables.log_transition
    table = table if table.ndim == 2 else table[row - 1 - n]
    joint = run.log_alpha_beta[0][row - 1][:, None] + table
    top = joint.max(axis=0)
    if run.maximise:
        return top
    safe = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(joint - safe).sum(axis=0)) + safe


def _tree_message(run, place: int, instance: FactorInstance, name: str, row: int, from_factor: bool):
    v = run.o.index.get((name, row))
    i, _ = _part(run, place, instance.t)
    inst = run.o.instances[i]
    if len(inst.parts) > 1:
        raise UnsupportedError(
            f"{len(inst.parts)} factors join the same variables as {instance.name}: no single "
            "message of one of them exists; add their tables into one"
        )
    if v is None or v not in (*inst.ins, inst.out):
        raise _not_adjacent(instance.name, name, row)
    run.impossible()
    found = (
        (run.sent[i] if from_factor else run.at_out[i])
        if v == inst.out
        else (run.backward[v] if from_factor else run.forward[v])
    )
    return GaussianMessages((found,), run.node(v).shape) if run.block.gaussian else found


def _part(run, place: int, j: int):
    """(number of the oriented instance, part) of a factor instance."""
    return next(
        (i, part)
        for i, inst in enumerate(run.o.instances)
        for part in inst.parts
        if part.family == place and part.j == j
    )


def at_parameter(x, k, block, family, j, name, position=None):
    """What one instance says to a parameter; ``position`` picks one of several inputs that read it."""
    if noisy(family):
        raise UnsupportedError(
            f"what a single instance of the noisy step {family.name!r} says to {name!r} is not kept: it "
            f"moves the places of linearisation, too; m.parameters[{name!r}] holds what all of them say"
        )
    if isinstance(block, TableChain | Tree):
        if name not in {p.name for p in family.potential.parameters.values()}:
            raise _not_adjacent(family.factor[j].name, name, -1)
        return _table_at_parameter(x, k, block, family, j, name)
    if position is None:
        position = next((p for p, a in enumerate(family.args) if _reads_parameter(family, a, j, name)), None)
    if position is None:
        raise _not_adjacent(family.factor[j].name, name, -1)
    return _cotangents(x, k, block, family, j)[position]


def _reads_parameter(family, arg, j: int, name: str) -> bool:
    """Instance j reads it as it is, or as the start of a sequence."""
    if arg.edge is not None and arg.edge.name == name:
        return arg.edge.slice.kind == "single" and j in edges_of(family, arg)[0]
    return arg.name == name


def _table_at_parameter(x, k, block, family, j, name):
    total = np.zeros_like(x.values[name])
    for made_run, sign in x.shares(k):
        run = _by_message(made_run)
        run.impossible()
        if isinstance(run, SparseChainRun):
            total += sign * run.instance_counts(family, j)
            continue
        if on_chain(run):
            made: Any = next(m for m in run.tables.every if m.family is family)
            weights = np.exp(run.read_factor(family)[j : j + 1])
            weights = weights.reshape(1, *_latent_shape(made))
        elif getattr(run, "o", None) is None:
            raise UnavailableError(
                f"{x.schedule!r} keeps no message of one instance of {family.name!r} to {name!r}; "
                f"m.parameters[{name!r}] holds what all of them say"
            )
        else:
            i, part = _part(run, block.families.index(family), j)
            made = run.families[block.families.index(family)]
            if isinstance(made, QuadraticInstances):
                store = Store({**x.values, name: total})
                run.add_gaussian(i, part, store, {r: p.name for r, p in family.potential.parameters.items()})
                total = total + sign * store[name]
                continue
            weights = run.as_factor(run.o.instances[i], part, run.counts(i))[None]
        made.add_counts(sign * weights, total, slice(j, j + 1))
    return total


def _latent_shape(made: TableInstances) -> tuple[int, ...]:
    return (*made.batch, *(s for p, s in enumerate(made.states) if p not in made.observed))


def _step_message(x, k, block, family, j, name, row, from_factor):
    for position, arg in enumerate(family.args):
        if _touches(family, arg, j, name, row):
            return _cotangents(x, k, block, family, j)[position] if from_factor else _value(x, name, row)
    for out in family.outs:
        if _touches(family, out, j, name, row):
            return (
                _value(x, name, row)
                if from_factor
                else (gradient(x, name) if row < 0 else gradient(x, name)[row])
            )
    raise _not_adjacent(family.factor[j].name, name, row)


def _value(x, name, row):
    return x.values[name] if row < 0 else x.values[name][row]


def _touches(family, arg, j: int, name: str, row: int) -> bool:
    if arg.edge is not None and arg.edge.name == name:
        return j in edges_of(family, arg)[0]
    if arg.name != name:
        return False
    if arg.rows is None:
        return row < 0
    if arg.edge is not None and j in edges_of(family, arg)[0]:
        return False
    rows = rows_of(family, arg, slice(None))
    rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else np.asarray(rows)
    return bool(rows[j if len(rows) > 1 else 0] == row)


def _cotangents(x, k, block, family, j: int) -> list:
    """Messages of one instance at its inputs."""
    needs_backward(x, family.name)
    stacked = [per_instance(family, a) for a in family.args]
    if isinstance(block, Losses):
        return _through_rules(x, family, j, loss_messages(block, x.values, j))
    chosen = slice(j, j + 1)
    inputs = [read(family, a, x.values, chosen) for a in family.args]
    cotangents = [
        gradient(x, o.name)[None] if o.rows is None else gradient(x, o.name)[rows_of(family, o, chosen)]
        for o in family.outs
    ]
    own = [v[0] if s else v for v, s in zip(inputs, stacked, strict=True)]
    if not family.potential.vectorized or not any(stacked):
        found = vjp_one(family, own, [c[0] for c in cotangents])
    else:
        found = vjp_one(family, inputs, cotangents)
        found = [None if g is None else g[0] if s else g for g, s in zip(found, stacked, strict=True)]
    found = [np.zeros_like(v) if g is None else g for g, v in zip(found, own, strict=True)]
    return _through_rules(x, family, j, found)


def _through_rules(x, family, j: int, found: list) -> list:
    """Messages of one instance as its edges' rules pass them on."""
    return found if x.rules is None else x.rules.of_instance(family, j, found, x.values)
