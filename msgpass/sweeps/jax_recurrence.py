"""A recurrence of a JAX function: its steps forward and its VJPs backward, each as one compiled ``lax.scan``.

    forward    h_t = f(h_{t−1}, x_t, θ)
    backward   λ_t = local_t + (∂h_{t+1}/∂h_t)ᵀ λ_{t+1};      x̄_t, θ̄ = Σ_t (∂f_t/∂(x_t, θ))ᵀ λ_t

The VJP of a step is taken anew where it is needed, so that states are all that is kept. Compiling takes a
third of a second and more; until such work has come by on a graph, steps are called one by one.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from msgpass.kernels.finite import all_finite
from msgpass.plan import Recurrence
from msgpass.sweeps.local import check_states
from msgpass.sweeps.real import Store, deliver
from msgpass.sweeps.recurrence import Sweep
from msgpass.sweeps.rows import add_edge, edge_value, per_instance, read

PATIENCE = 0.15
"""Seconds of reference work (estimated) that a graph runs before its sweep is compiled."""

CALL = 2e-4
"""Seconds of one step in the reference, forward and backward: two compiled calls, 0.5 to 3e-4."""

_COMPILED: WeakKeyDictionary = WeakKeyDictionary()


def fits(block: Recurrence) -> bool:
    """One JAX step over one sequence, each state computed at every step and read one step later."""
    if len(block.families) != 1 or block.direction < 0 or block.order != 1:
        return False
    (family,) = block.families
    step = family.potential
    if step.jax is None or step.vectorized or family.counts is None or len(family.counts) != 1:
        return False
    if any(o.slice.kind != "range" or o.clock.total != family.factor.n for o in family.outs):
        return False
    states = [a for a in family.args if a.name in block.nodes]
    return all(a.edge is not None and a.edge.name not in block.nodes for a in states)


def make(plan, k: int, block: Recurrence, values):
    """The sweep, or None for the reference."""
    if not fits(block):
        return None
    key = ("jax recurrence", k)
    spent = plan.cache.get(key, 0.0)
    if spent <= PATIENCE and plan.cache.get("start compiled"):
        spent = np.inf
    if spent <= PATIENCE:
        spent += block.families[0].factor.n * CALL
    plan.cache[key] = spent
    return JaxSweep(block, values) if spent > PATIENCE else None


class JaxSweep:
    """Forward and backward over all steps."""

    resumes = True
    """The backward sweep needs values alone."""

    def __init__(self, block: Recurrence, values):
        self.block, self.values = block, values
        (self.family,) = block.families
        outs = [o.name for o in self.family.outs]
        self.kinds = tuple(
            ("state", outs.index(a.name))
            if a.name in block.nodes
            else ("rows", 0)
            if per_instance(self.family, a)
            else ("shared", 0)
            for a in self.family.args
        )

    @property
    def compiled(self):
        """(forward, backward) of this step, kept with it."""
        kept = _COMPILED.setdefault(self.family.potential, {})
        if self.kinds not in kept:
            kept[self.kinds] = _scans(self.family.potential.jax, self.kinds, len(self.family.outs))
        return kept[self.kinds]

    def given(self) -> tuple[tuple, tuple, tuple]:
        """(starts, rows, shared), each in the order of the arguments."""
        starts: list[np.ndarray] = []
        rows: list[np.ndarray] = []
        shared: list[np.ndarray] = []
        for a, (kind, _) in zip(self.family.args, self.kinds, strict=True):
            if kind == "state":
                edge = edge_value(self.family, a, self.values)
                starts.append(edge.reshape(a.slice.shape))
            else:
                (rows if kind == "rows" else shared).append(read(self.family, a, self.values))
        return tuple(starts), tuple(rows), tuple(shared)

    def forward(self) -> None:
        """All states."""
        dtype = Sweep(self.block, self.values).dtype
        found = self.compiled[0](*self.given(), self.family.factor.n)
        for out, states in zip(self.family.outs, found, strict=True):
            self.values[out.name] = np.array(states, dtype)
        if not all(all_finite(self.values[out.name]) for out in self.family.outs):
            check_states(self.block, self.values)

    def tangent(self, tangents) -> None:
        """Tangents of the states, step by step."""
        Sweep(self.block, self.values).tangent(tangents)

    def backward(self, store: Store, later: Store, window=None, chosen=None) -> None:
        """Cotangents from the local ones already in ``store``."""
        if window is not None or chosen is not None:
            Sweep(self.block, self.values).backward(store, later, window, chosen)
            return
        family, values = self.family, self.values
        states = tuple(values[o.name] for o in family.outs)
        local = tuple(
            store.peek(o.name) if store.has(o.name) else np.zeros_like(values[o.name]) for o in family.outs
        )
        carried, starts, rows, shared = self.compiled[1](*self.given(), states, local)
        for out, message in zip(family.outs, carried, strict=True):
            for target in (store, later):
                target.add(out.name, np.array(message, values[out.name].dtype))
        messages = {"state": iter(starts), "rows": iter(rows), "shared": iter(shared)}
        for a, (kind, _) in zip(family.args, self.kinds, strict=True):
            message = next(messages[kind])
            if kind == "state":
                for target in (store, later):
                    if a.edge.name in target:
                        add_edge(a, target[a.edge.name], np.array(message)[None], np.zeros(1, np.int64))
            elif message is not None:
                deliver(family, a, np.array(message, values[a.name].dtype), store, later)


def _scans(f, kinds, outs: int):
    """The two compiled functions, 0.5 to 3e-4."""
    import jax
    from jax import numpy as jnp

    def called(before, rows, shared):
        parts = {"state": iter(before), "rows": iter(rows), "shared": iter(shared)}
        found = f(*(next(parts[kind]) for kind, _ in kinds))
        return tuple(found) if isinstance(found, tuple | list) else (found,)

    read = [place for kind, place in kinds if kind == "state"]

    def forward(starts, rows, shared, steps):
        def step(before, row):
            now = called(before, row, shared)
            return tuple(now[k] for k in read), now

        return jax.lax.scan(step, starts, rows, length=steps)[1]

    def real(x) -> bool:
        return jnp.issubdtype(jnp.result_type(x), jnp.floating)

    def backward(starts, rows, shared, states, local):
        before = tuple(jnp.concatenate([s[None], states[k][:-1]]) for s, k in zip(starts, read, strict=True))
        own = tuple(w for w in shared if real(w))

        def whole(given, those):
            mine = iter(those)
            return tuple(next(mine) if real(x) else x for x in given)

        def step(carry, at):
            back, total = carry
            here, row, cotangents = at
            heard: list = [None] * outs
            for k, message in zip(read, back, strict=True):
                heard[k] = message if heard[k] is None else heard[k] + message
            carried = tuple(
                jnp.zeros_like(c) if m is None else m for c, m in zip(cotangents, heard, strict=True)
            )
            lam = tuple(c + m for c, m in zip(cotangents, carried, strict=True))

            def local_step(here, moved, weights):
                return called(here, whole(row, moved), whole(shared, weights))

            now, pull = jax.vjp(local_step, here, tuple(r for r in row if real(r)), own)
            back, at_row, at_shared = pull(tuple(c.astype(n.dtype) for c, n in zip(lam, now, strict=True)))
            total = tuple(a + b for a, b in zip(total, at_shared, strict=True))
            return (back, total), (carried, at_row)

        zero = tuple(map(jnp.zeros_like, starts)), tuple(map(jnp.zeros_like, own))
        (at_starts, total), (carried, at_rows) = jax.lax.scan(step, zero, (before, rows, local), reverse=True)
        fill = lambda given, those: [next(i) if real(x) else None for i in [iter(those)] for x in given]  # noqa: E731
        return carried, at_starts, fill(rows, at_rows), fill(shared, total)

    return jax.jit(forward, static_argnums=3), jax.jit(backward)
