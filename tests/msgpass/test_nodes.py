"""Slices name the rows that Python slicing names, within every sequence; and what is no slice is an error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import FactorGraph
from msgpass.errors import GraphError, ShapeError
from msgpass.nodes import Clock, Slice

bounds = st.none() | st.integers(-6, 6)


@given(st.integers(1, 6), bounds, bounds)
def test_rows_of_a_range_are_those_of_python(length, start, stop):
    z = FactorGraph().sequence("z", length=length, states=2)
    wanted = list(range(length))[start:stop]
    first, last = z[start:stop].span((length,))
    counts = np.array([max(0, length + last - first)])
    rows = z[start:stop].rows(z.clock, counts)
    assert counts[0] == len(wanted)
    assert list(range(rows.start, rows.stop)) == wanted or not wanted


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(0, 3), st.integers(-3, -1) | st.none()
)
def test_rows_of_ragged_sequences_are_sliced_within_each(lengths, start, stop):
    z = FactorGraph().sequence("z", length=lengths, states=2)
    wanted, offset, counts = [], 0, []
    for n in lengths:
        part = list(range(offset, offset + n))[start:stop]
        wanted, offset, counts = wanted + part, offset + n, [*counts, len(part)]
    rows = z[start:stop].rows(z.clock, np.array(counts))
    rows = range(rows.start, rows.stop) if isinstance(rows, slice) else rows
    assert list(rows) == wanted


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(-5, 4))
def test_an_index_is_one_row_of_each_sequence(lengths, k):
    z = FactorGraph().sequence("z", length=lengths, states=2)
    if not all(-n <= k < n for n in lengths):
        with pytest.raises(ShapeError, match="indices run from"):
            z[k].rows(z.clock, None)
        return
    offsets = np.cumsum([0, *lengths[:-1]])
    rows = z[k].rows(z.clock, None)
    rows = range(rows.start, rows.stop) if isinstance(rows, slice) else rows
    assert list(rows) == [o + (k % n) for o, n in zip(offsets, lengths, strict=True)]


@pytest.mark.parametrize(("start", "stop"), [(-2, None), (None, 3), (-3, -1)])
def test_stretches_that_differ_between_ragged_sequences_are_refused(start, stop):
    z = FactorGraph().sequence("z", length=[4, 3], states=2)
    with pytest.raises(ShapeError, match="different lengths"):
        z[start:stop].span(z.clock.lengths)


def test_equal_lengths_share_a_clock():
    assert Clock.of([3, 2]) == Clock.of((3, 2)) != Clock.of([2, 3])


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (slice(None, None, 2), "stride"),
        (1.0, "whole number"),
        (True, "whole number"),
        ("a", "whole number"),
        (slice(0.5, None), "whole numbers"),
        (slice(None, "b"), "whole numbers"),
    ],
)
def test_what_is_no_slice(key, said):
    z = FactorGraph().sequence("z", length=4, states=2)
    with pytest.raises(GraphError, match=said):
        z[key]


@pytest.mark.parametrize("length", [0, -1, 2.0, True, "3", [], [2, 0], [2.5]])
def test_lengths_are_whole_numbers(length):
    with pytest.raises(ShapeError, match="length"):
        FactorGraph().sequence("z", length=length, states=2)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("z[0]", lambda z: z[0]),
        ("z[:-1]", lambda z: z[:-1]),
        ("z[1:]", lambda z: z[1:]),
        ("z[:]", lambda z: z[:]),
        ("z.all", lambda z: z.all),
        ("z.after(z[-1])", lambda z: z.after(z[-1])),
    ],
)
def test_slices_are_called_as_they_are_written(text, make):
    made = make(FactorGraph().sequence("z", length=4, states=2))
    assert isinstance(made, Slice)
    assert made.name == text


def test_a_sequence_is_no_iterator():
    g = FactorGraph()
    z = g.sequence("z", length=3, states=2)
    with pytest.raises(TypeError):
        list(z)
    with pytest.raises(ShapeError, match="indices run from -3 to 2"):
        z[3]
    assert len(z) == 3
