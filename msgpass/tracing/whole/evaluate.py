"""A program's values in NumPy: the reference of all compiled code, and the text to read it by."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from msgpass.tracing.whole.program import ELEMENTWISE, Node, Program


def value_of(node: Node, args: Sequence[np.ndarray]) -> np.ndarray:
    """One node, from its arguments' values."""
    op, data = node.op, node.data
    if op == "where":
        return np.where(*args)
    if op in ELEMENTWISE:
        with np.errstate(all="ignore"):
            return ELEMENTWISE[op](*args)
    if op == "broadcast":
        return np.broadcast_to(args[0], node.shape)
    if op == "reshape":
        return np.reshape(args[0], node.shape)
    if op == "gather":
        return np.reshape(args[0], -1)[data]
    if op == "scatter":
        found = np.zeros(prod(node.shape), args[0].dtype)
        np.add.at(found, data.reshape(-1), np.reshape(args[0], -1))
        return found.reshape(node.shape)
    if op == "join":
        return np.concatenate([np.reshape(a, -1) for a in args])
    if op == "sum":
        return np.sum(args[0], axis=data)
    if op == "amax":
        return np.max(args[0], axis=data)
    if op == "cumsum":
        return np.cumsum(args[0], axis=data)
    if op == "einsum":
        return np.einsum(data, *args)
    raise NotImplementedError(op)


def evaluate(program: Program, *inputs) -> tuple[np.ndarray, ...]:
    """Outputs for given inputs.

    Parameters
    ----------
    inputs : arrays of the shapes of ``program.inputs``
    """
    values: dict[int, np.ndarray] = {}
    for node in program.nodes:
        if node.op == "input":
            values[node.number] = np.asarray(inputs[node.data])
        elif node.op == "constant":
            values[node.number] = node.data
        else:
            values[node.number] = value_of(node, [values[a.number] for a in node.args])
    return tuple(values[o.number] for o in program.outputs)
