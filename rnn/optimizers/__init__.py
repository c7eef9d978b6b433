"""Optimisers, one file each; their memory is plain arrays."""

from collections.abc import Callable

from rnn.optimizers.adam import Adam
from rnn.optimizers.base import Optimizer
from rnn.optimizers.clipping import clip_by_norm, clip_by_value
from rnn.optimizers.lbfgs import LBFGS, Outcome
from rnn.optimizers.rmsprop import RMSprop
from rnn.optimizers.sgd import SGD

OPTIMIZERS: dict[str, Callable[[], Optimizer | LBFGS]] = {
    "lbfgs": LBFGS,
    "adam": Adam,
    "adamw": lambda: Adam(weight_decay=0.01),
    "rmsprop": RMSprop,
    "sgd": SGD,
}
"""By the name that :func:`rnn.fit` takes."""

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "Adam",
    "Optimizer",
    "Outcome",
    "RMSprop",
    "clip_by_norm",
    "clip_by_value",
]
