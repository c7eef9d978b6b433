"""Batches: every sequence once an epoch, with its own rows, and little padding."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.errors import DataError, UnsupportedError
from rnn import RNN, CrossEntropy, Linear, SquaredError, bptt
from rnn.training.batches import BUCKETS, Batches, buckets
from rnn.training.data import Data, with_validation
from rnn.training.objective import Objective, combined
from tests.rnn.training.problems import batch

sizes = st.integers(1, 9)


@given(st.integers(1, 30), sizes, st.integers(0, 3), st.booleans())
def test_every_sequence_once_an_epoch(n, size, epoch, ragged):
    net, x, loss, data = batch(n, 3, ragged=ragged)
    batches = Batches(Data.of(net, x, loss, data), size, seed=1)
    rows = batches.rows(epoch)
    assert sorted(np.concatenate(rows)) == list(range(n)) and len(rows) == len(batches)
    assert all(1 <= len(r) <= size for r in rows)
    assert [r.tolist() for r in rows] == [r.tolist() for r in batches.rows(epoch)]


def test_epochs_differ_unless_they_are_not_shuffled():
    net, x, loss, _ = batch(20)
    data = Data.of(net, x, loss, {})
    first, second = (np.concatenate(Batches(data, 6).rows(e)) for e in (0, 1))
    assert (first != second).any()
    assert (np.concatenate(Batches(data, 6, shuffle=False).rows(1)) == np.arange(20)).all()


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, BUCKETS))
def test_buckets_hold_neighbours_in_length(lengths, count):
    lengths = np.array(lengths)
    found = buckets(lengths, count)
    assert 1 <= len(found) <= count and sorted(np.concatenate(found)) == list(range(len(lengths)))
    spans = [(lengths[b].min(), lengths[b].max()) for b in found]
    assert all(left[1] < right[0] for left, right in pairwise(spans))


def test_ragged_batches_pad_little_and_have_few_shapes(rng):
    lengths = rng.integers(1, 200, 400)
    x = np.zeros((200, 400, 1))
    data = Data.of(RNN(1, 2), x, SquaredError(np.zeros((200, 400, 2))), {"lengths": lengths})
    parts = Batches(data, 10).all()
    padded = sum(p.layout.steps * len(p) for p in parts)
    assert padded < 1.15 * lengths.sum() < 0.65 * x.size
    assert len({(p.layout.steps, len(p)) for p in parts}) <= 2 * BUCKETS


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", ["squared error", "cross entropy"])
def test_batches_add_up_to_the_whole(kind, batch_first, rng):
    """Losses and gradients over the parts, with initial states and lengths, are those of all at once."""
    n, steps = 9, 5
    x, lengths, h0 = rng.normal(size=(steps, n, 2)), rng.integers(1, steps + 1, n), rng.normal(size=(1, n, 3))
    readout = Linear(3, 2, random_state=1)
    target = rng.normal(size=(steps, n, 2)) if kind == "squared error" else rng.integers(-1, 2, (steps, n))
    if batch_first:
        x, target = x.swapaxes(0, 1), target.swapaxes(0, 1)
    make = SquaredError if kind == "squared error" else CrossEntropy
    net = RNN(2, 3, batch_first=batch_first, random_state=0)
    for reduction in ("sum", "mean"):
        loss = make(target, reduction, readout)
        whole = bptt(net, x, loss, h0=h0, lengths=lengths)
        data = Data.of(net, x, loss, {"lengths": lengths, "h0": h0})
        objective = Objective(net, loss)
        parts = Batches(data, 4, seed=2).all()
        found = [objective(objective.start, part) for part in parts]
        weights = np.array([f.weight for f in found])
        share = weights / weights.sum() if reduction == "mean" else weights
        together = combined([f.loss for f in found], list(weights), reduction)
        assert together == pytest.approx(whole.total, rel=1e-12)
        assert objective.loss(objective.start, parts) == pytest.approx(whole.total, rel=1e-12)
        gradient = objective.vector.views(share @ np.stack([f.gradient for f in found]))
        for key, value in gradient.items():
            np.testing.assert_allclose(value, whole.parameters[key], rtol=1e-10, atol=1e-12)


def test_a_share_is_set_aside():
    net, x, loss, _ = batch(10)
    data = Data.of(net, x, loss, {})
    trained, tried = with_validation(net, data, 0.3, seed=5)
    assert (len(trained), len(tried)) == (7, 3)
    both = np.concatenate([trained.x, tried.x], axis=1)
    assert sorted(both[0, :, 0]) == sorted(x[0, :, 0])
    again = with_validation(net, data, 0.3, seed=5)[1]
    assert (again.x == tried.x).all() and (with_validation(net, data, 0.3, seed=6)[1].x != tried.x).any()


@pytest.mark.parametrize(
    ("validation", "words"),
    [
        (1.0, "between 0 and 1"),
        (3, "share such as 0.2"),
        ((np.zeros((3, 1, 2)),), "share such as 0.2"),
        ((np.zeros((3, 1, 2)), SquaredError(np.zeros((3, 1, 4)), "mean")), "same kind"),
        ((np.zeros((3, 1, 2)), CrossEntropy(np.zeros((3, 1), int), "mean", Linear(4, 1))), "same kind"),
    ],
)
def test_validation_that_does_not_fit(validation, words):
    net, x, loss, _ = batch()
    with pytest.raises(DataError, match=words):
        with_validation(net, Data.of(net, x, loss, {}), validation, 0)


def test_one_sequence_cannot_be_cut():
    net, x, loss, _ = batch(1)
    with pytest.raises(DataError, match="set aside"):
        with_validation(net, Data.of(net, x, loss, {}), 0.2, 0)
    one = SquaredError(loss.target[:, 0], "mean", loss.readout)
    with pytest.raises(DataError, match="cut it into a batch"):
        Data.of(net, x[:, 0], one, {}).part(np.array([0]))


def test_what_cannot_be_cut_says_so():
    net, x, loss, _ = batch()
    data = Data(x, loss, Data.of(net, x, loss, {}).layout, net.cut, {"gates": True})
    with pytest.raises(UnsupportedError, match="'gates' cannot be cut"):
        data.part(np.array([0]))
