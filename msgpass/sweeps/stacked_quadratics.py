"""A family of quadratics over its latent variables as stacked canonical forms, and posterior moments back to
what is behind them; no loop over instances.
"""

from __future__ import annotations

from msgpass.plan import Family
from msgpass.sweeps.canonical_stack import CanonicalStack
from msgpass.sweeps.relation_stack import RelationStack
from msgpass.sweeps.stacked_form import Stacked

__all__ = ["CanonicalStack", "RelationStack", "Stacked", "stacked_quadratics"]


def stacked_quadratics(family: Family, values) -> CanonicalStack | RelationStack:
    """The potentials of a family in one run."""
    return (CanonicalStack if family.potential.form == "canonical" else RelationStack)(family, values)
