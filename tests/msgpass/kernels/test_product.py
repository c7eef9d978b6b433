"""Packed products against NumPy, for sizes around the tiles' edges."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels.product import Rows, Term, add_outer_products, pack, padded, product
from msgpass.kernels.runtime import aligned_empty, aligned_zeros
from msgpass.kernels.simd import LANES

sizes = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 27),
        "inner": st.integers(0, 21),
        "more": st.integers(0, 9),
        "columns": st.integers(1, 70),
        "dtype": st.sampled_from([np.float32, np.float64]),
        "transposed": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
    }
)


def packed(matrix, transposed):
    lanes = LANES[matrix.dtype]
    out = np.full(matrix.shape[0] * padded(matrix.shape[1], matrix.dtype), np.nan, matrix.dtype)
    pack(np.ascontiguousarray(matrix.T) if transposed else matrix, transposed, lanes, out)
    return out


@settings(max_examples=80)
@given(sizes)
def test_product_adds_both_terms(size):
    rng = np.random.default_rng(size["seed"])
    rows, columns, dtype = size["rows"], size["columns"], size["dtype"]
    lanes, whole = LANES[np.dtype(dtype)], padded(columns, dtype)
    left, right = rng.normal(size=(rows, size["inner"] + 3)), rng.normal(size=(size["inner"], columns))
    left2, right2 = rng.normal(size=(rows, size["more"] + 1)), rng.normal(size=(size["more"], columns))
    left, right, left2, right2 = (a.astype(dtype) for a in (left, right, left2, right2))
    bias = np.zeros(whole, dtype)
    bias[:columns] = rng.normal(size=columns)
    out = np.full((rows, whole + 5), 7, dtype)
    product(
        Rows(bias, 0, 0),
        Term(left.reshape(-1), 2, left.shape[1], size["inner"], packed(right, size["transposed"])),
        Term(left2.reshape(-1), 0, left2.shape[1], size["more"], packed(right2, size["transposed"])),
        Rows(out.reshape(-1), 0, whole + 5),
        rows,
        whole,
        lanes,
    )
    exact = left[:, 2:-1].astype(float) @ right + left2[:, :-1].astype(float) @ right2 + bias[:columns]
    np.testing.assert_allclose(out[:, :columns], exact, rtol=0, atol=300 * np.finfo(dtype).eps)
    assert not out[:, columns:whole].any(), "padding stays zero"
    assert (out[:, whole:] == 7).all(), "nothing is written beyond a row"


@settings(max_examples=40)
@given(sizes)
def test_sum_of_outer_products(size):
    rng, dtype = np.random.default_rng(size["seed"]), size["dtype"]
    inner, columns, groups = size["inner"], size["columns"], -(-size["rows"] // 8)
    lanes, whole = LANES[np.dtype(dtype)], padded(columns, dtype)
    stride = 8 * inner + 16
    left = aligned_zeros((groups, stride), dtype)
    left[:, : 8 * inner] = rng.normal(size=(groups, 8 * inner))
    right = rng.normal(size=(inner, columns)).astype(dtype)
    out = aligned_empty((8 * groups, whole), dtype)
    out[...] = 1
    add_outer_products(
        left.reshape(-1), stride, 8 * groups, packed(right, False), inner, out.reshape(-1), whole, lanes
    )
    plain = left[:, : 8 * inner].reshape(groups, inner, 8).transpose(0, 2, 1).reshape(8 * groups, inner)
    np.testing.assert_allclose(
        out[:, :columns], 1 + plain.astype(float) @ right, rtol=0, atol=300 * np.finfo(dtype).eps
    )
    assert (out[:, columns:] == 1).all()
