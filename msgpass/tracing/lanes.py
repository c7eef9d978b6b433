"""Whether a program does the same on each row of a batch, so that one row's code in a loop is enough."""

from __future__ import annotations

from msgpass.tracing.program import Program


def rows_alike(program: Program, rows: int, laned: frozenset[int]) -> bool:
    """Row b of each output is made of row b of the ``laned`` inputs, by the same operations for every b.

    Inputs that are not laned are read at the same places by all rows.
    """
    tape = program.tape
    if any(o.shape[:1] != (rows,) for o in program.outputs):
        return False
    first = [k for o in program.outputs for k in o.reshape(rows, -1)[0].tolist()]
    width = {k: program.inputs[k].size // rows for k in laned}
    for b in range(1, rows):
        own = [k for o in program.outputs for k in o.reshape(rows, -1)[b].tolist()]
        known: dict[int, int] = {}
        waiting = list(zip(first, own, strict=True))
        while waiting:
            one, other = waiting.pop()
            if one in known:
                if known[one] != other:
                    return False
                continue
            known[one] = other
            name, *args = tape.nodes[one]
            same, *others = tape.nodes[other]
            if name != same:
                return False
            if name == "in":
                k, i = args
                step = width.get(k)
                place = (k, i) if step is None else (k, i + b * step)
                if tuple(others) != place or (step is not None and i >= step):
                    return False
            elif name in ("const", "bool"):
                if one != other:
                    return False
            else:
                waiting.extend(zip(args, others, strict=True))
    return True
