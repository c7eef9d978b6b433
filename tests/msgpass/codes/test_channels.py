"""Channels: what they send has the density that they say."""

import numpy as np
import pytest

from msgpass.codes import BinaryErasure, BinarySymmetric, GaussianNoise
from msgpass.errors import DataError, ProbabilityError


def test_flips_come_as_often_as_said(rng):
    word = rng.integers(0, 2, 100_000)
    got = BinarySymmetric(0.1).send(word, rng)
    assert abs((got != word).mean() - 0.1) < 0.005
    evidence = BinarySymmetric(0.1).log_evidence(got)
    np.testing.assert_allclose(np.logaddexp.reduce(evidence, axis=-1), 0, atol=1e-12)


def test_erasures_leave_the_rest_certain(rng):
    word = rng.integers(0, 2, 10_000)
    got = BinaryErasure(0.3).send(word, rng)
    assert abs((got < 0).mean() - 0.3) < 0.02
    assert (got[got >= 0] == word[got >= 0]).all()
    evidence = BinaryErasure(0.3).log_evidence(got)
    assert (evidence[np.arange(10_000), word] == 0).all()
    assert ((evidence == -np.inf).any(axis=-1) == (got >= 0)).all()


def test_noise_has_the_ratio_of_its_density(rng):
    channel = GaussianNoise(0.8)
    got = channel.send(np.zeros(100_000, int), rng)
    assert abs(got.mean() - 1) < 0.02
    assert abs(got.std() - 0.8) < 0.02
    evidence = channel.log_evidence(got)
    np.testing.assert_allclose(evidence[:, 0] - evidence[:, 1], 2 * got / 0.8**2)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: BinarySymmetric(1.5), ProbabilityError),
        (lambda: BinaryErasure(-0.1), ProbabilityError),
        (lambda: BinarySymmetric("often"), ProbabilityError),
        (lambda: GaussianNoise(0.0), DataError),
        (lambda: GaussianNoise("loud"), DataError),
        (lambda: GaussianNoise.at(2.0, rate=0.0), DataError),
        (lambda: BinarySymmetric(0.1).send([0.0, 1.0], 0), DataError),
        (lambda: BinaryErasure(0.1).log_evidence([0, 2]), DataError),
        (lambda: GaussianNoise(0.1).log_evidence(["x"]), DataError),
    ],
)
def test_bad_numbers_are_refused(make, error):
    with pytest.raises(error):
        make()


def test_a_channel_without_noise_is_exact():
    assert BinarySymmetric(0.0).log_evidence([0]).tolist() == [[0.0, -np.inf]]


def test_what_does_not_arrive_says_nothing():
    for channel, received in (
        (BinarySymmetric(0.1), [-1]),
        (BinaryErasure(0.1), [-1]),
        (GaussianNoise(1.0), [np.nan]),
    ):
        assert channel.log_evidence(received).tolist() == [[0.0, 0.0]]
