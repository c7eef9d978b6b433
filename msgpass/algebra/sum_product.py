"""``SumProduct``: messages are log tables, states are summed out. Gradients of ``total`` = log Z are
marginals.
"""

from __future__ import annotations

import numpy as np

from msgpass.algebra.tables import TableAlgebra


class SumProduct(TableAlgebra):
    """Crossing a table is log-sum-exp; ``total`` is log Z; what arrives at a parameter are expected
    counts.
    """

    def reduce(self, logs, axes):
        """log Σ exp over ``axes``."""
        top = np.max(logs, axis=axes, keepdims=True)
        top = np.where(np.isfinite(top), top, 0)
        with np.errstate(divide="ignore"):
            sums = np.log(np.sum(np.exp(logs - top), axis=axes, keepdims=True)) + top
        return np.squeeze(sums, axis=axes)

    def joint(self, table, ins, at_out):
        """Posterior log probabilities of the instance."""
        return self.normalise(self.combine(table, ins, at_out), len(ins) + 1)
