"""torch.nn.RNN with the same weights: the same outputs and gradients to rounding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn import RNN, CrossEntropy, Linear, SquaredError, bptt
from tests.rnn.loops import networks

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers


def twin(net: RNN):
    module = torch.nn.RNN(
        net.input_size,
        net.hidden_size,
        net.num_layers,
        net.nonlinearity,
        net.bias,
        net.batch_first,
        bidirectional=net.bidirectional,
        dtype=torch.float32 if net.dtype == np.float32 else torch.float64,
    )
    module.load_state_dict({k: torch.from_numpy(v) for k, v in net.state_dict().items()})
    return module


@settings(max_examples=50)
@given(networks(), st.sampled_from(["sum", "mean"]), st.booleans())
def test_outputs_and_gradients(problem, reduction, labelled):
    net, x, h0 = problem
    rng = np.random.default_rng(0)
    module, readout = twin(net), Linear(net.output_size, 3, random_state=0)
    head = torch.nn.Linear(net.output_size, 3, dtype=torch.float64)
    head.load_state_dict({k: torch.from_numpy(v) for k, v in readout.state_dict().items()})
    inputs, start = (torch.tensor(v, requires_grad=True) for v in (x, h0))
    output, h_n = module(inputs, start)
    states, last = net(x, h0)
    np.testing.assert_allclose(states, output.detach().numpy(), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(last, h_n.detach().numpy(), rtol=1e-11, atol=1e-12)
    prediction = head(output)
    if labelled:
        labels = rng.integers(-1, 3, size=x.shape[:2])
        labels[0, 0] = 0
        theirs = torch.nn.functional.cross_entropy(
            prediction.reshape(-1, 3), torch.tensor(labels.reshape(-1)), ignore_index=-1, reduction=reduction
        )
        ours = CrossEntropy(labels, reduction, readout)
    else:
        target = rng.normal(size=(*x.shape[:2], 3))
        theirs = 0.5 * torch.nn.functional.mse_loss(prediction, torch.tensor(target), reduction=reduction)
        ours = SquaredError(target, reduction, readout)
    theirs.backward()
    m = bptt(net, x, ours, h0=h0)
    assert m.total == pytest.approx(theirs.item(), rel=1e-12)
    named = {**dict(module.named_parameters()), **{f"readout.{k}": v for k, v in head.named_parameters()}}
    assert list(named) == list(m.parameters)
    for key, value in named.items():
        np.testing.assert_allclose(m.parameters[key], value.grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=key)
    np.testing.assert_allclose(m.gradient["x"], inputs.grad.numpy(), rtol=1e-9, atol=1e-11)
    for k, suffix in enumerate(net.suffixes):
        np.testing.assert_allclose(m.gradient[f"h0{suffix}"], start.grad[k].numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_single_precision_and_compiled_sizes(nonlinearity, rng):
    net = RNN(12, 40, 2, nonlinearity, bidirectional=True, batch_first=True, dtype="float32", random_state=0)
    x = rng.standard_normal((9, 150, 12), dtype=np.float32)
    target = rng.standard_normal((9, 150, 80), dtype=np.float32)
    module = twin(net)
    output, h_n = module(torch.tensor(x))
    (0.5 * ((output - torch.tensor(target)) ** 2).sum()).backward()
    for _ in range(3):
        m = bptt(net, x, SquaredError(target))
    states, last = net(x)
    np.testing.assert_allclose(states, output.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(last, h_n.detach().numpy(), rtol=1e-4, atol=1e-5)
    for key, value in module.named_parameters():
        gap = np.abs(m.parameters[key] - value.grad.numpy()).max() / np.abs(value.grad.numpy()).max()
        assert gap < 1e-4, key


def test_weights_move_both_ways():
    module = torch.nn.RNN(3, 4, num_layers=2, bidirectional=True)
    net = RNN(3, 4, num_layers=2, bidirectional=True, dtype="float32").load_state_dict(module.state_dict())
    assert list(net.state_dict()) == list(module.state_dict())
    for key, value in module.state_dict().items():
        np.testing.assert_array_equal(net.weights[key], value.numpy())
