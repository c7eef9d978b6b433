"""``Settings``: how a fit is to go, checked in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass import Sequential
from msgpass.errors import UnsupportedError
from msgpass.schedule.base import Schedule
from rnn.learning_rates import Constant, LearningRate
from rnn.losses import OutputLoss
from rnn.networks import Network
from rnn.optimizers import LBFGS, OPTIMIZERS, Optimizer, clip_by_norm, clip_by_value
from rnn.training.surgery import Surgery, checked_surgery
from rnn.validation import flag, generator, one_of, positive, whole

FIRST_ORDER = "use optimizer='adam', or another one that takes steps along gradients"

MAY_CHANGE = ("n_iter", "tol", "patience", "name")
"""Settings that a resumed fit may have changed: how long it goes on."""


def optional(check, what: str, value):
    """None, or what ``check`` makes of it."""
    return None if value is None else check(what, value)


def as_optimizer(optimizer) -> tuple[str, Optimizer | LBFGS]:
    """(name, optimiser) of a name or an optimiser."""
    if isinstance(optimizer, Optimizer | LBFGS):
        return type(optimizer).__name__, optimizer
    name = one_of("optimizer", optimizer, tuple(OPTIMIZERS))
    return name, OPTIMIZERS[name]()


@dataclass(frozen=True)
class Settings:
    """The arguments of :func:`rnn.fit` that say how it goes.

    Attributes
    ----------
    name : str
        The optimiser's.
    seed : int
        Of all chance but the weights'.
    """

    name: str
    method: Optimizer | LBFGS
    rate: LearningRate
    n_iter: int
    tol: float | None
    patience: int
    batch_size: int | None
    shuffle: bool
    clip_norm: float | None
    clip_value: float | None
    schedule: Schedule | None
    surgery: Surgery | None
    seed: int

    @classmethod
    def of(cls, optimizer, lr, seed: int, **given: Any) -> Settings:
        """Checked."""
        name, method = as_optimizer(optimizer)
        return cls(
            name,
            method,
            lr if isinstance(lr, LearningRate) else Constant(positive("lr", lr)),
            whole("n_iter", given["n_iter"]),
            optional(positive, "tol", given["tol"]),
            whole("patience", given["patience"]),
            optional(whole, "batch_size", given["batch_size"]),
            flag("shuffle", given["shuffle"]),
            optional(positive, "clip_norm", given["clip_norm"]),
            optional(positive, "clip_value", given["clip_value"]),
            given["schedule"],
            checked_surgery(given["surgery"]),
            seed,
        )

    def check_lbfgs(self, net: Network, checkpoint) -> None:
        """Refuse what L-BFGS cannot do."""
        if not isinstance(self.method, LBFGS):
            return
        if (self.schedule or Sequential()).windowed:
            raise UnsupportedError(
                f"{self.schedule!r} does not give the gradient that L-BFGS needs; {FIRST_ORDER}"
            )
        wanted = {name: getattr(self, name) for name in ("batch_size", "clip_norm", "clip_value")}
        wanted |= {"checkpoint": checkpoint}
        wanted |= {"surgery": self.surgery}
        given = [name for name, value in wanted.items() if value is not None]
        if not isinstance(self.rate, Constant):
            given.append("a schedule of learning rates")
        if given:
            raise UnsupportedError(
                f"L-BFGS takes all data at once, in steps of its own, so {', '.join(given)} cannot be had; "
                f"{FIRST_ORDER}"
            )
        if net.dropout:
            raise UnsupportedError(
                f"with dropout={net.dropout} the loss is one of chance, which L-BFGS cannot search; "
                f"{FIRST_ORDER}"
            )

    def check_tasks(self, loss: OutputLoss) -> None:
        """Surgery is for tasks."""
        if self.surgery is None:
            return
        tasks = [one.task for one in getattr(loss, "losses", [loss])]
        if all(task is None for task in tasks):
            raise UnsupportedError(
                f"surgery={self.surgery!r} is for the gradients of several tasks, and {type(loss).__name__} "
                "names none; give Several(SquaredError(…, task='level'), CrossEntropy(…, task='kind'))"
            )

    def clipped(self, gradient: np.ndarray) -> np.ndarray:
        """A gradient within its bounds."""
        if self.clip_value is not None:
            gradient = clip_by_value(gradient, self.clip_value)
        return gradient if self.clip_norm is None else clip_by_norm(gradient, self.clip_norm)

    @property
    def decisive(self) -> tuple:
        """What the course of a fit depends on."""
        return tuple((name, value) for name, value in vars(self).items() if name not in MAY_CHANGE)


@dataclass(frozen=True)
class Seeds:
    """Where chance comes from: weights from a generator, everything else from a number."""

    weights: np.random.Generator | None
    order: int

    @classmethod
    def of(cls, random_state, seed) -> Seeds:
        """``seed`` is drawn from ``random_state`` where it is not given, and else 0."""
        rng = None if random_state is None else generator(random_state)
        if seed is not None:
            return cls(rng, whole("seed", seed, 0))
        if rng is None:
            return cls(None, 0)
        # A generator of its own, so that the weights are those that random_state draws alone.
        (child,) = rng.spawn(1)
        return cls(rng, int(child.integers(2**31)))
