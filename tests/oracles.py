"""Slow, obvious answers to test against: enumeration, dense Gaussian algebra, finite differences.

Nothing here uses the engine's plan, sweeps or algebras. A graph is flattened by slicing Python ranges, its
tables are spread over one axis a variable and reduced (log Z = ⊕ over all assignments, ⊕ being log-sum-exp or
max), its quadratics are added into one joint precision, and derivatives are central differences of
``run(...).total``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from functools import cached_property

import numpy as np

from msgpass import run
from msgpass.nodes import Observation, Parameter, Sequence, Slice
from msgpass.potentials import Quadratic, Table

LOG_2PI = math.log(2 * math.pi)

Key = Hashable  # a variable instance: (name, row), row −1 for a single variable

REDUCTIONS: dict[str, np.ufunc] = {"sum": np.logaddexp, "max": np.maximum}


# -- rows


def rows_in(s: Slice, clock=None) -> list[int]:
    """Rows that an index, a range or an array picks, read off Python slices of each sequence's range."""
    if s.kind == "pick":
        return s.start.rows.tolist()
    lengths = (
        s.node.clock.lengths
        if isinstance(s.node, Sequence)
        else clock.lengths
        if clock is not None
        else (len(s.node.value),)
    )
    found, start = [], 0
    for length in lengths:
        rows = list(range(start, start + length))
        found += [rows[s.start]] if s.kind == "index" else rows[s.start : s.stop]
        start += length
    return found


def rows_of(s: Slice, factor) -> list[int]:
    """Row of every instance in the stacked array (−1: one variable)."""
    if s.kind == "single":
        return [-1] * len(factor)
    found = rows_in(s, factor.clock)
    assert len(found) == len(factor), f"{s.name}: {len(found)} rows for {len(factor)} instances"
    return found


def places_of(factor) -> list[list[int]]:
    """For each argument, the row of every instance."""
    return [rows_of(s, factor) for s in factor.args]


# -- tables


class Flat:
    """Log tables over named discrete variables: ``sizes`` maps a key to its states, ``tables`` lists (keys,
    log values)."""

    def __init__(self, sizes: dict[Key, int], tables: Iterable[tuple[tuple[Key, ...], np.ndarray]]):
        self.sizes, self.tables = dict(sizes), [(tuple(k), np.asarray(v, float)) for k, v in tables]

    @classmethod
    def of(cls, graph, values=None, member: tuple[int, ...] = ()) -> Flat:
        """Every instance of every Table of ``graph`` (of one member of its aligned batches), observations
        indexed in."""
        values = {getattr(k, "name", k): np.asarray(v) for k, v in (values or {}).items()}
        sizes, tables = dict(discrete_instances(graph)), []
        for factor in graph.factors.values():
            if not isinstance(factor.potential, Table):
                continue
            places = places_of(factor)
            for j in range(len(factor)):
                table, keys = table_of_instance(factor, j, values, member), []
                for axis in range(len(factor.args) - 1, -1, -1):
                    node, row = factor.args[axis].node, places[axis][j]
                    if isinstance(node, Observation):
                        data = values.get(node.name, node.value)
                        data = data if row < 0 else data[row]
                        table = observe(table, axis, int(data[member] if np.ndim(data) else data))
                    else:
                        keys.insert(0, (node.name, row))
                tables.append((tuple(keys), table))
        for name, labels in values.items():
            node = graph.nodes[name]
            if node.discrete and not isinstance(node, Observation):
                tables += clamped(node, labels, member)
        return cls(sizes, tables)

    def only(self, keep: Callable[[tuple[Key, ...]], bool]) -> Flat:
        """The tables whose keys pass ``keep``; all variables stay."""
        return Flat(self.sizes, [(k, v) for k, v in self.tables if keep(k)])


def clamped(node, labels, member=()) -> list[tuple[tuple[Key, ...], np.ndarray]]:
    """Tables that allow the given states only (−1: every state)."""
    labels = np.asarray(labels)
    rows = range(len(labels)) if isinstance(node, Sequence) else (-1,)
    made = []
    for row in rows:
        state = labels if row < 0 else labels[row]
        state = int(state[member] if np.ndim(state) else state)
        if state >= 0:
            made.append((((node.name, row),), np.where(np.arange(node.states) == state, 0.0, -np.inf)))
    return made


def table_of_instance(factor, j: int, values, member) -> np.ndarray:
    """The log table of one instance, one axis a variable, from the three places where it can stand."""
    source, states = factor.potential.source, tuple(s.node.states for s in factor.args)
    if isinstance(source, Slice):
        rows = rows_of(source, factor)
        array = np.asarray(values[source.node.name])
        array = array if rows[j] < 0 else array[rows[j]]
        return array[member] if array.ndim > len(states) else array
    array = np.asarray(values.get(source.name, source.value)) if isinstance(source, Parameter) else source
    batch = next((s.shape for s in factor.args if s.shape), ())
    if array.shape == states:
        return array
    if array.shape == (len(factor), *states):  # where it could be the step or the batch, it is the step
        return array[j]
    return array[member] if array.shape == batch + states else array[j][member]


def observe(table: np.ndarray, axis: int, state: int) -> np.ndarray:
    """The table at an observed state; summed over the states where it is missing (−1)."""
    return np.take(table, state, axis) if state >= 0 else np.logaddexp.reduce(table, axis=axis)


def discrete_instances(graph):
    """(key, states) of every latent discrete variable instance."""
    for node in graph.nodes.values():
        if node.discrete and not isinstance(node, Observation):
            for row in range(node.clock.total) if isinstance(node, Sequence) else (-1,):
                yield (node.name, row), node.states


class Enumeration:
    """All assignments of a :class:`Flat` at once, one array axis a variable.

    Parameters
    ----------
    flat : Flat
    reduction : {"sum", "max"}
        What goes over the variables that are not asked for.
    """

    def __init__(self, flat: Flat, reduction: str = "sum"):
        self.keys = list(flat.sizes)
        self.reduce = REDUCTIONS[reduction].reduce
        self.reduction = reduction
        joint = np.zeros([flat.sizes[k] for k in self.keys])
        if joint.size > 2**20:
            raise AssertionError(f"{joint.size} assignments are too many to enumerate")
        for keys, table in flat.tables:
            axes = [self.keys.index(k) for k in keys]
            spread = np.transpose(table, np.argsort(axes))
            joint = joint + spread.reshape([flat.sizes[k] if k in keys else 1 for k in self.keys])
        self.joint = joint

    @cached_property
    def total(self) -> float:
        """log Z, or the best score."""
        return float(self.reduce(self.joint, axis=None))

    def message(self, *keys: Key) -> np.ndarray:
        """⊕ over every other variable: unnormalised, axes in the order of ``keys``."""
        axes = [self.keys.index(k) for k in keys]
        over = tuple(a for a in range(self.joint.ndim) if a not in axes)
        left = self.reduce(self.joint, axis=over) if over else self.joint
        return np.transpose(left, np.argsort(np.argsort(axes)))

    def marginal(self, *keys: Key) -> np.ndarray:
        """Normalised log marginal (max-marginal with the best at 0), axes in the order of ``keys``."""
        return self.message(*keys) - self.total

    @cached_property
    def best(self) -> dict[Key, int]:
        """A best assignment."""
        place = np.unravel_index(int(np.argmax(self.joint)), self.joint.shape)
        return {k: int(i) for k, i in zip(self.keys, place, strict=True)}

    def score(self, assignment: dict[Key, int]) -> float:
        """Log weight of one assignment."""
        return float(self.joint[tuple(assignment[k] for k in self.keys)])


def enumerate_chain(init, transition, local, reduction: str = "sum") -> Enumeration:
    """The enumeration of a chain from plain log arrays: (K,), (K, K) or (T−1, K, K), (T, K); keys are
    times."""
    init, transition, local = (np.asarray(a, float) for a in (init, transition, local))
    tables = [((0,), init), *(((t,), row) for t, row in enumerate(local))]
    for t in range(1, len(local)):
        tables.append(((t - 1, t), transition if transition.ndim == 2 else transition[t - 1]))
    return Enumeration(Flat(dict.fromkeys(range(len(local)), len(init)), tables), reduction)


# -- Gaussians


class DenseGaussian:
    """exp(g + hᵀx − ½ xᵀΛx) over named vectors end to end: one solve gives log Z, means and covariances."""

    def __init__(self, sizes: dict[Key, int]):
        ends = np.cumsum(list(sizes.values()))
        self.blocks = {k: slice(e - n, e) for (k, n), e in zip(sizes.items(), ends, strict=True)}
        n = int(ends[-1])
        self.h, self.precision, self.log_scale = np.zeros(n), np.zeros((n, n)), 0.0

    def index(self, *keys: Key) -> np.ndarray:
        """Positions of the keys' numbers."""
        return np.concatenate([np.arange(self.blocks[k].start, self.blocks[k].stop) for k in keys])

    @cached_property
    def cov_all(self) -> np.ndarray:
        """Joint covariance."""
        return np.linalg.inv(self.precision)

    @cached_property
    def mean_all(self) -> np.ndarray:
        """Joint mean."""
        return np.linalg.solve(self.precision, self.h)

    @property
    def total(self) -> float:
        """log of the integral: g + ½ n log 2π − ½ log|Λ| + ½ hᵀΛ⁻¹h."""
        sign, logdet = np.linalg.slogdet(self.precision)
        assert sign > 0, "the joint precision is not positive"
        return float(self.log_scale + 0.5 * (self.h.size * LOG_2PI - logdet + self.h @ self.mean_all))

    def mean(self, *keys: Key) -> np.ndarray:
        """Posterior mean of the keys end to end."""
        return self.mean_all[self.index(*keys)]

    def cov(self, *keys: Key) -> np.ndarray:
        """Posterior covariance of the keys end to end."""
        at = self.index(*keys)
        return self.cov_all[np.ix_(at, at)]


def normal_potential(A, Q, b) -> tuple[np.ndarray, np.ndarray, float]:
    """(h, Λ, g) of log N(0; A x + b, Q) as a function of x."""
    W = np.linalg.inv(Q)
    _, logdet = np.linalg.slogdet(Q)
    return -A.T @ W @ b, A.T @ W @ A, float(-0.5 * (len(b) * LOG_2PI + logdet + b @ W @ b))


def dense_gaussian(
    graph, values=None, keep: Callable[[list[Key]], bool] = lambda keys: True
) -> DenseGaussian:
    """The joint of a graph's quadratics (covariances invertible); every missing cell is one more variable,
    integrated out.

    ``keep`` chooses factor instances by their latent keys; a variable that none of them touches is left out.
    """
    values = {getattr(k, "name", k): np.asarray(v, float) for k, v in (values or {}).items()}
    pieces, sizes = [], {}
    for factor in graph.factors.values():
        if not isinstance(factor.potential, Quadratic):
            continue
        places = places_of(factor)
        for j in range(len(factor)):
            if not keep(
                [
                    (s.node.name, p[j])
                    for s, p in zip(factor.args, places, strict=True)
                    if not isinstance(s.node, Observation)
                ]
            ):
                continue
            h, precision, scale = quadratic_of_instance(factor, j, values)
            keys, known = [], []
            for axis, s in enumerate(factor.args):
                row, size = places[axis][j], math.prod(s.shape)
                if isinstance(s.node, Observation):
                    data = values.get(s.node.name, s.node.value)
                    for c, cell in enumerate(np.reshape(data if row < 0 else data[row], -1)):
                        keys.append(("missing", factor.name, j, axis, c) if np.isnan(cell) else None)
                        known.append(float(cell))
                        if keys[-1] is not None:
                            sizes[keys[-1]] = 1
                else:
                    sizes[(s.node.name, row)] = size
                    keys += [((s.node.name, row), c) for c in range(size)]
                    known += [math.nan] * size
            pieces.append((keys, known, h, precision, scale))
    dense = DenseGaussian(sizes)
    for keys, known, h, precision, scale in pieces:
        x = np.array(known)
        given = ~np.isnan(x)
        free = np.flatnonzero(~given)
        at = [_cell(dense, keys[i]) for i in free]
        scale += float(h[given] @ x[given] - 0.5 * x[given] @ precision[np.ix_(given, given)] @ x[given])
        dense.h[at] += h[free] - precision[np.ix_(free, given)] @ x[given]
        dense.precision[np.ix_(at, at)] += precision[np.ix_(free, free)]
        dense.log_scale += scale
    return dense


def _cell(dense: DenseGaussian, key) -> int:
    if key in dense.blocks:
        return dense.blocks[key].start
    variable, c = key
    return dense.blocks[variable].start + c


def quadratic_of_instance(factor, j: int, values) -> tuple[np.ndarray, np.ndarray, float]:
    """(h, Λ, g) of one instance over all of its variables, observed ones included."""
    potential, sizes = factor.potential, [math.prod(s.shape) for s in factor.args]

    def part(role, *shape):
        value = potential.parts[role]
        array = np.asarray(
            values.get(value.name, value.value) if isinstance(value, Parameter) else value, float
        )
        if array.size == math.prod(shape):
            return array.reshape(shape)
        return np.full(shape, array) if array.ndim == 0 else array.reshape(len(factor), *shape)[j]

    n = sum(sizes)
    if potential.form == "canonical":
        return part("h", n), part("precision", n, n), float(part("log_scale"))
    if potential.form == "prior":
        cov = part("cov", n, n)
        known = np.isfinite(np.diag(cov))
        return normal_potential(np.eye(n)[known], cov[np.ix_(known, known)], -part("mean", n)[known])
    x = sizes[0]
    if potential.form == "linear":
        x, y = sum(sizes[:-1]), sizes[-1]
        return normal_potential(np.hstack([part("F", y, x), -np.eye(y)]), part("Q", y, y), part("b", y))
    if "y" in potential.parts:
        p = np.atleast_2d(potential.parts["R"]).shape[-1]
        seen = ~np.isnan(part("y", p))
        R = part("R", p, p)[np.ix_(seen, seen)]
        return normal_potential(part("H", p, x)[seen], R, -part("y", p)[seen])
    p = sizes[1]
    return normal_potential(np.hstack([part("H", p, x), -np.eye(p)]), part("R", p, p), np.zeros(p))


def condition_moments(mean, cov, H, R, y) -> tuple[np.ndarray, np.ndarray, float]:
    """(mean, cov) of x given y = H x + noise, and log N(y; H mean, H cov Hᵀ + R); ``cov`` may be singular,
    NaN is missing."""
    seen = ~np.isnan(y)
    H, R, y = H[seen], R[np.ix_(seen, seen)], y[seen]
    S = H @ cov @ H.T + R
    gain = np.linalg.solve(S, H @ cov).T
    r = y - H @ mean
    _, logdet = np.linalg.slogdet(S)
    log_z = -0.5 * float(len(y) * LOG_2PI + logdet + r @ np.linalg.solve(S, r))
    return mean + gain @ r, cov - gain @ H @ cov, log_z


def linear_gaussian_joint(mean, cov, F, Q, b, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Moments of x_0 … x_{T−1} end to end for x_0 ~ N(mean, cov), x_t = F x_{t−1} + b + N(0, Q); nothing need
    be invertible."""
    n = len(mean)
    means, blocks = [np.asarray(mean, float)], np.zeros((length * n, length * n))
    blocks[:n, :n] = cov
    for t in range(1, length):
        means.append(F @ means[-1] + b)
        now, before = slice(t * n, (t + 1) * n), slice((t - 1) * n, t * n)
        past = slice(0, t * n)
        blocks[now, past] = F @ blocks[before, past]
        blocks[past, now] = blocks[now, past].T
        blocks[now, now] = F @ blocks[before, before] @ F.T + Q
    return np.concatenate(means), blocks


# -- derivatives


def total_of(graph, algebra=None, values=None) -> float:
    """``run(...).total`` as a plain float."""
    return float(run(graph, algebra, values=values).total)


def along(graph, name: str, direction, algebra=None, values=None, step: float = 1e-5) -> float:
    """∂total/∂s at s = 0 for ``name`` at value + s·direction, by central differences of whole runs."""
    values = dict(values or {})
    start = np.asarray(values.get(name, graph.nodes[name].value), float)
    ahead, behind = (
        total_of(graph, algebra, {**values, name: start + s * np.asarray(direction)}) for s in (step, -step)
    )
    return (ahead - behind) / (2 * step)


def finite_difference(graph, name: str, algebra=None, values=None, step: float = 1e-5) -> np.ndarray:
    """∂total/∂ every entry of a parameter or real observation; entries that are not finite do not move."""
    start = np.asarray((values or {}).get(name, graph.nodes[name].value), float)
    gradient = np.zeros_like(start)
    for place in zip(*np.nonzero(np.isfinite(start)), strict=True):
        direction = np.zeros_like(start)
        direction[place] = 1
        gradient[place] = along(graph, name, direction, algebra, values, step)
    return gradient


def random_direction(rng, value, symmetric: bool = False) -> np.ndarray:
    """Normal numbers, zero where the value is not finite: one difference along it checks a whole gradient."""
    direction = np.where(np.isfinite(value), rng.normal(size=np.shape(value)), 0.0)
    return direction + np.swapaxes(direction, -1, -2) if symmetric else direction


# -- steps


def cells_of(s: Slice, factor) -> list[tuple[Slice, int]]:
    """For every instance the slice it really reads (an edge at a sequence's end) and its row (−1: the whole
    value)."""
    if s.kind in ("single", "all"):
        return [(s, -1)] * len(factor)
    if s.kind in ("range", "index"):
        rows = rows_in(s, factor.clock)
        if s.kind == "index" and factor.stepped:
            rows = np.repeat(rows, factor.counts) if len(rows) > 1 else rows * len(factor)
        return [(s, int(r)) for r in rows]
    found, start = [], 0
    for n, length in enumerate(factor.clock.lengths):
        rows = list(range(start, start + length))
        edge = [(s.edge, edge_row(s, n, factor))]
        found += (
            [*edge, *((s, r) for r in rows[:-1])]
            if s.kind == "after"
            else [*((s, r) for r in rows[1:]), *edge]
        )
        start += length
    return found


def edge_row(s: Slice, n: int, factor) -> int:
    """Row of the edge of sequence n: of its own row in a sequence, in a stack of starts, or the whole
    value."""
    if s.edge.kind == "index":
        rows = rows_in(s.edge, factor.clock)
        return rows[n] if len(rows) > 1 else rows[0]
    return n if len(s.edge.shape) > len(s.shape) else -1


def cell(values: dict[str, np.ndarray], place: tuple[Slice, int]) -> np.ndarray:
    """The value at a cell."""
    s, row = place
    return values[s.node.name] if row < 0 else values[s.node.name][row]


def instances_of(factor, values) -> list[tuple[list[np.ndarray], list[np.ndarray]]]:
    """(inputs, outputs) of every instance of a Step or Loss, at the given values of all nodes."""
    columns = [cells_of(s, factor) for s in factor.args]
    outs = [cells_of(s, factor) for s in factor.out]
    return [
        ([cell(values, c[j]) for c in columns], [cell(values, c[j]) for c in outs])
        for j in range(len(factor))
    ]


def values_of(messages) -> dict[str, np.ndarray]:
    """Values of all real nodes in a run."""
    nodes = messages.graph.nodes.values()
    given = {n.name: n.value for n in nodes if isinstance(n, Parameter | Observation)}
    return {**given, **{n: messages.forward[n] for n in messages.forward if not messages.graph[n].discrete}}
