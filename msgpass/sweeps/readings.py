"""Reading a finished run: forward and backward messages, beliefs, gradients, assignments, and any single
message.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass.algebra import MaxProduct
from msgpass.algebra.gaussian import to_information, to_moments
from msgpass.algebra.tangent import Dual
from msgpass.errors import GraphError, UnavailableError, UnsupportedError
from msgpass.graph import Factor, FactorInstance
from msgpass.nodes import Parameter, Sequence, Slice, Variable, as_slice
from msgpass.plan import Losses, Map, Recurrence, TableChain, Tree
from msgpass.sweeps.instances import QuadraticInstances, TableInstances
from msgpass.sweeps.local import vjp_one
from msgpass.sweeps.real import Store, loss_messages
from msgpass.sweeps.rows import per_instance, read, rows_of
from msgpass.sweeps.table_chain import ChainRun
from msgpass.sweeps.windowed import WindowedChain


class GaussianMessages(NamedTuple):
    """Stacked Gaussian messages exp(h·x − ½ xᵀΛx); ``mean`` and ``cov`` where they exist."""

    items: tuple
    shape: tuple[int, ...]

    def _stack(self, pick, matrix: bool) -> np.ndarray:
        arrays = [pick(m) for m in self.items]
        if not self.shape:
            arrays = [a[0, 0] if matrix else a[0] for a in arrays]
        return np.stack(arrays)

    @property
    def h(self) -> np.ndarray:
        """Information vectors."""
        return self._stack(lambda m: to_information(m).h, False)

    @property
    def precision(self) -> np.ndarray:
        """Precision matrices."""
        return self._stack(lambda m: to_information(m).precision, True)

    @property
    def mean(self) -> np.ndarray:
        """Means."""
        return self._stack(lambda m: to_moments(m).mean, False)

    @property
    def cov(self) -> np.ndarray:
        """Covariances."""
        return self._stack(lambda m: to_moments(m).cov, True)


class GaussianBelief(NamedTuple):
    """Posterior mean and covariance, first axis time for a sequence."""

    mean: np.ndarray
    cov: np.ndarray


def owner(x, name: str) -> tuple[int, Any]:
    """Number and block of a latent node."""
    block = x.plan.owner[name]
    return x.plan.blocks.index(block), block


def on_chain(run) -> bool:
    """The component was run by the chain's own sweeps (otherwise as a tree)."""
    return isinstance(run, ChainRun | WindowedChain)


def full(x):
    """This run, or the same run with every message kept."""
    return x if x.schedule.slots is None else x.everything


def forward(x, name: str):
    """Forward messages of a sequence."""
    if x.schedule.slots is not None:
        raise UnavailableError(
            f"{x.schedule!r} has dropped the forward messages of {name!r}; run with Sequential() to keep them"
        )
    k, block = owner(x, name)
    if isinstance(block, Map | Recurrence):
        return x.values[name] if x.tangents is None else Dual(x.values[name], x.tangents[name])
    if on_chain(x.runs[k]):
        return x.runs[k].stacked(x.runs[k].log_alpha_beta[0])
    return _stack(x, name, k, lambda run, v: run.forward[v])


def backward(x, name: str):
    """Backward messages of a sequence."""
    k, block = owner(x, name)
    x = full(x)
    if isinstance(block, Map | Recurrence):
        _needs_backward(x, f"the cotangents of {name!r}")
        return sum(later.complete(name) for _, later in x.stores.values())
    if on_chain(x.runs[k]):
        return x.runs[k].stacked(x.runs[k].log_alpha_beta[1])
    _needs_schedule(x, name)
    return _stack(x, name, k, lambda run, v: run.backward[v])


def _needs_schedule(x, name) -> None:
    if not x.schedule.backward:
        raise UnavailableError(f"ForwardOnly passes nothing backward to {name!r}; run with Sequential()")


def _needs_backward(x, what) -> None:
    _needs_schedule(x, what)
    if x.impossible is not None:
        raise x.impossible
    if x.tangents is not None:
        raise UnsupportedError(
            f"Tangent runs forward only, so there is no backward message for {what}; use Adjoint()"
        )


def _stack(x, name, k, pick):
    run, node = x.runs[k], x.plan.graph.nodes[name]
    ids = [
        run.o.index[(name, row)] for row in (range(node.clock.total) if isinstance(node, Sequence) else (-1,))
    ]
    found = [pick(run, v) for v in ids]
    if run.block.gaussian:
        return GaussianMessages(tuple(found), node.shape)
    return np.stack(found) if isinstance(node, Sequence) else found[0]


def discrete_names(x) -> list[str]:
    """Latent discrete variables."""
    return [n for n in x.plan.owner if x.plan.graph.nodes[n].discrete]


def believed(x) -> list[str]:
    """Names that have a belief: variables of components, and their factors."""
    blocks = [b for b in x.plan.blocks if isinstance(b, TableChain | Tree)]
    return [n for b in blocks for n in b.nodes] + [f.name for b in blocks for f in b.families]


def believe(x, name: str):
    """Belief of a variable or of a factor."""
    x = full(x)
    graph = x.plan.graph
    _needs_schedule(x, f"a belief of {name!r}; m.forward[{name!r}] holds the filter")
    if name in graph.factors:
        return _factor_belief(x, name)
    k, block = owner(x, name)
    run = x.runs[k]
    if on_chain(run):
        return run.log_belief()
    run.impossible()
    if block.gaussian:
        messages = _stack(x, name, k, lambda r, v: to_moments(r.belief(v)))
        mean, cov = messages.mean, messages.cov
        return (
            GaussianBelief(mean, cov)
            if isinstance(graph.nodes[name], Sequence)
            else GaussianBelief(mean[0], cov[0])
        )
    return _stack(x, name, k, lambda r, v: r.algebra.normalise(r.belief(v)))


def _factor_belief(x, name: str):
    k, block = next((k, b) for k, b in enumerate(x.plan.blocks) if any(f.name == name for f in b.families))
    family = next(f for f in block.families if f.name == name)
    if on_chain(x.runs[k]):
        found = _chain_joint(x.runs[k], family)
        return found if family.factor.stepped or family.factor.n > 1 else found[0]
    run = x.runs[k]
    run.impossible()
    place = block.families.index(family)
    parts = sorted(
        (part.j, i, part)
        for i, inst in enumerate(run.o.instances)
        for part in inst.parts
        if part.family == place
    )
    joints = [run.as_factor(run.o.instances[i], part, run.joint(i)) for _, i, part in parts]
    if block.gaussian:
        belief = GaussianBelief(np.stack([j.mean for j in joints]), np.stack([j.cov for j in joints]))
        return belief if family.counts is not None else GaussianBelief(belief.mean[0], belief.cov[0])
    return np.stack(joints) if family.factor.stepped or family.factor.n > 1 else joints[0]


def _chain_joint(run, family) -> np.ndarray:
    """Normalised log belief of every instance of a chain's factor."""
    for pair, flipped in run.block.pairs:
        if pair is family:
            joint = run.pair_belief()
            return np.swapaxes(joint, -1, -2) if flipped else joint
    arg = next(a for a in family.args if a.name == run.block.node.name)
    return run.log_belief()[rows_of(family, arg)]


def no_belief(x, name: str) -> str | None:
    """Why a name has no belief."""
    if name in x.plan.owner or name in x.plan.graph.factors:
        return (
            f"{name!r} is deterministic: it has a value (m.forward[{name!r}]) and a cotangent "
            f"(m.gradient[{name!r}]), but no belief; beliefs are of variables in Tables and Quadratics"
        )
    return None


def real_names(x) -> list[str]:
    """Names that have a gradient."""
    nodes = x.plan.graph.nodes
    given = [n for n, v in x.values.items() if n not in x.plan.owner and v.dtype.kind == "f"]
    steps = [n for b in x.plan.blocks if isinstance(b, Map | Recurrence) for n in b.nodes]
    return [n for n in nodes if n in given or n in steps]


def gradient(x, name: str) -> np.ndarray:
    """∂total/∂ a real variable, parameter or observation."""
    if x.schedule.slots is not None and not isinstance(x.plan.graph.nodes[name], Parameter):
        x = full(x)
    if not x.plan.real:
        _needs_schedule(x, name)
        return x.component_store[name]
    _needs_backward(x, f"∂total/∂{name}")
    return sum(store.complete(name) for store, _ in x.stores.values())


def no_gradient(x, name: str) -> str | None:
    """Why a name has no gradient."""
    node = x.plan.graph.nodes.get(name)
    if node is not None and node.discrete:
        return (
            f"{name!r} is discrete, so total has no gradient with respect to it; exp(m.belief[{name!r}]) is "
            "∂log Z/∂(its log evidence)"
        )
    if node is not None:
        return f"{name!r} is Gaussian, so it is integrated out; m.belief[{name!r}] has its mean and cov"
    return None


def parameter(x, name: str) -> np.ndarray:
    """What arrives at a parameter."""
    return gradient(x, name)


def assignment(x, name: str) -> np.ndarray:
    """Best states of a discrete variable."""
    k, _ = owner(x, name)
    x = full(x)
    if not isinstance(x.algebras[k], MaxProduct):
        raise UnsupportedError(
            f"{x.algebras[k].name} has beliefs but no best assignment of {name!r}; run with MaxProduct()"
        )
    run = x.runs[k]
    run.impossible()
    if on_chain(run):
        return run.stacked(run.path)
    if "assigned" not in run.__dict__:
        run.assigned = run.assign()
    node = x.plan.graph.nodes[name]
    if isinstance(node, Sequence):
        return np.stack([run.assigned[run.o.index[(name, r)]] for r in range(node.clock.total)])
    return run.assigned[run.o.index[(name, -1)]]


# -- single messages -------------------------------------------------------------------------------------


def message(x, source, target):
    """One directed message; see :meth:`msgpass.Messages.message`."""
    x = full(x)
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
    where = as_slice(variable)
    if where.node.graph is not x.plan.graph:
        raise GraphError(f"{where.name!r} belongs to another graph")
    if isinstance(where.node, Parameter):
        return _at_parameter(x, k, block, family, instance.t, where.node.name, from_factor)
    name, row = where.node.name, _row(where)
    if isinstance(block, TableChain) and on_chain(x.runs[k]):
        return _chain_message(x.runs[k], family, instance.t, name, row, from_factor, x.clamp.get(name))
    if isinstance(block, TableChain | Tree):
        return _tree_message(x.runs[k], block.families.index(family), instance, name, row, from_factor)
    return _step_message(x, k, block, family, instance.t, name, row, from_factor)


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
    first = next(a for a in family.args if a.first == 0)
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


def _at_parameter(x, k, block, family, j, name, from_factor):
    if not from_factor:
        return x.values[name]
    if isinstance(block, TableChain | Tree):
        if name not in {p.name for p in family.potential.parameters.values()}:
            raise _not_adjacent(family.factor[j].name, name, -1)
        return _table_at_parameter(x, k, block, family, j, name)
    position = next((p for p, a in enumerate(family.args) if a.name == name), None)
    if position is None:
        raise _not_adjacent(family.factor[j].name, name, -1)
    return _cotangents(x, k, block, family, j)[position]


def _table_at_parameter(x, k, block, family, j, name):
    total = np.zeros_like(x.values[name])
    for run, sign in x.shares(k):
        run.impossible()
        if on_chain(run):
            made: Any = next(m for m in run.tables.every if m.family is family)
            weights = np.exp(_chain_joint(run, family)[j : j + 1])
            weights = weights.reshape(1, *_latent_shape(made))
        else:
            i, part = _part(run, block.families.index(family), j)
            made = run.families[block.families.index(family)]
            if isinstance(made, QuadraticInstances):
                store = Store({**x.values, name: total})
                joint = run.as_factor(run.o.instances[i], part, run.joint(i))
                roles = {r: p.name for r, p in family.potential.parameters.items()}
                made.add_statistics(j, joint.mean, joint.cov, store, roles)
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
        from msgpass.sweeps.rows import edges_of

        return j in edges_of(family, arg)[0]
    if arg.name != name:
        return False
    if arg.rows is None:
        return row < 0
    if arg.edge is not None:
        from msgpass.sweeps.rows import edges_of

        if j in edges_of(family, arg)[0]:
            return False
    rows = rows_of(family, arg, slice(None))
    rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else np.asarray(rows)
    return bool(rows[j if len(rows) > 1 else 0] == row)


def _cotangents(x, k, block, family, j: int) -> list:
    """Messages of one instance at its inputs."""
    _needs_backward(x, family.name)
    stacked = [per_instance(family, a) for a in family.args]
    if isinstance(block, Losses):
        return loss_messages(block, x.values, j)
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
    return [np.zeros_like(v) if g is None else g for g, v in zip(found, own, strict=True)]


__all__ = ["GaussianBelief", "GaussianMessages", "Variable", "forward", "message"]
