"""CTC: the sum over alignments by enumeration, impossible targets, ragged batches, what it refuses."""

import itertools

import numpy as np
import pytest

from msgpass import check_gradients
from msgpass.errors import DataError, ShapeError
from rnn import CTC, RNN, CrossEntropy, Linear, Several, bptt, collapse
from rnn.losses.alignment import transitions
from rnn.softmax import log_softmax

T, B, C = 5, 4, 3
TARGETS = [[1, 2], [1, 1], [2], []]
LENGTHS = [5, 4, 1, 3]


def enumerated(output, target, blank):
    """−log Σ over all paths of classes that collapse to the target."""
    log_p = log_softmax(output)
    paths = itertools.product(range(output.shape[-1]), repeat=len(output))
    scores = [
        sum(log_p[t, k] for t, k in enumerate(path))
        for path in paths
        if collapse(np.array(path), blank)[0].tolist() == list(target)
    ]
    return -np.logaddexp.reduce(scores) if scores else np.inf


@pytest.fixture
def net():
    return RNN(2, C, random_state=0)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("blank", [0, 1, 2])
def test_the_loss_is_the_sum_over_alignments(net, lengths, blank, rng):
    x = 3 * rng.normal(size=(T, B, 2))
    others = [k for k in range(C) if k != blank]
    targets = [[others[k - 1] for k in t] for t in TARGETS]
    output, _ = net(x, lengths=lengths)
    wanted = [enumerated(output[:n, b], targets[b], blank) for b, n in enumerate(lengths or [T] * B)]
    m = bptt(net, x, CTC(targets, blank=blank), lengths=lengths)
    assert m.total == pytest.approx(sum(wanted), rel=1e-11)
    mean = bptt(net, x, CTC(targets, "mean", blank=blank), lengths=lengths)
    assert mean.total == pytest.approx(sum(wanted) / 5, rel=1e-11)
    for b, n in enumerate(lengths or [T] * B):
        alone = bptt(net, x[:n, b], CTC(targets[b] or [[]], blank=blank))
        assert alone.total == pytest.approx(wanted[b], rel=1e-11)


@pytest.mark.parametrize("seed", range(4))
def test_longer_targets_with_repeats(seed):
    rng = np.random.default_rng(seed)
    net, x = RNN(2, C, random_state=seed), 3 * rng.normal(size=(7, 2, 2))
    output, _ = net(x)
    targets = [rng.integers(1, C, 3 + seed % 2), rng.integers(1, C, 2)]
    wanted = sum(enumerated(output[:, b], targets[b].tolist(), 0) for b in range(2))
    assert bptt(net, x, CTC(targets)).total == pytest.approx(wanted, rel=1e-11)


def test_padded_arrays_are_targets(net, rng):
    x = rng.normal(size=(T, B, 2))
    padded = np.array([[1, 2], [1, 1], [2, -1], [-1, -1]])
    assert bptt(net, x, CTC(padded)).total == bptt(net, x, CTC(TARGETS)).total


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_gradients(reduction, lengths, rng):
    net = RNN(2, 4, random_state=0)
    loss = CTC(TARGETS, reduction, readout=Linear(4, C, random_state=1))
    graph = net.graph(rng.normal(size=(T, B, 2)), loss, lengths=lengths)
    check_gradients(graph, hvp=True, entries=3)


def test_impossible_targets(net, rng):
    x, targets = rng.normal(size=(T, B, 2)), [[1, 2], [1, 1, 1, 1], [2], []]
    with pytest.raises(DataError, match=r"target 1 needs 7 steps \(4 labels and 3 blanks"):
        bptt(net, x, CTC(targets))
    with pytest.raises(DataError, match=r"target 0 needs 2 steps, but its input has 1"):
        bptt(net, x, CTC(targets), lengths=[1, 5, 5, 5])
    m = bptt(net, x, CTC(targets, zero_infinity=True))
    rest = bptt(net, x[:, [0, 2, 3]], CTC([targets[b] for b in (0, 2, 3)]))
    assert m.total == pytest.approx(rest.total, rel=1e-12)
    assert (m.gradient["h_l0"][:, 1] == 0).all()
    assert bptt(net, x, CTC([[1] * 9] * B, "mean", zero_infinity=True)).total == 0


def test_alignments_can_be_read(net, rng):
    x = rng.normal(size=(T, B, 2))
    m = bptt(net, x, CTC(TARGETS), lengths=LENGTHS)
    p = np.exp(m.belief["alignment"]).reshape(B, T, -1)
    np.testing.assert_allclose(p.sum(axis=-1), 1)
    for b, n in enumerate(LENGTHS):
        assert (p[b, n:, -1] == 1).all()
        assert (p[b, :n, -1] == 0).all()
    # ∂loss/∂output = softmax − the marginals summed over the states of each class
    symbols, softmax = m.graph["targets"].value, np.exp(log_softmax(m.forward["h_l0"]))
    for b, n in enumerate(LENGTHS):
        for k in range(C):
            own = p[b, :n, :-1][:, symbols[b, :-1] == k].sum(axis=-1)
            np.testing.assert_allclose(m.gradient["h_l0"].shape, (T, B, C))
            np.testing.assert_allclose(local(m)[:n, b, k], softmax[:n, b, k] - own, atol=1e-12)


def local(m):
    """What the loss itself says to the states."""
    return m.gradient["h_l0"] - m.backward["h_l0"]


def test_sharp_outputs_in_long_inputs(rng):
    """Scores of thousands: the sweep must not lose the few alignments that there are."""
    T, net = 400, RNN(2, 6, nonlinearity="relu", random_state=0)
    x, target = 50 * rng.normal(size=(T, 1, 2)), rng.integers(1, 6, 120)
    m = bptt(net, x, CTC([target]))
    assert np.isfinite(m.total)
    assert m.total > 0
    np.testing.assert_allclose(local(m).sum(axis=-1), 0, atol=1e-10)


def test_single_precision(rng):
    x = rng.normal(size=(T, B, 2))
    wide, narrow = RNN(2, C, random_state=0), RNN(2, C, dtype="float32", random_state=0)
    m, n = (
        bptt(wide, x, CTC(TARGETS), lengths=LENGTHS),
        bptt(narrow, x.astype("f4"), CTC(TARGETS), lengths=LENGTHS),
    )
    assert n.parameters["weight_hh_l0"].dtype == np.float32
    np.testing.assert_allclose(
        n.parameters["weight_hh_l0"], m.parameters["weight_hh_l0"], rtol=1e-4, atol=1e-5
    )


def test_beside_another_task(net, rng):
    x = rng.normal(size=(T, B, 2))
    both = Several(CTC(TARGETS, task="text"), CrossEntropy(rng.integers(0, C, (T, B)), task="frames"))
    m = bptt(net, x, both)
    assert m.tasks["text"].total == pytest.approx(bptt(net, x, CTC(TARGETS)).total, rel=1e-12)


def test_no_step_is_listed_twice():
    for U in range(5):
        rows, cols = transitions(U)
        assert len(set(zip(rows.tolist(), cols.tolist(), strict=True))) == len(rows)
        assert max(rows.max(), cols.max()) == 3 * U + 1


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: CTC([[1], [3], [1], [1]]),
            DataError,
            r"target 1 hold 3 at 0; labels are classes from 0 to 2",
        ),
        (lambda: CTC([[1], [0], [1], [1]]), DataError, "other than blank 0"),
        (lambda: CTC([[1, -1, 1], [1], [1], [1]]), DataError, "target 0 hold -1 at 1"),
        (lambda: CTC([[1], [1]]), ShapeError, "2 targets and 4 sequences"),
        (lambda: CTC([[1.5], [1]]), DataError, "target 0 hold 1.5"),
        (lambda: CTC([[[1]], [[1]]]), ShapeError, "one sequence of labels"),
        (lambda: CTC([[1]] * 4, blank=3), DataError, "blank is 3, but there are 3 classes"),
        (lambda: CTC([[1]] * 4, blank=-1), DataError, "blank is a class"),
        (lambda: CTC([[1]] * 4, zero_infinity=1), DataError, "zero_infinity must be True or False"),
    ],
)
def test_wrong_targets(make, error, words, net):
    with pytest.raises(error, match=words):
        bptt(net, np.zeros((T, B, 2)), make())


def test_alignments_do_not_split_into_windows():
    from msgpass import Truncated
    from msgpass.errors import UnsupportedError

    loss = CTC([[1, 2]] * 3, readout=Linear(3, 3, random_state=1))
    with pytest.raises(UnsupportedError, match="does not split into windows"):
        bptt(RNN(2, 3, random_state=0), np.ones((6, 3, 2)), loss, Truncated(3, 2))
