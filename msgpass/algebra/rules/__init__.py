"""Rules for cotangents on edges, one file a rule; see :class:`msgpass.OnEdges`."""

from msgpass.algebra.rules.at import At
from msgpass.algebra.rules.base import Place, Rule
from msgpass.algebra.rules.clip_norm import ClipNorm
from msgpass.algebra.rules.clip_value import ClipValue
from msgpass.algebra.rules.mask import Mask
from msgpass.algebra.rules.normalise import Normalise
from msgpass.algebra.rules.replace import Replace
from msgpass.algebra.rules.scale import Scale
from msgpass.algebra.rules.stop import Stop
from msgpass.algebra.rules.then import Then
from msgpass.algebra.rules.truncate import Truncate

__all__ = [
    "At",
    "ClipNorm",
    "ClipValue",
    "Mask",
    "Normalise",
    "Place",
    "Replace",
    "Rule",
    "Scale",
    "Stop",
    "Then",
    "Truncate",
]
