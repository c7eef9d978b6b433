"""Evidence files of the UAI competition: one sample, or (since 2010) several with their number in front.

2                            variables observed
1 0  3 1                     variable and state, in pairs
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from msgpass.interop.numbers_file import NumbersFile
from msgpass.interop.tables import labels
from msgpass.nodes import Parameter, Sequence


def read_evid(path, graph=None) -> list[dict]:
    """Read an ``.evid`` file.

    Parameters
    ----------
    path : path
    graph : FactorGraph, optional
        Whose variables the file numbers, in the order in which ``write_uai`` writes them; states are
        checked against it. Without one, variables are called x0, x1, … as those of ``read_uai`` are.

    Returns
    -------
    list of dict
        One a sample, for ``run(graph, values=…)``.

    Raises
    ------
    DataError
        Names the line of what is wrong.
    """
    file = NumbersFile(path)
    samples = _samples(file)
    if graph is None:
        return [{f"x{v}": k for v, (k, _) in sample.items()} for sample in samples]
    return [_values(file, graph, sample) for sample in samples]


def write_evid(path, evidence, graph) -> None:
    """Write evidence, one sample or a list of them.

    Parameters
    ----------
    path : path
    evidence : dict, or list of dict
        As ``run(graph, values=…)`` takes it: states of variables, arrays of states of sequences.
    graph : FactorGraph
        Whose observations are written, too.
    """
    from msgpass.interop.tables import written_out

    several = not isinstance(evidence, dict)
    lines = [str(len(evidence))] if several else []
    for sample in evidence if several else [evidence]:
        found = written_out(graph, sample, "an .evid file")
        numbers = found.numbers
        pairs = [(numbers[name], state) for name, state in found.evidence.items()]
        lines.append(" ".join(map(str, (len(pairs), *(k for pair in pairs for k in pair)))))
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


Sample = dict[int, tuple[int, int]]
"""Variable to its state and the place of that word in the file."""


def _samples(file: NumbersFile) -> list[Sample]:
    """Several samples where the numbers add up that way and not as one, else one."""
    if not len(file):
        return [{}]
    n = file.numbers
    if len(n) == 1 and n[0] == 0:
        return [{}]
    single = len(n) == 1 + 2 * n[0]
    if _several(n) and (not single or _counted(file)):
        return [_sample(file) for _ in range(file.whole("the number of samples"))]
    found = _sample(file)
    if file.left:
        raise file.error(
            f"{file.left} numbers follow after the {len(found)} pairs of the first sample; wanted the number "
            "of samples first, or one sample alone",
            file.at,
        )
    return [found]


def _several(n: np.ndarray) -> bool:
    at = 1
    for _ in range(int(n[0])):
        if at >= len(n) or n[at] < 0:
            return False
        at += 1 + 2 * int(n[at])
    return at == len(n)


def _counted(file: NumbersFile) -> bool:
    """The first line holds the number of lines that follow: this tells where numbers add up both ways."""
    lines = [line.split() for line in file.text.split("\n") if line.strip()]
    return len(lines[0]) == 1 and float(lines[0][0]) == len(lines) - 1 and all(len(w) % 2 for w in lines[1:])


def _sample(file: NumbersFile) -> Sample:
    found: Sample = {}
    for _ in range(file.whole("how many variables are observed")):
        v = file.whole("an observed variable")
        if v in found:
            raise file.error(f"variable {v} is observed twice")
        found[v] = file.whole(f"the state of variable {v}"), file.at - 1
    return found


def _values(file: NumbersFile, graph, sample: Sample) -> dict:
    nodes = [node for node in graph.nodes.values() if not isinstance(node, Parameter)]
    sizes = [len(labels(node)) for node in nodes]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found: dict = {}
    for v, (state, word) in sample.items():
        if v >= starts[-1]:
            raise file.error(
                f"variable {v} is observed, and the graph has {starts[-1]} variables, from 0 on", word - 1
            )
        k = int(np.searchsorted(starts, v, side="right")) - 1
        node = nodes[k]
        if state >= node.states:
            raise file.error(
                f"variable {v} is in state {state}, and has {node.states} states, from 0 on", word
            )
        if isinstance(node, Sequence) or node.shape:
            found.setdefault(node.name, np.full(sizes[k], -1))[v - starts[k]] = state
        else:
            found[node.name] = state
    return found
