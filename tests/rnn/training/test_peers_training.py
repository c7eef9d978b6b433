"""A fit goes the way that torch's training loop goes: same batches, same steps, same losses."""

import numpy as np
import pytest

from rnn import GRU, LSTM, CrossEntropy, Linear, fit
from rnn.learning_rates import Cosine
from rnn.optimizers import Adam

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_the_course_of_a_fit(kind, rng):
    n, size, epochs = 12, 4, 5
    x, labels = rng.normal(size=(6, n, 2)), rng.integers(0, 3, (6, n))
    net, readout = {"LSTM": LSTM, "GRU": GRU}[kind](2, 5, random_state=0), Linear(5, 3, random_state=1)
    theirs, head = (
        getattr(torch.nn, kind)(2, 5, dtype=torch.float64),
        torch.nn.Linear(5, 3, dtype=torch.float64),
    )
    theirs.load_state_dict({k: torch.tensor(v) for k, v in net.state_dict().items()})
    head.load_state_dict({k: torch.tensor(v) for k, v in readout.state_dict().items()})
    parameters = [*theirs.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, 0.05, weight_decay=0.1)
    rate, losses = Cosine(0.05, epochs), []
    for epoch in range(epochs):
        seen = []
        for k, first in enumerate(range(0, n, size)):
            optimizer.param_groups[0]["lr"] = rate.at(epoch + k / (n // size))
            optimizer.zero_grad()
            output = head(theirs(torch.tensor(x[:, first : first + size]))[0])
            wanted = torch.tensor(labels[:, first : first + size])
            loss = torch.nn.functional.cross_entropy(output.flatten(0, 1), wanted.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 0.3)
            optimizer.step()
            seen.append(loss.item())
        losses.append(np.mean(seen))
    how = {"lr": rate, "n_iter": epochs, "batch_size": size, "clip_norm": 0.3, "shuffle": False, "tol": None}
    history = fit(net, x, CrossEntropy(labels, "mean", readout), Adam(weight_decay=0.1), **how)
    # torch divides by the norm plus 1e-6
    np.testing.assert_allclose(history.losses, losses, rtol=1e-5)
    assert history.best_epoch == epochs - 1
    for key, value in net.weights.items():
        np.testing.assert_allclose(value, theirs.state_dict()[key].numpy(), rtol=1e-3, atol=1e-5)
