"""Where the numbers of a field live, and real coordinates for them: one file a kind of domain."""

from hmm.coordinates.base import Domain
from hmm.coordinates.matrices import Covariances
from hmm.coordinates.numbers import Choice, Circular, Positive, Real, Share
from hmm.coordinates.rows import Rows

__all__ = ["Choice", "Circular", "Covariances", "Domain", "Positive", "Real", "Rows", "Share"]
