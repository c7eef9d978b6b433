"""A step that holds its states where a mask is 0: out = m f(…) + (1 − m) states, for ragged batches.

Its inputs are (*states, x, mask, *weights), or of a second half (gates, *states, mask, *weights); the mask is
an observation of 0 and 1 and has no cotangent. The masked cotangent m λ goes through f, (1 − m) λ to the
states before.
"""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np

from msgpass import Step
from rnn.cells.rules import plus, rules


@lru_cache(maxsize=64)
def held(step: Step, states: int, first: int = 0) -> Step:
    """``step`` with a mask after its first ``states + 1`` inputs; ``first`` is the place of the states."""
    own, place = rules(step), states + 1

    def without(arrays):
        return (*arrays[:place], *arrays[place + 1 :])

    def tupled(value):
        return tuple(value) if isinstance(value, tuple | list) else (value,)

    def pick(mask, there, else_):
        """Row by row of the batch; a state may have several axes."""
        return np.where(mask.reshape(mask.shape + (1,) * (there.ndim - mask.ndim)), there, else_)

    def chosen(mask, new, old):
        kept = tuple(pick(mask, n, o) for n, o in zip(tupled(new), old, strict=True))
        return kept if states > 1 else kept[0]

    def masked(mask, cotangent):
        through = tuple(pick(mask, c, np.zeros((), c.dtype)) for c in tupled(cotangent))
        return through if states > 1 else through[0]

    def before(arrays):
        return arrays[first : first + states]

    def f(*inputs):
        mask = inputs[place] != 0
        return chosen(mask, own.f(*without(inputs)), before(inputs))

    def with_mask(found):
        return (*found[:place], None, *found[place:])

    def vjp(inputs, cotangent, rule=None):
        mask = inputs[place] != 0
        found = list((rule or own.vjp)(without(inputs), masked(mask, cotangent)))
        for k, c in enumerate(tupled(cotangent)):
            found[first + k] = plus(found[first + k], c - pick(mask, c, np.zeros((), c.dtype)))
        return with_mask(found)

    def jvp(inputs, tangents):
        mask = inputs[place] != 0
        return chosen(mask, own.jvp(without(inputs), without(tangents)), before(tangents))

    def hvp(inputs, cotangent, tangents):
        mask = inputs[place] != 0
        return with_mask(own.hvp(without(inputs), masked(mask, cotangent), without(tangents)))

    def waiting(inputs, cotangent, rule):
        return with_mask(rule(without(inputs), masked(inputs[place] != 0, cotangent)))

    split = None
    if step.split is not None:
        now, later = step.split
        split = partial(vjp, rule=now), partial(waiting, rule=later)
    given = (step.vjp, vjp), (step.jvp, jvp), (step.hvp, hvp)
    own_vjp, own_jvp, own_hvp = (made if there is not None else None for there, made in given)
    f.__name__ = f"held_{getattr(step.f, '__name__', 'step')}"
    return Step(
        f, vjp=own_vjp, jvp=own_jvp, vectorized=step.vectorized, kernel=step.kernel, hvp=own_hvp, split=split
    )
