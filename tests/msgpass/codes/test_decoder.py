"""Decoding: exact on small codes, by loopy messages on long ones."""

import itertools
from contextlib import nullcontext

import numpy as np
import pytest

from msgpass import FactorGraph, Flooding, JunctionTree, MaxProduct, Table, run
from msgpass.codes import (
    BinaryErasure,
    BinarySymmetric,
    Decoder,
    GaussianNoise,
    LinearCode,
    error_rates,
    gallager,
    parity_checks,
)
from msgpass.errors import ConvergenceWarning, DataError, GraphError, ImpossibleEvidenceError, ShapeError

HAMMING = LinearCode([[0, 2, 4, 6], [1, 2, 5, 6], [3, 4, 5, 6]], 7)


def posterior(code, evidence):
    """(P(bit = 1), best word) by going through all words."""
    messages = np.array(list(itertools.product((0, 1), repeat=code.dimension)))
    words = code.encode(messages)
    logs = evidence[np.arange(code.n), words].sum(axis=-1)
    weights = np.exp(logs - logs.max())
    return weights @ words / weights.sum(), words[np.argmax(logs)]


@pytest.mark.parametrize("bit", range(7))
def test_the_hamming_code_corrects_one_flip(bit):
    sent = HAMMING.encode([1, 0, 1, 1])
    received = sent.copy()
    received[bit] ^= 1
    found = Decoder(HAMMING, schedule=JunctionTree()).decode(BinarySymmetric(0.1).log_evidence(received))
    assert found.valid
    np.testing.assert_array_equal(found.word, sent)


def test_exact_beliefs_are_those_of_all_words(rng):
    evidence = rng.normal(size=(7, 2))
    on, best = posterior(HAMMING, evidence)
    found = Decoder(HAMMING, schedule=JunctionTree()).decode(evidence)
    np.testing.assert_allclose(np.exp(found.belief[:, 1]), on)
    likeliest = Decoder(HAMMING, MaxProduct(), JunctionTree()).decode(evidence)
    np.testing.assert_array_equal(likeliest.word, best)
    np.testing.assert_array_equal(likeliest.messages.assignment["x"], best)


def test_a_perfect_channel_makes_no_errors():
    rates = error_rates(Decoder(HAMMING, schedule=JunctionTree()), [BinarySymmetric(0.0)], words=5, seed=0)
    assert rates.bits.tolist() == rates.words.tolist() == rates.detected.tolist() == [0.0]


def test_more_flips_make_more_errors():
    channels = [BinarySymmetric(p) for p in (0.01, 0.2)]
    rates = error_rates(Decoder(HAMMING, schedule=JunctionTree()), channels, words=40, seed=0)
    assert rates.words[0] < rates.words[1]
    assert rates.bits[1] <= rates.words[1]
    again = error_rates(Decoder(HAMMING, schedule=JunctionTree()), channels, words=40, seed=0)
    np.testing.assert_array_equal(rates.bits, again.bits)


@pytest.mark.parametrize("observed", [False, True])
def test_syndromes_may_be_given_or_observed(observed, rng):
    logs, target = rng.normal(size=(7, 2)), np.array([1, 0, 1])
    g = FactorGraph()
    x = g.sequence("x", length=7, states=2)
    g.factor(Table(logs), x[:])
    parity_checks(g, x, HAMMING, g.observe("s", target, states=2) if observed else target)
    every = np.array(list(itertools.product((0, 1), repeat=7)))
    words = every[(HAMMING.syndrome(every) == target).all(axis=1)]
    weights = np.exp(logs[np.arange(7), words].sum(axis=1))
    m = run(g, schedule=JunctionTree())
    np.testing.assert_allclose(np.exp(m.belief["x"][:, 1]), weights @ words / weights.sum())
    assert np.isclose(m.total, np.log(weights.sum()))


def test_degrees_are_families():
    g = FactorGraph()
    x = g.sequence("x", length=5, states=2)
    made = parity_checks(g, x, LinearCode([[0, 1], [1, 2, 3], [3, 4]], 5))
    assert [(f.name, f.n, len(f.args)) for f in made] == [("check 2", 2, 2), ("check 3", 1, 3)]


def test_what_does_not_fit_is_refused():
    g = FactorGraph()
    with pytest.raises(GraphError, match="words of this code have 7 bits, but x has 6"):
        parity_checks(g, g.sequence("x", length=6, states=2), HAMMING)
    with pytest.raises(ShapeError, match=r"\(7, 2\), got \(7,\)"):
        Decoder(HAMMING, schedule=JunctionTree()).decode(np.zeros(7))
    with pytest.raises(DataError, match="numbers, got 'abc'"):
        Decoder(HAMMING).decode("abc")
    with pytest.raises(DataError, match="wanted a Decoder, got LinearCode"):
        error_rates(HAMMING, [BinarySymmetric(0.1)])
    with pytest.raises(DataError, match=r"words is a whole number ≥ 1, got 2.5"):
        error_rates(Decoder(HAMMING), [BinarySymmetric(0.1)], words=2.5)


def peeled(code, received):
    """An erasure decoder: a check with one unknown bit tells it."""
    word = received.copy()
    while True:
        told = [(c, c[word[c] < 0]) for c in code.checks]
        told = [(c, gone[0]) for c, gone in told if len(gone) == 1]
        if not told:
            return word
        for check, bit in told:
            others = check[check != bit]
            if (word[others] >= 0).all():
                word[bit] = word[others].sum() % 2


@pytest.mark.parametrize("algebra", [None, MaxProduct()], ids=["sum", "max"])
@pytest.mark.parametrize("erased", [0.3, 0.4, 0.5])
def test_erasures_are_filled_in_exactly(erased, algebra):
    """Zeros are exact: a bit is known for certain where peeling finds it, and not known at all elsewhere."""
    code, rng, channel = gallager(1200, seed=0), np.random.default_rng(0), BinaryErasure(erased)
    sent = code.encode(rng.integers(0, 2, code.dimension))
    received = channel.send(sent, rng)
    schedule = Flooding(order="flood", max_iter=200)
    found, wanted = (
        Decoder(code, algebra, schedule).decode(channel.log_evidence(received)),
        peeled(code, received),
    )
    known = wanted >= 0
    belief = np.exp(found.belief[known])
    np.testing.assert_array_equal(belief[np.arange(len(belief)), wanted[known]], 1.0)
    np.testing.assert_array_equal(belief[np.arange(len(belief)), 1 - wanted[known]], 0.0)
    assert (found.belief[~known, 0] == found.belief[~known, 1]).all()
    assert known.all() == (erased < 0.45)
    np.testing.assert_array_equal(wanted[known], sent[known])


@pytest.mark.parametrize("algebra", [None, MaxProduct], ids=["sum", "max"])
@pytest.mark.parametrize(
    "channel", [BinarySymmetric(0.04), GaussianNoise.at(2.5, rate=0.5)], ids=["flips", "noise"]
)
def test_a_thousand_bits_are_decoded(channel, algebra):
    code, rng = gallager(1200, seed=0), np.random.default_rng(1)
    decoder = Decoder(code, algebra)
    for _ in range(3):
        sent = code.encode(rng.integers(0, 2, code.dimension))
        received = channel.log_evidence(channel.send(sent, rng))
        assert (np.argmax(received, axis=1) != sent).sum() > 30
        found = decoder.decode(received)
        np.testing.assert_array_equal(found.word, sent)
        assert found.valid
        assert found.iterations < 30


def tanh_rule(code, evidence, iterations):
    """Log-ratios of all bits, as Gallager wrote the decoder."""
    bits, weight = np.array(code.checks), evidence[:, 0] - evidence[:, 1]
    told = np.zeros(bits.shape)
    for _ in range(iterations):
        total = weight.copy()
        np.add.at(total, bits, told)
        t = np.tanh((total[bits] - told) / 2)
        told = 2 * np.arctanh(np.prod(t, axis=1)[:, None] / t)
    total = weight.copy()
    np.add.at(total, bits, told)
    return total


def test_messages_are_those_of_the_tanh_rule(rng):
    code = gallager(120, seed=0)
    evidence = rng.normal(size=(120, 2))
    found = Decoder(code, schedule=Flooding(order="flood", max_iter=4)).decode(evidence)
    assert found.iterations == 4
    np.testing.assert_allclose(
        found.belief[:, 0] - found.belief[:, 1], tanh_rule(code, evidence, 4), rtol=1e-9, atol=1e-12
    )


def test_stretches_make_one_run(rng):
    """Looking at the checks now and then changes no message."""
    code = gallager(120, seed=0)
    evidence = rng.normal(size=(120, 2))
    for most in (7, 50):
        decoder = Decoder(code, schedule=Flooding(order="flood", max_iter=most))
        found = decoder.decode(evidence)
        with nullcontext() if most == 50 else pytest.warns(ConvergenceWarning):
            whole = run(decoder.graph, schedule=decoder.schedule, values={"evidence": evidence})
        assert not found.valid
        assert found.iterations == whole.convergence.iterations < 50
        np.testing.assert_array_equal(found.belief, whole.belief["x"])


@pytest.mark.parametrize("schedule", [None, JunctionTree()], ids=["loopy", "exact"])
def test_certain_bits_that_break_a_check_name_it(schedule):
    word = HAMMING.encode([1, 0, 1, 1])
    word[0] ^= 1
    evidence = BinaryErasure(0.1).log_evidence(word)
    with pytest.raises(ImpossibleEvidenceError):
        Decoder(HAMMING, schedule=schedule).decode(evidence)


def test_more_noise_makes_more_errors():
    code = gallager(240, seed=0)
    channels = [GaussianNoise.at(d, code.rate) for d in (4.0, 1.0)]
    rates = error_rates(Decoder(code), channels, words=10, seed=0)
    assert rates.words[0] < 0.2
    assert rates.words[1] > 0.5
    assert (rates.detected <= rates.words).all()
    one = error_rates(Decoder(code), channels[1], words=10, seed=0)
    assert one.bits.tolist() == rates.bits[1:].tolist()
