"""Torch's losses at the same outputs: the same values and the same gradients."""

import numpy as np
import pytest

from rnn import CTC, RNN, BinaryCrossEntropy, CrossEntropy, GaussianNLL, PoissonNLL, SquaredError, bptt

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers
F = torch.nn.functional

T, B, H = 6, 3, 4


def both(loss, theirs, rng, lengths=None, nonlinearity="tanh"):
    """(ours, theirs) at one network's outputs: values, and gradients at the outputs."""
    net, x = RNN(2, H, nonlinearity=nonlinearity, random_state=0), 2 * rng.normal(size=(T, B, 2))
    m = bptt(net, x, loss, lengths=lengths)
    output = torch.tensor(m.forward["h_l0"], requires_grad=True)
    value = theirs(output)
    value.backward()
    assert m.total == pytest.approx(float(value.detach()), rel=1e-10)
    local = m.gradient["h_l0"] - m.backward["h_l0"]
    np.testing.assert_allclose(local, output.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(reduction, weighted, rng):
    labels = rng.integers(0, H, (T, B))
    labels[rng.random((T, B)) < 0.3] = -100
    weight = rng.random(H) if weighted else None
    both(
        CrossEntropy(labels, reduction, ignore_index=-100, class_weight=weight),
        lambda o: F.cross_entropy(
            o.reshape(-1, H),
            torch.tensor(labels).reshape(-1),
            None if weight is None else torch.tensor(weight),
            reduction=reduction,
        ),
        rng,
    )


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_squared_error_is_half_of_torchs(reduction, rng):
    target = rng.normal(size=(T, B, H))
    both(
        SquaredError(target, reduction),
        lambda o: 0.5 * F.mse_loss(o, torch.tensor(target), reduction=reduction),
        rng,
    )


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("log_input", [True, False])
def test_poisson(reduction, log_input, rng):
    counts = rng.poisson(2.0, (T, B, H)).astype(float)
    both(
        PoissonNLL(counts, reduction, log_input=log_input, eps=1e-6),
        lambda o: F.poisson_nll_loss(o, torch.tensor(counts), log_input, eps=1e-6, reduction=reduction),
        rng,
        nonlinearity="tanh" if log_input else "relu",
    )


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("full", [True, False])
def test_gaussian_with_variances_given(reduction, full, rng):
    target, variance = rng.normal(size=(T, B, H)), 0.2 + rng.random((T, B, H))
    both(
        GaussianNLL(target, variance, reduction, full=full),
        lambda o: F.gaussian_nll_loss(
            o, torch.tensor(target), torch.tensor(variance), full=full, reduction=reduction
        ),
        rng,
    )


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gaussian_with_variances_predicted(reduction, rng):
    target = rng.normal(size=(T, B, H // 2))
    both(
        GaussianNLL(target, reduction=reduction),
        lambda o: F.gaussian_nll_loss(
            o[..., : H // 2], torch.tensor(target), torch.exp(o[..., H // 2 :]), reduction=reduction
        ),
        rng,
    )


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_binary(reduction, rng):
    target = rng.random((T, B, H))
    both(
        BinaryCrossEntropy(target, reduction, pos_weight=2.5),
        lambda o: F.binary_cross_entropy_with_logits(
            o, torch.tensor(target), pos_weight=torch.tensor(2.5), reduction=reduction
        ),
        rng,
    )


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("impossible", [False, True])
def test_ctc(blank, impossible, rng):
    labels = [k for k in range(H) if k != blank]
    targets = [[labels[k] for k in t] for t in ([0, 0, 1], [2, 1], [1] * 6 if impossible else [])]
    lengths = [6, 4, 5]
    padded = np.zeros((B, 6), int)
    for row, target in zip(padded, targets, strict=True):
        row[: len(target)] = target
    both(
        CTC(targets, blank=blank, zero_infinity=impossible),
        lambda o: F.ctc_loss(
            o.log_softmax(-1),
            torch.tensor(padded),
            torch.tensor(lengths),
            torch.tensor([len(t) for t in targets]),
            blank,
            "sum",
            impossible,
        ),
        rng,
        lengths,
    )
