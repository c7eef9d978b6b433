"""Compiled sums of marginals in the shape of the evidence; see
:func:`~msgpass.kernels.sparse_chain_folds.folded`.
"""

from msgpass.kernels.runtime import jit
from msgpass.kernels.sparse_chain_cross import FAST


@jit(fastmath=FAST)
def fold(gamma, rows, groups, bounds, counts):
    """counts[rows[t], groups[s]] += γ_t(s); groups that lie side by side have ``bounds``."""
    for t in range(gamma.shape[0]):
        here, out = gamma[t], counts[rows[t] if rows.size else t]
        if bounds.size:
            for k in range(bounds.size - 1):
                own, total = here[bounds[k] : bounds[k + 1]], 0.0
                for s in range(own.size):
                    total += own[s]
                out[k] += total
        elif groups.size:
            for s in range(here.size):
                out[groups[s]] += here[s]
        else:
            for s in range(here.size):
                out[s] += here[s]
