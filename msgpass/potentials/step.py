"""``Step``: a deterministic factor δ(out − f(inputs)), or with noise N(out; f(inputs), noise), and how its
local derivative is taken.
"""

from __future__ import annotations

from collections.abc import Callable

from msgpass.errors import GraphError, ShapeError, UnsupportedError
from msgpass.kernels.registry import RECURRENCES, TRACED
from msgpass.nodes import Observation, Parameter, Sequence, Variable
from msgpass.potentials.base import Potential, real_inputs
from msgpass.potentials.noisy_step import as_noise, check_noisy


class Step(Potential):
    """A function of arrays: ``out = f(*inputs)``, exactly or up to Gaussian noise.

    Parameters
    ----------
    f : callable
        Maps input arrays to the output array, or to a tuple of them. Plain NumPy code is fine: with no
        ``vjp`` given, a local derivative is taken by HIPS autograd; the engine itself propagates.
    vjp : callable, optional
        ``vjp(inputs, cotangent)`` → one cotangent an input (None where there is none). With several outputs
        ``cotangent`` is a tuple.
    jvp : callable, optional
        ``jvp(inputs, tangents)`` → tangent of the output (a tuple with several outputs).
    hvp : callable, optional
        ``hvp(inputs, cotangent, tangents)`` → how the result of ``vjp(inputs, cotangent)`` moves when the
        inputs move by ``tangents``: one array an input, or None. Second derivatives ask for it; without it
        autograd differentiates ``vjp``, or f twice.
    vectorized : bool
        f, vjp, jvp and hvp also take a leading axis of instances on every input that has one row a step;
        shared inputs come as
        they are, and the cotangent of a shared input is summed over instances.
    split : (callable, callable), optional
        The VJP in two parts, (early, late), each called as ``vjp`` is and with None where it says nothing; an
        input's cotangent comes from one of them. Within a recurrence ``early`` is called at every step and
        ``late`` once for all steps, so ``late`` is for what the recurrence does not need to go on: the
        cotangents of inputs that all steps share, such as weights. ``vjp`` is then not needed.
    kernel : {"auto", "traced", "tanh", "relu", "gru", "lstm"}, optional
        ``"auto"``: a recurrence of f runs as one compiled loop over all steps, made from f itself (and from
        ``vjp``, if it is given), where f is plain NumPy code that can be traced; what cannot be traced runs
        as it is, and ``print(g.plan())`` says why. ``"traced"`` makes that an error. What f closes over may
        change between runs: it is watched, and f is traced anew. A name of a cell stands
        for a sweep written for it: h ← act(W h + U x + b), a GRU, or an LSTM's (h, c); f must compute the
        same, which is verified.
    noise : (m, m) array or Parameter, optional
        Covariance of additive Gaussian noise, also with a step axis in front; m numbers an output. The
        output is then a Gaussian variable, or an observation with NaN for missing cells, and the
        ``linearisation`` of :class:`~msgpass.Gaussian` says how messages cross f.

    Examples
    --------
    >>> import numpy as np
    >>> Step(lambda h, W: np.tanh(W @ h)).f(np.zeros(2), np.eye(2))
    array([0., 0.])
    """

    keeps_inputs = False  # known to leave its inputs as they are
    differentiable: bool | None = None  # by autograd, where there is no vjp; None: not known yet

    def __init__(
        self,
        f: Callable,
        vjp: Callable | None = None,
        jvp: Callable | None = None,
        vectorized: bool = False,
        kernel: str | None = None,
        hvp: Callable | None = None,
        noise=None,
        split: tuple[Callable, Callable] | None = None,
    ):
        early, late = (None, None) if split is None else split
        parts = ("early of split", early), ("late of split", late)
        for role, value in (("f", f), ("vjp", vjp), ("jvp", jvp), ("hvp", hvp), *parts):
            if not callable(value) and not (value is None and role != "f"):
                raise GraphError(f"Step: {role} must be a function of arrays, got {type(value).__name__}")
        if kernel is not None and kernel not in (*RECURRENCES, *TRACED):
            names = ", ".join([*TRACED, *sorted(RECURRENCES)])
            raise UnsupportedError(f"no compiled sweep is called {kernel!r}; there are {names}")
        self.split = split
        if vjp is None and split is not None:
            vjp = _joined(*split)
        self.f, self.vjp, self.jvp, self.hvp = f, vjp, jvp, hvp
        self.vectorized, self.kernel = bool(vectorized), kernel
        self.jax: Callable | None = None
        self.parts = {} if noise is None else {"noise": as_noise(noise)}

    @property
    def noisy(self) -> bool:
        """Its output is Gaussian around f."""
        return "noise" in self.parts

    @classmethod
    def from_jax(cls, f: Callable, vectorized: bool = False, noise=None) -> Step:
        """Local values and derivatives of a function that JAX can trace, written with ``jax.numpy`` or with
        plain ``numpy`` (``jax.vjp`` and ``jax.jvp`` of one step); a recurrence of it (not vectorised) runs as
        one ``lax.scan`` each way. What f closes over is a constant from its first call on, as ``jax.jit`` has
        it."""
        from msgpass.interop.differentiators import jax_functions

        f, function, vjp, jvp, hvp = jax_functions(f)
        made = cls(function, vjp, jvp, vectorized=vectorized, hvp=hvp, noise=noise)
        made.jax = f
        return made

    @classmethod
    def from_torch(cls, f: Callable, vectorized: bool = False, noise=None) -> Step:
        """Local values and derivatives of a torch function (``torch.autograd.grad`` of one step)."""
        from msgpass.interop.differentiators import torch_functions

        function, vjp, jvp, hvp = torch_functions(f)
        return cls(function, vjp, jvp, vectorized=vectorized, hvp=hvp, noise=noise)

    @classmethod
    def fixed_point(
        cls,
        f: Callable | Step,
        vjp: Callable | None = None,
        jvp: Callable | None = None,
        *,
        tol: float = 1e-10,
        max_iter: int = 1000,
        damping: float = 0.0,
        terms: int | None = None,
        vectorized: bool = False,
    ) -> Step:
        """A loop run to its fixed point: the step (start, *θ) → x with x = f(x, *θ).

        Backward, cotangents go around the loop until they no longer change, which makes them the gradient of
        the implicit function; nothing arrives at ``start``.

        Parameters
        ----------
        f : callable or Step
            (x, *θ) → x, of one shape. A Step brings its own derivatives.
        vjp, jvp, vectorized
            Of f, as Step has them.
        tol : float
            Largest change in a round, relative to the largest entry where that is above one.
        max_iter : int
            Rounds, forward and backward each.
        damping : float
            Share of the old value in the new one: for loops that swing.
        terms : int, optional
            Cotangents go around so many times only, the first terms of Neumann's series; what they lack
            shrinks with the spectral radius of ∂f/∂x to that power.

        Raises
        ------
        NumericalError
            In a run, where the loop does not settle.

        Examples
        --------
        x = cos(θ x), and dx/dθ by the implicit function.

        >>> import numpy as np
        >>> from msgpass import FactorGraph, Loss, Step, run
        >>> g = FactorGraph()
        >>> x, start, w = g.variable("x"), g.parameter("start", 0.0), g.parameter("w", 0.5)
        >>> _ = g.factor(Step.fixed_point(lambda x, w: np.cos(w * x)), start, w, out=x)
        >>> _ = g.factor(Loss(lambda x: (x, 1.0)), x)
        >>> m = run(g)
        >>> round(float(m.total), 6), round(float(m.parameters["w"]), 6)
        (0.900367, -0.321771)
        """
        from msgpass.potentials.fixed_point import FixedPoint

        if isinstance(f, Step):
            if f.noisy:
                raise UnsupportedError("Step.fixed_point: a step with noise has no fixed point")
            vjp, jvp, vectorized, f = f.vjp, f.jvp, f.vectorized, f.f
        for role, value in (("f", f), ("vjp", vjp), ("jvp", jvp)):
            if not callable(value) and not (value is None and role != "f"):
                raise GraphError(
                    f"Step.fixed_point: {role} must be a function of arrays, got {type(value).__name__}"
                )
        loop = FixedPoint(f, vjp, jvp, tol, max_iter, damping, terms)
        return cls(loop.f, loop.vjp, loop.jvp, vectorized=vectorized, hvp=loop.hvp)

    @property
    def default_name(self) -> str:
        """After the function."""
        name = getattr(self.f, "__name__", type(self.f).__name__)
        return "step" if name == "<lambda>" else f"{name} step"

    def check(self, factor) -> None:
        """A step computes real variables, each row once."""
        if not factor.out:
            raise GraphError(f"factor {factor.name!r}: a Step needs out=, the slice that it computes")
        if self.noisy:
            check_noisy(factor)
        real_inputs(factor)
        for s in factor.args:
            if s.edge is not None:
                _check_edge(factor, s)
        for s in () if self.noisy else factor.out:
            if isinstance(s.node, Parameter | Observation):
                raise GraphError(
                    f"factor {factor.name!r} would compute {s.node.describe()}, which is given; a "
                    "step computes a variable or sequence, and is evidence about one with Step(f, noise=R)"
                )
            if not isinstance(s.node, Variable | Sequence) or s.node.discrete:
                raise GraphError(
                    f"factor {factor.name!r}: a step computes real variables, and "
                    f"{s.node.describe()} is discrete"
                )
            if s.kind in ("after", "before", "all"):
                raise GraphError(
                    f"factor {factor.name!r}: out={s.name}; a step computes rows: "
                    f"{s.node.name}[:], {s.node.name}[1:] or {s.node.name}[0]"
                )
            if factor.stepped and not s.stepped:
                raise GraphError(
                    f"factor {factor.name!r} has {factor.n} instances, and all would compute {s.name}"
                )


def _joined(early: Callable, late: Callable) -> Callable:
    """Both parts of a VJP."""

    def vjp(inputs, cotangent):
        parts = zip(early(inputs, cotangent), late(inputs, cotangent), strict=True)
        return tuple(a if b is None else b for a, b in parts)

    return vjp


def _check_edge(factor, s) -> None:
    edge = s.edge
    if edge.kind not in ("single", "index"):
        raise GraphError(f"factor {factor.name!r}: {s.name} takes one variable, parameter or row as its edge")
    rows = len(factor.clock.lengths)
    if edge.shape not in (s.shape, (rows, *s.shape)):
        per = f" or {(rows, *s.shape)} (one a sequence)" if rows > 1 else ""
        raise ShapeError(
            f"factor {factor.name!r}: {edge.name} has shape {edge.shape}, but one row of "
            f"{s.node.name!r} has {s.shape}{per}"
        )
