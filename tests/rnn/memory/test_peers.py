"""The same network written out in torch: outputs and all gradients to rounding."""

import numpy as np
import pytest

from rnn import Linear, SquaredError, bptt
from rnn.memory import Memory

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers


def address(row, memory, before, width):
    k, beta, g, s, gamma = torch.split(row[..., : width + 6], [width, 1, 1, 3, 1], dim=-1)
    norms = [torch.sqrt((v * v).sum(-1, keepdim=True) + 1e-8) for v in (k, memory)]
    similarity = (k / norms[0]) @ (memory / norms[1]).transpose(-1, -2)
    content = torch.softmax(torch.nn.functional.softplus(beta) * similarity, -1)
    gate = torch.sigmoid(g)
    w = gate * content + (1 - gate) * before
    s = torch.softmax(s, -1)
    w = sum(s[..., j : j + 1] * torch.roll(w, j - 1, -1) for j in range(3))
    w = w ** (1 + torch.nn.functional.softplus(gamma))
    return w / w.sum(-1, keepdim=True)


@pytest.mark.parametrize("seed", range(3))
def test_neural_turing_machine(seed):
    rng = np.random.default_rng(seed)
    steps, batch, heads, N, W = 6, 3, 2, 7, 4
    net = Memory(3, 5, N, W, read_heads=heads, write_heads=heads, random_state=seed)
    readout = Linear(net.output_size, 2, random_state=seed)
    x, target = rng.normal(size=(steps, batch, 3)), rng.normal(size=(steps, batch, 2))
    m = bptt(net, x, SquaredError(target, readout=readout))

    p = {k: torch.tensor(w, requires_grad=True) for k, w in net.weights.items()}
    head = {k: torch.tensor(w, requires_grad=True) for k, w in readout.weights.items()}
    h = c = torch.zeros(batch, 5, dtype=torch.float64)
    memory = torch.full((batch, N, W), 1e-6, dtype=torch.float64)
    w_write = torch.eye(N, dtype=torch.float64)[0].expand(batch, heads, N)
    w_read, r = w_write, torch.zeros(batch, heads * W, dtype=torch.float64)
    cell = [p[f"controller.{k}"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    outputs = []
    for x_t in torch.tensor(x):
        z = torch.cat([x_t, r], -1) @ cell[0].T + cell[2] + h @ cell[1].T + cell[3]
        i, f, g, o = z.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        row = (h @ p["write_heads.weight"].T + p["write_heads.bias"]).reshape(batch, heads, -1)
        w_write = address(row, memory, w_write, W)
        erase, add = torch.sigmoid(row[..., -2 * W : -W]), row[..., -W:]
        kept = (1 - w_write[..., None] * erase[..., None, :]).prod(dim=1)
        memory = memory * kept + w_write.transpose(-1, -2) @ add
        row = (h @ p["read_heads.weight"].T + p["read_heads.bias"]).reshape(batch, heads, -1)
        w_read = address(row, memory, w_read, W)
        r = (w_read @ memory).reshape(batch, -1)
        outputs.append(torch.cat([h, r], -1) @ head["weight"].T + head["bias"])
    loss = 0.5 * ((torch.stack(outputs) - torch.tensor(target)) ** 2).sum()
    loss.backward()
    assert m.total == pytest.approx(loss.item(), rel=1e-12)
    for key, value in {**p, **{f"readout.{k}": v for k, v in head.items()}}.items():
        np.testing.assert_allclose(m.parameters[key], value.grad.numpy(), rtol=1e-8, atol=1e-12)
