"""The joint belief of any variables of a discrete component, however far apart; of Gaussian ones, mean and
covariance.

By the chain rule, log p(a, b, c | y) = log p(a | y) + log p(b | a, y) + log p(c | a, b, y): a factor is a
reading of the component run again with what stands before it known. That is exact in every exact sweep, and
what it costs is a run for each assignment of all but the last variable.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import GraphError, UnavailableError, UnsupportedError
from msgpass.nodes import Sequence, Slice, as_slice
from msgpass.plan import NonlinearTree
from msgpass.sweeps.gaussian_messages import GaussianBelief
from msgpass.sweeps.readings import full, owner

Place = tuple[str, int]
"""A node and a row; −1 where it has none."""

MOST = 1 << 22
"""Entries up to which a joint is made."""


def joint(x, variables) -> np.ndarray | GaussianBelief:
    """Normalised log joint of rows and variables, one axis each in the order given, batch axes in front; of
    Gaussian variables the mean and covariance of their numbers end to end."""
    if not variables:
        raise GraphError("a joint is of one variable or more: m.joint(z[3], z[7])")
    places = [_place(x, v) for v in variables]
    if len(set(places)) < len(places):
        raise GraphError("a joint names each variable once")
    kinds = {x.plan.graph.nodes[name].discrete for name, _ in places}
    if len(kinds) > 1:
        raise UnsupportedError("a joint is of discrete or of Gaussian variables, not of both")
    if not x.schedule.backward:
        raise UnavailableError("ForwardOnly has no joints; they need Sequential() or JunctionTree()")
    if x.schedule.windowed or x.schedule.loops == "approximate":
        raise UnsupportedError(
            f"{x.schedule!r} gives no distribution over several variables at once; use Sequential() or "
            "JunctionTree()"
        )
    x = full(x)
    if kinds == {False}:
        return _gaussian(x, places)
    sizes = [x.plan.graph.nodes[name].states for name, _ in places]
    if np.prod(sizes, dtype=float) > MOST:
        raise UnsupportedError(
            f"a joint of {len(sizes)} variables would have {np.prod(sizes, dtype=float):.3g} entries; ask "
            "for fewer variables, or draw them with m.sample"
        )
    shape = x.plan.graph.nodes[places[0][0]].shape
    total = np.zeros((*shape, *(1,) * len(sizes)))
    for k in dict.fromkeys(owner(x, name)[0] for name, _ in places):
        own = [i for i, (name, _) in enumerate(places) if owner(x, name)[0] == k]
        # The largest comes last: its states need no runs of their own.
        order = sorted(own, key=lambda i: sizes[i])
        logs = _by_chain_rule(x, k, [places[i] for i in order], shape)
        logs = np.moveaxis(logs, [len(shape) + order.index(i) for i in own], range(len(shape), logs.ndim))
        total = total + logs.reshape(*shape, *(n if i in own else 1 for i, n in enumerate(sizes)))
    return total


def _place(x, variable) -> Place:
    where = as_slice(variable)
    name = where.node.name
    if where.node.graph is not x.plan.graph:
        raise GraphError(f"{where.name!r} belongs to another graph")
    block = x.plan.owner.get(name)
    if block is None or not (where.node.discrete or getattr(block, "gaussian", False)):
        raise UnavailableError(f"{where.name!r} is not a latent discrete or Gaussian variable")
    return name, _row(where)


def _row(where: Slice) -> int:
    if where.kind == "single":
        return -1
    rows = where.node.clock.total if isinstance(where.node, Sequence) else 0
    if where.kind != "index" or not -rows <= where.start < rows:
        raise GraphError(f"{where.name} is not one of the {rows} rows of {where.node.name!r}")
    return where.start % rows


def _gaussian(x, places: list[Place]) -> GaussianBelief:
    """Mean and covariance of Gaussian variables end to end; those of different components are independent."""
    from scipy.linalg import block_diag

    own: dict[int, list[int]] = {}
    for i, (name, _) in enumerate(places):
        own.setdefault(owner(x, name)[0], []).append(i)
    sizes = np.array([x.plan.graph.nodes[name].size for name, _ in places])
    found = [_whole(x, k).read_joint([places[i] for i in which]) for k, which in own.items()]
    mean, cov = np.concatenate([f.mean for f in found]), block_diag(*(f.cov for f in found))
    ends = np.cumsum(sizes)
    order = np.concatenate([np.arange(ends[i] - sizes[i], ends[i]) for which in own.values() for i in which])
    back = np.argsort(order)
    return GaussianBelief(mean[back], cov[np.ix_(back, back)])


def _whole(x, k: int):
    """Component k run as one system."""
    from msgpass.sweeps.gaussian_elimination import run_gaussian_elimination

    block, run = x.plan.blocks[k], x.runs[k]
    if isinstance(block, NonlinearTree):
        raise UnsupportedError(
            f"{', '.join(block.nodes[:4])} are linearised along the way, which gives no joint of them; "
            "factors have one: m.belief[factor]"
        )
    return run if hasattr(run, "read_joint") else run_gaussian_elimination(x, k, block, None, None)


def _by_chain_rule(x, k: int, places: list[Place], shape: tuple[int, ...]) -> np.ndarray:
    """Log joint of variables of one component, in this order."""
    nodes = [x.plan.graph.nodes[name] for name, _ in places]
    found = np.full((*shape, *(n.states for n in nodes)), -np.inf)
    whole: tuple = (slice(None),) * len(shape)

    def go_on(run, so_far: np.ndarray, states: tuple[int, ...]) -> None:
        name, row = places[len(states)]
        belief = run.read_belief(name)
        own = so_far[..., None] + (belief if row < 0 else belief[row])
        if len(states) + 1 == len(places):
            found[(*whole, *states)] = own
            return
        for state in range(nodes[len(states)].states):
            weight = own[..., state]
            if np.any(weight > -np.inf):
                chosen = (*states, state)
                go_on(x.component(k, x.plan.blocks[k], known(chosen, weight)), weight, chosen)

    def known(states: tuple[int, ...], weight: np.ndarray) -> dict[str, np.ndarray]:
        """Labels of what is known; a member of the batch in which it is impossible stays as it is."""
        labels = {n: np.array(v) for n, v in (x.clamp or {}).items()}
        for (name, row), node, state in zip(places, nodes, states, strict=False):
            if name not in labels:
                rows = (node.clock.total,) if isinstance(node, Sequence) else ()
                labels[name] = np.full((*rows, *node.shape), -1)
            at = ... if row < 0 else row
            labels[name][at] = np.where(weight > -np.inf, state, labels[name][at])
        return labels

    go_on(x.runs[k], np.zeros(shape), ())
    return found
