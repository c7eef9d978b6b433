"""A compiled recurrence whose arrays lie as its kernels take them: rows (B, features) of one sequence, no
weight transposed, one start of shape (B, H) for each state.

`msgpass.sweeps.compiled_recurrence` gathers the general case; here every array is taken by name. Bits are the
same.
"""

from __future__ import annotations

from typing import Any

from msgpass.sweeps.compiled_recurrence import CompiledSweep, Lazy
from msgpass.sweeps.local import check_states
from msgpass.sweeps.real import Store
from msgpass.sweeps.recurrence_formula import Arrays, Found, Roles


def is_straight(roles: Roles, values) -> bool:
    """Whether the arrays lie so; that depends on shapes and precisions alone."""
    out, x = roles.outs[0], values[roles.x.name]
    batch = out.slice.shape[0] if roles.batch else 0
    rows = (out.clock.total, batch)
    named = [values[name] for name, _ in roles.weights]
    starts = [a.edge for a in roles.states]
    return (
        roles.batch
        and len(out.clock.lengths) == 1
        and x.ndim == 3
        and x.shape[:2] == rows
        and not any(flip for _, flip in roles.weights)
        and named[0].ndim == 2
        and all(e.rows is None and values[e.name].shape == (batch, *out.slice.shape[1:]) for e in starts)
        and (roles.mask is None or values[roles.mask.name].shape == (*rows, 1))
        and len({x.dtype, *(w.dtype for w in named), *(values[e.name].dtype for e in starts)}) == 1
        and (roles.mask is None or values[roles.mask.name].dtype == x.dtype)
    )


class StraightSweep(CompiledSweep):
    """As `CompiledSweep`, for what `is_straight`."""

    def weights(self) -> Arrays:
        """Weights in the formula's order."""
        values = self.values
        return tuple([values[name] for name, _ in self.roles.weights])

    def given(self) -> tuple[Arrays, Any]:
        """Starts, and the mask or None."""
        values, roles = self.values, self.roles
        starts = tuple([values[a.edge.name] for a in roles.states])
        return starts, None if roles.mask is None else values[roles.mask.name][:, :, 0]

    def forward(self) -> None:
        """All states."""
        values, roles = self.values, self.roles
        starts, mask = self.given()
        from msgpass.kernels.finite import all_finite

        states, kept = self.formula.forward(
            values[roles.x.name], self.weights(), starts, mask, reverse=self.reverse, keep=self.keep
        )
        self.kept = [kept]
        finite = True
        for out, state in zip(roles.outs, states, strict=True):
            values[out.name] = state
            # A NaN stays in its row of the batch, so the last step shows whether there was one.
            finite = finite and all_finite(state[0 if self.reverse else -1])
        if not finite:
            check_states(self.block, values)

    def adjoint(self, store: Store, inputs: bool = False, carried: bool = False) -> list[Found]:
        """Kernel gradients from the local cotangents in ``store``."""
        values, outs = self.values, self.roles.outs
        starts, mask = self.given()
        return [
            self.formula.backward(
                tuple([store.peek(o.name) if store.has(o.name) else None for o in outs]),
                values[self.roles.x.name],
                tuple([values[o.name] for o in outs]),
                self.weights(),
                starts,
                mask,
                self.kept[0],
                reverse=self.reverse,
                inputs=inputs,
                carried=carried,
            )
        ]

    def backward(self, store: Store, later: Store, window=None, chosen=None) -> None:
        """Gradients at the parameters and edges now; adjoints now only if a step below needs them."""
        roles, x = self.roles, self.roles.x.name
        below = x in self.family.factor.graph.plan().owner
        (found,) = self.adjoint(store, inputs=below)
        self.add_weights(store, found.weights)
        for arg, start in zip(roles.states, found.starts, strict=True):
            store.add(arg.edge.name, start)
            later.add(arg.edge.name, start.copy())
        if below and found.inputs is not None:
            store.add(x, found.inputs)
        Lazy(self, store).leave(later, below)
