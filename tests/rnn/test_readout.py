"""Linear: value, VJP and JVP, state dict."""

import numpy as np
import pytest

from msgpass.errors import DataError, ShapeError
from rnn import Linear
from rnn.readout import LINEAR
from tests.rnn.differences import central


@pytest.mark.parametrize("bias", [True, False])
def test_derivatives(bias, rng):
    given = [rng.normal(size=s) for s in ((4, 2, 3), (5, 3), (5,))[: 2 + bias]]
    tangents = [rng.normal(size=v.shape) for v in given]
    cotangent = rng.normal(size=(4, 2, 5))
    found = LINEAR.vjp(tuple(given), cotangent)
    for k, g in enumerate(found):
        moved = lambda v, k=k: float((LINEAR.f(*given[:k], v, *given[k + 1 :]) * cotangent).sum())  # noqa: E731
        np.testing.assert_allclose(g, central(moved, given[k]), rtol=1e-8, atol=1e-8)
    forward = (LINEAR.jvp(tuple(given), tuple(tangents)) * cotangent).sum()
    assert forward == pytest.approx(
        sum((g * t).sum() for g, t in zip(found, tangents, strict=True)), rel=1e-12
    )


def test_call_and_state_dict(rng):
    source, target = Linear(3, 2, random_state=0), Linear(3, 2, random_state=1)
    assert {k: v.shape for k, v in source.state_dict().items()} == {"weight": (2, 3), "bias": (2,)}
    assert max(np.abs(v).max() for v in source.weights.values()) < 3**-0.5
    h = rng.normal(size=(4, 1, 3))
    expected = h @ source.weights["weight"].T + source.weights["bias"]
    np.testing.assert_allclose(
        target.load_state_dict(source.state_dict())(h), expected, rtol=1e-14, atol=1e-15
    )
    assert list(Linear(3, 2, bias=False).state_dict()) == ["weight"]


def test_bad_input():
    with pytest.raises(ShapeError, match="3 on the last axis"):
        Linear(3, 2)(np.zeros((4, 2)))
    with pytest.raises(ShapeError, match="out_features"):
        Linear(3, 0)
    with pytest.raises(DataError, match=r"lacks bias.*Linear\(3, 2\) has the keys weight, bias"):
        Linear(3, 2).load_state_dict({"weight": np.zeros((2, 3))})
