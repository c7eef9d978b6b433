"""Linearisations: how a noisy step y = f(x) + e becomes a linear-Gaussian one, one file a rule."""

from msgpass.linearisation.base import Affine, Linearisation
from msgpass.linearisation.cubature import Cubature
from msgpass.linearisation.extended import Extended
from msgpass.linearisation.gauss_hermite import GaussHermite
from msgpass.linearisation.iterated import Iterated
from msgpass.linearisation.unscented import Unscented

__all__ = ["Affine", "Cubature", "Extended", "GaussHermite", "Iterated", "Linearisation", "Unscented"]
