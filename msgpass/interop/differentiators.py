"""Local derivatives of user functions: HIPS autograd by default, JAX and torch functions on request.

Only *local* derivatives are taken here, of one step (or of many instances at once); propagation is the
engine's. Each differentiator has ``vjp(inputs, cotangent)``, ``jvp(inputs, tangents)`` and ``hvp(inputs,
cotangent, tangents)``, the derivative of the VJP along the tangents.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np

from msgpass.errors import MissingDependencyError, UnsupportedError

UNTRACEABLE = (TypeError, AttributeError, ValueError, NotImplementedError)
"""What autograd raises of a function that it cannot see through."""


@cache
def autograd_box():
    """Teach autograd's boxes NumPy's dispatch protocols, so that functions written with plain ``numpy`` can
    be traced.

    autograd traces calls to ``autograd.numpy``. NumPy's own functions hand an argument that defines
    ``__array_ufunc__`` or ``__array_function__`` to that argument, which passes the call on to the function
    of the same name that autograd knows.
    """
    import autograd.numpy as anp
    from autograd.numpy.numpy_boxes import ArrayBox

    def known(function):
        module = anp
        for part in getattr(function, "__module__", "numpy").split(".")[1:]:
            module = getattr(module, part, module)
        found = getattr(module, function.__name__, None) or getattr(anp, function.__name__, None)
        if found is None:
            raise UnsupportedError(
                f"autograd has no derivative of numpy.{function.__name__}; give the step its own "
                "vjp=, or write it with other functions"
            )
        return found

    def ufunc(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or kwargs.get("out") is not None:
            raise UnsupportedError(
                f"autograd cannot trace numpy.{ufunc.__name__}.{method} or out=; give the step its own vjp="
            )
        return known(ufunc)(*inputs, **kwargs)

    def function(self, func, types, args, kwargs):
        return select(*args, **kwargs) if func is np.select else known(func)(*args, **kwargs)

    def select(condlist, choicelist, default=0):
        made = default  # autograd's own calls NumPy's, which would come back here
        for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
            made = anp.where(condition, choice, made)
        return made

    if not hasattr(ArrayBox, "__array_function__"):
        ArrayBox.__array_ufunc__ = ufunc
        ArrayBox.__array_function__ = function
    return ArrayBox


def autograd_vjp(f, inputs, wanted):
    """(output, function from cotangent to the cotangents of ``wanted`` inputs) of one call of f."""
    autograd_box()
    from autograd.builtins import tuple as boxed_tuple
    from autograd.core import make_vjp

    inputs = list(inputs)
    several = False

    def of_wanted(parts):
        nonlocal several
        for k, part in zip(wanted, parts, strict=True):
            inputs[k] = part
        result = f(*inputs)
        several = isinstance(result, tuple | list)
        return boxed_tuple(tuple(map(_stacked, result))) if several else _stacked(result)

    try:
        pull, output = make_vjp(of_wanted, boxed_tuple(tuple(_as_float(inputs[k]) for k in wanted)))
    except UNTRACEABLE as problem:
        f(*[v if not hasattr(v, "_value") else v._value for v in inputs])
        raise UnsupportedError(
            f"autograd cannot take the local derivative of step {getattr(f, '__name__', f)!r} "
            f"({type(problem).__name__}: {problem}); write it with numpy functions and without in-place "
            "assignment, or give Step(f, vjp=…), Step.from_jax or Step.from_torch"
        ) from problem
    return output, lambda cotangent: list(pull(tuple(cotangent) if several else cotangent))


def _stacked(result):
    """An output; the array of objects that ``np.array([…])`` makes of traced numbers as one traced array."""
    if isinstance(result, np.ndarray) and result.dtype == object:
        import autograd.numpy as anp

        return anp.reshape(anp.array(result.ravel().tolist()), result.shape)
    value = result
    while hasattr(value, "_value"):
        value = value._value
    if getattr(getattr(value, "dtype", None), "kind", "") == "O":
        raise TypeError("np.array([…]) of traced numbers that is computed with; build it with np.stack([…])")
    return result


def _as_float(value):
    if hasattr(value, "_value"):  # a box of an outer derivative
        return value
    array = np.asarray(value)
    return array if array.dtype.kind == "f" else array.astype(float)


def autograd_jvp(f, inputs, tangents):
    """(output, tangent) by two reverse passes: the VJP is linear in its cotangent, so its transpose is the
    JVP.
    """
    wanted = [k for k, t in enumerate(tangents) if t is not None]
    output, _pull = autograd_vjp(f, inputs, wanted)
    several = isinstance(output, tuple | list)
    outputs = tuple(output) if several else (output,)
    zero = [np.zeros(np.shape(o), dtype=np.result_type(float, np.asarray(o).dtype)) for o in outputs]

    from autograd.core import make_vjp

    def transpose(index):
        # d/dc of <pull(c), tangents> is the tangent of output `index`; pull is linear in c and traceable
        # itself.
        def inner(c):
            import autograd.numpy as anp

            cotangents = [c if k == index else z for k, z in enumerate(zero)]
            pulled = autograd_vjp(f, inputs, wanted)[1](tuple(cotangents) if several else cotangents[0])
            return sum(anp.sum(p * tangents[k]) for p, k in zip(pulled, wanted, strict=True))

        back, _ = make_vjp(inner, zero[index])
        return back(1.0)

    found = tuple(np.asarray(transpose(k)) for k in range(len(outputs)))
    return output, found if several else found[0]


def autograd_hvp(gradient, inputs, tangents, what: str):
    """How gradients move along tangents: ∂/∂ε ``gradient(*(inputs + ε tangents))``, one array an input or
    None.

    Gradients of a number have a symmetric derivative H, so that H ẋ is the VJP of the gradients at ẋ: one
    reverse pass through ``gradient`` (which may itself be a VJP by autograd).

    Parameters
    ----------
    gradient : callable
        Of the inputs: one gradient an input, or None.
    inputs, tangents : lists of arrays
        None for a tangent that is zero.
    what : str
        What the gradients are of, for errors.
    """
    autograd_box()
    from autograd.builtins import tuple as boxed_tuple

    inputs = list(inputs)
    wanted = [k for k, v in enumerate(inputs) if np.asarray(v).dtype.kind == "f"]
    given: list[int] = []

    def of_wanted(parts):
        own = list(inputs)
        for k, part in zip(wanted, parts, strict=True):
            own[k] = part
        found = gradient(*own)
        given[:] = [k for k in wanted if found[k] is not None]
        if any(isinstance(found[k], np.ndarray) and found[k].dtype.kind == "O" for k in given):
            raise TypeError("np.array([…]) of traced numbers gives an array of objects; use np.stack([…])")
        return boxed_tuple(tuple(found[k] for k in given))

    point = boxed_tuple(tuple(_as_float(inputs[k]) for k in wanted))
    try:
        pull, _ = quiet(of_wanted, point)
        silent = [k for k in wanted if k not in given and tangents[k] is not None]
        zero = [np.zeros_like(_as_float(inputs[k])) for k in given]
        if not given:
            found = {}
        elif silent:
            # Something moves to which no gradient is given: that part is not symmetric, and the transpose is
            # taken by a second pass, for a VJP is linear in its cotangent.
            def along(cotangents):
                pulled = quiet(of_wanted, point)[0](cotangents)
                parts = zip(pulled, (tangents[k] for k in wanted), strict=True)
                return sum((p * t).sum() for p, t in parts if t is not None)

            found = dict(zip(given, quiet(along, boxed_tuple(tuple(zero)))[0](1.0), strict=True))
        else:
            moved = tuple(z if tangents[k] is None else tangents[k] for k, z in zip(given, zero, strict=True))
            found = dict(zip(wanted, pull(moved), strict=True))
    except (*UNTRACEABLE, IndexError, UnsupportedError) as problem:
        raise UnsupportedError(
            f"second derivatives: autograd cannot differentiate the {what} "
            f"({type(problem).__name__}: {problem}); write it with numpy functions and without assignment "
            "into arrays, or give its own hvp="
        ) from problem
    return [np.asarray(found[k]) if k in given else None for k in range(len(inputs))]


def quiet(f, point):
    """``make_vjp`` where a gradient may be constant: autograd warns of what depends on nothing, and the
    gradient of what is linear does not.
    """
    from autograd.core import make_vjp

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Output seems independent of input")
        return make_vjp(f, point)


def autograd_contraction(f, inputs, wanted, source, units, rows):
    """Gradients of Σ_i rows[i]·(f′ᵀ units[i]) at the ``wanted`` inputs, f′ = ∂f/∂inputs[source]: a VJP of
    VJPs."""
    autograd_box()
    import autograd.numpy as anp
    from autograd.builtins import tuple as boxed_tuple
    from autograd.core import make_vjp

    def total(parts):
        given = list(inputs)
        for k, part in zip(wanted, parts, strict=True):
            given[k] = part

        def of_source(x):
            found = f(*[x if k == source else v for k, v in enumerate(given)])
            return (found[0] if isinstance(found, tuple | list) else found) + 0.0 * anp.sum(x)

        pull, _ = make_vjp(of_source, given[source])
        value = sum(anp.sum(pull(unit) * row) for unit, row in zip(units, rows, strict=True))
        # autograd warns of what depends on nothing, which a second derivative often does.
        return value + sum(0.0 * anp.sum(part) for part in parts)

    try:
        pull, value = make_vjp(total, boxed_tuple(tuple(_as_float(inputs[k]) for k in wanted)))
        return list(pull(np.ones_like(value)))
    except UNTRACEABLE as problem:
        raise UnsupportedError(
            f"autograd cannot take the second derivative of step {getattr(f, '__name__', f)!r} "
            f"({type(problem).__name__}: {problem})"
        ) from problem


def jax_functions(f):
    """(f for JAX, f, vjp, jvp, hvp), the last four on NumPy arrays, of a function that JAX can trace."""
    try:
        import jax
    except ImportError:
        raise MissingDependencyError("Step.from_jax needs JAX: pip install jax") from None
    from msgpass.interop.jax_boxes import for_jax

    f = for_jax(f)
    to_numpy = lambda tree: jax.tree_util.tree_map(np.asarray, tree)  # noqa: E731
    call = jax.jit(f)

    @jax.jit
    def pull(inputs, cotangent):
        return jax.vjp(f, *inputs)[1](cotangent)

    @jax.jit
    def push(inputs, tangents):
        return jax.jvp(f, inputs, tangents)[1]

    def vjp(inputs, cotangent):
        found = to_numpy(pull(tuple(inputs), cotangent))
        return tuple(None if c.dtype == jax.dtypes.float0 else c for c in found)

    def jvp(inputs, tangents):
        full = tuple(
            np.zeros_like(x) if t is None else np.asarray(t, np.asarray(x).dtype)
            for x, t in zip(inputs, tangents, strict=True)
        )
        return to_numpy(push(tuple(inputs), full))

    @jax.jit
    def curve(inputs, cotangent, tangents):
        floats = [k for k, x in enumerate(inputs) if np.dtype(x.dtype).kind == "f"]

        def gradients(parts):
            own = list(inputs)
            for k, part in zip(floats, parts, strict=True):
                own[k] = part
            found = jax.vjp(f, *own)[1](cotangent)
            return [found[k] for k in floats]

        moved = jax.jvp(gradients, ([inputs[k] for k in floats],), ([tangents[k] for k in floats],))[1]
        return dict(zip(floats, moved, strict=True))

    def hvp(inputs, cotangent, tangents):
        inputs = tuple(map(np.asarray, inputs))
        moved = tuple(np.asarray(t, x.dtype) for x, t in zip(inputs, tangents, strict=True))
        found = to_numpy(curve(inputs, cotangent, moved))
        return tuple(found.get(k) for k in range(len(inputs)))

    return f, lambda *inputs: to_numpy(call(*inputs)), vjp, jvp, hvp


def torch_functions(f):
    """(f, vjp, jvp, hvp) of a torch function on NumPy arrays."""
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("Step.from_torch needs torch: pip install torch") from None

    def to_numpy(result):
        return (
            tuple(r.detach().numpy() for r in result)
            if isinstance(result, tuple | list)
            else result.detach().numpy()
        )

    def tensors(arrays):
        return [torch.as_tensor(np.ascontiguousarray(a)) for a in arrays]

    def call(*inputs):
        with torch.no_grad():
            return to_numpy(f(*tensors(inputs)))

    def vjp(inputs, cotangent):
        parts = [t.requires_grad_(t.is_floating_point()) for t in tensors(inputs)]
        output = f(*parts)
        outputs = output if isinstance(output, tuple | list) else (output,)
        cotangents = tensors(cotangent if isinstance(output, tuple | list) else (cotangent,))
        wanted = [t for t in parts if t.requires_grad]
        found = iter(torch.autograd.grad(outputs, wanted, cotangents, allow_unused=True))
        grads = [next(found) if t.requires_grad else None for t in parts]
        return tuple(None if g is None else g.numpy() for g in grads)

    def jvp(inputs, tangents):
        parts = tuple(tensors(inputs))
        full = tuple(
            torch.zeros_like(p) if t is None else torch.as_tensor(np.asarray(t)).to(p.dtype)
            for p, t in zip(parts, tangents, strict=True)
        )
        return to_numpy(torch.func.jvp(f, parts, full)[1])

    def hvp(inputs, cotangent, tangents):
        parts = [t.requires_grad_(t.is_floating_point()) for t in tensors(inputs)]
        output = f(*parts)
        outputs = output if isinstance(output, tuple | list) else (output,)
        cotangents = tensors(cotangent if isinstance(output, tuple | list) else (cotangent,))
        wanted = [k for k, t in enumerate(parts) if t.requires_grad]
        own = [parts[k] for k in wanted]
        grads = torch.autograd.grad(outputs, own, cotangents, create_graph=True, allow_unused=True)
        moving = [(g, t) for g, t in zip(grads, (tangents[k] for k in wanted), strict=True) if g is not None]
        moving = [(g, torch.as_tensor(np.array(t)).to(g.dtype)) for g, t in moving if g.requires_grad]
        if not moving:
            return (None,) * len(parts)
        # The derivative of gradients is symmetric, so that its product with the tangents is a VJP.
        curved = torch.autograd.grad([g for g, _ in moving], own, [t for _, t in moving], allow_unused=True)
        found = dict(zip(wanted, curved, strict=True))
        return tuple(None if found.get(k) is None else found[k].numpy() for k in range(len(parts)))

    return call, vjp, jvp, hvp
