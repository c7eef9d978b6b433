"""Decoding, exact on small codes."""

import itertools

import numpy as np
import pytest

from msgpass import FactorGraph, JunctionTree, MaxProduct, Table, run
from msgpass.codes import BinarySymmetric, Decoder, LinearCode, error_rates, parity_checks
from msgpass.errors import GraphError, ShapeError

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
