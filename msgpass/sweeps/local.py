"""Calling a step on some of its instances: values, VJPs and JVPs, vectorised where the step says that it can
be.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import GraphError, MessagePassingError, NumericalError, ShapeError
from msgpass.plan import Family


def differentiable(values) -> list[int]:
    """Inputs that are real numbers."""
    return [k for k, v in enumerate(values) if np.asarray(v).dtype.kind == "f"]


def as_tuple(result, family: Family) -> tuple[np.ndarray, ...]:
    """A step's result as one array an output."""
    outputs = tuple(result) if isinstance(result, tuple | list) else (result,)
    if len(outputs) != len(family.outs):
        raise ShapeError(
            f"step {family.name!r} returned {len(outputs)} outputs, but out= names {len(family.outs)}"
        )
    return tuple(np.asarray(o) for o in outputs)


def call_one(family: Family, inputs) -> tuple[np.ndarray, ...]:
    """One instance, no leading axis."""
    outputs = as_tuple(called(family, inputs), family)
    for out, value in zip(family.outs, outputs, strict=True):
        check_one(family, out, value.shape)
    return outputs


def check_one(family: Family, out, shape: tuple[int, ...]) -> None:
    """Raise unless an output of one instance has the shape of a row."""
    if shape != out.slice.shape:
        raise ShapeError(
            f"step {family.name!r} returned shape {shape}, but one row of {out.name!r} "
            f"has shape {out.slice.shape}"
        )


def check_many(family: Family, out, shape: tuple[int, ...], n: int) -> None:
    """Raise unless a vectorised output of n instances has a row for each."""
    if shape != (n, *out.slice.shape):
        raise ShapeError(
            f"vectorised step {family.name!r} returned shape {shape} for {n} "
            f"instances, wanted {(n, *out.slice.shape)}; "
            "with vectorized=True stepped inputs come with a leading axis of instances"
        )


def call_many(family: Family, inputs, stacked: list[bool], n: int) -> tuple[np.ndarray, ...]:
    """n instances: stacked inputs have a leading axis of n, and so have the results."""
    if family.potential.vectorized:
        outputs = as_tuple(called(family, inputs), family)
        for out, value in zip(family.outs, outputs, strict=True):
            check_many(family, out, value.shape, n)
        return outputs
    rows = [
        call_one(family, [v[j] if s else v for v, s in zip(inputs, stacked, strict=True)]) for j in range(n)
    ]
    return tuple(
        np.stack([r[k] for r in rows]) if rows else np.zeros((0, *family.outs[k].slice.shape))
        for k in range(len(family.outs))
    )


def vjp_one(family: Family, inputs, cotangents) -> list:
    """Cotangents of every input (None where there is none) of one call, which may be vectorised."""
    step = family.potential
    cotangent = tuple(cotangents) if len(family.outs) > 1 else cotangents[0]
    if step.vjp is not None:
        return checked_cotangents(family, guarded(family, step.vjp, (tuple(inputs), cotangent)), inputs)
    from msgpass.interop.differentiators import autograd_vjp

    wanted = differentiable(inputs)
    _, pull = autograd_vjp(step.f, inputs, wanted)
    result: list = [None] * len(inputs)
    for k, g in zip(wanted, pull(cotangent), strict=True):
        result[k] = np.asarray(g)
    return result


def vjp_part(family: Family, part: int, inputs, cotangents) -> list:
    """One part of a vectorised step's split VJP: 0 what each step says at once, 1 what can wait."""
    cotangent = tuple(cotangents) if len(family.outs) > 1 else cotangents[0]
    found = guarded(family, family.potential.split[part], (tuple(inputs), cotangent))
    return checked_cotangents(family, found, inputs, f"{('early', 'late')[part]} vjp of step")


def checked_cotangents(family: Family, found, inputs, what: str = "vjp of step") -> list:
    """What a user's vjp (or hvp) returned: one cotangent an input, of its shape."""
    if not isinstance(found, tuple | list) or len(found) != len(inputs):
        got = f"{len(found)} cotangents" if isinstance(found, tuple | list) else type(found).__name__
        raise ShapeError(
            f"the {what} {family.name!r} must return a tuple of {len(inputs)} cotangents (None where there "
            f"is none), one for each input, got {got}"
        )
    for arg, g, value in zip(family.args, found, inputs, strict=True):
        if g is not None and np.shape(g) != np.shape(value):
            raise ShapeError(
                f"the {what} {family.name!r} returned a cotangent of shape {np.shape(g)} for "
                f"{arg.slice.name}, whose value has shape {np.shape(value)}"
            )
    return list(found)


def vjp_many(family: Family, inputs, stacked, cotangents, n: int) -> list:
    """Cotangents of n instances: stacked inputs get a leading axis, shared inputs a sum."""
    if n == 0:
        return [None] * len(inputs)
    if family.potential.vectorized:
        return vjp_one(family, inputs, cotangents)
    result: list = [None] * len(inputs)
    for j in range(n):
        found = vjp_one(
            family,
            [v[j] if s else v for v, s in zip(inputs, stacked, strict=True)],
            [c[j] for c in cotangents],
        )
        for k, g in enumerate(found):
            if g is None:
                continue
            if stacked[k]:
                if result[k] is None:
                    result[k] = np.zeros(np.shape(inputs[k]), np.asarray(g).dtype)
                result[k][j] = g
            else:
                result[k] = g if result[k] is None else result[k] + g
    return result


def jacobians(family: Family, inputs, wanted: list[int], n: int) -> list[list[np.ndarray]]:
    """∂out_k/∂input_a of every instance, each (n, size of out, size of in), for a vectorised step: one VJP an
    output number.
    """
    step = family.potential
    shapes = [o.slice.shape for o in family.outs]
    dtype = np.asarray(inputs[wanted[0]]).dtype
    if step.vjp is None:
        from msgpass.interop.differentiators import autograd_vjp

        _, pull = autograd_vjp(step.f, inputs, wanted)
    else:

        def pull(cotangent):
            found = step.vjp(tuple(inputs), cotangent)
            return [found[a] for a in wanted]

    result = []
    for k, shape in enumerate(shapes):
        size = int(np.prod(shape))
        blocks = [np.zeros((n, size, int(np.prod(np.shape(inputs[a])[1:]))), dtype) for a in wanted]
        for j in range(size):
            cotangents = [np.zeros((n, *s), dtype) for s in shapes]
            cotangents[k].reshape(n, -1)[:, j] = 1
            for block, g in zip(
                blocks, pull(tuple(cotangents) if len(shapes) > 1 else cotangents[0]), strict=True
            ):
                if g is not None:
                    block[:, j] = np.reshape(g, (n, -1))
        result.append(blocks)
    return result


def jvp_one(family: Family, inputs, tangents) -> tuple[np.ndarray, ...]:
    """Tangents of the outputs of one call (a tangent of None is zero)."""
    step = family.potential
    if all(t is None for t in tangents):
        return tuple(np.zeros(()) for _ in family.outs)
    if step.jvp is not None:
        full = tuple(np.zeros_like(x) if t is None else t for x, t in zip(inputs, tangents, strict=True))
        return as_tuple(guarded(family, step.jvp, (tuple(inputs), full)), family)
    from msgpass.interop.differentiators import autograd_jvp

    if step.vjp is not None:
        raise ShapeError(
            f"step {family.name!r} has its own vjp but no jvp; Tangent needs Step(f, jvp=…), or "
            "neither so that autograd supplies both"
        )
    kept = [t if np.asarray(x).dtype.kind == "f" else None for x, t in zip(inputs, tangents, strict=True)]
    return as_tuple(autograd_jvp(step.f, inputs, kept)[1], family)


def check_finite(name: str, array: np.ndarray, family: Family, clock, direction: int = 1) -> None:
    """No NaN leaves silently: name the variable and the step where it is met first, in the sweep's order."""
    if np.isfinite(array).all():
        return
    where, step = "", None
    if clock is not None:
        _, step, sequence = first_broken(array, clock, direction)
        where = f" at step {step}" + (f" of sequence {sequence}" if clock.ragged else "")
    raise NumericalError(
        f"{name!r} became NaN or infinite{where}, computed by {family.name!r}; missing inputs "
        "(NaN) must be filled in before a step reads them, and parameters kept in range",
        step,
    )


def first_broken(array: np.ndarray, clock, direction: int) -> tuple[int, int, int]:
    """(steps swept before, step, sequence) of the first row that is not finite; there must be one."""
    rows = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
    sequences = np.searchsorted(clock.offsets, rows, side="right") - 1
    steps = rows - np.asarray(clock.offsets)[sequences]
    swept = steps if direction > 0 else np.asarray(clock.lengths)[sequences] - 1 - steps
    k = int(np.argmin(swept))
    return int(swept[k]), int(steps[k]), int(sequences[k])


def check_states(block, values) -> None:
    """Of all states of a recurrence, name the one that stops being finite first."""
    computed = [(out.name, f) for f in block.families for out in f.outs]
    broken = [(name, f) for name, f in computed if not np.isfinite(values[name]).all()]
    if broken:
        first = min(broken, key=lambda nf: first_broken(values[nf[0]], nf[1].clock, block.direction)[0])
        check_finite(first[0], values[first[0]], first[1], first[1].clock, block.direction)


def called(family: Family, inputs):
    """f(*inputs). The first call of a step makes sure that it leaves its inputs, rows of states, alone."""
    step = family.potential
    if step.keeps_inputs:
        return guarded(family, step.f, inputs)
    given = [np.array(v) if isinstance(v, np.ndarray) else v for v in inputs]
    found = guarded(family, step.f, given)
    check_kept(family.name, inputs, given)
    step.keeps_inputs = True
    return found


def check_kept(name: str, inputs, given) -> None:
    """Raise where a step has changed what it was given."""
    for k, (before, after) in enumerate(zip(inputs, given, strict=True)):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
            raise GraphError(
                f"step {name!r} writes into its input {k} (x += …, x[…] = …), which is a state or a "
                "parameter that others read; compute a new array, or begin with x = x.copy()"
            )


def guarded(family: Family, function, args):
    try:
        return function(*args)
    except MessagePassingError:
        raise
    except (ValueError, TypeError, IndexError) as problem:
        arrays = args[0] if args and isinstance(args[0], tuple) else args
        shapes = ", ".join(str(np.shape(a)) for a in arrays)
        raise ShapeError(
            f"step {family.name!r} failed on inputs of shapes {shapes}: {type(problem).__name__}: {problem}"
        ) from problem
