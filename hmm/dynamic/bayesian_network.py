"""``DynamicBayesianNetwork``: any network of discrete nodes over two slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hmm.dynamic.base import DynamicModel
from hmm.dynamic.network import Evidence, Network, Place, Relation, bounded
from hmm.sequences import column_names
from hmm.validation import NotFittedError, generator, prior, probabilities, whole
from msgpass import MaxProduct
from msgpass.errors import DataError, GraphError, ShapeError


@dataclass(eq=False, repr=False)
class DynamicBayesianNetwork(DynamicModel):
    """Discrete nodes with parents in the same slice and in the one before, tables shared by all slices.

    X is (T, columns): states of the nodes that ``columns`` names, −1 or NaN where they are not known. Any
    node may be known at any step, nodes that carry the past on included. Inference is exact, from slice to
    slice.

    Parameters
    ----------
    states : dict of str to int
        Number of states of every node.
    parents : dict of str to list
        Of each node: names of parents in the same slice, and pairs (name, -1) of parents in the one before.
    columns : list of str, optional
        Nodes that the columns of X are; by default all, in the order of ``states``. A frame with such names
        may have them in any order, or some of them only.
    inputs : list of str, optional
        Nodes without a table of their own: their states are given at every step.
    initial : list of str, optional
        Nodes that have a table of their own in the first slice, over their parents there; by default those
        with a parent in the slice before, which must have one.
    cpd_prior : float
        Concentration of a Dirichlet prior on every row of every table; 1, the default, is maximum likelihood.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "i" the tables of the first slice, "t" all others.
    n_init, random_state, n_iter, tol, verbose
        As of :class:`hmm.FactorialHMM`.

    Attributes
    ----------
    cpds_ : dict of str to array, (states of each parent, …, states of the node)
        Axes in the order of ``parents``; rows (the last axis) sum to one.
    initial_cpds_ : dict of str to array
        Of the first slice: over the parents in the same slice alone.
    monitor_ : ConvergenceMonitor

    Notes
    -----
    Murphy 2002. ``fit`` is EM where something is missing, and counts where nothing is.

    Examples
    --------
    >>> umbrella = DynamicBayesianNetwork(
    ...     {"rain": 2, "umbrella": 2}, {"rain": [("rain", -1)], "umbrella": ["rain"]}, columns=["umbrella"]
    ... )
    >>> umbrella.initial_cpds_ = {"rain": [0.5, 0.5]}
    >>> umbrella.cpds_ = {"rain": [[0.7, 0.3], [0.3, 0.7]], "umbrella": [[0.1, 0.9], [0.8, 0.2]]}
    >>> X = [[1], [1], [0], [1], [1]]
    >>> umbrella.predict_proba(X)["rain"][:, 0].round(4)
    array([0.8673, 0.8204, 0.3075, 0.8204, 0.8673])
    >>> umbrella.joint_proba(X, [("rain", 0), ("rain", 4)]).round(4)
    array([[0.7527, 0.1146],
           [0.1146, 0.0181]])
    """

    states: Any = None
    parents: Any = None
    columns: Any = None
    inputs: Any = ()
    initial: Any = None
    cpd_prior: Any = 1.0
    params: str = "it"
    init_params: str = "it"

    LETTERS: ClassVar[dict[str, str]] = {"i": "initial_cpds", "t": "cpds"}

    @classmethod
    def from_tables(cls, states, parents, cpds, initial_cpds, **settings) -> DynamicBayesianNetwork:
        """A network with its tables: ``initial_cpds`` names the nodes that have one of their own in the first
        slice."""
        made = cls(states, parents, initial=list(initial_cpds), **settings)
        made.cpds_, made.initial_cpds_ = dict(cpds), dict(initial_cpds)
        made.check_complete()
        return made

    # -- structure --------------------------------------------------------------------------------------

    def places(self, name: str) -> tuple[Place, ...]:
        """Parents of a node, as (node, slices back)."""
        found: list[Place] = []
        given = (self.parents or {}).get(name, ())
        if isinstance(given, str) or any(not isinstance(p, str) and len(p) != 2 for p in given):
            raise GraphError(f"parents[{name!r}] is a list of names and pairs (name, -1), got {given!r}")
        for parent in given:
            node, back = (parent, 0) if isinstance(parent, str) else tuple(parent)
            if node not in self.states:
                raise GraphError(f"{name!r} has the parent {node!r}, which is not among the nodes of states")
            if back not in (0, -1):
                raise GraphError(f"{name!r} has the parent {parent!r}; slices back are 0 or -1")
            if (node, -back) in found or (node == name and not back):
                raise GraphError(f"{name!r} has the parent {parent!r} twice, or itself in the same slice")
            found.append((node, -back))
        return tuple(found)

    def own_start(self) -> list[str]:
        """Nodes with a table of their own in the first slice."""
        lagged = [n for n in self.states if any(lag for _, lag in self.places(n))]
        if self.initial is None:
            return lagged
        absent = [n for n in lagged if n not in self.initial]
        if absent:
            raise GraphError(
                f"{', '.join(absent)} depends on the slice before, so it needs a table of its own in the "
                "first slice: name it in initial"
            )
        return [n for n in self.states if n in self.initial]

    def nodes(self) -> list[str]:
        return [n for n in self.states if n not in self.inputs]

    def names(self) -> list[str]:
        """Nodes that the columns of X are."""
        return list(self.states) if self.columns is None else list(self.columns)

    def check_settings(self) -> None:
        if not isinstance(self.states, Mapping) or not self.states:
            raise DataError('states is a dict of nodes and their number of states, such as {"rain": 2}')
        for name, count in self.states.items():
            whole(f"states[{name!r}]", count, 1)
        known = {"parents": self.parents or {}, "columns": self.names(), "inputs": self.inputs}
        for what, names in (known | {"initial": self.initial or ()}).items():
            strangers = [str(n) for n in names if n not in self.states]
            if strangers:
                raise GraphError(
                    f"{what} names {', '.join(strangers)}, which is not among the nodes of states"
                )
        if len(set(self.names())) < len(self.names()) or set(self.inputs) - set(self.names()):
            raise DataError("columns names each node once, inputs among them")
        if not self.nodes():
            raise GraphError("all nodes are inputs; a network has at least one with a table")
        prior("cpd_prior", self.cpd_prior, (), positive=True)
        for _, name, first in self.tables():
            bounded(f"the table of {name!r}", self._shape(name, first))
        self._check_common()

    def _shape(self, name: str, first: bool) -> tuple[int, ...]:
        places = [p for p in self.places(name) if not (first and p[1])]
        return (*(self.states[n] for n, _ in places), self.states[name])

    def tables(self) -> list[tuple[str, str, bool]]:
        """(key, node, whether of the first slice) of every parameter."""
        own = self.own_start()
        return [(f"t {n}", n, False) for n in self.nodes()] + [(f"i {n}", n, True) for n in own]

    def network(self, X: np.ndarray | None = None) -> Network:
        self.check_settings()
        held = {}
        for key, name, first in self.tables():
            given = self.__dict__.get("initial_cpds_" if first else "cpds_") or {}
            if name not in given:
                which = "initial_cpds_" if first else "cpds_"
                raise NotFittedError(f"{which} has no table of {name!r} yet; call fit(X), or set it")
            label = f"{'initial_cpds_' if first else 'cpds_'}[{name!r}]"
            held[key] = probabilities(label, given[name], self._shape(name, first))
        return self._made(held)

    def _made(self, held: Mapping[str, np.ndarray]) -> Network:
        own, relations = self.own_start(), []
        for key, name, first in self.tables():
            places = tuple(p for p in self.places(name) if not (first and p[1]))
            when = "first" if first else "later" if name in own else "every"
            relations.append(Relation(key, (*places, (name, 0)), when))
        made = Network(dict(self.states), tuple(relations), held, (), dict.fromkeys(held, self.cpd_prior))
        assert made.parents_first
        return made

    def _store(self, network: Network) -> None:
        self.cpds_ = {n: network.probabilities[f"t {n}"] for n in self.nodes()}
        self.initial_cpds_ = {n: network.probabilities[f"i {n}"] for n in self.own_start()}

    def start(self, X: np.ndarray, lengths: list[int], rng: np.random.Generator) -> Network:
        held: dict[str, np.ndarray] = {}
        for key, name, first in self.tables():
            shape = self._shape(name, first)
            given = self.__dict__.get("initial_cpds_" if first else "cpds_") or {}
            if key[0] not in self.init_params and name in given:
                held[key] = probabilities(f"the table of {name!r}", given[name], shape)
            else:
                held[key] = rng.dirichlet(np.full(shape[-1], 2.0), shape[:-1])
        return self._made(held)

    # -- data -------------------------------------------------------------------------------------------

    def _rows(self, X, y=None, lengths=None, more: int = 0) -> tuple[np.ndarray, list[int]]:
        """All nodes' states, (T, nodes of ``states``), −1 where not known."""
        self.check_settings()
        named = column_names(X)
        rows, lengths = super()._rows(X, y, lengths, more)
        names = self.names()
        if named is not None and set(named) <= set(self.states):
            names = named.tolist()
        if rows.shape[1] != len(names):
            raise ShapeError(
                f"X has {rows.shape[1]} columns, but columns are {len(names)}: {', '.join(names)}"
            )
        every = np.full((len(rows), len(self.states)), -1)
        for place, name in enumerate(self.states):
            if name in names:
                every[:, place] = rows[:, names.index(name)]
            if every[:, place].max() >= self.states[name]:
                t = int(every[:, place].argmax())
                raise DataError(
                    f"{name!r} is in state {every[t, place]} at row {t}, but has the states 0 to "
                    f"{self.states[name] - 1}"
                )
            if name in self.inputs and every[:, place].min() < 0:
                t = int(every[:, place].argmin())
                raise DataError(f"the input {name!r} is missing at row {t}; inputs are given at every step")
        return every, lengths

    def _same_columns(self, X, rows) -> None:
        """Rows have been spread over all nodes by now; frames may hold some of them."""

    def check_data(self, X: np.ndarray) -> np.ndarray:
        X = np.asarray(X, np.float64)
        filled = np.where(np.isnan(X), -1, X)
        if (filled != np.floor(filled)).any() or (filled < -1).any():
            raise DataError("X holds states 0, 1, …, and −1 or NaN where they are not known")
        return filled.astype(np.int64)

    def evidence(self, network: Network, X: np.ndarray, lengths: list[int], lean: bool = False) -> Evidence:
        labels, given = {}, {}
        depended = {n for name in self.states for n, _ in self.places(name)}
        for place, name in enumerate(self.states):
            rows = np.ascontiguousarray(X[:, place])
            hidden = any(n not in self.inputs for n, _ in self.places(name))
            if name in self.inputs or (lean and name not in depended and hidden and rows.min() >= 0):
                given[name] = rows
            elif rows.max() >= 0:
                labels[name] = rows
        return Evidence([], lengths, labels, given)

    # -- readings by name -------------------------------------------------------------------------------

    def score_samples(self, X, lengths=None) -> tuple[float, dict[str, np.ndarray]]:  # type: ignore[override]
        """Log-likelihood, and posteriors of every node by name."""
        m = self.messages(X, lengths)
        return m.total, dict(zip(self.nodes(), self._posteriors(m), strict=True))

    def predict_proba(self, X, lengths=None) -> dict[str, np.ndarray]:  # type: ignore[override]
        """Posteriors p(node at t | X) of every node, (T, states) each, by name."""
        return dict(zip(self.nodes(), super().predict_proba(X, lengths), strict=True))

    def filter(self, X, lengths=None) -> dict[str, np.ndarray]:  # type: ignore[override]
        """Causal posteriors p(node at t | rows up to t), (T, states) each, by name."""
        return dict(zip(self.nodes(), super().filter(X, lengths), strict=True))

    def forecast(self, X, lengths=None, steps: int = 1) -> dict[str, np.ndarray]:  # type: ignore[override]
        """Distributions of the nodes after the end of the last sequence, (steps, states) each, by name."""
        if len(self.inputs):
            raise DataError(
                "a forecast needs the inputs to come: append rows to X that hold them, with −1 in all other "
                "columns, and read predict_proba"
            )
        return dict(zip(self.nodes(), super().forecast(X, lengths, steps), strict=True))

    def sample(self, n_samples: int = 1, random_state=None, inputs=None) -> np.ndarray:  # type: ignore[override]
        """States of the nodes that ``columns`` names over one sequence, (n_samples, columns).

        Parameters
        ----------
        n_samples : int
        random_state : int, numpy.random.Generator or None
        inputs : dict of str to array (n_samples,), optional
            Of networks that have some.
        """
        network, n = self.network(), whole("n_samples", n_samples, 1)
        given = dict(inputs or {})
        if set(given) != set(self.inputs) or any(np.shape(v) != (n,) for v in given.values()):
            raise DataError(f"inputs holds {n} states of each of {list(self.inputs)}, and of nothing else")
        states = network.sample(n, generator(random_state), given)
        return np.stack([states[name] for name in self.names()], axis=1)

    def most_likely(self, X, lengths=None) -> dict[str, np.ndarray]:
        """States of the most likely assignment, (T,) each, by name."""
        m = self.messages(X, lengths, MaxProduct())
        return {name: m.assignment[name] for name in self.nodes()}
