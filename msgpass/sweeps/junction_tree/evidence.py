"""Which observation is the first that is impossible given those before it.

What is impossible stays so whatever else is observed. Observations, in the order in which the graph has them
and row by row, are therefore halved: each time the component runs again with some of them left out.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import ImpossibleEvidenceError
from msgpass.nodes import Observation, Sequence
from msgpass.plan import latent
from msgpass.sweeps.contradictions import refuse_contradicted
from msgpass.sweeps.structured_chain import shown, whole
from msgpass.values import Values


def impossible_evidence(run) -> ImpossibleEvidenceError:
    """The error that names it; ⌈log₂ n⌉ runs over n observations."""
    refuse_contradicted(run.block, run.values, run.clamp)
    seen = _observations(run)
    places = [(name, row) for name, array in seen.items() for row in range(len(array))]
    if not _possible(run, seen, places, 0):
        return ImpossibleEvidenceError(
            f"the tables over {', '.join(shown(run.block)[:4])} have no possible assignment, whatever is "
            "observed: their −∞ exclude each other"
        )
    few, many = 0, len(places)  # possible with few of them, impossible with many
    while many - few > 1:
        middle = (few + many) // 2
        if _possible(run, seen, places, middle):
            few = middle
        else:
            many = middle
    name, row = places[few]
    graph = run.block.families[0].factor.graph
    node, called = graph.nodes[name], graph.state_names.get(name)
    states, stepped = seen[name][row], _stepped(node)
    where = f"{name}[{row}]" if stepped else name
    what = "of some member of the batch"
    if states.ndim == 0:
        what = f"= {called[int(states)] if called else int(states)}"
    before = "by itself" if not few else f"given the {few if few > 1 else 'one'} before it"
    return ImpossibleEvidenceError(
        f"the evidence has probability zero, so that no posterior exists: {where} {what} is impossible "
        f"{before} (of {len(places)} observations, in the order in which the graph has them)",
        row if stepped else None,
    )


def _stepped(node) -> bool:
    return isinstance(node, Sequence) or (isinstance(node, Observation) and node.value.ndim > 0)


def _observations(run) -> dict[str, np.ndarray]:
    """States of everything that is observed or clamped, (rows, …), in the graph's order."""
    graph = run.block.families[0].factor.graph
    read = {a.name for f in run.block.families for a in whole(f).args if not latent(a)}
    found = {}
    for name, node in graph.nodes.items():
        if name in read or name in run.clamp:
            array = np.asarray(run.values[name] if name in read else run.clamp[name])
            batched = isinstance(node, Observation) and array.ndim == len(run.layout.shape)
            found[name] = array if _stepped(node) and not batched else array[None]
    return found


def _possible(run, seen, places, n: int) -> bool:
    """Whether the first n observations are possible."""
    kept = {name: np.full_like(array, -1) for name, array in seen.items()}
    for name, row in places[:n]:
        kept[name][row] = seen[name][row]
    kept = {name: array.reshape(np.shape(_given(run, name))) for name, array in kept.items()}
    values = Values({**run.values, **{k: v for k, v in kept.items() if k not in run.clamp}})
    clamp = {name: kept[name] for name in run.clamp}
    again = type(run)(run.block, run.layout, run.algebra, values, clamp, [*run.overridden, *kept])
    return again.total > -np.inf


def _given(run, name: str):
    return run.clamp[name] if name in run.clamp else run.values[name]
