"""One training step of a tanh recurrent network: loss and the gradients of all weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort
from benchmarks.harness import Contender, Problem

TITLE = "Training step of a recurrent network"
ABOUT = (
    "Loss ½Σ(h − target)² and the gradients of all weights and biases of one tanh layer, float32, on T "
    "steps, B sequences, I inputs and H units; weights and data lie ready, the update of the weights is not "
    "counted. msgpass runs rnn.bptt and reads m.total and m.parameters; torch runs forward and backward. "
    "Share is the least time that the machine needs for 2TB(2IH + 3H²) operations over the time taken."
)
SHAPES = ((100, 1, 8, 16), (100, 32, 32, 64), (200, 64, 128, 256))
TOLERANCE = 2e-4  # float32, sums over T·B terms in another order
KEYS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def problems(effort: Effort) -> Iterator[Problem]:
    """The shapes of a toy, of a small and of a middling net."""
    for steps, batch, inputs, hidden in SHAPES[:2] if effort == "quick" else SHAPES:
        rng = np.random.default_rng(0)
        bound = hidden**-0.5
        sizes = ((hidden, inputs), (hidden, hidden), (hidden,), (hidden,))
        weights = {
            key: rng.uniform(-bound, bound, size).astype(np.float32)
            for key, size in zip(KEYS, sizes, strict=True)
        }
        x = rng.standard_normal((steps, batch, inputs), dtype=np.float32)
        target = rng.standard_normal((steps, batch, hidden), dtype=np.float32)
        yield Problem(
            label=f"T={steps}, B={batch}, I={inputs}, H={hidden}",
            contenders={
                "msgpass": partial(msgpass_step, weights, x, target),
                "torch": partial(torch_step, weights, x, target),
            },
            tolerance=TOLERANCE,
            unit="ms",
            per=1e3,
            flops=2.0 * steps * batch * (2 * inputs * hidden + 3 * hidden**2),
            traffic=float(x.nbytes + target.nbytes),
            dtype="float32",
        )


def msgpass_step(weights: dict[str, np.ndarray], x: np.ndarray, target: np.ndarray) -> Contender:
    from rnn import RNN, SquaredError, bptt

    net = RNN(x.shape[-1], target.shape[-1], dtype=np.float32)
    net.load_state_dict(weights)
    loss = SquaredError(target)

    def step() -> dict[str, object]:
        m = bptt(net, x, loss)
        return {"loss": m.total} | {key: m.parameters[key] for key in KEYS}

    return step


def torch_step(weights: dict[str, np.ndarray], x: np.ndarray, target: np.ndarray) -> Contender:
    torch = peers.require("torch")
    net = torch.nn.RNN(x.shape[-1], target.shape[-1])
    net.load_state_dict({key: torch.tensor(value) for key, value in weights.items()})
    inputs, wanted = torch.tensor(x), torch.tensor(target)
    parameters = dict(net.named_parameters())

    def step() -> dict[str, object]:
        net.zero_grad(set_to_none=True)
        loss = 0.5 * ((net(inputs)[0] - wanted) ** 2).sum()
        loss.backward()
        return {"loss": loss.item()} | {key: parameters[key].grad.numpy() for key in KEYS}

    return step
