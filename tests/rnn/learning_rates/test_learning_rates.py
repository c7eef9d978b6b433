"""Learning rates: what they are at their corners, and that they listen only where they say so."""

import numpy as np
import pytest

from msgpass.errors import MessagePassingError
from rnn.learning_rates import Constant, Cosine, Exponential, Plateau, StepDecay, Warmup

RATES = [
    Constant(0.1),
    StepDecay(0.1, 3),
    Exponential(0.1, 0.9),
    Cosine(0.1, 8, 0.01),
    Warmup(Cosine(0.1, 8), 2),
    Plateau(0.1),
]


@pytest.mark.parametrize("rate", RATES, ids=repr)
def test_they_are_positive_and_never_above_the_first(rate):
    values = [rate.at(e) for e in np.linspace(0, 7.9, 80)]
    assert all(0 < v <= 0.1 for v in values)


@pytest.mark.parametrize("rate", RATES[:-1], ids=repr)
def test_all_but_a_plateau_are_deaf(rate):
    heard = rate
    for loss in (3.0, 5.0, np.inf, 1.0):
        heard = heard.told(loss)
    assert heard == rate


def test_steps_and_halves():
    assert [StepDecay(1.0, 2.5, 0.5).at(e) for e in (0, 2.4, 2.5, 5)] == [1.0, 1.0, 0.5, 0.25]
    assert Exponential(1.0, 0.5).at(0.5) == pytest.approx(0.5**0.5)
    cosine = Cosine(1.0, 10, 0.2)
    assert cosine.at(5) == pytest.approx(0.6) and cosine.at(10) == cosine.at(99) == pytest.approx(0.2)


def test_warmup_rises_in_a_line_and_hands_over():
    rate = Warmup(Exponential(1.0, 0.5), 4, start=0.2)
    np.testing.assert_allclose([rate.at(e) for e in (0, 2, 4, 5)], [0.2, 0.6, 1.0, 0.5])


def test_a_plateau_waits_and_then_falls_to_its_least():
    rate = Plateau(1.0, factor=0.5, patience=1, tol=0.0, least=0.3)
    seen = []
    for loss in (5, 4, 4, 4, 3, 3, 3, 3, 3):
        rate = rate.told(loss)
        seen.append(rate.at(0))
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3]


def test_a_plateau_listens_through_a_warmup():
    rate = Warmup(Plateau(1.0, factor=0.5, patience=0), 1)
    assert rate.told(2.0).told(3.0).at(1) == 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Constant(0), "lr"),
        (lambda: StepDecay(0.1, 0), "every"),
        (lambda: Exponential(0.1, -1), "factor"),
        (lambda: Cosine(0.1, np.inf), "over"),
        (lambda: Warmup(0.1, 3), "then must be a learning rate"),
        (lambda: Plateau(0.1, patience=-1), "patience"),
    ],
)
def test_settings_that_do_not_fit(make, words):
    with pytest.raises(MessagePassingError, match=words):
        make()
