"""Maps and losses over real values: all instances at once; and the store in which cotangents are added up.

forward    out = f(inputs)                      total += loss(inputs)
backward   λ_input += (∂f/∂input)ᵀ λ_out        λ_input += ∂loss/∂input
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import DataError, ShapeError
from msgpass.nodes import Observation
from msgpass.plan import Family
from msgpass.sweeps.local import call_many, call_one, check_finite, jvp_one, vjp_many, vjp_one
from msgpass.sweeps.rows import add_rows, per_instance, read, rows_of


class Store(dict):
    """Accumulators by node name: zeros of the node's shape until something arrives.

    The first message over all rows is borrowed, not copied; whoever then asks for the accumulator, to add to
    it or to keep it,
    gets a copy. :meth:`peek` reads without one.
    """

    columns = 1
    """Cotangents that are carried side by side."""

    def __init__(self, values, rules=None):
        super().__init__()
        self.values_of, self.rules = values, rules  # EdgeRules, or None
        self.borrowed: set[str] = set()
        self.pending: dict[str, list] = {}

    def flat(self, name: str) -> np.ndarray:
        """The accumulator as (rows, numbers a row), to be added to."""
        return self[name].reshape(len(self[name]), -1)

    def vjp(self, family: Family, inputs, stacked, cotangents, n: int | None) -> list:
        """Local VJP of n instances (None: of one call without a leading axis) for what the store carries."""
        if n is None:
            return vjp_one(family, inputs, cotangents)
        return vjp_many(family, inputs, stacked, cotangents, n)

    def complete(self, name: str):
        """The accumulator of ``name`` after what a compiled sweep left to be added when it is asked for."""
        for add in self.pending.pop(name, ()):
            add(self, name)
        return self[name]

    def close(self) -> None:
        """Nobody will ask for more: what waits to be added holds the run that it would come from."""
        self.pending.clear()

    def lend(self, name: str, message: np.ndarray) -> bool:
        """Take ``message`` as the accumulator itself if nothing has arrived yet and it fits."""
        like = self.values_of[name]
        if dict.__contains__(self, name) or message.shape != like.shape or message.dtype != like.dtype:
            return False
        dict.__setitem__(self, name, message)
        self.borrowed.add(name)
        return True

    def add(self, name: str, message: np.ndarray) -> None:
        """Add a message that nobody else holds: the first that fits becomes the accumulator itself."""
        like = self.values_of[name]
        if dict.__contains__(self, name) or message.shape != like.shape or message.dtype != like.dtype:
            self[name] += message.reshape(like.shape)
        else:
            dict.__setitem__(self, name, message)

    def has(self, name: str) -> bool:
        """Something has arrived."""
        return dict.__contains__(self, name)

    def peek(self, name: str) -> np.ndarray:
        """The accumulator, to be read only."""
        return dict.__getitem__(self, name) if self.has(name) else self[name]

    def __setitem__(self, name, value) -> None:
        self.borrowed.discard(name)
        dict.__setitem__(self, name, value)

    def __getitem__(self, name):
        if not dict.__contains__(self, name):
            self[name] = np.zeros_like(self.values_of[name])
        elif name in self.borrowed:
            self[name] = dict.__getitem__(self, name).copy()
        return dict.__getitem__(self, name)

    def __contains__(self, name) -> bool:
        return np.asarray(self.values_of[name]).dtype.kind == "f"


def lagged(family: Family, arg) -> bool:
    """The argument's row is earlier (in the sweep's direction) than the instance: its message comes from a
    later slice.
    """
    if arg.slice.stepped:
        return arg.first != family.first
    if arg.slice.kind != "index" or family.factor.stepped or isinstance(arg.slice.node, Observation):
        return False
    length = arg.clock.lengths[0]
    rows = [a.slice.index_row(length) for a in (family.outs or family.args) if a.slice.kind == "index"]
    return bool(rows) and arg.slice.index_row(length) != max(rows)


def store_outputs(family: Family, values, outputs, chosen=None) -> None:
    """Write stacked outputs to their rows; allocate on first use."""
    for out, value in zip(family.outs, outputs, strict=True):
        node = out.slice.node
        if out.rows is None:
            values[out.name] = value[0]
            continue
        if out.name not in values:
            values[out.name] = np.empty((node.clock.total, *node.shape), value.dtype)
        values[out.name][rows_of(family, out, chosen)] = value


def forward_map(block, values) -> None:
    """Evaluate every instance of a Map."""
    family = block.families[0]
    inputs = [read(family, a, values) for a in family.args]
    if family.counts is None and not any(per_instance(family, a) for a in family.args):
        outputs = tuple(o[None] for o in call_one(family, inputs))
    else:
        outputs = call_many(family, inputs, [per_instance(family, a) for a in family.args], family.factor.n)
    store_outputs(family, values, outputs)
    for out in family.outs:
        if out.name in block.logs:
            continue  # the tables that read it look for NaN and +∞
        clock = out.slice.node.clock if out.rows is not None else None
        if clock is None or family.factor.n == clock.total:
            check_finite(out.name, values[out.name], family, clock)


def backward_map(block, values, store: Store, later: Store, chosen=None) -> None:
    """Local VJPs of the chosen instances, added onto their inputs."""
    family = block.families[0]
    stacked = [per_instance(family, a) for a in family.args]
    inputs = [read(family, a, values, chosen) for a in family.args]
    if family.counts is None and not any(stacked):
        cotangents = [store[o.name] if o.rows is None else store[o.name][o.rows][0] for o in family.outs]
        found = store.vjp(family, inputs, stacked, cotangents, None)
    else:
        cotangents = cotangents_of(family, store, chosen)
        found = store.vjp(family, inputs, stacked, cotangents, len(cotangents[0]))
    if store.rules is not None:
        found = store.rules.shared(family, found, inputs, stacked, cotangents_of(family, store, chosen))
    for arg, message in zip(family.args, found, strict=True):
        deliver(family, arg, message, store, later, chosen)


def cotangents_of(family: Family, store: Store, chosen=None) -> list[np.ndarray]:
    """What arrives at each output, stacked over instances."""
    return [
        store[o.name][None] if o.rows is None else store[o.name][rows_of(family, o, chosen)]
        for o in family.outs
    ]


def deliver(
    family: Family, arg, message, store: Store, later: Store, chosen=None, through: bool = False
) -> None:
    """Add a cotangent onto an input, and to what later slices say where it is lagged; ``through``: it has
    gone through its edge's rule."""
    if message is None:
        return
    message = np.asarray(message)
    if store.rules is not None and not through:
        message = store.rules.stacked(family, family.args.index(arg), message, store.values_of, chosen)
    add_rows(family, arg, store, message, chosen)
    if lagged(family, arg):
        add_rows(family, arg, later, message, chosen)


def tangent_map(block, values, tangents) -> None:
    """Push tangents through every instance of a Map."""
    family = block.families[0]
    stacked = [per_instance(family, a) for a in family.args]
    inputs = [read(family, a, values) for a in family.args]
    moves = [read(family, a, tangents) if moving(tangents, a) else None for a in family.args]
    if family.counts is None and not any(stacked):
        found = (
            tuple(t[None] for t in jvp_one(family, inputs, moves))
            if any(m is not None for m in moves)
            else None
        )
    elif all(m is None for m in moves):
        found = None
    elif family.potential.vectorized:
        found = jvp_one(family, inputs, moves)
    else:
        rows = [
            jvp_one(
                family,
                *(
                    [v[j] if s and v is not None else v for v, s in zip(which, stacked, strict=True)]
                    for which in (inputs, moves)
                ),
            )
            for j in range(family.factor.n)
        ]
        found = tuple(np.stack([r[k] for r in rows]) for k in range(len(family.outs)))
    if found is None:
        found = tuple(np.zeros((family.factor.n, *o.slice.shape)) for o in family.outs)
    store_outputs(family, tangents, found)


def moving(tangents, arg) -> bool:
    """Whether the input, or its edge, has a tangent."""
    present = arg.name in tangents
    if arg.edge is not None and (present or arg.edge.name in tangents):
        for name, like in ((arg.name, None), (arg.edge.name, None)):
            if name not in tangents:
                tangents.zero(name, like)
        return True
    return present


def evaluate_loss(block, values) -> tuple[float, list[np.ndarray | None]]:
    """Total and one stacked gradient an input; instances with missing observations contribute nothing."""
    family = block.families[0]
    stacked = [per_instance(family, a) for a in family.args]
    inputs = [read(family, a, values) for a in family.args]
    function = family.potential.value_and_grad
    present = present_instances(family, inputs, stacked, values)
    if not np.any(present):
        return 0.0, [None] * len(inputs)
    if not any(stacked):
        return checked_loss(family, function(*inputs), inputs)
    if family.potential.vectorized:
        whole = present.all()
        part = inputs if whole else [v[present] if s else v for v, s in zip(inputs, stacked, strict=True)]
        total, grads = checked_loss(family, function(*part), part)
        if whole:
            return total, grads
        return total, [
            spread_rows(g, present) if s and g is not None else g for g, s in zip(grads, stacked, strict=True)
        ]
    total = 0.0
    sums: list[Any] = [None] * len(inputs)
    for j in np.flatnonzero(present):
        one = [v[j] if s else v for v, s in zip(inputs, stacked, strict=True)]
        value, grads = checked_loss(family, function(*one), one)
        total += value
        for k, g in enumerate(grads):
            if g is None:
                continue
            if sums[k] is None:
                sums[k] = np.zeros_like(inputs[k])
            if stacked[k]:
                sums[k][j] = g
            else:
                sums[k] += g
    return total, sums


def present_instances(family: Family, inputs, stacked, values):
    """Which instances of a loss miss no observation: one flag an instance, or one in all."""
    if not any(stacked):
        return not any(_is_missing(a, v) for a, v in zip(family.args, inputs, strict=True))
    n = next(len(v) for v, s in zip(inputs, stacked, strict=True) if s)
    present = np.ones(n, bool)
    for arg, value, s in zip(family.args, inputs, stacked, strict=True):
        if s and isinstance(arg.slice.node, Observation) and not values.complete(arg.name):
            flat = value.reshape(n, -1)
            gone = np.isnan(flat).all(axis=1) if value.dtype.kind == "f" else (flat == -1).all(axis=1)
            present &= ~gone
    return present


def loss_messages(block, values, j: int) -> list[np.ndarray]:
    """What instance j says to each of its inputs: zeros where an observation is missing."""
    family = block.families[0]
    stacked = [per_instance(family, a) for a in family.args]
    inputs = [
        read(family, a, values, slice(j, j + 1)) if s else read(family, a, values)
        for a, s in zip(family.args, stacked, strict=True)
    ]
    own = [v[0] if s else v for v, s in zip(inputs, stacked, strict=True)]
    if any(_is_missing(a, v) for a, v in zip(family.args, own, strict=True)):
        return [np.zeros_like(v) for v in own]
    leading = family.potential.vectorized and any(stacked)
    part = inputs if leading else own
    _, grads = checked_loss(family, family.potential.value_and_grad(*part), part)
    grads = [g[0] if s and leading and g is not None else g for g, s in zip(grads, stacked, strict=True)]
    return [np.zeros_like(v) if g is None else g for g, v in zip(grads, own, strict=True)]


def spread_rows(gradient, present):
    """Rows of the present instances among all, zero elsewhere."""
    full = np.zeros((len(present), *gradient.shape[1:]), gradient.dtype)
    full[present] = gradient
    return full


def _is_missing(arg, value) -> bool:
    if not isinstance(arg.slice.node, Observation) or np.size(value) == 0:
        return False
    return bool(
        np.isnan(value).all() if np.asarray(value).dtype.kind == "f" else (np.asarray(value) == -1).all()
    )


def checked_loss(family: Family, result, inputs) -> tuple[float, list[np.ndarray | None]]:
    """What a loss returned: its value, which is no NaN, and one gradient an input, of its shape or None."""
    try:
        value, grads = result
        # A loss of one input may return its gradient bare.
        grads = [grads] if len(inputs) == 1 and not isinstance(grads, tuple | list) else list(grads)
    except (TypeError, ValueError):
        raise ShapeError(
            f"loss {family.name!r} must return (value, (gradient or None, …)), got {type(result).__name__}"
        ) from None
    if len(grads) != len(inputs):
        raise ShapeError(
            f"loss {family.name!r} returned {len(grads)} gradients for {len(inputs)} inputs; give "
            "None where there is none"
        )
    try:
        total = value if type(value) is float else float(np.sum(value))
    except (TypeError, ValueError):
        raise ShapeError(f"loss {family.name!r} must return a number first, got {value!r}") from None
    if total != total:
        raise DataError(
            f"loss {family.name!r} is NaN; look for missing values among "
            f"{', '.join(a.slice.name for a in family.args)}"
        )
    for k, (g, v) in enumerate(zip(grads, inputs, strict=True)):
        if g is not None:
            grads[k] = g = np.asarray(g)
            if g.shape != np.shape(v):
                raise ShapeError(
                    f"loss {family.name!r}: the gradient for {family.args[k].slice.name} has shape "
                    f"{g.shape}, wanted {np.shape(v)}"
                )
    return total, grads


def backward_loss(block, grads, store: Store, later: Store, chosen=None, shared: bool = True) -> None:
    """Add a loss's gradients onto its inputs (``shared``: also onto inputs that all instances share)."""
    family = block.families[0]
    if store.rules is not None:
        grads = store.rules.of_loss(block, grads, store.values_of)
    for arg, g in zip(family.args, grads, strict=True):
        if g is None:
            continue
        if per_instance(family, arg):
            deliver(family, arg, g if chosen is None else g[chosen], store, later, chosen, through=True)
        elif shared:
            deliver(family, arg, g, store, later, through=True)


def tangent_loss(block, values, tangents, grads) -> float:
    """Directional derivative of a loss: its gradients dotted with the tangents."""
    family = block.families[0]
    total = 0.0
    for arg, g in zip(family.args, grads, strict=True):
        if g is not None and arg.name in tangents:
            total += float(np.sum(g * read(family, arg, tangents)))
    return total
