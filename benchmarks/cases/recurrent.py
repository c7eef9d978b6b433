"""What the cases of recurrent nets share: shapes, weights and data, one training step of each contender."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort
from benchmarks.harness import Contender, Problem
from benchmarks.memory import peak_megabytes

SHAPES = (
    (100, 1, 8, 16, "float32"),
    (100, 32, 32, 64, "float32"),
    (1000, 16, 64, 128, "float32"),
    (200, 64, 128, 256, "float32"),
    (100, 32, 256, 512, "float32"),
    (1000, 16, 64, 128, "float64"),
)
"""(T, B, I, H) from a toy to what is large for a processor; one in double precision."""

TOLERANCE = {"float32": 5e-4, "float64": 1e-10}  # sums over T·B terms in another order
KEYS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def about(layer: str, gates: int, numbers: int) -> str:
    """The rules, for the page; a step cannot do without ``numbers`` · T B H numbers."""
    return (
        f"Loss ½Σ(h − target)² and the gradients of all weights and biases of one {layer} layer on T steps, "
        "B sequences, I inputs and H units; weights and data lie ready, the update of the weights is not "
        "counted. msgpass runs rnn.bptt and reads m.total and m.parameters; torch runs forward and backward. "
        f"Share is the least time that the machine needs for {2 * gates}TB(2IH + 3H²) operations over the "
        "time taken. Peak memory is what the process needs during one step beyond what it holds before; "
        f"{numbers}TBH numbers of it are what a step cannot do without."
    )


def problems(cell: str, gates: int, effort: Effort) -> Iterator[Problem]:
    """Training steps of the network that both libraries call ``cell``."""
    for steps, batch, inputs, hidden, dtype in SHAPES[:2] if effort == "quick" else SHAPES:
        rng = np.random.default_rng(0)
        bound, rows = hidden**-0.5, gates * hidden
        sizes = ((rows, inputs), (rows, hidden), (rows,), (rows,))
        weights = {
            key: rng.uniform(-bound, bound, size).astype(dtype) for key, size in zip(KEYS, sizes, strict=True)
        }
        x = rng.standard_normal((steps, batch, inputs)).astype(dtype)
        target = rng.standard_normal((steps, batch, hidden)).astype(dtype)
        yield Problem(
            label=f"T={steps}, B={batch}, I={inputs}, H={hidden}, {dtype}",
            contenders={
                "msgpass": partial(msgpass_step, cell, weights, x, target),
                "torch": partial(torch_step, cell, weights, x, target),
            },
            tolerance=TOLERANCE[dtype],
            unit="ms",
            per=1e3,
            flops=2.0 * gates * steps * batch * (2 * inputs * hidden + 3 * hidden**2),
            traffic=float(x.nbytes + target.nbytes),
            dtype=dtype,
            extra={"peak MB": peak_megabytes},
        )


def msgpass_step(cell: str, weights, x: np.ndarray, target: np.ndarray) -> Contender:
    import rnn

    net = getattr(rnn, cell)(x.shape[-1], target.shape[-1], dtype=x.dtype)
    net.load_state_dict(weights)
    loss = rnn.SquaredError(target)

    def step() -> dict[str, object]:
        m = rnn.bptt(net, x, loss)
        return {"loss": m.total} | {key: m.parameters[key] for key in KEYS}

    return step


def torch_step(cell: str, weights, x: np.ndarray, target: np.ndarray) -> Contender:
    torch = peers.require("torch")
    net = getattr(torch.nn, cell)(x.shape[-1], target.shape[-1], dtype=getattr(torch, x.dtype.name))
    net.load_state_dict({key: torch.tensor(value) for key, value in weights.items()})
    inputs, wanted = torch.tensor(x), torch.tensor(target)
    parameters = dict(net.named_parameters())

    def step() -> dict[str, object]:
        net.zero_grad(set_to_none=True)
        loss = 0.5 * ((net(inputs)[0] - wanted) ** 2).sum()
        loss.backward()
        return {"loss": loss.item()} | {key: parameters[key].grad.numpy() for key in KEYS}

    return step
