"""Conditional random fields on networks: values, marginals, best tags and gradients by enumeration; ragged
batches, unknown labels, forbidden steps, the structured perceptron."""

import itertools

import numpy as np
import pytest

from msgpass import Checkpointed, MaxProduct, ParallelScan, Truncated, check_gradients, run
from msgpass.errors import DataError, ShapeError
from rnn import CRF, LSTM, RNN, CRFTagger, CrossEntropy, Linear, Several, TagChain, bptt, fit, load

T, B, K = 4, 3, 3
LENGTHS = [4, 2, 1]
ALLOWED = np.array([[True, True, False], [False, True, True], [True, False, True]])


def make(allowed=None, lengths=None, seed=0):
    """A tagger whose scores are far from flat, its data, and the scores of every sequence's every tagging."""
    rng = np.random.default_rng(seed)
    tagger = CRFTagger(LSTM(2, 3, bidirectional=True, random_state=0), K, allowed=allowed, random_state=1)
    for weights in (tagger.chain.weights, tagger.readout.weights):
        weights.update({k: w + rng.normal(size=w.shape) for k, w in weights.items()})
    x = rng.normal(size=(T, B, 2))
    output, _ = tagger.net(x, lengths=lengths)
    emission, own = tagger.readout(output), tagger.chain.weights
    link = own["transition"] + (0 if allowed is None else np.where(allowed, 0, -np.inf))
    every = []
    for b, n in enumerate(lengths or [T] * B):
        scores = {}
        for z in itertools.product(range(K), repeat=n):
            between = sum(link[i, j] for i, j in itertools.pairwise(z))
            scores[z] = (
                own["start"][z[0]]
                + own["end"][z[-1]]
                + between
                + sum(emission[t, b, k] for t, k in enumerate(z))
            )
        every.append(scores)
    return tagger, x, every


def log_total(scores):
    return np.logaddexp.reduce(list(scores))


@pytest.fixture(params=[(None, None), (None, LENGTHS), (ALLOWED, None), (ALLOWED, LENGTHS)], ids=str)
def case(request):
    allowed, lengths = request.param
    return *make(allowed, lengths), lengths


def possible_labels(every, rng):
    """A possible tagging of every sequence, padded with nonsense."""
    labels = np.full((T, B), 99)
    for b, scores in enumerate(every):
        good = [z for z, s in scores.items() if s > -np.inf]
        z = good[rng.integers(len(good))]
        labels[: len(z), b] = z
    return labels


def test_log_probabilities_and_losses(case, rng):
    tagger, x, every, lengths = case
    labels = possible_labels(every, rng)
    for hide in (False, True):
        if hide:
            labels[0, 0], labels[0, 2] = -1, -1
        wanted = []
        for b, scores in enumerate(every):
            fits = [
                s
                for z, s in scores.items()
                if all(k in (-1, i) for i, k in zip(z, labels[:, b], strict=False))
            ]
            wanted.append(log_total(fits) - log_total(scores.values()))
        np.testing.assert_allclose(
            tagger.log_probability(x, labels, lengths=lengths), wanted, rtol=1e-10, atol=1e-12
        )
        m = bptt(tagger.net, x, tagger.loss(labels), lengths=lengths)
        assert m.total == pytest.approx(-sum(wanted), rel=1e-10)
        known = sum((labels[:n, b] >= 0).sum() for b, n in enumerate(lengths or [T] * B))
        mean = bptt(tagger.net, x, tagger.loss(labels, "mean"), lengths=lengths)
        assert mean.total == pytest.approx(-sum(wanted) / known, rel=1e-10)


def test_marginals_and_the_best_tags(case):
    tagger, x, every, lengths = case
    p, best = tagger.marginals(x, lengths=lengths), tagger.decode(x, lengths=lengths)
    log_p, tags = tagger.decode_best(x, 4, lengths=lengths)
    assert p.shape == (T, B, K)
    for b, scores in enumerate(every):
        n, total = len(next(iter(scores))), log_total(scores.values())
        for t in range(T):
            for k in range(K):
                inside = [s for z, s in scores.items() if t < n and z[t] == k]
                wanted = np.exp(log_total(inside) - total) if inside else 0.0
                assert p[t, b, k] == pytest.approx(wanted, rel=1e-9, abs=1e-13)
        ranked = sorted(scores, key=lambda z, own=scores: -own[z])
        ranked = [z for z in ranked if scores[z] > -np.inf]
        assert tuple(best[:n, b]) == ranked[0]
        assert (best[n:, b] == -1).all()
        for r in range(4):
            if r < len(ranked):
                assert tuple(tags[r, :n, b]) == ranked[r]
                assert log_p[b, r] == pytest.approx(scores[ranked[r]] - total, rel=1e-9)
            else:
                assert log_p[b, r] == -np.inf
                assert (tags[r, :, b] == -1).all()


@pytest.mark.parametrize("labels", ["all", "some"])
def test_gradients(case, labels, rng):
    tagger, x, every, lengths = case
    given = possible_labels(every, rng)
    if labels == "some":
        given[1, 0] = -1
    check_gradients(tagger.graph(x, given, lengths=lengths), hvp=True, entries=1)


def test_the_output_gets_a_difference_of_marginals(case, rng):
    tagger, x, every, lengths = case
    labels = possible_labels(every, rng)
    m = bptt(tagger.net, x, tagger.loss(labels), lengths=lengths)
    p = tagger.marginals(x, lengths=lengths)
    one = np.where((labels < K)[..., None], np.eye(K)[np.minimum(labels, K - 1)], 0)
    np.testing.assert_allclose(m.gradient["output"], p - one, atol=1e-12)


def test_a_structured_perceptron_moves_from_the_best_tags_to_the_labels(case, rng):
    tagger, x, every, lengths = case
    labels = possible_labels(every, rng)
    m = run(tagger.graph(x, labels, lengths=lengths), MaxProduct())
    best = tagger.decode(x, lengths=lengths)
    margin = 0.0
    for b, scores in enumerate(every):
        n = len(next(iter(scores)))
        margin += max(scores.values()) - scores[tuple(labels[:n, b])]
    assert m.total == pytest.approx(margin, rel=1e-10)
    eye = np.vstack([np.eye(K), np.zeros(K)])
    np.testing.assert_array_equal(m.gradient["output"], eye[best] - eye[np.where(labels < K, labels, K)])


def test_padding_says_nothing(rng):
    tagger, x, every = make(None, LENGTHS)
    labels = possible_labels(every, rng)
    m = bptt(tagger.net, x, tagger.loss(labels), lengths=LENGTHS)
    one = [bptt(tagger.net, x[:n, [b]], tagger.loss(labels[:n, [b]])) for b, n in enumerate(LENGTHS)]
    assert m.total == pytest.approx(sum(o.total for o in one), rel=1e-12)
    for name in tagger.weights:
        np.testing.assert_allclose(
            m.parameters[name], sum(o.parameters[name] for o in one), rtol=1e-9, atol=1e-12
        )


def test_kept_graphs_take_new_labels_and_lengths(rng):
    tagger, x, _ = make(None, LENGTHS)
    first = bptt(tagger.net, x, tagger.loss(rng.integers(0, K, (T, B))), lengths=LENGTHS)
    second = bptt(tagger.net, x, tagger.loss(rng.integers(0, K, (T, B))), lengths=[1, 4, 3])
    assert first.graph is second.graph
    assert first.total != second.total


def test_batch_first_unbatched_and_single_precision(rng):
    labels, x = rng.integers(0, K, (T, B)), rng.normal(size=(T, B, 2))
    tagger = CRFTagger(LSTM(2, 4, random_state=0), K, random_state=1)
    turned = CRFTagger(LSTM(2, 4, batch_first=True, random_state=0), K, random_state=1)
    wanted = tagger.log_probability(x, labels)
    np.testing.assert_allclose(turned.log_probability(x.swapaxes(0, 1), labels.T), wanted)
    np.testing.assert_array_equal(turned.decode(x.swapaxes(0, 1)), tagger.decode(x).T)
    np.testing.assert_allclose(tagger.log_probability(x[:, 0], labels[:, 0]), wanted[:1])
    assert tagger.decode(x[:, 0]).shape == (T,)
    assert tagger.decode_best(x[:, 0], 2)[1].shape == (2, T)
    narrow = CRFTagger(LSTM(2, 4, dtype="float32", random_state=0), K, random_state=1)
    narrow.load_state_dict(tagger.state_dict())
    m = bptt(narrow.net, x.astype(np.float32), narrow.loss(labels), lengths=LENGTHS)
    assert {m.parameters[n].dtype for n in narrow.weights} == {np.dtype(np.float32)}
    wide = bptt(tagger.net, x, tagger.loss(labels), lengths=LENGTHS)
    for name in narrow.weights:
        np.testing.assert_allclose(m.parameters[name], wide.parameters[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("allowed", [None, ALLOWED])
def test_files(allowed, rng, tmp_path):
    tagger, x, _ = make(allowed)
    tagger.save(tmp_path / "tagger.safetensors")
    other = load(tmp_path / "tagger.safetensors")
    np.testing.assert_array_equal(other.marginals(x), tagger.marginals(x))
    assert other.allowed == tagger.allowed
    labels = np.zeros((T, B), int)
    assert bptt(other, x, other.loss(labels)).total == bptt(tagger.net, x, tagger.loss(labels)).total


def test_two_tasks_on_one_network(rng):
    net, x = LSTM(2, 4, random_state=0), rng.normal(size=(T, B, 2))
    tags = CRF(
        rng.integers(0, K, (T, B)),
        TagChain(K, random_state=1),
        readout=Linear(4, K, random_state=2),
        task="tags",
    )
    kinds = CrossEntropy(rng.integers(0, 2, (T, B)), readout=Linear(4, 2, random_state=3), task="kinds")
    m = bptt(net, x, Several(tags, kinds), lengths=LENGTHS)
    assert set(m.tasks) == {"tags", "kinds"}
    for loss, name in ((tags, "tags"), (kinds, "kinds")):
        alone = bptt(net, x, loss, lengths=LENGTHS)
        assert m.tasks[name].total == pytest.approx(alone.total, rel=1e-12)
        np.testing.assert_allclose(
            m.tasks[name].parameters["weight_ih_l0"], alone.parameters["weight_ih_l0"], rtol=1e-10, atol=1e-13
        )
    assert "crf_tags.transition" in m.parameters


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_fit_takes_the_chain_along(optimizer, rng):
    """Tags alternate whatever is seen: the chain must learn it, for the input says nothing."""
    labels = (np.arange(8)[:, None] + rng.integers(0, 2, 6)) % 2
    tagger = CRFTagger(RNN(1, 2, random_state=0), 2, random_state=1)
    x, lengths = np.zeros((8, 6, 1)), [8, 8, 5, 3, 8, 2]
    before = tagger.state_dict()
    history = tagger.fit(x, labels, optimizer, n_iter=60, tol=None, lr=0.1, lengths=lengths)
    assert history.best < 0.25 < history.losses[0]
    steps = tagger.state_dict()["crf.transition"]
    assert steps[0, 1] + steps[1, 0] > steps[0, 0] + steps[1, 1] + 4
    fit(tagger.net, x, tagger.loss(labels, "mean"), n_iter=1, tol=None, random_state=0, lengths=lengths)
    assert (before["crf.end"] != tagger.state_dict()["crf.end"]).any()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda t, x: t.log_probability(x, np.full((T, B), K)),
            DataError,
            r"labels hold 3 at \(0, 0\).*3 classes",
        ),
        (lambda t, x: t.log_probability(x, np.zeros((T, 1), int)), ShapeError, "labels has shape"),
        (
            lambda t, x: bptt(t.net, x, CRF(np.zeros((T, B), int), t.chain)),
            ShapeError,
            r"readout=Linear\(6, 3\)",
        ),
        (lambda t, x: CRF(np.zeros((T, B), int), t.readout), DataError, "chain must be a TagChain"),
        (lambda t, x: TagChain(2, allowed=np.eye(2)), DataError, "True and False"),
        (lambda t, x: TagChain(2, allowed=np.eye(3) > 0), ShapeError, r"\(3, 3\), wanted \(2, 2\)"),
        (lambda t, x: CRFTagger(t.readout, 2), DataError, "takes a network"),
        (lambda t, x: bptt(t, x, t.loss(np.zeros((T, B), int), task="a")), DataError, "tagger.net"),
        (lambda t, x: bptt(t, x, CrossEntropy(np.zeros((T, B), int))), DataError, "tagger.net"),
        (lambda t, x: t.load_state_dict(t.net.state_dict()), DataError, "lacks readout.weight"),
        (lambda t, x: t.load_state_dict({**t.state_dict(), "more": 1}), DataError, "unknown more"),
        (
            lambda t, x: bptt(t.net, x, CRF(None, TagChain(K, dtype="float32"), readout=Linear(6, K))),
            DataError,
            "float32",
        ),
    ],
)
def test_wrong_calls(call, error, words):
    tagger, x, _ = make()
    with pytest.raises(error, match=words):
        call(tagger, x)


@pytest.mark.parametrize("schedule", [Truncated(T, T), Checkpointed(2), ParallelScan()], ids=repr)
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("labels", ["all", "some"])
def test_other_schedules_say_the_same(schedule, lengths, labels, rng):
    tagger = CRFTagger(LSTM(2, 3, random_state=0), K, random_state=1)
    x, given = rng.normal(size=(T, B, 2)), rng.integers(0, K, (T, B))
    if labels == "some":
        given[0] = -1
    loss = tagger.loss(given, "mean", task="tags")
    m = bptt(tagger.net, x, loss, lengths=lengths)
    other = bptt(tagger.net, x, loss, schedule, lengths=lengths)
    assert other.total == pytest.approx(m.total, rel=1e-12)
    for name in m.parameters:
        np.testing.assert_allclose(other.parameters[name], m.parameters[name], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("ragged", [False, True])
def test_batches_at_the_size_of_compiled_sweeps(ragged, rng):
    """log Z by the forward recursion in NumPy, and one direction through all weights."""
    steps, batch, K = 70, 24, 11
    tagger = CRFTagger(LSTM(3, 5, bidirectional=True, random_state=0), K, random_state=1)
    x, labels = rng.normal(size=(steps, batch, 3)), rng.integers(0, K, (steps, batch))
    lengths = rng.integers(1, steps + 1, batch) if ragged else None
    output, _ = tagger.net(x, lengths=lengths)
    scores, own, wanted = tagger.readout(output), tagger.chain.weights, 0.0
    for b in range(batch):
        n = steps if lengths is None else lengths[b]
        z, alpha = labels[:n, b], own["start"] + scores[0, b]
        for t in range(1, n):
            alpha = scores[t, b] + np.logaddexp.reduce(alpha[:, None] + own["transition"], axis=0)
        path = own["start"][z[0]] + own["end"][z[-1]] + own["transition"][z[:-1], z[1:]].sum()
        wanted += np.logaddexp.reduce(alpha + own["end"]) - path - scores[np.arange(n), b, z].sum()
    for _ in range(2):  # the second run knows its tables
        m = bptt(tagger, x, tagger.loss(labels), lengths=lengths)
        assert m.total == pytest.approx(wanted, rel=1e-11)
    check_gradients(tagger.graph(x, labels, lengths=lengths), entries=0)
    free = np.exp(bptt(tagger, x, tagger.loss(), lengths=lengths).belief["tags"])
    np.testing.assert_allclose(m.gradient["output"][0], free[0, :, :K] - np.eye(K)[labels[0]], atol=1e-11)
