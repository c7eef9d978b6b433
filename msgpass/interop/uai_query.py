"""Marginal MAP of the UAI competition: which variables are maximised, and the answer."""

from __future__ import annotations

from msgpass.interop.numbers_file import NumbersFile
from msgpass.nodes import Parameter


def read_query(path, graph) -> list[str]:
    """Names of the queried variables of a graph that :func:`read_uai` made with a variable each. The file
    holds how many they are, then their numbers.

    Raises
    ------
    DataError
        Names the line of what is wrong.
    """
    file = NumbersFile(path)
    names = [node.name for node in graph.nodes.values() if not isinstance(node, Parameter)]
    found: list[str] = []
    for _ in range(file.whole("how many variables are queried", 1)):
        v = file.whole("a queried variable")
        if v >= len(names):
            raise file.error(f"variable {v} is queried, and the graph has {len(names)} variables")
        if names[v] in found:
            raise file.error(f"variable {v} is queried twice")
        found.append(names[v])
    file.finish("the query")
    return found


def query_text(graph, query: list[str], assignments: list[dict]) -> str:
    """A result file's text: states of the queried variables by their names, one dict a sample of evidence."""
    names = [node.name for node in graph.nodes.values() if not isinstance(node, Parameter)]
    numbers = {name: names.index(name) for name in query}
    lines = ["MMAP", *([str(len(assignments))] if len(assignments) > 1 else [])]
    for states in assignments:
        lines.append(" ".join([str(len(query)), *(f"{numbers[v]} {int(states[v])}" for v in query)]))
    return "\n".join(lines) + "\n"
