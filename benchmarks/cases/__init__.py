"""The cases, one module each, in the order in which they run.

A case is a module with ``TITLE``, one line, ``ABOUT``, what is computed and under which rules, and
``problems(effort)``, which yields `harness.Problem`. Adding one is writing the module and its name below.
"""

from importlib import import_module
from types import ModuleType
from typing import Literal

Effort = Literal["quick", "normal", "full"]
"""How much to run: small sizes only, the sizes of the published table, or those that take minutes too."""

NAMES = (
    "estep",
    "score",
    "viterbi",
    "gaussian",
    "gaussian_score",
    "gaussian_viterbi",
    "fit",
    "rnn_step",
    "gru_step",
    "lstm_step",
    "kept_graph",
    "checkpointed",
    "kalman_smoother",
    "kalman_em",
    "scan",
    "ode_gradient",
    "systems",
    "dbn_smoothing",
    "network_em",
    "flooding",
    "network_marginals",
)


def get(name: str) -> ModuleType:
    """The module of a case."""
    return import_module(f"benchmarks.cases.{name}")
