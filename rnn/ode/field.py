"""``Field``: the right-hand side as a function of arrays, with its VJP and its Jacobian in y.

A batch of states, y of shape (…, D), mostly has one system a row; its Jacobian is then one block a row, which
is seen by comparing with a VJP of everything at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass import Step
from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn.ode.differentiation import quiet_vjp
from rnn.ode.errors import BlowUpError
from rnn.ode.parameters import Packing, as_rate
from rnn.ode.quick import Quick, quick_of

SEPARATE = 1e-9  # relative gap up to which rows of a batch do not touch each other
DIFFERENCE = 1.5e-8  # √ε


class Field:
    """dy/dt = f(t, y, *arrays).

    Parameters
    ----------
    function : callable
    vjp : callable, optional
        ``vjp((t, y, *arrays), cotangent)`` → one cotangent an input, or None; by default autograd's.
    matrix : callable, optional
        ``matrix(t, y, *arrays)`` → ∂f/∂y as (n, n), where that is known otherwise.
    """

    def __init__(self, function: Callable, vjp: Callable | None = None, matrix: Callable | None = None):
        self.function, self.own, self.matrix, self.calls = function, vjp, matrix, 0
        self.quick: Callable[..., Quick | None] = lambda y, arrays: None
        self.bound: tuple = ()

    @classmethod
    def of(cls, f, packing: Packing) -> Field:
        """Of what the user handed over: a function, or a :class:`msgpass.Step` of (t, y, *arrays)."""
        if isinstance(f, Field):
            return f
        if isinstance(f, Step):
            return cls(lambda t, y, *arrays: as_rate(f.f(t, y, *arrays)), f.vjp)
        made = cls(packing.field(f))
        made.quick = lambda y, arrays: quick_of(f, packing, made.function, y, arrays)
        return made

    def __call__(self, t, y, *arrays):
        self.calls += 1
        try:
            return self.function(t, y, *arrays)
        except Exception as problem:
            _say_when(problem, t)
            raise

    def at(self, arrays) -> Field:
        """With its parameters in it: a function of (t, y)."""
        function, own, matrix = self.function, self.own, self.matrix
        if not len(arrays):
            made = Field(function, own, matrix)
            made.quick = self.quick
            return made
        pull = None if own is None else lambda inputs, w: own((*inputs, *arrays), w)[:2]
        known = None if matrix is None else lambda t, y: matrix(t, y, *arrays)
        made = Field(lambda t, y: function(t, y, *arrays), pull, known)
        made.quick, made.bound = lambda y, _: self.quick(y, arrays), tuple(arrays)
        return made

    def vjp(self, t, y, arrays, cotangent) -> list:
        """(t̄, ȳ, *arrays' cotangents); zeros where f does not depend on an input."""
        inputs = [np.asarray(t, np.asarray(y).dtype), y, *arrays]
        if self.own is not None:
            found = self.own(tuple(inputs), cotangent)
        elif (pulled := self.compiled_vjp(inputs, cotangent)) is not None:
            return pulled
        else:
            _, pull = quiet_vjp(self.function, inputs, list(range(len(inputs))))
            found = pull(cotangent)
        return [np.zeros_like(x) if g is None else np.asarray(g) for x, g in zip(inputs, found, strict=True)]

    def compiled_vjp(self, inputs, cotangent) -> list | None:
        """The same in compiled code, or None where there is none (yet)."""
        quick = self.quick(inputs[1], inputs[2:])
        found = None if quick is None else quick.vjp([*inputs, *self.bound], cotangent)
        return None if found is None else list(found[: len(inputs)])

    def jacobian(self, t, y, arrays=()) -> Jacobian:
        """∂f/∂y."""
        y = np.asarray(y)
        if self.matrix is not None:
            return Jacobian(self.matrix(t, y, *arrays)[None], y.shape)
        if self.own is not None:
            own = self.own
            pull = lambda w: own((np.asarray(t, y.dtype), y, *arrays), w)[1]  # noqa: E731
        elif self.compiled_vjp([t, y, *arrays], np.zeros_like(y)) is not None:
            pull = lambda w: (self.compiled_vjp([t, y, *arrays], w) or [None, None])[1]  # noqa: E731
        else:
            try:
                _, both = quiet_vjp(lambda x: self.function(t, x, *arrays), [y], [0])
            except UnsupportedError:
                return self._differences(t, y, arrays)
            pull = lambda w: both(w)[0]  # noqa: E731
        return Jacobian.pulled(lambda w: np.zeros_like(y) if (g := pull(w)) is None else np.asarray(g), y)

    def _differences(self, t, y, arrays) -> Jacobian:
        """By forward differences, for a function that cannot be traced: good enough for Newton's method."""
        base = np.asarray(self.function(t, y, *arrays)).ravel()
        columns = []
        for j in range(y.size):
            step = DIFFERENCE * max(abs(y.flat[j]), 1e-5)
            moved = y.copy()
            moved.flat[j] += step
            columns.append((np.asarray(self.function(t, moved, *arrays)).ravel() - base) / step)
        return Jacobian(np.stack(columns, axis=1)[None], y.shape)


class Jacobian:
    """Blocks (rows, D, D): one where the whole state is one system."""

    def __init__(self, blocks: np.ndarray, shape: tuple[int, ...]):
        self.blocks, self.shape = blocks, shape

    @classmethod
    def pulled(cls, pull: Callable, y: np.ndarray) -> Jacobian:
        """From VJPs: D of them for a batch of separate rows, else one a number of y."""
        if y.ndim >= 2 and y.shape[-1] < y.size:
            width = y.shape[-1]
            blocks = np.empty((y.size // width, width, width), y.dtype)
            for d in range(width):
                unit = np.zeros_like(y)
                unit[..., d] = 1.0
                blocks[:, d] = pull(unit).reshape(-1, width)
            made = cls(blocks, y.shape)
            probe = np.random.default_rng(0).normal(size=y.shape).astype(y.dtype)
            wanted, found = pull(probe), made.transposed(probe)
            if np.abs(wanted - found).max() <= SEPARATE * (1e-300 + np.abs(wanted).max()):
                return made
        rows = []
        for j in range(y.size):
            unit = np.zeros_like(y)
            unit.flat[j] = 1.0
            rows.append(pull(unit).ravel())
        return cls(np.stack(rows)[None], y.shape)

    def full(self) -> np.ndarray:
        """(n, n)."""
        if len(self.blocks) == 1:
            return self.blocks[0]
        rows, width, _ = self.blocks.shape
        found = np.zeros((rows, width, rows, width), self.blocks.dtype)
        found[np.arange(rows), :, np.arange(rows), :] = self.blocks
        return found.reshape(rows * width, -1)

    def transposed(self, w: np.ndarray) -> np.ndarray:
        """Jᵀ w."""
        flat = w.reshape(len(self.blocks), 1, -1)
        return (flat @ self.blocks).reshape(self.shape)

    def solver(self, scale: float, transpose: bool = False) -> Callable:
        """r ↦ x with (I − scale·J) x = r, or its transpose."""
        matrix = np.eye(self.blocks.shape[-1], dtype=self.blocks.dtype) - scale * self.blocks
        inverse = np.linalg.inv(matrix)
        if transpose:
            inverse = np.swapaxes(inverse, 1, 2)
        return lambda r: (inverse @ r.reshape(len(inverse), -1, 1)).reshape(self.shape)


def _say_when(problem: Exception, t) -> None:
    """The time at which a user's function fails, as a note on what it raises."""
    if isinstance(t, float | int | np.number | np.ndarray) and np.size(t) == 1:
        problem.add_note(f"raised by a function of (t, y) at t = {float(np.ravel(t)[0]):g}")


def check_rate(rate, y, t) -> np.ndarray:
    """f's result as an array like y."""
    array = np.asarray(rate)
    if array.shape != np.shape(y):
        raise ShapeError(
            f"f(t, y) returned shape {array.shape} at t = {float(t):g}, but y has shape {np.shape(y)}; f "
            "returns dy/dt, one number for each number of y"
        )
    if array.dtype.kind in "iu":
        array = array.astype(float)
    if array.dtype.kind != "f":
        raise ShapeError(f"f(t, y) must return real numbers, got dtype {array.dtype} at t = {float(t):g}")
    return array


def rate_at_start(rate: Field, y, t: float) -> np.ndarray:
    """f at the start, where it fits y, is finite and leaves y as it is."""
    given = np.array(y)
    with np.errstate(all="ignore"):
        found = check_rate(rate(t, given), y, t)
    if not np.array_equal(given, y):
        raise DataError("f(t, y) changes y in place; compute a new array: begin with y = y.copy()")
    quick = rate.quick(y, ())
    if quick is not None:
        quick.renew()
    if not np.isfinite(found).all():
        raise BlowUpError(f"f(t, y) is not finite at the start, t = {t:g}", t)
    return found
