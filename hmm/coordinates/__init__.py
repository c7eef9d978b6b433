"""Where the numbers of a field live, and real coordinates for them: one file a kind of domain."""

from hmm.coordinates.base import Domain
from hmm.coordinates.between import Between
from hmm.coordinates.matrices import Covariances
from hmm.coordinates.numbers import Choice, Circular, Positive, Real, Share
from hmm.coordinates.rows import Rows
from hmm.coordinates.spread import Variance
from hmm.coordinates.stationary import Stationary

__all__ = [
    "Between",
    "Choice",
    "Circular",
    "Covariances",
    "Domain",
    "Positive",
    "Real",
    "Rows",
    "Share",
    "Stationary",
    "Variance",
]
