"""A conditional random field written by hand in torch on torch's LSTM: the same loss and gradients."""

import numpy as np
import pytest

from rnn import LSTM, CRFTagger, bptt

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

T, B, K = 7, 4, 5


def log_z(scores, start, transition, end, mask):
    """The forward recursion, with α held where a sequence has ended."""
    alpha = start + scores[0]
    for t in range(1, len(scores)):
        new = torch.logsumexp(alpha[:, :, None] + transition + scores[t][:, None], dim=1)
        alpha = torch.where(mask[t][:, None], new, alpha)
    return torch.logsumexp(alpha + end, dim=1)


def path_score(scores, labels, start, transition, end, lengths):
    total = []
    for b, n in enumerate(lengths):
        z = labels[:n, b]
        s = start[z[0]] + end[z[-1]] + scores[torch.arange(n), b, z].sum() + transition[z[:-1], z[1:]].sum()
        total.append(s)
    return torch.stack(total)


@pytest.mark.parametrize("lengths", [[7, 7, 7, 7], [7, 3, 1, 5]])
def test_bilstm_crf(lengths, rng):
    tagger = CRFTagger(LSTM(3, 6, num_layers=2, bidirectional=True, random_state=0), K, random_state=1)
    module = torch.nn.LSTM(3, 6, 2, bidirectional=True, dtype=torch.float64)
    module.load_state_dict({k: torch.from_numpy(v) for k, v in tagger.net.state_dict().items()})
    own = {k: torch.tensor(v, requires_grad=True) for k, v in tagger.loss().weights.items()}
    x, labels = rng.normal(size=(T, B, 3)), rng.integers(0, K, (T, B))
    inputs = torch.tensor(x, requires_grad=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(inputs, torch.tensor(lengths), enforce_sorted=False)
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(module(packed)[0], total_length=T)
    scores = output @ own["readout.weight"].T + own["readout.bias"]
    mask = torch.arange(T)[:, None] < torch.tensor(lengths)
    chain = own["crf.start"], own["crf.transition"], own["crf.end"]
    loss = (log_z(scores, *chain, mask) - path_score(scores, torch.tensor(labels), *chain, lengths)).sum()
    loss.backward()
    m = bptt(tagger.net, x, tagger.loss(labels), lengths=lengths)
    assert m.total == pytest.approx(float(loss.detach()), rel=1e-10)
    for name, value in [*module.named_parameters(), *own.items()]:
        np.testing.assert_allclose(
            m.parameters[name], value.grad.numpy(), rtol=1e-8, atol=1e-10, err_msg=name
        )
    np.testing.assert_allclose(m.gradient["x"], inputs.grad.numpy(), rtol=1e-8, atol=1e-11)
