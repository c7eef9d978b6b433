"""How long a semi-Markov state lasts: one file a kind."""

from hmm.transitions.durations.base import Duration
from hmm.transitions.durations.empirical import Empirical
from hmm.transitions.durations.geometric import Geometric
from hmm.transitions.durations.negative_binomial import NegativeBinomial
from hmm.transitions.durations.poisson import Poisson

KINDS: dict[str, type[Duration]] = {
    "poisson": Poisson,
    "negative binomial": NegativeBinomial,
    "empirical": Empirical,
    "geometric": Geometric,
}

__all__ = ["KINDS", "Duration", "Empirical", "Geometric", "NegativeBinomial", "Poisson"]
