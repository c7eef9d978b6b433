"""The rules take torch's steps."""

import numpy as np
import pytest

from rnn.learning_rates import Cosine, Exponential, Plateau, StepDecay
from rnn.optimizers import SGD, Adam, RMSprop
from tests.rnn.optimizers.test_rules import walk

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

PAIRS = [
    (Adam(), lambda p: torch.optim.Adam(p, 0.05)),
    (Adam(weight_decay=0.1), lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0.1)),
    (RMSprop(), lambda p: torch.optim.RMSprop(p, 0.05)),
    (
        RMSprop(0.9, momentum=0.5, centered=True, weight_decay=0.1),
        lambda p: torch.optim.RMSprop(p, 0.05, 0.9, momentum=0.5, centered=True, weight_decay=0.1),
    ),
    (SGD(0.8), lambda p: torch.optim.SGD(p, 0.05, momentum=0.8)),
    (
        SGD(0.8, nesterov=True, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.8, nesterov=True, weight_decay=0.1),
    ),
]


@pytest.mark.parametrize(("rule", "make"), PAIRS, ids=[repr(rule) for rule, _ in PAIRS])
def test_steps(rule, make):
    start, scale = np.array([-1.2, 1.0, 4.0]), np.array([1.0, 10.0, 0.1])
    theta = torch.tensor(start, requires_grad=True)
    optimizer = make([theta])
    for state in walk(rule, lambda w: scale * (w - 1), start, 6, 0.05)[1:]:
        optimizer.zero_grad()
        (0.5 * torch.tensor(scale) * (theta - 1) ** 2).sum().backward()
        optimizer.step()
        np.testing.assert_allclose(state["weights"], theta.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize(
    ("rate", "make"),
    [
        (StepDecay(0.1, 3, 0.5), lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.5)),
        (Exponential(0.1, 0.9), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
        (Cosine(0.1, 10, 0.01), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10, 0.01)),
    ],
    ids=["step", "exponential", "cosine"],
)
def test_rates(rate, make):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    scheduler = make(optimizer)
    for epoch in range(10):
        assert rate.at(epoch) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_plateau():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=1e-4)
    rate = Plateau(0.1, factor=0.5, patience=2)
    for loss in np.random.default_rng(0).normal(10, 1, 40):
        scheduler.step(loss)
        rate = rate.told(float(loss))
        assert rate.at(0) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
