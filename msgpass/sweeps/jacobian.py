"""Transported Jacobians, ∂(a row)/∂(an earlier row, a parameter, data), by pulling unit cotangents back.

    ∂h_t/∂h_s = J_t J_{t−1} ⋯ J_{s+1},   row i of it being what arrives at h_s when h_t is told e_i

All of the unit cotangents are columns of one sweep. One pull gives the Jacobians of a row with respect to all
earlier rows. A variable moves by itself, and what is computed from it follows: ∂h_t/∂h_s of an LSTM holds
c_s. Rules on edges do not act here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass.errors import DataError, GraphError, UnavailableError, UnsupportedError
from msgpass.nodes import Observation, Parameter, Sequence, Slice
from msgpass.plan import Map, Recurrence
from msgpass.sweeps import real
from msgpass.sweeps.columns import ColumnStore
from msgpass.sweeps.readings import full, real_names
from msgpass.sweeps.recurrence import Sweep


class Where(NamedTuple):
    """A real variable, and one of its rows (None: all that it has)."""

    name: str
    row: int | None


def jacobian(x, of, wrt, sample: int | None) -> np.ndarray:
    """See :meth:`msgpass.Messages.jacobian`."""
    x = full(x)
    if x.second is not None:
        raise x.second.without_tangents("a Jacobian")
    top, at = _where(x, of), _where(x, wrt)
    if top.name not in x.plan.owner:
        raise UnsupportedError(
            f"{top.name!r} is given, so it is a function of nothing; ask of what a step computes"
        )
    node = x.plan.graph.nodes[top.name]
    if isinstance(node, Sequence) and top.row is None:
        raise GraphError(f'say of which row of {top.name!r}: jacobian(("{top.name}", t), …)')
    shape = node.shape
    batch = shape[0] if len(shape) > 1 else 0
    if sample is not None and not -batch <= sample < batch:
        what = f"rows {shape} have samples 0 to {batch - 1}" if batch else f"rows {shape} have no samples"
        raise DataError(f"sample={sample!r}: {top.name!r} has none of that number; {what}")
    target = _row_shape(x, at)
    apart = not isinstance(x.plan.graph.nodes[at.name], Parameter)
    by_sample = apart and bool(batch) and len(target) > 1 and target[0] == batch
    seeds = _seeds(shape, sample, by_sample)
    trial = probes(shape) if by_sample and sample is None and batch > 1 else np.zeros((*shape, 0))
    found = _pull(x, top, at, np.concatenate([seeds, trial], axis=-1))
    rows = found if at.row is not None or not _has_rows(x, at.name) else None
    found = found[None] if rows is not None else found
    if trial.shape[-1]:
        check_apart(found[..., seeds.shape[-1] :], trial, top.name, at.name)
        found = found[..., : seeds.shape[-1]]
    # (rows, *target, columns) → (rows, [samples], *own, *target without samples)
    if by_sample and sample is None:
        own, rest = shape[1:], target[1:]
        found = np.moveaxis(found, -1, 2).reshape(len(found), batch, *own, *rest)
    elif by_sample:
        own, rest = shape[1:], target[1:]
        found = np.moveaxis(found[:, sample], -1, 1).reshape(len(found), *own, *rest)
    else:
        own = shape if sample is None else shape[1:]
        found = np.moveaxis(found, -1, 1).reshape(len(found), *own, *target)
    return found[0] if rows is not None else found


def _where(x, place) -> Where:
    """Read h[3], ("h", 3), "h" or h."""
    row: Any = None
    if isinstance(place, Slice):
        if place.kind not in ("index", "all", "single"):
            raise GraphError(f"{place.name} names several rows; a Jacobian is of one: {place.node.name}[t]")
        name, row = place.node.name, place.start if place.kind == "index" else None
    elif isinstance(place, tuple):
        if len(place) != 2 or isinstance(place[1], bool) or not isinstance(place[1], int | np.integer):
            raise GraphError(f'a row is h[t] or ("h", t), got {place!r}')
        name, row = getattr(place[0], "name", place[0]), int(place[1])
    else:
        name = getattr(place, "name", place)
    if name not in real_names(x):
        raise UnavailableError(
            f"there is no Jacobian of or by {name!r}: it is no real variable, parameter or observation of "
            f"the graph, which has {', '.join(real_names(x))}"
        )
    if row is not None:
        if not _has_rows(x, name):
            raise GraphError(f"{name!r} has no steps; leave the row out")
        rows = len(x.values[name])
        if not -rows <= row < rows:
            raise UnavailableError(f"{name!r} has no row {row}: there are {rows}")
        row %= rows
    return Where(name, row)


def _has_rows(x, name: str) -> bool:
    """Its first axis is the step."""
    node = x.plan.graph.nodes[name]
    if isinstance(node, Observation):
        return any(
            a.name == name and a.slice.kind != "single"
            for b in x.plan.blocks
            for f in b.families
            for a in f.args
        )
    return isinstance(node, Sequence)


def _row_shape(x, at: Where) -> tuple[int, ...]:
    shape = np.shape(x.values[at.name])
    return shape[1:] if _has_rows(x, at.name) else shape


def _seeds(shape, sample: int | None, by_sample: bool) -> np.ndarray:
    """Unit cotangents, (*shape, columns): the same in every sample at once where samples are apart."""
    own = int(np.prod(shape[1:] if sample is not None or by_sample else shape))
    unit = np.eye(own)
    if sample is None and not by_sample:
        return unit.reshape(*shape, own)
    found = np.zeros((*shape, own))
    found[slice(None) if sample is None else sample] = unit.reshape(*shape[1:], own)
    return found


def probes(shape) -> np.ndarray:
    """Cotangents that are silent in some samples: any two samples are told apart by one of them."""
    numbers = np.arange(shape[0])
    rng = np.random.default_rng(0)
    bits = [numbers >> k & 1 for k in range(int(shape[0] - 1).bit_length())]
    speaks = [b for bit in bits for b in (bit, 1 - bit)]
    return np.stack(
        [rng.uniform(0.5, 1, shape) * s.reshape(-1, *(1,) * (len(shape) - 1)) for s in speaks], -1
    )


def check_apart(found, trial, top: str, at: str) -> None:
    """Raise where something has arrived, (rows, samples, …, columns), in a sample that was told nothing."""
    for c in range(trial.shape[-1]):
        silent = ~trial[..., c].reshape(len(trial), -1).any(axis=1)
        if found[:, silent, ..., c].any():
            raise UnsupportedError(
                f"samples speak to each other between {at!r} and {top!r}, so there is more than a "
                "Jacobian a sample: ask for one sample's own, jacobian(…, sample=b)"
            )


def _pull(x, top: Where, at: Where, seeds: np.ndarray) -> np.ndarray:
    """What arrives at a place, (*its shape, columns)."""
    # Variables that all instances read carry messages on; parameters do not, unless one of them is asked for.
    wanted = {*x.plan.owner, at.name}
    store, later = (ColumnStore(x.values, seeds.shape[-1], wanted) for _ in range(2))
    target = store[top.name]
    target[... if top.row is None else top.row] = seeds
    for k in range(len(x.plan.blocks) - 1, -1, -1):
        block = x.plan.blocks[k]
        if not isinstance(block, Map | Recurrence) or not any(store.has(n) for n in block.nodes):
            continue
        if isinstance(block, Map):
            real.backward_map(block, x.values, store, later)
        else:
            if k not in x.references:
                x.references[k] = Sweep(block, x.values)
            x.references[k].backward(store, later)
    found = store.complete(at.name)
    return found if at.row is None else found[at.row]
