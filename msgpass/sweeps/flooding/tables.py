"""The tables of one run as loopy belief propagation takes them: one array a family, divided by temperature
and counting number, tables over one variable as local evidence.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.kernels.flooding_reference import Factors, Problem
from msgpass.sweeps.expanded import table_instances
from msgpass.sweeps.flooding.layout import FloodingLayout, Guests


def structured(potential) -> bool:
    """It computes its messages without a table."""
    return getattr(potential, "log_messages", None) is not None


def instances_of(family, values) -> Any:
    """What the instances of a family say in this run."""
    if structured(family.potential):
        from msgpass.sweeps.structured_instances import StructuredInstances

        return StructuredInstances(family, values)
    return table_instances(family, values)


def logs_of(made, shape: tuple[int, ...]) -> np.ndarray:
    """Log tables of a family, (1, states…) where all share one, else (instances · batch, states…)."""
    if not (made.observed or made.stepped or made.has_batch):
        return made.extended[None].astype(np.float64, copy=False)
    stacked = made.stacked()
    axes = len(made.states) - len(made.observed)
    states = stacked.shape[stacked.ndim - axes :]
    if shape and stacked.ndim - 1 - axes < len(shape):
        stacked = np.repeat(stacked, int(np.prod(shape)), axis=0)
    return stacked.reshape(-1, *states).astype(np.float64, copy=False)


def problem_of(block, layout: FloodingLayout, made, clamp, temperature: float, counting) -> Problem:
    """Variables and factors of this run.

    Parameters
    ----------
    made : list
        Instances of each family.
    counting : list
        Counting number of each family's factors, an array (n,).
    """
    if temperature != 1 and (odd := next((m for m in made if structured(m.family.potential)), None)):
        raise UnsupportedError(
            f"factor {odd.family.name!r} has messages at temperature 1 alone, and this run is at "
            f"{temperature:g}; relate its variables with a Table, or use SumProduct() or MaxProduct()"
        )
    local = np.zeros(layout.where[-1])
    groups = []
    for k, (one, scopes) in enumerate(zip(made, layout.scopes, strict=True)):
        if not len(scopes):
            continue
        if scopes.shape[1] == 1 and not structured(one.family.potential):
            _add_local(local, layout, scopes[:, 0], logs_of(one, layout.shape) / temperature)
            continue
        groups.append(_group(k, one, layout, made, temperature, counting))
    for name, labels in clamp.items():
        _clamp(local, layout, name, np.asarray(labels).ravel())
    return Problem(layout.where, local, tuple(groups))


def _add_local(local, layout, variables, logs) -> None:
    at = layout.where[variables][:, None] + np.arange(logs.shape[1])
    np.add.at(local, at, np.broadcast_to(logs, at.shape))


def _clamp(local, layout, name: str, labels: np.ndarray) -> None:
    rows = layout.of(name)
    states = int(layout.where[rows.start + 1] - layout.where[rows.start])
    other = (labels[:, None] >= 0) & (labels[:, None] != np.arange(states))
    local[layout.where[rows.start] : layout.where[rows.stop]][other.ravel()] = -np.inf


def _group(k: int, one, layout: FloodingLayout, made, temperature: float, counting) -> Factors:
    """One family's factors that have messages of their own."""
    scopes, kept, numbers = layout.scopes[k], layout.kept[k], counting[k]
    states = tuple(int(layout.where[v + 1] - layout.where[v]) for v in scopes[0])
    if structured(one.family.potential):
        return Factors(scopes, states, None, np.ones(len(scopes)), one)
    logs = logs_of(one, layout.shape)
    guests = [g for g in layout.guests if g.host == k]
    if guests or (len(logs) == 1 and (numbers != numbers[0]).any()):
        logs = np.repeat(logs, len(scopes), axis=0) if len(logs) == 1 else logs.copy()
    for guest in guests:
        _sit(logs, guest, made[guest.family], layout)
    if kept is not None:
        scopes, numbers = scopes[kept], numbers[kept]
        logs = logs if len(logs) == 1 else logs[kept]
    scale = temperature * numbers[: len(logs)]
    if not (scale == 1).all():
        logs = logs / scale.reshape(-1, *(1,) * len(states))
    return Factors(scopes, states, logs, numbers)


def _sit(logs, guest: Guests, made, layout) -> None:
    """Add guests' tables to their hosts'; several may sit at one."""
    own = logs_of(made, layout.shape)
    own = own if len(own) == 1 else own[guest.rows]
    own = own.transpose(0, *(1 + a for a in guest.axes))
    np.add.at(logs, guest.host_rows, np.broadcast_to(own, (len(guest.rows), *own.shape[1:])))
