"""Generation: greedy is argmax step by step, a wide beam is enumeration, ends, axes, fed outputs."""

from itertools import product

import numpy as np
import pytest

from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn import GRU, LSTM, RNN, Attention, Embedding, EncoderDecoder, Linear
from rnn.attention.generation import _largest

V, S, B, STEPS = 3, 4, 3, 3
LENGTHS = [4, 1, 3]
SIZES = {"readout.weight": 1.2, "readout.bias": 1}


def made(context="cell", feeding=False, cell=GRU, attention=True, **options):
    rng = np.random.default_rng(19)
    encoder = cell(2, 3, bidirectional=True, random_state=rng, **options)
    fed = 6 * (context != "output" and attention) + 4 * feeding
    net = EncoderDecoder(
        encoder,
        cell(2 + fed, 4, 2, random_state=rng, **options),
        Attention("additive", 4, 6, bias=True, scale=3.0, random_state=rng) if attention else None,
        context=context,
        input_feeding=feeding,
        source_embedding=Embedding(5, 2, random_state=rng),
        target_embedding=Embedding(V, 2, random_state=rng),
        readout=Linear(4, V, random_state=rng),
        random_state=rng,
    )
    # The next letter depends on the last one and none is sure: the greedy sequence is not always the best.
    return net.load_state_dict({k: w * SIZES.get(k, 4) for k, w in net.weights.items()})


@pytest.fixture
def source(rng):
    return rng.integers(5, size=(S, B))


def log_probabilities(net, source, start, tokens, lengths=None):
    """Σ log p of given tokens (T, B), by teacher forcing."""
    inputs = np.concatenate([np.full((1, tokens.shape[1]), start), tokens[:-1]])
    logits, _ = net((source, inputs), lengths=lengths)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.take_along_axis(logs, tokens[..., None], -1)[..., 0]


KINDS = [
    {"context": "cell"},
    {"context": "output", "cell": LSTM},
    {"context": "both", "feeding": True, "cell": RNN},
    {"attention": False},
    {"initial": "learned"},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_greedy_is_argmax_of_teacher_forcing(kind, source):
    net = made(**kind)
    found = net.generate(source, 1, STEPS, lengths=LENGTHS)
    inputs = np.concatenate([np.full((1, B), 1), found.tokens[:-1]])
    logits, attention = net((source, inputs), lengths=LENGTHS)
    np.testing.assert_array_equal(found.tokens, logits.argmax(-1))
    scores = log_probabilities(net, source, 1, found.tokens, LENGTHS).sum(0)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-10)
    if attention is None:
        assert found.attention is None
    else:
        np.testing.assert_allclose(found.attention, attention, rtol=1e-10, atol=1e-14)
    assert found.lengths.tolist() == [STEPS] * B


@pytest.mark.parametrize("stop", [None, 2])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("kind", KINDS[:3], ids=str)
def test_a_wide_beam_is_enumeration(kind, penalty, stop, source):
    net = made(**kind)
    found = net.generate(source, 1, STEPS, stop=stop, beam=V**STEPS, penalty=penalty, lengths=LENGTHS)
    every = {}
    for tokens in product(range(V), repeat=STEPS):
        size = tokens.index(stop) + 1 if stop in tokens else STEPS
        row = np.tile(np.array(tokens)[:, None], (1, B))
        logs = log_probabilities(net, source, 1, row, LENGTHS)[:size].sum(0)
        every[tokens[:size]] = logs, logs / size**penalty
    for b in range(B):
        best = max(every, key=lambda tokens: every[tokens][1][b])
        size = found.lengths[b]
        assert tuple(found.tokens[:size, b]) == best
        assert (found.tokens[size:, b] == stop).all()
        assert found.scores[b] == pytest.approx(every[best][0][b], rel=1e-10)
    inputs = np.concatenate([np.full((1, B), 1), found.tokens[:-1]])
    _, attention = net((source, inputs), lengths=LENGTHS)
    for b, size in enumerate(found.lengths):
        np.testing.assert_allclose(found.attention[:size, b], attention[:size, b], rtol=1e-10, atol=1e-14)


def test_the_best_sequence_is_not_the_greedy_one(source):
    """Somewhere the beams have changed places, so that states and attention had to follow."""
    for kind in KINDS[:3]:
        net = made(**kind)
        greedy, best = (net.generate(source, 1, STEPS, beam=k, lengths=LENGTHS) for k in (1, V**STEPS))
        if (greedy.tokens != best.tokens).any():
            return
    raise AssertionError("every greedy sequence is the best")


def test_a_beam_finds_no_worse_than_greedy(source):
    net = made()
    greedy = net.generate(source, 1, 8)
    assert (net.generate(source, 1, 8, beam=4).scores >= greedy.scores - 1e-12).all()


def test_axes_and_starts(source):
    net = made()
    turned = made(batch_first=True).load_state_dict(net.state_dict())
    found, other = net.generate(source, [0, 1, 2], STEPS), turned.generate(source.T, [0, 1, 2], STEPS)
    np.testing.assert_array_equal(found.tokens, other.tokens.T)
    np.testing.assert_allclose(found.attention, other.attention.swapaxes(0, 1), rtol=1e-12)
    alone = net.generate(source[:, 1], 1, STEPS)
    assert alone.tokens.shape == (STEPS,) and alone.attention.shape == (STEPS, S)
    np.testing.assert_array_equal(alone.tokens, found.tokens[:, 1])


def test_outputs_are_fed_back(rng):
    net = EncoderDecoder(
        RNN(1, 3, random_state=0),
        LSTM(2 + 3, 4, random_state=1),
        Attention("general", 4, 3, random_state=2),
        readout=Linear(4, 2, random_state=3),
        random_state=4,
    )
    source = rng.normal(size=(S, B, 1))
    found = net.generate(source, [0.5, -0.5], 4)
    inputs = np.concatenate([np.broadcast_to([0.5, -0.5], (1, B, 2)), found.output[:-1]])
    np.testing.assert_allclose(found.output, net((source, inputs))[0], rtol=1e-12)
    assert found.tokens is None


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_the_largest_in_order_ties_by_place(count, rng):
    every = rng.integers(4, size=(6, 12)).astype(float)
    every[rng.random(every.shape) < 0.3] = -np.inf
    wanted = np.argsort(-every, axis=1, kind="stable")[:, :count]
    np.testing.assert_array_equal(_largest(every, count), wanted)


def test_refusals(source):
    net = made()
    bare = EncoderDecoder(RNN(1, 3), RNN(1, 3))
    cases = [
        (lambda: net.generate(source), ShapeError, "start must be a token"),
        (lambda: net.generate(source, [1, 2]), ShapeError, "3 of them"),
        (lambda: net.generate(source, 3), DataError, "token 3"),
        (lambda: net.generate(source, 1, 0), ShapeError, "max_steps"),
        (lambda: net.generate(source, 1, beam=0), ShapeError, "beam"),
        (lambda: net.generate(source, 1, penalty=-1), DataError, "penalty"),
        (lambda: net.generate(source, 1, stop=7), DataError, "token 7"),
        (lambda: bare.generate(np.zeros((2, 1, 1)), beam=2), UnsupportedError, "target_embedding"),
        (lambda: bare.generate(np.zeros((2, 1, 1))), UnsupportedError, "puts out 3"),
        (
            lambda: EncoderDecoder(RNN(1, 3), RNN(2, 3), target_embedding=Embedding(3, 2)).generate(
                np.zeros((2, 1, 1)), 0
            ),
            UnsupportedError,
            r"Linear\(3, 3\)",
        ),
    ]
    for act, error, words in cases:
        with pytest.raises(error, match=words):
            act()
