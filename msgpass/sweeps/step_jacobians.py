"""Jacobians of one step of a recurrence at all times, ∂s_t/∂s_{t−1} with s several sequences side by side.

One local VJP of all steps and samples for each number of the state; nothing is swept. Their products are the
transported Jacobians of :mod:`msgpass.sweeps.jacobian`.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.plan import Recurrence
from msgpass.sweeps.jacobian import check_apart, probes
from msgpass.sweeps.local import vjp_many, vjp_part
from msgpass.sweeps.readings import full
from msgpass.sweeps.rows import per_instance, read


def step_jacobians(x, names: tuple[str, ...]) -> np.ndarray:
    """See :meth:`msgpass.Messages.step_jacobians`."""
    x = full(x)
    family, before = _step(x, names)
    inputs = [read(family, a, x.values) for a in family.args]
    stacked = [per_instance(family, a) for a in family.args]
    n, shapes = family.factor.n, {o.name: o.slice.shape for o in family.outs}
    shape = shapes[names[0]]
    batch = shape[:1] if len(shape) > 1 else ()

    def pull(cotangents: dict[str, np.ndarray]) -> list[np.ndarray]:
        given = [cotangents.get(o.name) for o in family.outs]
        given = [
            np.zeros((n, *o.slice.shape)) if c is None else c for o, c in zip(family.outs, given, strict=True)
        ]
        if family.potential.split is not None:
            found = vjp_part(family, 0, inputs, given)
        else:
            found = vjp_many(family, inputs, stacked, given, n)
        shape_of = [(n, *shapes[name]) for name in names]
        return [
            np.zeros(s) if found[k] is None else np.asarray(found[k])
            for k, s in zip(before, shape_of, strict=True)
        ]

    if batch and batch[0] > 1:
        _check(pull, names, shapes, n)
    rows = []
    for name in names:
        for place in np.ndindex(*shapes[name][len(batch) :]):
            unit = np.zeros((n, *shapes[name]))
            unit[(slice(None),) * (1 + len(batch)) + place] = 1
            rows.append(np.concatenate([f.reshape(n, *batch, -1) for f in pull({name: unit})], axis=-1))
    return np.stack(rows, axis=1 + len(batch))


def _step(x, names: tuple[str, ...]):
    """The factor that computes all of the sequences from their rows before, and which inputs these are."""
    wanted = ", ".join(map(repr, names))
    block = x.plan.owner.get(names[0]) if names else None
    if not isinstance(block, Recurrence) or any(x.plan.owner.get(name) is not block for name in names):
        raise UnsupportedError(
            f"{wanted} are not the states of one recurrence; step_jacobians takes the sequences that feed "
            "themselves across time, such as those of a cell"
        )
    family = block.families[0]
    before = {a.name: k for k, a in enumerate(family.args) if a.name in block.nodes}
    alike = len(block.families) == 1 and block.order == 1 and family.factor.n == family.outs[0].clock.total
    if not alike or not family.potential.vectorized or len(before) != len(block.nodes):
        raise UnsupportedError(
            f"the recurrence of {wanted} is more than one vectorised step a time, each state read once a "
            "step later; products over several steps are m.jacobian((name, t), name)"
        )
    if set(names) != set(block.nodes):
        raise UnsupportedError(
            f"the state of this recurrence is {', '.join(map(repr, block.nodes))}; its step's Jacobian is of "
            f"all of them, not of {wanted} alone"
        )
    return family, [before[name] for name in names]


def _check(pull, names, shapes, n: int) -> None:
    """Samples do not speak to each other."""
    for name in names:
        trial = probes(shapes[name])
        for c in range(trial.shape[-1]):
            found = pull({name: np.broadcast_to(trial[..., c], (n, *shapes[name])).copy()})
            for f, other in zip(found, names, strict=True):
                check_apart(f[..., None], trial[..., c : c + 1], name, other)
