"""A choice without a branch, for generated code."""

from numba import types
from numba.extending import intrinsic


@intrinsic
def select(typing_context, condition, one, other):
    """``one if condition else other``, of two numbers or two truth values; both are evaluated."""
    kind = types.boolean if one == types.boolean and other == types.boolean else types.float64

    def code(context, builder, signature, args):
        chosen, a, b = args
        return builder.select(context.cast(builder, chosen, signature.args[0], types.boolean), a, b)

    return kind(types.boolean, kind, kind), code
