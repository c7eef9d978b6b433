"""∇ Σ A·f′: the gradient of a Jacobian's contraction, by differentiating a local VJP once more.

A step without a vjp is traced twice by autograd, which is exact. Of a user's vjp (JAX, torch, by hand)
central differences of fourth order along the columns of A are taken, good to about 1e-11 of the scale of
f″.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import UnsupportedError

STEP = 1e-3  # of fourth-order differences: truncation and rounding balance near eps^(1/5)


def contraction(function, arguments: list, A: np.ndarray) -> list:
    """Gradients of Σ_j Σ A[j]·∂f_j/∂x_j for every input: stacked where the input is, else summed.

    ``function`` is a :class:`~msgpass.sweeps.noisy_steps.LocalFunction`.
    """
    if function.steps.family.potential.vjp is None:
        try:
            return _traced(function, arguments, A)
        except UnsupportedError:  # some function that autograd differentiates once only
            pass
    return _differences(function, arguments, A)


def _traced(function, arguments, A) -> list:
    from msgpass.interop.differentiators import autograd_contraction
    from msgpass.sweeps.local import differentiable

    s = function.steps
    shape = s.family.outs[0].slice.shape
    wanted = differentiable(arguments)
    result: list = [None] * len(arguments)
    if function.vectorized:
        N = len(A)
        blocks = A.reshape(N, s.m, *s.shape)
        units = [np.broadcast_to(e.reshape(shape), (N, *shape)) for e in np.eye(s.m)]
        found = autograd_contraction(
            s.family.potential.f, arguments, wanted, s.source, units, [blocks[:, i] for i in range(s.m)]
        )
        for k, g in zip(wanted, found, strict=True):
            result[k] = np.asarray(g)
        return result
    units = [e.reshape(shape) for e in np.eye(s.m)]
    for j in range(len(A)):
        inputs = function._rows(arguments, j)
        found = autograd_contraction(
            s.family.potential.f, inputs, wanted, s.source, units, list(A[j].reshape(s.m, *s.shape))
        )
        for k, g in zip(wanted, found, strict=True):
            _accumulate(function, result, arguments, k, j, np.asarray(g))
    return result


def _accumulate(function, result, arguments, k, j, g) -> None:
    if function._stacked[k]:
        if result[k] is None:
            result[k] = np.zeros(np.shape(arguments[k]))
        result[k][j] = g
    else:
        result[k] = g if result[k] is None else result[k] + g


def _differences(function, arguments, A) -> list:
    s, N = function.steps, len(A)
    shape = s.family.outs[0].slice.shape
    points = np.asarray(arguments[s.source], float).reshape(N, s.n)
    result: list = [None] * len(arguments)
    for i in range(s.n):
        h = STEP * (1 + np.abs(points[:, i]))
        for factor, weight in ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12)):
            moved = points.copy()
            moved[:, i] += factor * h
            inputs = [moved.reshape(N, *s.shape) if k == s.source else v for k, v in enumerate(arguments)]
            cotangents = (A[:, :, i] * (weight / h)[:, None]).reshape(N, *shape)
            for k, g in enumerate(function._vjp(inputs, cotangents, N)):
                if g is not None:
                    result[k] = np.asarray(g) if result[k] is None else result[k] + g
    return result
