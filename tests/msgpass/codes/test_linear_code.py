"""Codes: words that pass, messages that come back, files, and what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.codes import LinearCode, gallager, progressive_edge_growth, read_alist, write_alist
from msgpass.codes.construction import girth
from msgpass.errors import DataError, ShapeError

seeds = st.integers(0, 2**32 - 1)


@st.composite
def codes(draw):
    n, m = draw(st.integers(2, 10)), draw(st.integers(1, 8))
    matrix = np.random.default_rng(draw(seeds)).random((m, n)) < 0.4
    matrix[~matrix.any(axis=1), 0] = True
    return LinearCode(matrix)


@given(codes())
def test_words_are_the_null_space(code):
    every = np.array(list(itertools.product((0, 1), repeat=code.n)))
    words = {tuple(w) for w in every[(every @ code.matrix.T % 2 == 0).all(axis=1)]}
    messages = np.array(list(itertools.product((0, 1), repeat=code.dimension)), int)
    messages = messages.reshape(2**code.dimension, code.dimension)
    encoded = code.encode(messages)
    assert {tuple(w) for w in encoded} == words
    assert len(messages) == len(words)
    assert not code.syndrome(encoded).any()
    np.testing.assert_array_equal(code.message(encoded), messages)


@given(codes(), seeds)
def test_the_syndrome_is_the_product_with_h(code, seed):
    word = np.random.default_rng(seed).integers(0, 2, (3, code.n))
    np.testing.assert_array_equal(code.syndrome(word), word @ code.matrix.T % 2)


@given(codes())
def test_matrices_of_all_kinds_make_one_code(code):
    from scipy.sparse import csr_array

    for same in (LinearCode(code.matrix.astype(int)), LinearCode(csr_array(code.matrix.astype(int)))):
        assert same.n == code.n
        assert [c.tolist() for c in same.checks] == [c.tolist() for c in code.checks]


@given(codes())
def test_files_come_back(code):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        write_alist(code, Path(folder) / "code.alist")
        again = read_alist(Path(folder) / "code.alist")
    np.testing.assert_array_equal(again.matrix, code.matrix)


@pytest.mark.parametrize(("make", "sizes"), [(gallager, (60, 3, 6)), (progressive_edge_growth, (60, 30, 3))])
def test_drawn_codes_are_regular_and_seeded(make, sizes):
    code, again, other = make(*sizes, 1), make(*sizes, 1), make(*sizes, 2)
    np.testing.assert_array_equal(code.matrix, again.matrix)
    assert (code.matrix != other.matrix).any()
    assert (code.matrix.sum(axis=0) == 3).all()
    assert code.edges == 180


def test_gallager_rows_are_regular():
    assert {len(c) for c in gallager(60, 3, 6, 0).checks} == {6}


def test_edges_grow_away_from_cycles():
    import networkx as nx

    code, drawn = progressive_edge_growth(60, 30, 3, 0), gallager(60, 3, 6, 0)
    for c in (code, drawn):
        graph = nx.Graph([(("bit", int(b)), k) for k, check in enumerate(c.checks) for b in check])
        assert girth(c) == nx.girth(graph)
    assert girth(code) > girth(drawn)
    assert girth(LinearCode([[0, 1], [1, 2]], 3)) == np.inf


def test_a_code_of_a_thousand_bits():
    code = gallager(1200, 3, 6, 0)
    assert code.dimension >= 600
    word = code.encode(np.random.default_rng(0).integers(0, 2, code.dimension))
    assert not code.syndrome(word).any()


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: LinearCode([[0, 1, 2]]), DataError, "zeros and ones, got 2"),
        (lambda: LinearCode([[0, 1], [1, 2, 3]]), ShapeError, "together with n"),
        (lambda: LinearCode([[0, 3]], 3), DataError, "check 0 names the bits"),
        (lambda: LinearCode([[0.5, 1]], 3), DataError, "check 0 names the bits"),
        (lambda: LinearCode([0, 1], 3), DataError, "check 0 names the bits 0"),
        (lambda: LinearCode([[0, 1]], 2.5), DataError, "got n=2.5 and 1 checks"),
        (lambda: LinearCode(np.zeros((0, 5), int)), DataError, "got n=5 and 0 checks"),
        (lambda: LinearCode([[1, 1, 0], [0, 0, 0]]), DataError, "check 1 names the bits"),
        (lambda: LinearCode([[0, 0]], 3), DataError, "each once"),
        (lambda: LinearCode([[0, 1]], 3).encode([1]), ShapeError, "a message of this code has 2 bits"),
        (lambda: LinearCode([[0, 1]], 3).syndrome([0, 1, 2]), DataError, "0 and 1"),
        (lambda: gallager(0), DataError, "multiple of its row weight"),
        (lambda: gallager(10, 3, 4), DataError, "multiple of its row weight"),
        (lambda: progressive_edge_growth(10, 12), DataError, "checks < n"),
    ],
)
def test_what_is_no_code_is_refused(make, error, said):
    with pytest.raises(error, match=said):
        make()


GOOD = ["3 2", "2 2", "1 2 1", "2 2", "1 0", "1 2", "2 0", "1 2", "2 3"]


@pytest.mark.parametrize(
    ("line", "text", "said"),
    [
        (0, "3", "line 1: wanted 2 numbers"),
        (2, "1 2 x", "line 3: .* whole numbers"),
        (2, "1 1 1", "line 3: bit 2 has weight 1, but 2 checks name it"),
        (3, "2 1", "line 9: check 2 has weight 1"),
        (8, "2 4", "line 9: check 2 .* bits from 1 to 3"),
        (8, None, "ends after 8 lines, before the bits of check 2"),
    ],
)
def test_a_broken_file_names_its_line(tmp_path, line, text, said):
    path = tmp_path / "code.alist"
    path.write_text("\n".join(GOOD))
    assert read_alist(path).n == 3
    lines = [*GOOD]
    lines[line : line + 1] = [] if text is None else [text]
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=said):
        read_alist(path)
