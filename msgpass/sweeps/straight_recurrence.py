"""A compiled recurrence whose arrays lie as its kernels take them: rows (B, features) of one sequence, no
weight transposed, one start of shape (B, H) for each state.

`msgpass.sweeps.compiled_recurrence` gathers the general case; here every array is taken by name. Bits are the
same.
"""

from __future__ import annotations

from typing import Any

from msgpass.sweeps.compiled_recurrence import CompiledSweep, Lazy, Local
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

    def __init__(self, formula, block, roles: Roles, values, keep: bool):
        super().__init__(formula, block, roles, values, keep)
        latent = self.family.factor.graph.plan().owner
        self.x = roles.x.name
        self.names = tuple(name for name, _ in roles.weights)
        self.edges = tuple(a.edge.name for a in roles.states)
        self.outputs = tuple(o.name for o in roles.outs)
        self.held = None if roles.mask is None else roles.mask.name
        self.below = self.x in latent
        self.latent_edges = tuple(name for name in self.edges if name in latent)

    def again(self, values) -> StraightSweep:
        """The same sweep for another run's values."""
        new = object.__new__(StraightSweep)
        new.__dict__.update(self.__dict__)
        new.values, new.kept = values, []
        return new

    def weights(self) -> Arrays:
        """Weights in the formula's order."""
        values = self.values
        return tuple([values[name] for name in self.names])

    def given(self) -> tuple[Arrays, Any]:
        """Starts, and the mask or None."""
        values = self.values
        mask = None if self.held is None else values[self.held][:, :, 0]
        return tuple([values[name] for name in self.edges]), mask

    def forward(self) -> None:
        """All states."""
        from msgpass.kernels.finite import all_finite

        self.sweep_forward()
        # A NaN stays in its row of the batch, so the last step shows whether there was one.
        last = 0 if self.reverse else -1
        if not all(all_finite(self.values[name][last]) for name in self.outputs):
            check_states(self.block, self.values)

    def sweep_forward(self) -> None:
        """All states, with no look at what became of them."""
        values = self.values
        starts, mask = self.given()
        states, kept = self.formula.forward(
            values[self.x], self.weights(), starts, mask, reverse=self.reverse, keep=self.keep
        )
        self.kept = [kept]
        for name, state in zip(self.outputs, states, strict=True):
            values[name] = state

    def adjoint(self, store: Store | Local, inputs: bool = False, carried: bool = False) -> list[Found]:
        """Kernel gradients from the local cotangents in ``store``."""
        values, outputs = self.values, self.outputs
        starts, mask = self.given()
        return [
            self.formula.backward(
                tuple([store.peek(name) if store.has(name) else None for name in outputs]),
                values[self.x],
                tuple([values[name] for name in outputs]),
                self.weights(),
                starts,
                mask,
                self.kept[0] if self.kept else None,
                reverse=self.reverse,
                inputs=inputs,
                carried=carried,
            )
        ]

    def backward(self, store: Store, later: Store, window=None, chosen=None) -> None:
        """Gradients at the parameters and edges now; adjoints now only if a step below needs them."""
        (found,) = self.adjoint(store, inputs=self.below)
        last = None
        for name, gradient in zip(self.names, found.weights, strict=True):
            store.add(name, gradient.copy() if gradient is last else gradient)  # two biases share theirs
            last = gradient
        for name, start in zip(self.edges, found.starts, strict=True):
            if name in self.latent_edges:
                later.add(name, start.copy())
            store.add(name, start)
        if self.below and found.inputs is not None:
            store.add(self.x, found.inputs)
        Lazy(self, store).leave(store, later, self.below)
