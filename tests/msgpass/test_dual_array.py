"""Dual arrays: every rule against differences of the plain function, and errors where there is no rule."""

import numpy as np
import pytest

from msgpass.dual_array import FUNCTIONS, PLAIN, UFUNCS, DualArray, contiguous, number, pair, plain, zeros
from msgpass.errors import UnsupportedError

STEP = 1e-6
A = np.array([[2.0, 0.3, -0.4], [0.1, 1.5, 0.2], [0.5, -0.3, 1.8]])
S = A @ A.T
V = np.array([0.7, 1.1, 2.5])

ONE = {
    "exp": np.exp,
    "log": lambda x: np.log(np.abs(x) + 1),
    "sqrt": lambda x: np.sqrt(x * x + 1),
    "square": np.square,
    "tanh": np.tanh,
    "abs": np.abs,
    "negative": lambda x: -x,
    "positive": lambda x: +x,
    "power": lambda x: x**3,
    "exponent": lambda x: 2.0**x + (x * x + 1) ** x,
    "logaddexp": lambda x: np.logaddexp(x, 0.0) + np.logaddexp(1.0, x) + np.logaddexp(x, 2 * x),
    "roll": lambda x: np.roll(x, 1, axis=1),
    "ratio": lambda x: (1 + x) / (2 + x * x),
    "reflected": lambda x: 1 - 3 / (x + 4),
    "maximum": lambda x: np.maximum(x, 0.2),
    "matmul": lambda x: x @ A + A @ x,
    "sum": lambda x: x.sum(axis=0) + np.sum(x, axis=1) + np.add.reduce(x, axis=0),
    "reduceat": lambda x: np.add.reduceat(x, [0, 2], axis=0),
    "max": lambda x: np.max(x, axis=1) + x.max(axis=(0, 1)),
    "shapes": lambda x: np.reshape(np.transpose(np.swapaxes(x, 0, 1)), (1, 9))[0].reshape(3, 3).T,
    "moved": lambda x: np.squeeze(np.expand_dims(np.moveaxis(x, 0, 1), 0), 0),
    "gathered": lambda x: np.concatenate([np.stack([x, A]), x[None]]) * np.vstack([A, A, A]).reshape(3, 3, 3),
    "blocks": lambda x: np.block([[x, A], [A.T, 2 * x]]),
    "sides": lambda x: np.hstack([x, A]),
    "taken": lambda x: np.take(x, [2, 0], axis=1) + np.take_along_axis(x, np.zeros((3, 2), int), 1),
    "diagonals": lambda x: np.diag(x) + np.diagonal(x) + np.trace(x),
    "spread": lambda x: np.broadcast_to(x, (2, 3, 3)) + np.pad(x, 1)[1:-1, 1:-1],
    "outer": lambda x: np.outer(x[0], V) + np.outer(V, x[1]),
    "dot": lambda x: np.dot(x[0], V) + np.inner(V, x[1]),
    "where": lambda x: np.where(A > 0, x, 2 * x + 1),
    "bincount": lambda x: np.bincount([0, 1, 0], x[0], 2),
    "inv": np.linalg.inv,
    "solve": lambda x: np.linalg.solve(x, A) + np.linalg.solve(x, V)[:, None],
    "solved for": lambda x: np.linalg.solve(A, x),
    "slogdet": lambda x: np.linalg.slogdet(x)[1],
    "cholesky": lambda x: np.linalg.cholesky(x @ x.T + np.eye(3)),
    "astype": lambda x: x.astype(float).ravel().copy(),
}


@pytest.mark.parametrize("name", ONE)
def test_tangents_are_differences(name):
    f, x, d = ONE[name], A + 0.05, np.sin(np.arange(9.0)).reshape(3, 3)
    found = f(DualArray(x, d))
    np.testing.assert_allclose(found.value, f(x), rtol=1e-13)
    np.testing.assert_allclose(
        found.tangent, (f(x + STEP * d) - f(x - STEP * d)) / (2 * STEP), rtol=1e-7, atol=1e-8
    )
    assert np.shape(found.value) == np.shape(found.tangent)


def test_a_log_of_zero_does_not_move():
    with np.errstate(divide="ignore"):
        found = np.log(DualArray(np.array([0.0, 2.0]), np.array([0.0, 1.0])))
    assert found.tangent.tolist() == [0.0, 0.5]


def test_decisions_are_of_the_value():
    x = DualArray(np.array([1.0, -2.0]), np.ones(2))
    assert (x > 0).tolist() == [True, False] and np.isfinite(x).all()
    assert x.any() and x.all() and x.argmax() == 0 and np.argmax(x) == 0
    assert np.any(x) and np.all(x) and np.size(x) == 2 and np.shape(x) == (2,) and np.ndim(x) == 1
    assert bool(DualArray(np.array(1.0), np.array(0.0)))
    assert np.isposinf(x).tolist() == [False, False] and len(x) == 2
    assert [float(v.value) for v in x] == [1.0, -2.0]


def test_writing_in_place():
    x = DualArray(np.zeros(3), np.zeros(3))
    x[1:] += DualArray(np.ones(2), 2 * np.ones(2))
    x[0] = 5.0
    np.add.at(x, [0, 0], DualArray(np.ones(2), np.ones(2)))
    assert x.value.tolist() == [7, 1, 1] and x.tangent.tolist() == [2, 2, 2]
    plain_array = np.ones(2)
    kept = plain_array
    plain_array += DualArray(np.ones(2), np.ones(2))
    assert isinstance(plain_array, DualArray) and kept.tolist() == [1, 1]
    scale = DualArray(np.float64(1.0), np.float64(2.0))
    first = scale
    scale += first
    assert (scale.tangent, first.tangent) == (4.0, 2.0)


def test_nothing_drops_a_tangent_silently():
    x = DualArray(np.ones(2), np.ones(2))
    target = np.zeros(2)
    for drop in (
        lambda: np.asarray(x),
        lambda: float(x[0]),
        lambda: target.__setitem__(slice(None), x),
        lambda: np.sin(x),
        lambda: np.multiply.reduce(x),
        lambda: np.median(x),
        lambda: np.linalg.svd(x),
        lambda: (-2.0) ** x,
    ):
        with pytest.raises(UnsupportedError, match=r"tangent|moves"):
            drop()
    assert "DualArray" in repr(x)


def test_helpers():
    x = DualArray(np.ones((2, 2)).T, np.ones((2, 2)))
    assert number(np.float64(2)) == 2.0 and number(x) is x
    assert plain(x) is x.value and pair(np.ones(2))[1].tolist() == [0, 0]
    assert isinstance(zeros(2, float, [np.ones(2), x]), DualArray)
    assert isinstance(zeros(2, float, [np.ones(2)]), np.ndarray)
    assert contiguous(x).value.flags.c_contiguous and contiguous([1, 2]).dtype == float
    assert np.full_like(x, 3.0).tangent.tolist() == [[0, 0], [0, 0]]
    assert np.zeros_like(x).value.shape == np.empty_like(x).shape
    assert not set(PLAIN) & set(UFUNCS) and np.linalg.inv in FUNCTIONS
