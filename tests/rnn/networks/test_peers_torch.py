"""torch.nn.RNN, LSTM and GRU with the same weights: the same outputs, states and gradients to rounding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn import GRU, LSTM, RNN, SquaredError, bptt, load_file
from tests.rnn.architectures import Case, cases

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers


def twin(net):
    """A torch module with the net's weights."""
    options = {"nonlinearity": net.nonlinearity} if isinstance(net, RNN) else {}
    if isinstance(net, LSTM):
        options["proj_size"] = net.proj_size
    module = getattr(torch.nn, type(net).__name__)(
        net.input_size,
        net.hidden_size,
        net.num_layers,
        bias=net.bias,
        batch_first=net.batch_first,
        bidirectional=net.bidirectional,
        dtype=torch.float32 if net.dtype == np.float32 else torch.float64,
        **options,
    )
    module.load_state_dict({k: torch.from_numpy(v) for k, v in net.state_dict().items()})
    return module


def run_torch(module, case):
    """Outputs, states, and the tensors whose gradients are wanted."""
    x = torch.tensor(case.x, requires_grad=True)
    starts = [torch.tensor(v, requires_grad=True) for v in case.h0]
    start = tuple(starts) if len(starts) > 1 else starts[0]
    if case.lengths is None:
        output, last = module(x, start)
    else:
        utils = torch.nn.utils.rnn
        first = case.net.batch_first
        packed = utils.pack_padded_sequence(
            x, torch.tensor(case.lengths), batch_first=first, enforce_sorted=False
        )
        output, last = module(packed, start)
        steps = case.x.shape[1 if first else 0]
        output, _ = utils.pad_packed_sequence(output, batch_first=first, total_length=steps)
    return output, last if isinstance(last, tuple) else (last,), x, starts


def agrees(case, rtol: float, atol: float) -> None:
    """Outputs, states and all gradients are torch's."""
    net, module = case.net, twin(case.net)
    output, last, x, starts = run_torch(module, case)
    ours, states = net(case.x, **case.data())
    states = states if isinstance(states, tuple) else (states,)
    close = lambda a, b, what: np.testing.assert_allclose(  # noqa: E731
        a, b.detach().numpy(), rtol=rtol, atol=atol, err_msg=what
    )
    close(ours, output, "output")
    for name, a, b in zip(net.cell.states, states, last, strict=True):
        close(a, b, f"{name}_n")
    target = np.random.default_rng(0).normal(size=ours.shape).astype(net.dtype)
    square = (output - torch.tensor(target)) ** 2
    if case.lengths is not None:
        present = torch.arange(len(case.x) if not net.batch_first else case.x.shape[1])[:, None]
        present = present < torch.tensor(case.lengths)
        square = square * (present.T if net.batch_first else present)[..., None]
    (0.5 * square.sum()).backward()
    m = bptt(net, case.x, SquaredError(target), **case.data())
    assert list(m.parameters) == [k for k, _ in module.named_parameters()]
    for key, value in module.named_parameters():
        close(m.parameters[key], value.grad, key)
    close(m.gradient["x"].swapaxes(0, 1) if net.batch_first else m.gradient["x"], x.grad, "x")
    for state, start in zip(net.cell.states, starts, strict=True):
        for k, suffix in enumerate(net.suffixes):
            close(m.gradient[f"{state}0{suffix}"], start.grad[k], state + suffix)


@settings(max_examples=100)
@given(cases(ours=False))
def test_double_precision(case):
    agrees(case, 1e-9, 1e-11)


@settings(max_examples=40)
@given(cases(ours=False, dtype="float32"))
def test_single_precision(case):
    agrees(case, 2e-3, 2e-4)


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_weights_move_both_ways(kind):
    module = getattr(torch.nn, kind.__name__)(3, 4, num_layers=2, bidirectional=True)
    net = kind(3, 4, num_layers=2, bidirectional=True, dtype="float32").load_state_dict(module.state_dict())
    assert list(net.state_dict()) == list(module.state_dict())
    for key, value in module.state_dict().items():
        np.testing.assert_array_equal(net.weights[key], value.numpy())


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_a_layer_norm_is_torchs(seed):
    """The cell of two torch LayerNorms with shifts, one step after the other."""
    rng = np.random.default_rng(seed)
    net = LSTM(2, 3, layer_norm=True, random_state=rng)
    net.weights = {k: rng.normal(size=w.shape) for k, w in net.weights.items()}
    w = {k.removesuffix("_l0"): torch.tensor(v) for k, v in net.weights.items()}
    x = rng.normal(size=(5, 2, 2))
    h = c = torch.zeros(2, 3, dtype=torch.float64)
    norm = torch.nn.functional.layer_norm
    for t in range(5):
        z = norm(torch.tensor(x[t]) @ w["weight_ih"].T, (12,), w["norm_ih"], w["bias_ih"])
        z = z + norm(h @ w["weight_hh"].T, (12,), w["norm_hh"], w["bias_hh"])
        i, f, g, o = z.chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
    np.testing.assert_allclose(net(x)[0][-1], h.numpy(), rtol=1e-11)


def test_torch_files_are_read(tmp_path):
    from safetensors.torch import load_file as torch_load
    from safetensors.torch import save_file as torch_save

    module = torch.nn.LSTM(2, 4, num_layers=2, bidirectional=True)
    torch_save(module.state_dict(), tmp_path / "module")
    net = LSTM(2, 4, 2, bidirectional=True, dtype="float32")
    net.load_state_dict(load_file(tmp_path / "module"))
    x = np.random.default_rng(0).normal(size=(5, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(net(x)[0], module(torch.tensor(x))[0].detach().numpy(), rtol=1e-4, atol=1e-6)
    net.save(tmp_path / "net")
    module.load_state_dict(torch_load(tmp_path / "net"))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_sizes_that_run_compiled(kind, ragged, dtype, rng):
    """Large enough, and often enough, for the compiled sweep to be taken."""
    net = kind(7, 20, 2, bidirectional=True, batch_first=True, dtype=dtype, random_state=0)
    x = rng.normal(size=(9, 30, 7)).astype(dtype)
    h0 = tuple(rng.normal(size=(4, 9, 20)).astype(dtype) for _ in net.cell.states)
    case = Case(net, x, h0, rng.integers(1, 31, size=9) if ragged else None)
    for _ in range(8):
        bptt(net, x, SquaredError(np.zeros((9, 30, 40))), **case.data())
        net(x, **case.data())
    agrees(case, *((1e-9, 1e-10) if dtype == "float64" else (5e-3, 2e-3)))
