"""Each rule on a stack of messages, by its formula; what rules and OnEdges refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import Adjoint, MaxProduct, OnEdges, SumProduct, TimeEdge
from msgpass.algebra.rules import (
    At,
    ClipNorm,
    ClipValue,
    Mask,
    Normalise,
    Place,
    Replace,
    Rule,
    Scale,
    Stop,
    Then,
    Truncate,
)
from msgpass.errors import DataError, ShapeError, UnsupportedError

EXACT = {"rtol": 1e-12, "atol": 1e-14}
TIMES = np.array([-1, 0, 1, 2, 3, 4])


@pytest.fixture
def message(rng):
    found = rng.normal(size=(6, 3, 2))
    found[2, 1] = 0
    return found


def at(message, times=TIMES, leading=2, value=None):
    return Place(times, leading, lambda: value)


def lengths(array, axes):
    return np.sqrt((array**2).sum(axis=axes, keepdims=True))


@pytest.mark.parametrize(("per", "axes"), [("sample", -1), ("step", (-1, -2))])
def test_norms_are_of_samples_or_of_steps(message, per, axes):
    before = lengths(message, axes)
    clipped, unit = ClipNorm(0.9, per)(message, at(message)), Normalise(0.9, per)(message, at(message))
    np.testing.assert_allclose(lengths(clipped, axes), np.minimum(before, 0.9), **EXACT)
    np.testing.assert_allclose(lengths(unit, axes), np.where(before > 0, 0.9, 0), **EXACT)
    for found in (clipped, unit):
        np.testing.assert_allclose(found * before, message * lengths(found, axes), **EXACT)
    short = before < 0.9
    np.testing.assert_array_equal(
        clipped[np.broadcast_to(short, message.shape)], message[np.broadcast_to(short, message.shape)]
    )


def test_a_weight_has_one_norm(message):
    """With one leading axis, whatever its shape."""
    found = Normalise(2.0)(message, at(message, leading=1))
    np.testing.assert_allclose(lengths(found, (-1, -2)), 2.0)


def test_numbers_have_norms():
    found = ClipNorm(1.0)(np.array([-3.0, 0.5]), Place(np.arange(2), 1, lambda: None))
    np.testing.assert_array_equal(found, [-1.0, 0.5])


def test_cell_by_cell(message):
    np.testing.assert_array_equal(ClipValue(0.5)(message, at(message)), np.clip(message, -0.5, 0.5))
    np.testing.assert_array_equal(Scale(-2)(message, at(message)), -2 * message)
    assert not Stop()(message, at(message)).any()


def test_masks_are_of_rows_or_of_steps(message, rng):
    for mask in (np.array([1.0, 0.0]), rng.random((3, 1)), rng.random((3, 2))):
        np.testing.assert_array_equal(Mask(mask)(message, at(message)), mask * message)
    steps = rng.random((5, 3, 2))
    found = Mask(steps)(message, at(message))
    np.testing.assert_array_equal(found[0], message[0])  # the start
    np.testing.assert_array_equal(found[1:], steps * message[1:])
    with pytest.raises(ShapeError, match="does not fit"):
        Mask(np.ones(5))(message, at(message))
    with pytest.raises(ShapeError, match="2 steps"):
        Mask(np.ones((2, 3, 2)))(message, at(message))


def test_some_steps(message):
    found = At([0, 3], Scale(0.0))(message, at(message))
    np.testing.assert_array_equal(~found.any(axis=(1, 2)), np.isin(TIMES, [0, 3]))
    np.testing.assert_array_equal(At(lambda t: t in (0, 3), Stop())(message, at(message)), found)
    assert At([9], Stop())(message, at(message)) is message
    ends = Truncate(2)(message, at(message))
    np.testing.assert_array_equal(~ends.any(axis=(1, 2)), np.isin(TIMES, [1, 3]))


def test_replacing_reads_time_and_value(message, rng):
    value = rng.normal(size=message.shape)
    wanted = message + value * TIMES[:, None, None]
    one = Replace(lambda t, v, m: m + t * v)(message, at(message, value=value))
    many = Replace(lambda t, v, m: m + t[:, None, None] * v, vectorized=True)(
        message, at(message, value=value)
    )
    np.testing.assert_allclose(one, wanted, **EXACT)
    np.testing.assert_allclose(many, wanted, **EXACT)
    some = At([3], Replace(lambda t, v, m: v))(message, at(message, value=value))
    np.testing.assert_array_equal(some[4], value[4])


@given(st.permutations([Scale(0.5), ClipValue(0.3), Truncate(2)]))
def test_one_after_another(rules):
    message = np.random.default_rng(0).normal(size=(6, 3, 2))
    found = message
    for rule in rules:
        found = rule(found, at(message))
    np.testing.assert_array_equal(Then(*rules)(message, at(message)), found)


def test_linear_rules_say_so():
    assert all(
        r.linear
        for r in (Scale(2), Stop(), Truncate(3), Mask([1.0]), At([1], Stop()), Then(Scale(1), Stop()))
    )
    bent = (
        ClipNorm(1),
        ClipValue(1),
        Normalise(),
        Replace(max),
        At([1], ClipNorm(1)),
        Then(Scale(1), ClipValue(1)),
    )
    assert not any(r.linear for r in bent)


def test_rules_are_values():
    assert ClipNorm(1) == ClipNorm(1.0) != ClipNorm(2)
    assert Mask([1, 0]) == Mask([1, 0]) != Mask([1, 1])
    assert len({ClipNorm(1), ClipNorm(1.0), Scale(1)}) == 2
    assert repr(Then(ClipNorm(1), Stop())) == "Then((ClipNorm(1.0, 'sample'), Stop()))"
    left, right = (OnEdges(Adjoint(), {"h": ClipNorm(1), TimeEdge("c"): [Stop()]}) for _ in range(2))
    assert left == right != OnEdges(Adjoint(), {"h": ClipNorm(2)})
    assert "TimeEdge" in repr(left)
    with pytest.raises(NotImplementedError):
        Rule()(np.zeros(1), at(None))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: ClipNorm(0), DataError, "above zero"),
        (lambda: ClipNorm("1 m"), DataError, "above zero"),
        (lambda: ClipNorm(1, per="row"), DataError, "sample"),
        (lambda: ClipValue(np.inf), DataError, "finite"),
        (lambda: Normalise(-1), DataError, "above zero"),
        (lambda: Scale(np.nan), DataError, "finite"),
        (lambda: Scale("half"), DataError, "number"),
        (lambda: Mask([np.nan]), DataError, "NaN"),
        (lambda: Mask(["a"]), DataError, "numbers"),
        (lambda: Truncate(0), DataError, "from 1"),
        (lambda: Truncate(True), DataError, "from 1"),
        (lambda: Replace(3), DataError, "function"),
        (lambda: At([1], 3), DataError, "rule"),
        (lambda: At([1, "a"], Stop()), DataError, "whole numbers"),
        (lambda: Then(Stop(), None), DataError, "rules"),
        (lambda: OnEdges(SumProduct(), {}), UnsupportedError, "wraps Adjoint"),
        (lambda: OnEdges(MaxProduct, {}), UnsupportedError, "wraps Adjoint"),
        (lambda: OnEdges(Adjoint(), [Stop()]), UnsupportedError, "by place"),
        (lambda: OnEdges(Adjoint(), {"h": abs}), UnsupportedError, "must be a Rule"),
        (lambda: OnEdges(Adjoint(), {("a", "b", "c"): Stop()}), UnsupportedError, "factor, variable"),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()
