"""What the inputs of a traced step hear, delivered."""

from __future__ import annotations

import numpy as np

from msgpass.plan import Recurrence
from msgpass.sweeps.real import Store, deliver
from msgpass.sweeps.rows import add_edge, per_instance


def tell(step, block: Recurrence, values, k: int, message, store: Store, later: Store, chosen) -> None:
    """Add what input k hears."""
    family = block.families[0]
    arg, given = family.args[k], step.inputs[k]
    if message is None or k not in step.wanted:
        return
    if given.kind == "state":
        message = message.reshape(len(step.sequences), *arg.slice.shape)
        for target in (store, later):
            if arg.edge.name in target:
                add_edge(arg, target[arg.edge.name], message, np.arange(len(step.sequences)))
        return
    dtype = values[arg.name].dtype
    if per_instance(family, arg):
        message = message.reshape(family.factor.n, *arg.slice.shape).astype(dtype, copy=False)
        deliver(family, arg, message if chosen is None else message[chosen], store, later, chosen)
    else:
        whole = arg.slice.kind != "index"
        message = message.reshape(values[arg.name].shape if whole else arg.slice.shape)
        deliver(family, arg, message.astype(dtype, copy=False), store, later, chosen)
