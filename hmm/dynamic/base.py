"""The estimator that all models with several hidden variables share: fit, and readings of messages."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hmm.dynamic.fitting import climb
from hmm.dynamic.network import Evidence, Network
from hmm.estimator import Estimator
from hmm.learning.fitting import Fitting
from hmm.monitor import ConvergenceMonitor, check_tolerance
from hmm.sequences import column_names, end_to_end, lengths_or_target, same_names
from hmm.validation import generator, letters, rows_of_numbers, same_width, sequence_lengths, whole
from msgpass import FactorGraph, MaxProduct, Messages
from msgpass.errors import ImpossibleEvidenceError


class Settings(Estimator):
    """What every model's constructor takes."""

    params: str
    init_params: str


@dataclass(eq=False, repr=False)
class DynamicModel(Settings):
    """Base of the models; one writes ``network``, ``start``, ``_store``, ``nodes`` and ``LETTERS``."""

    n_init: int = field(default=1, kw_only=True)
    random_state: Any = field(default=None, kw_only=True)
    n_iter: int = field(default=200, kw_only=True)
    tol: float = field(default=1e-4, kw_only=True)
    verbose: bool = field(default=False, kw_only=True)

    LETTERS: ClassVar[dict[str, str]]
    """Letters of ``params`` → what they stand for."""
    FLAT: ClassVar[bool] = True

    # -- what a model writes ----------------------------------------------------------------------------

    @abstractmethod
    def network(self, X: np.ndarray | None = None) -> Network:
        """The attributes as a network, checked; with data, ready to be fitted to them."""

    @abstractmethod
    def start(self, X: np.ndarray, lengths: list[int], rng: np.random.Generator) -> Network:
        """Where EM starts."""

    @abstractmethod
    def _store(self, network: Network) -> None:
        """Keep a network's numbers as attributes."""

    @abstractmethod
    def nodes(self) -> list[str]:
        """Hidden nodes that readings are of, in the order of their columns."""

    @abstractmethod
    def check_settings(self) -> None:
        """All constructor arguments."""

    def free(self, network: Network) -> frozenset[str]:
        """Parameters that ``params`` has a fit estimate."""
        return frozenset(n for n in network.probabilities if n[0] in self.params)

    def check_data(self, X: np.ndarray) -> np.ndarray:
        """(T, D) data of the kind that the model takes."""
        return np.asarray(X, np.float64)

    def evidence(self, network: Network, X: np.ndarray, lengths: list[int], lean: bool = False) -> Evidence:
        """Data as the network takes them; ``lean``: for totals and fits, which read no beliefs."""
        return Evidence(network.prepare(X), lengths)

    # -- data -------------------------------------------------------------------------------------------

    def _rows(self, X, y=None, lengths=None, more: int = 0) -> tuple[np.ndarray, list[int]]:
        """Checked rows and lengths; ``more``: with missing rows after the end."""
        X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        rows = rows_of_numbers(X, flat=self.FLAT)
        lengths = sequence_lengths(lengths_or_target(y, lengths, len(rows)), len(rows))
        if more:
            rows = np.concatenate([rows, np.full((more, rows.shape[1]), np.nan)])
            lengths = [*lengths[:-1], lengths[-1] + more]
        return self.check_data(rows), lengths

    def _ready(self, X, y=None, lengths=None, more: int = 0, lean: bool = False) -> tuple[Network, Evidence]:
        """The network, and evidence for it."""
        rows, lengths = self._rows(X, y, lengths, more)
        self._same_columns(X, rows)
        network = self.network(rows)
        return network, self.evidence(network, rows, lengths, lean)

    def _same_columns(self, X, rows: np.ndarray) -> None:
        """The columns that the model was fitted to."""
        same_names(self.__dict__.get("feature_names_in_"), column_names(X), type(self).__name__)
        same_width(rows, vars(self).get("n_features_in_", rows.shape[1]), type(self).__name__)

    def check_complete(self) -> None:
        self.check_settings()
        self.network()

    def _check_common(self) -> None:
        whole("n_init", self.n_init, 1)
        whole("n_iter", self.n_iter, 0)
        check_tolerance(self.tol)
        letters("params", self.params, self.LETTERS)
        letters("init_params", self.init_params, self.LETTERS)

    # -- learning ---------------------------------------------------------------------------------------

    def fit(self, X, y=None, lengths=None):
        """Estimate the parameters by EM, exact through the factor graph.

        Parameters
        ----------
        X : array-like or frame, (T, D), or a list of these
            Sequences end to end, or a list with one array a sequence; NaN is missing.
        y : ignored, or lengths
        lengths : array-like of int, optional
            Lengths of the sequences, summing to T; one sequence by default.

        Returns
        -------
        self

        Raises
        ------
        DataError, ShapeError, ProbabilityError
            Where an argument, the data or an attribute that the fit starts from cannot be used.
        ImpossibleEvidenceError
            If the start gives the data probability zero.
        TreewidthError
            If one step's tables would be larger than exact inference can hold.

        Warns
        -----
        ConvergenceWarning
            If ``n_iter`` iterations were not enough to gain less than ``tol > 0`` in one.
        """
        self.check_settings()
        names = column_names(X)
        rows, lengths = self._rows(X, y, lengths)
        monitor: ConvergenceMonitor = self._fresh_monitor()
        held: dict[str, Evidence] = {}

        def start(rng: np.random.Generator) -> Network:
            return self.start(rows, lengths, rng)

        def climbing(network: Network):
            if "of" not in held:
                held["of"] = self.evidence(network, rows, lengths, lean=True)
            return climb(network, held["of"], self.params, self.free(network), monitor)

        fitting = Fitting(start, climbing, monitor, generator(self.random_state), self.n_init)  # type: ignore[arg-type]
        self._seen(rows.shape[1], names)
        return self._concluded(fitting, self._store)

    # -- inference --------------------------------------------------------------------------------------

    def graph(self, X, lengths=None) -> FactorGraph:
        """The factor graph that everything runs on: one sequence a node."""
        network, evidence = self._ready(X, None, lengths)
        return network.graph(evidence)

    def messages(self, X, lengths=None, algebra=None, schedule=None) -> Messages:
        """Run the graph over ``X``, as :func:`msgpass.run` does, under :class:`msgpass.JunctionTree`."""
        network, evidence = self._ready(X, None, lengths)
        return network.run(evidence, algebra, schedule)

    def score(self, X, y=None, lengths=None) -> float:
        """Log-likelihood log p(X), summed over sequences."""
        network, evidence = self._ready(X, y, lengths, lean=True)
        return network.run(evidence).total

    def predict_proba(self, X, lengths=None) -> list[np.ndarray]:
        """Posteriors p(node at t | X) of every node, (T, states) each."""
        return self._posteriors(self.messages(X, lengths))

    def filter(self, X, lengths=None) -> list[np.ndarray]:
        """Causal posteriors p(node at t | rows up to t), (T, states) each."""
        m = self.messages(X, lengths)
        found = []
        for name in self.nodes():
            logs = m.forward[name]
            top = logs.max(axis=-1, keepdims=True)
            if not np.isfinite(top).all():
                step = int(np.argmin(np.isfinite(top[:, 0])))
                raise ImpossibleEvidenceError(f"rows up to {step} have probability zero", step)
            weights = np.exp(logs - top)
            found.append(weights / weights.sum(axis=-1, keepdims=True))
        return found

    def decode(self, X, lengths=None) -> tuple[float, np.ndarray]:
        """(log probability of the most likely assignment and X, its states (T, nodes)): Viterbi over all
        nodes together."""
        m = self.messages(X, lengths, MaxProduct())
        return m.total, np.stack([m.assignment[name] for name in self.nodes()], axis=1)

    def predict(self, X, lengths=None) -> np.ndarray:
        """States of the most likely assignment, (T, nodes)."""
        return self.decode(X, lengths)[1]

    def joint_proba(self, X, variables, lengths=None) -> np.ndarray:
        """Joint posterior of some nodes at some steps, one axis each.

        Parameters
        ----------
        X : as of ``fit``
        variables : list of (node, t)
            A node's name (or its number) and a row of X, however far apart.
        """
        m, names = self.messages(X, lengths), self.nodes()
        graph = m.graph
        places = [(names[n] if isinstance(n, int | np.integer) else n, t) for n, t in variables]
        return np.exp(m.joint(*(graph.nodes[n][int(t)] for n, t in places)))

    def sample_posterior(self, X, n_samples: int = 1, lengths=None, random_state=None) -> np.ndarray:
        """Draws of all nodes given X, (n_samples, T, nodes)."""
        whole("n_samples", n_samples, 1)
        network, evidence = self._ready(X, None, lengths)
        m, seeds = network.run(evidence), generator(random_state).integers(2**62, size=len(network.sizes))
        # One seed draws one assignment of a component: nodes that hang together share it.
        parts = network.components(evidence)
        return np.stack([m.sample(n, int(seeds[parts[n]]), n=n_samples) for n in self.nodes()], axis=-1)

    def forecast(self, X, steps: int = 1, lengths=None) -> list[np.ndarray]:
        """Distributions of the nodes after the end of the last sequence, (steps, states) each."""
        network, evidence = self._ready(X, None, lengths, more=whole("steps", steps, 1))
        return [p[-steps:] for p in self._posteriors(network.run(evidence))]

    def sample(self, n_samples: int = 1, random_state=None) -> tuple[np.ndarray, np.ndarray]:
        """(observations (n_samples, D), states (n_samples, nodes)) of one sequence."""
        network, rng = self.network(), generator(random_state)
        states = network.sample(whole("n_samples", n_samples, 1), rng)
        return network.emitted(states, rng), np.stack([states[n] for n in self.nodes()], axis=1)

    def _posteriors(self, m: Messages) -> list[np.ndarray]:
        return [np.exp(m.belief[name]) for name in self.nodes()]
