"""One slice as functions of the interface: what the next interface is, and what the losses of a slice are.

    s_t = F_t(s_{t−1})      loss_t = ℓ_t(s_t)

for many s at once, by the factors' own functions. A loss has to be a function of its own slice's interface.
"""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, Loss
from msgpass.errors import NumericalError, UnsupportedError
from msgpass.nodes import Observation, Parameter, Sequence
from msgpass.plan import Arg, Family
from msgpass.sweeps.local import call_many, call_one
from rnn.dbn.template import Template, children_of, lag_of, times_of

Rows = dict[str, np.ndarray]


class Slices:
    """F_t and ℓ_t of a graph, evaluated on rows of interface states.

    Attributes
    ----------
    names : tuple of str
        The interface.
    size : int
        Its numbers, side by side.
    """

    def __init__(self, graph: FactorGraph, template: Template):
        self.graph, self.template, self.names = graph, template, template.interface
        self.families = [f for b in graph.plan().blocks for f in b.families]
        self.shapes = {name: graph.nodes[name].shape for name in self.names}
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        self.ends = np.cumsum([0, *sizes])
        self.size = int(self.ends[-1])
        self.makers: dict[str, list[Family]] = {}
        for f in self.families:
            for child in children_of(f):
                self.makers.setdefault(child, []).append(f)
        self.losses = [f for f in self.families if isinstance(f.potential, Loss)]
        self.moving = self._closure(list(self.names), through=True)
        self.shared = {
            name: node.value
            for name, node in graph.nodes.items()
            if isinstance(node, Parameter | Observation)
        }
        for f in self.families:
            if not times_of(f) and f.outs:
                outputs = call_one(f, [self._whole(a) for a in f.args])
                self.shared |= {o.name: v for o, v in zip(f.outs, outputs, strict=True)}

    @property
    def labels(self) -> list[str]:
        """A name for every number of the interface: "h_l0[0, 1]", or "h_l0" where it has one."""
        found = []
        for name, shape in self.shapes.items():
            wide = [k for k, n in enumerate(shape) if n > 1]
            places = list(np.ndindex(*shape))
            if len(places) == 1:
                found.append(name)
            else:
                found += [f"{name}[{', '.join(str(p[k]) for k in wide)}]" for p in places]
        return found

    def split(self, points: np.ndarray) -> Rows:
        """Rows (N, size) as the interface's variables, (N, *shape)."""
        cut = zip(self.shapes.items(), self.ends[:-1], self.ends[1:], strict=True)
        return {name: points[:, a:b].reshape(len(points), *shape) for (name, shape), a, b in cut}

    def join(self, rows: Rows) -> np.ndarray:
        """The interface's variables side by side, (N, size)."""
        return np.concatenate([rows[n].reshape(len(rows[n]), -1) for n in self.names], axis=1)

    def transition(self, t: int, points: np.ndarray) -> np.ndarray:
        """F_t of rows of s_{t−1}, (N, size); at t = 0 the start stands in for them."""
        before, now = self.split(points), Rows()
        for f in self.families:
            if f in self.moving and t in times_of(f):
                outputs = self._call(f, t, now, before, len(points))
                now |= {o.name: v for o, v in zip(f.outs, outputs, strict=True)}
        found = self.join(now)
        if not np.isfinite(found).all():
            raise NumericalError(f"the network's state at time {t} becomes infinite or NaN on the grid")
        return found

    def loss(self, t: int, points: np.ndarray) -> np.ndarray:
        """ℓ_t of rows of s_t, (N,): the sum of the slice's losses."""
        total = np.zeros(len(points))
        now = self.split(points)
        wanted = self.telling
        for f in self.families:
            if f in wanted and f.outs and t in times_of(f):
                outputs = self._call(f, t, now, {}, len(points))
                now |= {o.name: v for o, v in zip(f.outs, outputs, strict=True) if o.name not in self.names}
        for f in self.losses:
            if t in times_of(f):
                total += self._losses(f, t, now, len(points))
        return total

    @property
    def telling(self) -> list[Family]:
        """Losses and what lies between them and the interface of their slice."""
        found = self._closure([f.name for f in self.losses], through=False)
        for f in found:
            late = [a for a in f.args if isinstance(a.slice.node, Sequence) and lag_of(a, f)]
            if late:
                raise UnsupportedError(
                    f"{', '.join(children_of(f))} is evidence, or read by it, and reads {late[0].slice.name} "
                    "of the slice before; on a grid a loss is a function of its own slice's "
                    f"{', '.join(self.names)}. Make what it reads a state"
                )
        return found

    def _closure(self, names: list[str], through: bool) -> list[Family]:
        """Factors that compute these names within one slice; ``through`` the interface, or up to it."""
        found: list[Family] = []
        open_ = list(names)
        while open_:
            for f in self.makers.get(open_.pop(), ()):
                if f in found or not times_of(f):
                    continue
                found.append(f)
                for a in f.args:
                    inside = isinstance(a.slice.node, Sequence) and lag_of(a, f) == 0
                    if inside and (through or a.name not in self.names):
                        open_.append(a.name)
        return found

    def _call(self, f: Family, t: int, now: Rows, before: Rows, n: int) -> tuple[np.ndarray, ...]:
        inputs, stacked = self._inputs(f, t, now, before, n)
        if any(stacked):
            return call_many(f, inputs, stacked, n)
        return tuple(np.broadcast_to(v, (n, *v.shape)) for v in call_one(f, inputs))

    def _losses(self, f: Family, t: int, now: Rows, n: int) -> np.ndarray:
        inputs, stacked = self._inputs(f, t, now, {}, n)
        for a, v in zip(f.args, inputs, strict=True):
            if isinstance(a.slice.node, Observation) and _missing(v, a.slice.node):
                return np.zeros(n)
        function = f.potential.value_and_grad
        if not any(stacked):
            return np.full(n, float(function(*inputs)[0]))
        rows = (
            function(*(v[j] if s else v for v, s in zip(inputs, stacked, strict=True)))[0] for j in range(n)
        )
        return np.fromiter(map(float, rows), float, n)

    def _inputs(self, f: Family, t: int, now: Rows, before: Rows, n: int):
        inputs, stacked = [], []
        for a in f.args:
            node, lag = a.slice.node, lag_of(a, f)
            if lag is None:
                inputs.append(self._whole(a))
                stacked.append(False)
                continue
            if isinstance(node, Observation):
                value = np.broadcast_to(node.value[t - lag], (n, *node.shape[1:]))
            elif lag == 0:
                value = now[a.name]
            elif t == 0:
                edge = self._whole(a.edge)
                edge = edge[0] if edge.ndim > len(a.slice.shape) else edge
                value = np.broadcast_to(edge, (n, *a.slice.shape))
            else:
                value = before[a.name]
            inputs.append(value)
            stacked.append(True)
        return inputs, stacked

    def _whole(self, a: Arg) -> np.ndarray:
        value = self.shared[a.name]
        if a.slice.kind == "index":
            return value[a.slice.index_row(len(value))]
        return value


def _missing(value: np.ndarray, node: Observation) -> bool:
    if node.discrete:
        return bool((value < 0).all())
    return value.dtype.kind == "f" and bool(np.isnan(value).all())
