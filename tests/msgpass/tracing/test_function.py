"""Compiled functions compute what their program computes, alone and inside other compiled code."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings

from msgpass.errors import ShapeError
from msgpass.tracing import compile_function, compiler
from tests.msgpass.table_models import seeds
from tests.msgpass.tracing.test_program import random_function


@settings(max_examples=3)
@given(seeds)
def test_compiled_is_interpreted(seed):
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=shape) for shape in ((3,), (3,), (3, 3), ())]
    made = compile_function(random_function(rng), *inputs)
    wanted = made.program(*inputs)
    for one, other in zip(made.value(*inputs), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)
    cotangents = [rng.normal(size=np.shape(w)) for w in wanted]
    found, told = made.vjp(inputs, cotangents), made.program.vjp()(*inputs, *cotangents)
    for one, other in zip(found, told, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)


OPERATIONS = [
    lambda x, y: np.maximum(x, y) - np.minimum(x, y) + np.sign(x) * np.abs(y),
    lambda x, y: np.where((x > y) & (x < 2) | ~(y >= 0), x % 2.0, x // 0.7),
    lambda x, y: np.isfinite(x) * np.cbrt(x) + np.log2(2 + x * x) + np.log10(2 + y * y) + np.exp2(x),
    lambda x, y: np.arcsin(x / 9) + np.arccos(y / 9) + np.arctanh(x / 9) + np.arcsinh(y) + np.arccosh(5 + x),
    lambda x, y: np.rint(x) + np.trunc(y) + np.ceil(x) + np.floor(y) + np.arctan2(x, 5 + y),
    lambda x, y: np.where(x == y, np.inf, 1.0) * np.ones_like(x) + np.logical_xor(x > 0, y > 0),
    lambda x, y: np.clip(x, -1, y) + np.power(np.abs(x) + 0.5, y) + np.sinh(x) * np.cosh(y) * np.tan(x / 9),
]


@pytest.mark.parametrize("f", OPERATIONS)
def test_every_operation_compiled(f):
    x, y = np.array([-1.5, -1.0, 0.0, 0.5, 2.0]), np.array([2.0, -1.0, 0.0, 1.5, 1.0])
    made = compile_function(f, x, y)
    np.testing.assert_allclose(made.value(x, y), f(x, y), rtol=1e-13)
    for one, other in zip(made.vjp((x, y), np.ones(5)), made.program.vjp()(x, y, np.ones(5)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_nan_goes_through():
    made = compile_function(lambda x: np.maximum(x, 0.0) + np.minimum(0.0, x), np.zeros(2))
    assert np.isnan(made.value(np.array([np.nan, 1.0]))).tolist() == [True, False]


def test_from_compiled_code():
    write = compile_function(lambda x, p: p * x, np.zeros(2), 1.0).write_value

    @numba.njit
    def power(x, p, n):
        for _ in range(n):
            write(x, p, x)
        return x

    np.testing.assert_array_equal(power(np.ones(2), np.array([2.0]), 3), [8.0, 8.0])


def test_another_shape():
    with pytest.raises(ShapeError, match="got"):
        compile_function(lambda x: x, np.zeros(2)).value(np.zeros(3))


def test_code_is_kept_on_disk_and_damage_is_repaired(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "folder", lambda: tmp_path / "traced")

    def made():
        return compile_function(lambda x: np.exp(x) - 3.25, np.zeros(1)).value(np.zeros(1))

    assert made() == [-2.25]
    (source,) = (tmp_path / "traced").glob("*.py")
    text = source.read_text()
    source.write_text(text.replace("3.25", "4.25"))
    assert made() == [-2.25]
    assert source.read_text() == text
    for kept in (tmp_path / "traced").rglob("*.nbi"):
        kept.write_bytes(b"damaged")
    assert made() == [-2.25]


def test_nowhere_to_write(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(compiler, "folder", lambda: tmp_path / "file" / "traced")
    assert compile_function(lambda x: np.exp(x) - 5.25, np.zeros(1)).value(np.zeros(1)) == [-4.25]
