"""hmm: hidden Markov models with hmmlearn's names, on the factor graphs of :mod:`msgpass`.

A model builds one graph over the data and reads its messages: ``total`` is the log-likelihood, what arrives
at the parameters is the E-step of Baum-Welch, ``MaxProduct`` is Viterbi. Models are loaded when they are
first asked for, because scikit-learn, whose conventions they follow, takes a second to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hmm.models.categorical import CategoricalHMM
    from hmm.models.gaussian import GaussianHMM
    from hmm.models.poisson import PoissonHMM
    from hmm.monitor import ConvergenceMonitor

__all__ = ["CategoricalHMM", "ConvergenceMonitor", "GaussianHMM", "PoissonHMM"]

_HOMES = {
    "CategoricalHMM": "hmm.models.categorical",
    "ConvergenceMonitor": "hmm.monitor",
    "GaussianHMM": "hmm.models.gaussian",
    "PoissonHMM": "hmm.models.poisson",
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"hmm has no {name!r}; it has {', '.join(__all__)}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
