"""Which factor hard evidence contradicts, for the error of a run whose total is zero.

Only what single variables say is looked at: clamped states, and −∞ in tables over one variable. A factor with
structure that this leaves no configuration is named with its instance; contradictions that need several
factors are not looked for.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import ImpossibleEvidenceError
from msgpass.plan import latent
from msgpass.potentials import Structured
from msgpass.sweeps.expanded import table_instances
from msgpass.sweeps.flattened import Flat, flatten
from msgpass.sweeps.rows import instance_numbers
from msgpass.sweeps.structured_chain import Link, shown, whole
from msgpass.sweeps.structured_instances import StructuredInstances


def refuse_impossible(block, values, clamp) -> None:
    """Raise the error of evidence whose probability is zero."""
    refuse_contradicted(block, values, clamp)
    raise ImpossibleEvidenceError(
        f"the evidence on {', '.join(shown(block)[:4])} has probability zero, so that no posterior exists; "
        "look for −∞ in its tables"
    )


def refuse_contradicted(block, values, clamp) -> None:
    """Raise where a factor with structure is left no configuration, naming it."""
    families = {id(f): f for f in map(whole, block.families) if isinstance(f.potential, Structured)}
    if not families:
        return
    flat = flatten(block)
    local = hard_evidence(block, flat, values, clamp)
    for family in families.values():
        columns = [
            np.stack([local[flat.first[arg.name] + row] for row in instance_numbers(family, arg).tolist()])
            for arg in family.args
            if latent(arg)
        ]
        StructuredInstances(family, values).refuse_contradictions(np.stack(columns, axis=1))


def hard_evidence(block, flat: Flat, values, clamp) -> list[np.ndarray]:
    """Of each variable, 0 at states that its own evidence allows and −∞ elsewhere."""
    local = [np.zeros(k) for k in flat.states.tolist()]
    for family, scope in zip(block.families, flat.scopes, strict=True):
        if scope.shape[1] == 1 and not isinstance(family.potential, Structured | Link):
            logs = table_instances(family, values).stacked()
            for v, row in zip(scope[:, 0].tolist(), logs, strict=True):
                local[v] = np.where(row == -np.inf, row, local[v])
    for name, labels in (clamp or {}).items():
        for row, label in enumerate(np.asarray(labels).reshape(-1).tolist()):
            if label >= 0:
                v = flat.first[name] + row
                local[v] = np.where(np.arange(len(local[v])) == label, local[v], -np.inf)
    return local
