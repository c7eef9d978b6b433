"""Random dynamic networks of tables: several sequences of one clock, with tables inside slices, between
neighbours and further back, observed and missing variables, variables that belong to no slice, ragged
sequences, aligned batches, labels. Hard zeros spare one planted assignment."""

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from msgpass import FactorGraph, Table
from tests.msgpass.loopy_models import Model
from tests.msgpass.table_models import Tables, seeds

ARCS = [
    "chain",
    "cross",
    "inside",
    "lag 2",
    "three",
    "first",
    "last",
    "unary",
    "emission",
    "joint emission",
    "inner",
]


@st.composite
def sliced_models(draw, batched=None, zeros=None, clamp=True, single=True, most=400):
    """See the module; at most about ``most`` assignments."""
    rng = np.random.default_rng(draw(seeds))
    sizes = draw(st.lists(st.integers(1, 3), min_size=2, max_size=3))
    limit = max(2, int(np.log(most) / np.log(max(2, np.prod(sizes)))))
    drawn = st.lists(st.integers(1, 5), min_size=1, max_size=2)
    lengths = draw(drawn.filter(lambda ls: 2 <= sum(ls) <= limit))
    batch = draw(st.sampled_from([(), (), (2,)])) if batched is None else (2,) if batched else ()
    return sliced_model(
        rng,
        sizes,
        lengths,
        arcs=draw(st.lists(st.sampled_from(ARCS), min_size=2, max_size=6)),
        zeros=draw(st.sampled_from([0.0, 0.3])) if zeros is None else zeros,
        batch=batch if len(lengths) == 1 else (),
        clamp=draw(st.booleans()) if clamp else False,
        single=draw(st.booleans()) if single else False,
    )


def sliced_model(
    rng, sizes, lengths, arcs=("chain", "joint emission"), zeros=0.0, batch=(), clamp=False, single=False
):
    """Sequences z0, z1, …; parameters p0, p1, … and the variable that belongs to no slice is "mode"."""
    g, table = FactorGraph(), Tables(rng, zeros)
    length = lengths[0] if len(lengths) == 1 else lengths
    z = [g.sequence(f"z{k}", length=length, states=s, shape=batch) for k, s in enumerate(sizes)]
    total = sum(lengths)
    path = {(f"z{k}", r): rng.integers(s, size=batch) for k, s in enumerate(sizes) for r in range(total)}
    maker = _Maker(rng, g, table, path, batch, lengths)
    for one, other in pairwise(z):
        maker.factor([one, other], [0, 0])  # one component, with loops as soon as time links it, too
    for kind in arcs:
        maker.arc(kind, z)
    if single and len(lengths) == 1:
        mode = g.variable("mode", states=2, shape=batch)
        path["mode", -1] = rng.integers(2, size=batch)
        maker.factor([mode], [-1])
        maker.factor([mode, z[0]], [-1, 0], at=0)
        maker.factor([z[1], mode], [0, -1], at=-1)
    if min(lengths) > 1:
        maker.arc("chain", z[:1])
    values = {}
    if clamp:
        for node in z:
            if rng.random() < 0.4:
                rows = np.array([path[node.name, r] for r in range(total)])
                values[node.name] = np.where(rng.random(rows.shape) < 0.7, -1, rows)
        if ("mode", -1) in path and rng.random() < 0.4:
            values["mode"] = path["mode", -1]
    return Model(g, values, path)


class _Maker:
    def __init__(self, rng, g, table, path, batch, lengths):
        self.rng, self.g, self.table, self.path = rng, g, table, path
        self.batch, self.lengths, self.made = batch, lengths, 0

    def arc(self, kind, z):
        rng = self.rng
        one, other = (z[i] for i in (rng.integers(len(z)), rng.integers(len(z))))
        first = self.lengths[0]
        if kind == "chain":
            self.factor([one, one], [1, 0])
        elif kind == "cross":
            self.factor([one, other], [1, 0])
        elif kind == "inside" and one is not other:
            self.factor([one, other], [0, 0])
        elif kind == "lag 2":
            self.factor([one, other], [2, 0])
        elif kind == "three" and one is not other:
            self.factor([one, other, one], [1, 1, 0])
        elif kind in ("first", "last"):
            self.factor([one], [0], at=0 if kind == "first" else -1)
        elif kind == "unary":
            self.factor([one], [0])
        elif kind == "emission":
            self.factor([one], [0], seen=True)
        elif kind == "joint emission" and one is not other:
            self.factor([other, one], [0, 0], seen=True)
        elif kind == "inner" and len(self.lengths) == 1 and first > 2:
            self.factor([one], [0], within=(1, first - 1))

    def factor(self, nodes, lags, at=None, seen=False, within=None):
        """One family over rows (lags back) of nodes; −1 is a variable without rows."""
        deepest = max(lags)
        starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        if min(self.lengths) <= max(deepest, 0):
            return
        if at is not None:
            rows = starts if at == 0 else np.cumsum(self.lengths) - 1
        elif within is not None:
            rows = np.arange(*within)
        else:
            rows = np.concatenate(
                [s + np.arange(max(deepest, 0), n) for s, n in zip(starts, self.lengths, strict=True)]
            )
        args, cells = [], []
        for node, lag in zip(nodes, lags, strict=True):
            if lag < 0:
                args.append(node)
                cells.append(np.stack([self.path[node.name, -1]] * max(1, len(rows))))
                continue
            if at is not None:
                args.append(node[at])
            elif within is not None:
                args.append(node[slice(*within)])
            else:
                args.append(node[deepest - lag if deepest > 0 and deepest != lag else None : -lag or None])
            cells.append(np.stack([self.path[node.name, r - lag] for r in rows]))
        alone = all(lag < 0 for lag in lags)
        if alone:
            cells = [c[:1] for c in cells]
        if seen:
            symbols = 2
            data = self.rng.integers(symbols, size=(sum(self.lengths), *self.batch))
            hidden = self.rng.random(data.shape) < 0.3
            y = self.g.observe(f"y{self.made}", np.where(hidden, -1, data), states=symbols)
            args.append(y[:])
            cells.append(data[rows])
        states = tuple(getattr(a, "node", a).states for a in args)
        n = len(cells[0])
        stepped = not alone and at is None and self.rng.random() < 0.3
        own = bool(self.batch) and self.rng.random() < 0.4
        lead = (*((n,) if stepped else ()), *(self.batch if own else ()))
        places = list(np.indices((n, *self.batch)))
        index = (*((places[0],) if stepped else ()), *((places[1],) if own else ()), *cells)
        potential = Table(self.g.parameter(f"p{self.made}", self.table((*lead, *states), tuple(index))))
        self.g.factor(potential, *args, name=f"f{self.made}")
        self.made += 1
