"""Models from and to other libraries, each imported only when a model goes there."""

from hmm.interop.dynamax import from_dynamax, to_dynamax
from hmm.interop.hmmlearn import from_hmmlearn, to_hmmlearn
from hmm.interop.pgmpy import from_pgmpy, to_pgmpy
from hmm.interop.pomegranate import from_pomegranate, to_pomegranate
from hmm.interop.statsmodels import from_statsmodels, to_statsmodels

__all__ = [
    "from_dynamax",
    "from_hmmlearn",
    "from_pgmpy",
    "from_pomegranate",
    "from_statsmodels",
    "to_dynamax",
    "to_hmmlearn",
    "to_pgmpy",
    "to_pomegranate",
    "to_statsmodels",
]
