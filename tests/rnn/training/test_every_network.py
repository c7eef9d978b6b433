"""Training in batches is for every network and every loss: what is cut by sequence adds up to the whole."""

import numpy as np
import pytest

from rnn import (
    CRF,
    CTC,
    GRU,
    LSTM,
    Attention,
    BinaryCrossEntropy,
    CRFTagger,
    CrossEntropy,
    Embedded,
    Embedding,
    EncoderDecoder,
    GaussianNLL,
    Linear,
    Memory,
    PoissonNLL,
    Several,
    SquaredError,
    TagChain,
    bptt,
    fit,
)
from rnn.training.batches import Batches
from rnn.training.data import Data
from rnn.training.objective import Objective

N, T = 7, 6


def gru(inputs=2):
    return GRU(inputs, 3, random_state=0)


def readout(width):
    return Linear(3, width, random_state=1)


def real(rng, width=1):
    return rng.normal(size=(T, N, width))


CASES = {
    "squared": lambda rng: (gru(), real(rng, 2), SquaredError(real(rng, 2), readout=readout(2))),
    "gaussian": lambda rng: (
        gru(),
        real(rng, 2),
        GaussianNLL(real(rng), 1 + rng.random((T, N, 1)), readout=readout(1)),
    ),
    "poisson": lambda rng: (gru(), real(rng, 2), PoissonNLL(rng.poisson(2, (T, N, 1)), readout=readout(1))),
    "binary": lambda rng: (gru(), real(rng, 2), BinaryCrossEntropy(real(rng) > 0, readout=readout(1))),
    "crf": lambda rng: (
        gru(),
        real(rng, 2),
        CRF(rng.integers(0, 3, (T, N)), TagChain(3, random_state=2), readout=readout(3)),
    ),
    "ctc": lambda rng: (
        gru(),
        real(rng, 2),
        CTC([rng.integers(1, 3, rng.integers(0, 4)) for _ in range(N)], readout=readout(3)),
    ),
    "several": lambda rng: (
        gru(),
        real(rng, 2),
        Several(
            SquaredError(real(rng), readout=readout(1), task="a"),
            CrossEntropy(rng.integers(0, 2, (T, N)), readout=readout(2), task="b"),
        ),
    ),
    "embedded": lambda rng: (
        Embedded(Embedding(5, 2, random_state=3), gru()),
        rng.integers(0, 5, (T, N)),
        SquaredError(real(rng), readout=readout(1)),
    ),
    "memory": lambda rng: (
        Memory(2, 4, 3, 2, random_state=0),
        real(rng, 2),
        SquaredError(real(rng), readout=Linear(Memory(2, 4, 3, 2).output_size, 1, random_state=1)),
    ),
    "encoder-decoder": lambda rng: (
        EncoderDecoder(gru(), GRU(1 + 3, 3, random_state=1), Attention("dot", 3, 3), random_state=3),
        (rng.normal(size=(9, N, 2)), real(rng)),
        SquaredError(real(rng), readout=readout(1)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_batches_add_up_to_the_whole(case, rng):
    net, x, loss = CASES[case](rng)
    lengths = None if case in ("memory", "encoder-decoder") else rng.integers(4, T + 1, N)
    extra = {} if lengths is None else {"lengths": lengths}
    whole = bptt(net, x, loss, **extra)
    objective = Objective(net, loss)
    found = [objective(objective.start, p) for p in Batches(Data.of(net, x, loss, extra), 3, seed=1).all()]
    assert sum(f.loss for f in found) == pytest.approx(whole.total, rel=1e-10)
    gradient = objective.vector.views(np.sum([f.gradient for f in found], axis=0))
    for key, value in gradient.items():
        np.testing.assert_allclose(value, whole.parameters[key], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("case", ["crf", "memory", "encoder-decoder", "several"])
def test_they_learn_in_batches(case, rng):
    net, x, loss = CASES[case](rng)
    history = fit(net, x, loss, "adam", n_iter=6, lr=0.02, batch_size=3, tol=None, validation=0.3)
    assert history.losses[-1] < history.losses[0] and len(history.validation) == 6


def test_a_crf_tagger_learns_in_batches(rng):
    x = rng.normal(size=(T, 30, 1))
    tags = (np.cumsum(x[..., 0], axis=0) > 0).astype(int)
    tagger = CRFTagger(LSTM(1, 6, random_state=0), 2, random_state=1)
    tagger.fit(x, tags, "adam", n_iter=40, lr=0.03, batch_size=10, tol=None)
    assert (tagger.decode(x) == tags).mean() > 0.9
