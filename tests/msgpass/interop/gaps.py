"""Missing observations that several factors read: a run sums them out of each factor on its own."""

from msgpass.interop.tables import written_out
from msgpass.nodes import Observation


def shared_gaps(graph) -> bool:
    """Whether a graph has one; other formats have one variable for it."""
    found = written_out(graph)
    data = {n for n in found.states if isinstance(graph.nodes[n.split("[")[0]], Observation)}
    scopes = [v for f in found.factors for v in f.scope if v in data - found.evidence.keys()]
    return len(set(scopes)) < len(scopes)
