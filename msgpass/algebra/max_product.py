"""``MaxProduct``: SumProduct with max for the sum (its limit at temperature zero). Gradients of the best
score are counts along the best path.
"""

from __future__ import annotations

import numpy as np

from msgpass.algebra.tables import TableAlgebra


class MaxProduct(TableAlgebra):
    """Crossing a table is a maximum; ``total`` is the best score; ``assignment`` is traced back, so it is
    right under ties.
    """

    def reduce(self, logs, axes):
        """max over ``axes``."""
        return np.max(logs, axis=axes)

    def joint(self, table, ins, at_out):
        """Max-marginals of the instance, the best at 0."""
        return self.normalise(self.combine(table, ins, at_out), len(ins) + 1)
