"""Neural hidden Markov models: likelihoods, filters, smoothers and best states by enumeration; gradients;
ragged batches and gaps; a fit that finds what drives the states."""

import itertools

import numpy as np
import pytest
from scipy import stats

from msgpass import check_gradients
from msgpass.errors import DataError, ShapeError
from rnn import LSTM, MLP, RNN, CrossEntropy, Linear, NeuralHMM, Several, bptt
from rnn.neural_hmm import Categorical, Gaussian, HiddenStates, Poisson
from rnn.softmax import log_softmax

T, B, K = 4, 3, 2
LENGTHS = [4, 2, 1]
DRIVEN = [(), ("transition",), ("start", "emission"), ("start", "transition", "emission")]
EMISSIONS = {"categorical": Categorical(3), "gaussian": Gaussian(2), "poisson": Poisson(2)}


def data(kind, rng):
    """Observations with gaps."""
    if kind == "categorical":
        return rng.integers(-1, 3, (T, B))
    y = rng.normal(size=(T, B, 2)) if kind == "gaussian" else rng.poisson(2.0, (T, B, 2)).astype(float)
    y[rng.random(y.shape) < 0.2] = np.nan
    return y


def make(kind, driven, rng, net=None):
    model = NeuralHMM(net or RNN(2, 3, random_state=0), K, EMISSIONS[kind], driven, random_state=1)
    model.head.weights = {k: w + rng.normal(size=w.shape) for k, w in model.head.weights.items()}
    return model, rng.normal(size=(T, B, 2)), data(kind, rng)


def log_density(kind, numbers, y):
    """log p(y_t | state) from one state's numbers, by scipy."""
    if kind == "categorical":
        return 0.0 if y < 0 else log_softmax(numbers)[y]
    seen = ~np.isnan(y)
    if kind == "gaussian":
        return stats.norm.logpdf(y, numbers[:2], np.exp(0.5 * numbers[2:]))[seen].sum()
    return stats.poisson.logpmf(y[seen], np.exp(numbers[seen])).sum()


def enumerated(model, x, y, kind, lengths, b):
    """log p(y, z | x) of every path of sequence b."""
    output, _ = model.net(x, lengths=lengths)
    w, h = model.head.weights, output[:, b]

    def part(name, t):
        driven = name in model.head.driven
        return w[f"{name}.bias"] + (w[f"{name}.weight"] @ h[t] if driven else 0)

    joint = {}
    for z in itertools.product(range(K), repeat=(lengths or [T] * B)[b]):
        total = log_softmax(part("start", 0))[z[0]]
        for t, k in enumerate(z):
            if t:
                total += log_softmax(part("transition", t).reshape(K, K))[z[t - 1], k]
            total += log_density(kind, part("emission", t).reshape(K, -1)[k], y[t, b])
        joint[z] = total
    return joint


def log_total(scores):
    return np.logaddexp.reduce(list(scores))


@pytest.mark.parametrize("kind", EMISSIONS)
@pytest.mark.parametrize("driven", DRIVEN, ids=str)
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_readings_are_enumerations(kind, driven, lengths, rng):
    model, x, y = make(kind, driven, rng)
    found, smooth = model.log_likelihood(x, y, lengths=lengths), model.smoothed(x, y, lengths=lengths)
    filtered, best = model.filtered(x, y, lengths=lengths), model.decode(x, y, lengths=lengths)
    total = 0.0
    for b, n in enumerate(lengths or [T] * B):
        joint = enumerated(model, x, y, kind, lengths, b)
        log_z = log_total(joint.values())
        total += log_z
        assert found[b] == pytest.approx(log_z, rel=1e-10)
        assert tuple(best[:n, b]) == max(joint, key=joint.get)
        assert (best[n:, b] == -1).all()
        for k in range(K):
            for t in range(T):
                inside = [s for z, s in joint.items() if t < n and z[t] == k]
                wanted = np.exp(log_total(inside) - log_z) if inside else 0.0
                assert smooth[t, b, k] == pytest.approx(wanted, rel=1e-9, abs=1e-12)
        np.testing.assert_allclose(filtered[n - 1, b], smooth[n - 1, b], rtol=1e-9)
        if lengths is None:
            short = enumerated(model, x[:2], y[:2], kind, [2] * B, b)
            wanted = np.exp([log_total([s for z, s in short.items() if z[1] == k]) for k in range(K)])
            np.testing.assert_allclose(filtered[1, b], wanted / wanted.sum(), rtol=1e-9)
    assert bptt(model.net, x, model.loss(y), lengths=lengths).total == pytest.approx(-total, rel=1e-10)


@pytest.mark.parametrize("kind", EMISSIONS)
@pytest.mark.parametrize("driven", DRIVEN, ids=str)
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_gradients(kind, driven, lengths, rng):
    model, x, y = make(kind, driven, rng)
    check_gradients(model.graph(x, y, lengths=lengths), hvp=True, entries=1)


@pytest.mark.parametrize(
    "net", [MLP(2, [3, 2], random_state=0), MLP(2), LSTM(2, 3, bidirectional=True, random_state=0)]
)
def test_any_network_drives(net, rng):
    model, x, y = make("gaussian", ("transition", "emission"), rng, net)
    check_gradients(model.graph(x, y), hvp=True, entries=1)
    check_gradients(model.graph(x, y, lengths=LENGTHS), entries=1)
    p = model.transitions(x)
    assert p.shape == (T, B, K, K)
    np.testing.assert_allclose(p.sum(axis=-1), 1)


def test_the_mean_is_over_rows_that_are_seen(rng):
    model, x, y = make("gaussian", ("transition",), rng)
    y[0, 1] = np.nan
    seen = (~np.isnan(y)).any(axis=-1)
    whole, mean = bptt(model.net, x, model.loss(y)), bptt(model.net, x, model.loss(y, "mean"))
    assert mean.total == pytest.approx(whole.total / seen.sum(), rel=1e-12)


def test_a_fit_finds_what_drives_the_states(rng):
    """Two regimes that change place when a covariate of three says so."""
    n = 400
    x = (rng.random((n, 1, 3)) < 0.15).astype(float)
    states = np.cumsum(x[..., 1], axis=0).astype(int) % 2
    y = (3.0 * states + rng.normal(size=(n, 1)))[..., None]
    model = NeuralHMM(MLP(3, [4], random_state=0), 2, Gaussian(), ("transition",), random_state=0)
    fixed = NeuralHMM(MLP(3), 2, Gaussian(), (), random_state=0)
    history = model.fit(x, y, n_iter=100, tol=None)
    fixed.fit(x, y, n_iter=100, tol=None)
    assert history.best < history.losses[0]
    found = model.decode(x, y)
    right = (found == states).mean()
    assert max(right, 1 - right) > 0.97
    assert model.log_likelihood(x, y)[0] > fixed.log_likelihood(x, y)[0] + 30
    p = model.transitions(x)[:, 0]
    flips = p[x[:, 0, 1] == 1][:, [0, 1], [1, 0]]
    assert flips.mean() > 0.9
    assert p[x[:, 0, 1] == 0][:, [0, 1], [1, 0]].mean() < 0.1


def test_state_dicts_move(rng):
    model, x, y = make("poisson", ("start", "emission"), rng)
    other = NeuralHMM(RNN(2, 3, random_state=5), K, Poisson(2), ("start", "emission"))
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.log_likelihood(x, y), model.log_likelihood(x, y))
    with pytest.raises(DataError, match=r"lacks hmm.start.weight"):
        other.load_state_dict({k: v for k, v in model.state_dict().items() if k != "hmm.start.weight"})


def test_batch_first_unbatched_and_single_precision(rng):
    model, x, y = make("gaussian", ("transition", "emission"), rng, MLP(2, [3], random_state=0))
    turned = NeuralHMM(MLP(2, [3], True, random_state=0), K, Gaussian(2)).load_state_dict(model.state_dict())
    wanted = model.smoothed(x, y)
    np.testing.assert_allclose(turned.smoothed(x.swapaxes(0, 1), y.swapaxes(0, 1)), wanted.swapaxes(0, 1))
    np.testing.assert_allclose(model.smoothed(x[:, 0], y[:, 0]), wanted[:, 0])
    narrow = NeuralHMM(MLP(2, [3], dtype="float32"), K, Gaussian(2)).load_state_dict(model.state_dict())
    m = bptt(narrow.net, x.astype("f4"), narrow.loss(y), lengths=LENGTHS)
    wide = bptt(model.net, x, model.loss(y), lengths=LENGTHS)
    for name in model.weights:
        assert m.parameters[name].dtype == np.float32
        np.testing.assert_allclose(m.parameters[name], wide.parameters[name], rtol=1e-3, atol=1e-4)


def test_beside_another_task(rng):
    model, x, y = make("categorical", ("transition",), rng)
    labels = CrossEntropy(rng.integers(0, 2, (T, B)), readout=Linear(3, 2, random_state=3), task="kinds")
    m = bptt(model.net, x, Several(model.loss(y, task="hidden"), labels))
    assert m.tasks["hidden"].total == pytest.approx(-model.log_likelihood(x, y).sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m, x: m.log_likelihood(x, np.full((T, B), 3)), DataError, r"symbols hold 3 at \(0, 0\)"),
        (lambda m, x: m.log_likelihood(x, np.zeros((T, 1), int)), ShapeError, "y has shape"),
        (lambda m, x: bptt(m, x, m.loss(np.zeros((T, B), int), task="a")), DataError, "model.net"),
        (lambda m, x: NeuralHMM(m.head, 2, Gaussian()), DataError, "takes a network"),
        (lambda m, x: NeuralHMM(m.net, 2, "gaussian"), DataError, "emission is a Categorical"),
        (lambda m, x: NeuralHMM(m.net, 2, Gaussian(), ("emit",)), DataError, "driven is a tuple"),
        (lambda m, x: NeuralHMM(m.net, 2, Gaussian(), "emission"), DataError, "driven is a tuple"),
        (lambda m, x: HiddenStates(np.zeros((T, B)), m.net), DataError, "head must be the Head"),
        (lambda m, x: bptt(MLP(2), x, m.loss(np.zeros((T, B), int))), ShapeError, "reads 3 features"),
        (
            lambda m, x: bptt(RNN(2, 3, dtype="float32"), x, m.loss(np.zeros((T, B), int))),
            DataError,
            "float32",
        ),
        (lambda m, x: Poisson(1).prepare([[[-1.0]]], np.dtype(float)), DataError, "counts hold -1"),
    ],
)
def test_wrong_calls(call, error, words, rng):
    model, x, _ = make("categorical", ("transition",), rng)
    with pytest.raises(error, match=words):
        call(model, x)
