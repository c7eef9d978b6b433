"""A Gaussian chain some of whose quadratics are no observation of anything: an indefinite precision, or a
linear term in a direction that the precision says nothing of.

Its filter may have no moments while its backward messages, the cost-to-go of control, are well defined.
Those are swept by the kernel from information forms; all else is a tree's, message by message, once
something else is read.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.algebra.gaussian_forms import to_information
from msgpass.kernels.gaussian_chain_information import InformationPass, information_against_time
from msgpass.plan import GaussianChain, latent
from msgpass.sweeps.gaussian_messages import StackedInformation
from msgpass.sweeps.linear_family import LinearFamily
from msgpass.sweeps.quadratic_instances import QuadraticInstances
from msgpass.sweeps.rows import instance_rows


class InformationChainRun:
    """One run over such a chain. What is not here is the tree's."""

    def __init__(self, block: GaussianChain, values, make_tree):
        self.block, self.values, self.make_tree = block, values, make_tree

    def __getattr__(self, name: str):
        return getattr(self.tree, name)

    @cached_property
    def tree(self):
        """The same run message by message."""
        return self.make_tree()

    def read_backward(self, name: str) -> StackedInformation:
        """Backward messages of every row."""
        node = self.block.node
        offsets = np.asarray(node.clock.offsets, np.int64)
        link = LinearFamily(self.block.link, self.values)
        found = information_against_time(link.F, link.Q, link.b, self.evidence(), offsets)
        return StackedInformation(found.h, found.precision, node.shape)

    def evidence(self) -> InformationPass:
        """What each row itself says; what is said of first rows alone, which no message crosses, is left
        out.
        """
        n, T = self.block.node.size, self.block.node.clock.total
        own = InformationPass(np.zeros((T, n)), np.zeros((T, n, n)), np.zeros(T))
        for family in self.block.unaries:
            if family is self.block.first:
                continue
            made = QuadraticInstances(family, self.values)
            rows = instance_rows(family, next(a for a in family.args if latent(a)))
            if made.form == "canonical" and all(made.latent):
                parts = [made.parts[role][0] for role in ("h", "precision", "log_scale")]
            else:
                said = [to_information(made.potential(j, None)) for j in range(family.factor.n)]
                parts = [np.stack([m.h for m in said]), np.stack([m.precision for m in said])]
                parts.append(np.array([m.log_scale for m in said]))
            for target, part in zip(own, parts, strict=True):
                target[rows] += part
        return own
