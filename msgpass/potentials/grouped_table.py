"""``GroupedTable``: a log potential over one latent variable, whose states share values by group."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError, GraphError, ShapeError
from msgpass.nodes import Observation, Parameter, Slice
from msgpass.potentials.base import Potential, as_part, discrete_inputs, no_batch, real_source


class GroupedTable(Potential):
    """Log values of K groups, shared by the states of each: state s has the value of ``groups[s]``.

    Evidence of a semi-Markov chain depends on the regime and not on the age, evidence of a profile on the
    letter and not on the place. On a sequence with sparse transitions the values stay as they are, with no
    (T, S) table made of them; elsewhere they are spread over the states. What arrives at a parameter has its
    shape: expected counts, summed over the states of a group.

    Parameters
    ----------
    log_values : array, Parameter, or slice of a real sequence
        (K,), or with an observed variable of M states, (K, M) in the order in which the factor names the two.
        One leading axis more is the step.
    groups : array of int, shape (S,)
        Group of each state of the variable.

    Examples
    --------
    Four states, the first two of which say the same:

    >>> from msgpass import FactorGraph, Table, run
    >>> g = FactorGraph()
    >>> z, x = g.sequence("z", length=2, states=4), g.observe("x", [1, 1], states=2)
    >>> B = g.parameter("B", np.log([[0.5, 0.5], [0.75, 0.25]]))
    >>> _ = g.factor(Table.grouped(B, [0, 0, 1, 1]), z[:], x[:])
    >>> m = run(g)
    >>> np.exp(m.belief["z"][0]).round(3).tolist()
    [0.333, 0.333, 0.167, 0.167]
    >>> m.parameters["B"].round(3).tolist()
    [[0.0, 1.333], [0.0, 0.667]]
    """

    def __init__(self, log_values, groups):
        self.parts = {"log_values": as_part("a grouped table's log values", log_values, allow_minus_inf=True)}
        array = np.array(groups)
        if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size:
            raise ShapeError(
                "groups must be one array of whole numbers, the group of each state; got shape "
                f"{array.shape} of dtype {array.dtype}"
            )
        if array.min() < 0:
            raise DataError(f"groups holds {array.min()}; groups are counted from 0")
        self.groups = array.astype(np.int64)

    @property
    def source(self) -> np.ndarray | Parameter | Slice:
        """Where the log values come from."""
        return self.parts["log_values"]

    def of(self, log_values) -> GroupedTable:
        """The same groups with other log values."""
        return GroupedTable(log_values, self.groups)

    def axis(self, factor) -> int:
        """Which of the factor's variables is the grouped one."""
        return next(k for k, s in enumerate(factor.args) if not isinstance(s.node, Observation))

    def shape(self, factor) -> tuple[int, ...]:
        """Shape of one instance's values, the number of groups read off the values themselves."""
        axis, sizes = self.axis(factor), [s.node.states for s in factor.args]
        sizes[axis] = self.source.shape[axis - len(sizes)] if len(self.source.shape) >= len(sizes) else 0
        return tuple(sizes)

    def check(self, factor) -> None:
        """One latent variable with a group for each state, at most one observed beside it."""
        discrete_inputs(factor)
        no_batch(factor)
        free = [s for s in factor.args if not isinstance(s.node, Observation)]
        if len(free) != 1 or len(factor.args) > 2:
            raise GraphError(
                f"factor {factor.name!r}: a GroupedTable is over one latent variable, alone or with one "
                f"observation; got {', '.join(s.name for s in factor.args)}. Use Table.sparse to link "
                "variables"
            )
        if len(self.groups) != free[0].node.states:
            raise ShapeError(
                f"factor {factor.name!r}: groups has {len(self.groups)} entries, but {free[0].name} has "
                f"{free[0].node.states} states; give the group of every state"
            )
        given, wanted = self.source.shape, self.shape(factor)
        if isinstance(self.source, Slice):
            real_source(factor, self.source)
        groups = wanted[self.axis(factor)]
        fits = given == wanted or (not isinstance(self.source, Slice) and given == (factor.n, *wanted))
        if not fits or groups <= self.groups.max():
            least = int(self.groups.max()) + 1
            own = ", ".join(
                f"K ≥ {least}" if s is free[0] else f"{s.name}: {s.node.states}" for s in factor.args
            )
            raise ShapeError(
                f"factor {factor.name!r}: the grouped values have shape {given}, wanted one value a group "
                f"and observed state ({own}), with one leading axis more for {factor.n} steps"
            )

    def stepped(self, factor) -> bool:
        """The first axis of the log values is the step."""
        if isinstance(self.source, Slice):
            return self.source.kind != "single"
        return len(self.source.shape) > len(factor.args)
