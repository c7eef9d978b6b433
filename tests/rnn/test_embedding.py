"""Embedding: looking up, the scatter-add of what arrives, padding, refusals; networks over tokens."""

import numpy as np
import pytest

from msgpass import check_gradients
from msgpass.errors import DataError, ShapeError
from rnn import (
    GRU,
    LSTM,
    RNN,
    CrossEntropy,
    Embedded,
    Embedding,
    EncoderDecoder,
    Linear,
    SquaredError,
    bptt,
    fit,
    load,
)
from rnn.embedding import SCATTERED, embedding_step, scatter_add
from tests.rnn.differences import central


@pytest.mark.parametrize("size", [5, SCATTERED + 44])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_added_up_by_token(size, dtype, rng):
    tokens, rows = rng.integers(7, size=size), rng.normal(size=(size, 3)).astype(dtype)
    wanted = np.zeros((7, 3))
    for token, row in zip(tokens, rows, strict=True):
        wanted[token] += row
    found = scatter_add(tokens, rows, 7)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-6)


@pytest.mark.parametrize("padding_idx", [None, 1])
def test_derivatives(padding_idx, rng):
    step, tokens = embedding_step(padding_idx), np.array([[0, 1], [1, 3]])
    weight, moved, cotangent = (rng.normal(size=s) for s in ((4, 3), (4, 3), (2, 2, 3)))
    found = step.vjp((tokens, weight), cotangent)
    wanted = central(lambda w: float((step.f(tokens, w) * cotangent).sum()), weight)
    if padding_idx is not None:
        assert wanted[padding_idx].any()
        wanted[padding_idx] = 0
    assert found[0] is None
    np.testing.assert_allclose(found[1], wanted, atol=1e-9)
    forward = (step.jvp((tokens, weight), (np.zeros_like(tokens), moved)) * cotangent).sum()
    assert forward == pytest.approx((found[1] * moved).sum())


def test_padding_is_zero_and_stays(rng):
    embedding = Embedding(6, 3, padding_idx=-1, random_state=0)
    assert embedding.padding_idx == 5 and not embedding.weights["weight"][5].any()
    net, readout = Embedded(embedding, RNN(3, 4, random_state=1)), Linear(4, 2, random_state=2)
    tokens, labels = rng.integers(6, size=(7, 3)), rng.integers(2, size=(7, 3))
    fit(net, tokens, CrossEntropy(labels, readout=readout), n_iter=5, tol=None, progress=False)
    assert not embedding.weights["weight"][5].any() and embedding.weights["weight"][:5].all()


@pytest.mark.parametrize("cell", [RNN, LSTM, GRU])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_network_over_tokens_is_the_network_over_their_vectors(cell, batch_first, rng):
    embedding, inner = Embedding(8, 3, random_state=0), cell(3, 4, 2, batch_first=batch_first, random_state=1)
    net, tokens = Embedded(embedding, inner), rng.integers(8, size=(5, 5))
    lengths = [5, 2, 4, 1, 3]
    loss = SquaredError(rng.normal(size=(5, 5, 4)))
    np.testing.assert_array_equal(
        net(tokens, lengths=lengths)[0], inner(embedding(tokens), lengths=lengths)[0]
    )
    m, wanted = (
        bptt(net, tokens, loss, lengths=lengths),
        bptt(inner, embedding(tokens), loss, lengths=lengths),
    )
    for name in (*inner.weights, "x", "h_l1"):
        np.testing.assert_allclose(m.gradient[name], wanted.gradient[name], rtol=1e-12, atol=1e-14)
    at_x = wanted.gradient["x"]
    order = tokens.T if batch_first else tokens
    np.testing.assert_allclose(
        m.parameters["embedding.weight"], scatter_add(order.ravel(), at_x.reshape(-1, 3), 8), atol=1e-13
    )


def test_padded_tokens_may_be_anything(rng):
    net = Embedded(Embedding(5, 2, random_state=0), GRU(2, 3, random_state=1))
    tokens = rng.integers(5, size=(4, 2))
    padded = tokens.copy()
    padded[2:, 1] = -1
    np.testing.assert_array_equal(net(tokens, lengths=[4, 2])[0], net(padded, lengths=[4, 2])[0])
    with pytest.raises(DataError, match="token -1"):
        net(padded)


def test_gradients_and_curvature(rng):
    net = Embedded(Embedding(4, 2, random_state=0), LSTM(2, 3, bidirectional=True, random_state=1))
    loss = CrossEntropy(rng.integers(-1, 2, size=(4, 2)), readout=Linear(6, 2, random_state=2))
    check_gradients(net.graph(rng.integers(4, size=(4, 2)), loss, lengths=[4, 2]), hvp=True)


def test_weights_by_key_and_in_files(tmp_path, rng):
    net = Embedded(Embedding(4, 2, 0, random_state=0), GRU(2, 3, random_state=1))
    assert list(net.state_dict())[:2] == ["embedding.weight", "weight_ih_l0"]
    other = Embedded(Embedding(4, 2, 0), GRU(2, 3)).load_state_dict(net.state_dict())
    net.save(tmp_path / "net")
    tokens = rng.integers(4, size=(3, 1))
    for same in (other, load(tmp_path / "net")):
        np.testing.assert_array_equal(same(tokens)[0], net(tokens)[0])
    with pytest.raises(DataError, match=r"lacks embedding\.weight"):
        net.load_state_dict({k: v for k, v in net.weights.items() if k != "embedding.weight"})
    again = Embedded(Embedding(4, 2, 0), GRU(2, 3), random_state=3)
    assert repr(again) == repr(net) and not np.array_equal(again.reset(0)(tokens)[0], net(tokens)[0])


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: Embedding(0, 2), ShapeError, "num_embeddings"),
        (lambda: Embedding(3, 2, padding_idx=3), DataError, "tokens run from 0 to 2"),
        (lambda: Embedding(3, 2)([0, 3]), DataError, "token 3"),
        (lambda: Embedding(3, 2)([0.5]), DataError, "whole numbers from 0 to 2"),
        (lambda: Embedding(3, 2)(np.zeros((0,), int)), ShapeError, "at least one token"),
        (lambda: Embedding(3, 2)([[1], [1, 2]]), DataError, "not an array of tokens"),
        (lambda: Embedding(3, 2).load_state_dict({"weight": np.zeros((2, 2))}), ShapeError, "wants"),
        (lambda: Embedded(Embedding(3, 2), RNN(3, 2)), ShapeError, "vectors of 2 numbers"),
        (lambda: Embedded(Embedding(3, 2), Linear(2, 2)), DataError, "takes a network"),
        (lambda: Embedded(3, RNN(3, 2)), DataError, "must be an Embedding"),
        (lambda: Embedded(Embedding(3, 2, dtype="float32"), RNN(2, 2)), DataError, "make both alike"),
        (
            lambda: Embedded(Embedding(3, 2), RNN(2, 2))(np.zeros((2, 2, 2), int)),
            ShapeError,
            r"tokens \(T, B\)",
        ),
    ],
)
def test_refusals(act, error, words):
    with pytest.raises(error, match=words):
        act()


def test_tokens_that_are_no_array_are_refused():
    net = Embedded(Embedding(5, 3, random_state=0), GRU(3, 4, random_state=1))
    with pytest.raises(DataError, match="not an array of tokens"):
        net([[1, 2], [3]])


def test_one_part_in_two_places_is_refused():
    table = Embedding(5, 3, random_state=0)
    encoder, decoder = GRU(3, 4, random_state=1), GRU(3, 4, random_state=2)
    with pytest.raises(DataError, match="'source_embedding' and 'target_embedding'"):
        EncoderDecoder(encoder, decoder, source_embedding=table, target_embedding=table)
