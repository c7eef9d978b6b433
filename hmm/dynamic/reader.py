"""What is read from a model with several hidden variables: posteriors, paths, joint posteriors, criteria."""

from __future__ import annotations

import operator
from abc import abstractmethod
from typing import ClassVar

import numpy as np

from hmm.dynamic.network import Evidence, Network
from hmm.estimator import Estimator
from hmm.sequences import column_names, end_to_end, lengths_or_target, same_names
from hmm.validation import generator, rows_of_numbers, same_width, sequence_lengths, whole
from msgpass import FactorGraph, MaxProduct, Messages
from msgpass.errors import DataError, ImpossibleEvidenceError


class DynamicReader(Estimator):
    """Readings of the messages; a model writes ``network``, ``nodes``, ``check_settings`` and ``LETTERS``."""

    params: str
    init_params: str

    LETTERS: ClassVar[dict[str, str]]
    """Letters of ``params`` → what they stand for."""
    FLAT: ClassVar[bool] = True

    @abstractmethod
    def network(self, X: np.ndarray | None = None) -> Network:
        """The attributes as a network, checked; with data, ready to be fitted to them."""

    @abstractmethod
    def nodes(self) -> list[str]:
        """Hidden nodes that readings are of, in the order of their columns."""

    @abstractmethod
    def check_settings(self) -> None:
        """All constructor arguments."""

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

    def score_sequences(self, X, lengths=None) -> np.ndarray:
        """Log-likelihood of every sequence, (N,)."""
        network, evidence = self._ready(X, None, lengths)
        m, ends = network.run(evidence), np.cumsum(evidence.lengths) - 1
        # The last rows' forward messages hold their sequence; parts that nothing connects are factors of it.
        return sum(np.logaddexp.reduce(m.forward[n][ends], axis=-1) for n in network.firsts(evidence))

    def score_samples(self, X, lengths=None) -> tuple[float, list[np.ndarray]]:
        """Log-likelihood, and posteriors p(node at t | X) of every node, (T, states) each."""
        m = self.messages(X, lengths)
        return m.total, self._posteriors(m)

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
        places = [self._place(one) for one in variables]
        m = self.messages(X, lengths)
        return np.exp(m.joint(*(m.graph.nodes[n][t] for n, t in places)))

    def _place(self, one) -> tuple[str, int]:
        """(node, row) as ``joint_proba`` takes them."""
        names = self.nodes()
        try:
            node, t = one
            name = node if isinstance(node, str) else names[operator.index(node)]
            if name in names:
                return name, operator.index(t)
        except (TypeError, ValueError, IndexError):
            pass
        raise DataError(
            f"variables are pairs (node, row), the node one of {', '.join(names)} or its number; got {one!r}"
        )

    def sample_paths(self, X, n: int = 1, lengths=None, random_state=None) -> np.ndarray:
        """Draws of all nodes from their posterior given X, (n, T, nodes)."""
        rng = generator(self.random_state if random_state is None else random_state)
        network, evidence = self._ready(X, None, lengths)
        m, seeds = network.run(evidence), rng.integers(2**62, size=len(network.sizes))
        # One seed draws one assignment of a component: nodes that hang together share it.
        parts, n = network.components(evidence), whole("n", n, 1)
        return np.stack([m.sample(name, int(seeds[parts[name]]), n=n) for name in self.nodes()], axis=-1)

    def posterior_entropy(self, X, lengths=None) -> float:
        """Entropy of all nodes' states given X in nats, summed over sequences; 0 is certainty."""
        network, evidence = self._ready(X, None, lengths)
        m = network.run(evidence)
        return float(sum(m.entropy(name).sum() for name in network.firsts(evidence)))

    def forecast(self, X, lengths=None, steps: int = 1) -> list[np.ndarray]:
        """Distributions of the nodes after the end of the last sequence, (steps, states) each."""
        network, evidence = self._ready(X, None, lengths, more=whole("steps", steps, 1))
        return [p[-steps:] for p in self._posteriors(network.run(evidence))]

    def aic(self, X, lengths=None) -> float:
        """Akaike's criterion, −2 log p(X) + 2·(free parameters); lower is better."""
        return -2 * self.score(X, lengths=lengths) + 2 * self.network().n_parameters()

    def bic(self, X, lengths=None) -> float:
        """Schwarz's criterion, −2 log p(X) + log T·(free parameters); lower is better."""
        rows, _ = self._rows(X, None, lengths)
        free = self.network().n_parameters()
        return -2 * self.score(X, lengths=lengths) + free * float(np.log(len(rows)))

    def _posteriors(self, m: Messages) -> list[np.ndarray]:
        return [np.exp(m.belief[name]) for name in self.nodes()]
