"""A chain of tables whose log tables move: tangents of its messages, marginals and expected counts.

The counts' tangents are the covariance of the counts applied to the direction, Cov[counts, D] with D the sum
of the direction on a path (Louis 1982; Cappé, Moulines & Rydén 2005, section 10.1.3).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.dual_array import DualArray, pair
from msgpass.kernels.chain_tangent import ChainTangents, Conditionals, tangents
from msgpass.kernels.table_chain import log_messages
from msgpass.plan import TableChain
from msgpass.sweeps.table_chain import ChainLayout, ChainTables, deliver_counts


class DualChain:
    """One chain in one run over dual numbers.

    Parameters
    ----------
    block : TableChain
    layout : ChainLayout
    values : dict of dual arrays
    clamp : dict
        Labels.
    best : ChainRun, optional
        Under MaxProduct the run whose best path is counted; it stays as it is while tables move a little.
    kept : dict, optional
        What does not depend on the direction, for the next one.
    """

    def __init__(
        self, block: TableChain, layout: ChainLayout, values, clamp=None, best: Any = None, kept: Any = None
    ):
        self.block, self.layout, self.best = block, layout, best
        self.kept: dict[str, Any] = {} if kept is None else kept
        self.tables = ChainTables(block, layout, values, clamp)

    @cached_property
    def logs(self) -> tuple:
        """(value, tangent) of the initial table, the transition (with three axes) and the evidence by row."""
        t, K = self.tables, self.layout.states
        evidence = t.log_evidence if t.rows is None else t.log_evidence[t.rows]
        # Log messages grow with time: in single precision their differences would be lost.
        init, transition, evidence = (
            tuple(np.asarray(x, np.float64) for x in pair(part))
            for part in (t.log_init, t.log_transition, evidence)
        )
        return init, tuple(x.reshape(-1, K, K) for x in transition), evidence

    @cached_property
    def posterior(self) -> Conditionals:
        """Marginals and conditionals of the posterior; kept for other directions."""
        if "posterior" not in self.kept:
            (init, _), (transition, _), (evidence, _) = self.logs
            shared = transition[0] if len(transition) == 1 else transition
            alpha, beta = log_messages(init, shared, evidence, None, self.layout.offsets, False)
            self.kept["posterior"] = Conditionals(alpha, beta, transition, evidence, self.layout.offsets)
        return self.kept["posterior"]

    @cached_property
    def moved(self) -> ChainTangents:
        """How messages and marginals move."""
        (_, init_dot), (_, transition_dot), (_, evidence_dot) = self.logs
        return tangents(self.posterior, init_dot, transition_dot, evidence_dot)

    @cached_property
    def gamma(self) -> DualArray:
        """Marginals, (T, K) in kernel order."""
        gamma = self.posterior.gamma
        return DualArray(gamma, gamma * (self.moved.ahead + self.moved.behind))

    @cached_property
    def xi(self) -> DualArray:
        """Pair counts, (K, K) if the transition is shared and (pairs, K, K) otherwise."""
        xi = DualArray(self.moved.xi, self.moved.xi_dot)
        return xi if self.tables.log_transition.ndim == 3 else xi[0]

    def add_parameters(self, store, sign: float = 1.0) -> None:
        """Expected counts and their tangents onto what stands behind the tables."""
        counted = self if self.best is None else self.best
        deliver_counts(self.tables, counted.gamma, counted.xi, None, store, sign)

    # -- readings -------------------------------------------------------------------------------------------

    def _stacked(self, values: np.ndarray, moved: np.ndarray) -> DualArray:
        out, shape = self.layout.out_of, self.block.node.shape
        return DualArray(out(values, shape), out(moved, shape))

    def message(self, which: int) -> DualArray:
        """Log messages α (0) or β (1) of every step, and how they move."""
        centred = (self.moved.ahead, self.moved.behind)[which]
        mean = (self.moved.ahead_mean, self.moved.behind_mean)[which]
        values = (self.posterior.alpha, self.posterior.beta)[which]
        return self._stacked(values, centred + mean[:, None])

    def belief(self) -> DualArray:
        """Log marginals."""
        with np.errstate(divide="ignore"):
            return self._stacked(np.log(self.gamma.value), self.moved.ahead + self.moved.behind)
