"""``HierarchicalHMM``: states that are hidden Markov models themselves, down several levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone

from hmm.base import BaseHMM
from hmm.dynamic.base import DynamicModel
from hmm.dynamic.coupled import checked_pairs, holding
from hmm.dynamic.factorial import each
from hmm.dynamic.network import CERTAIN, IMPOSSIBLE, Network, Place, Relation, Seen, bounded
from hmm.validation import NotFittedError, prior, probabilities, whole
from msgpass.errors import DataError


@dataclass(eq=False, repr=False)
class HierarchicalHMM(DynamicModel):
    """Hierarchical hidden Markov model: a state calls a chain of the level below, which runs until it ends.

    Level d moves on, by transmat_[d] within the states above it, only when the level below has ended; where
    it ends itself, the level above moves, and it starts anew by startprob_[d]. The lowest level moves at
    every step. All levels' states together emit. As a dynamic Bayesian network of states q_d and flags of
    ending f_d it costs a time linear in T (Murphy & Paskin 2001).

    Parameters
    ----------
    n_components : tuple of int
        States of each level K_1, …, K_D, the top one first, within each state above.
    model : a model of this package
        What is emitted, as ``GaussianHMM()`` or ``CategoricalHMM()``; its own number of states is not used.
    startprob_prior : float
        Concentration of a Dirichlet prior on every row of ``startprob_`` and ``transmat_``.
    endprob_prior : float
        Likewise of the probabilities of ending.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "t" startprob and transmat, "f" endprob, "e"
    emissions. n_init, random_state, n_iter, tol, verbose
        As of :class:`hmm.FactorialHMM`.

    Attributes
    ----------
    startprob_ : list of arrays, (K_1, …, K_d)
        Of each level, given the states above.
    transmat_ : list of arrays, (K_1, …, K_{d−1}, K_d, K_d)
        Of each level, given the states above.
    endprob_ : list of arrays, (K_1, …, K_d), of the levels below the top
        Probability that the level ends at a state, once the level below has.
    part_ : a model
        The emissions of all joint states, the lowest level's running fastest, as ``part_.means_``.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> from hmm import CategoricalHMM
    >>> model = HierarchicalHMM((2, 2), CategoricalHMM())
    >>> model.startprob_ = [[0.5, 0.5], [[1, 0], [1, 0]]]
    >>> model.transmat_ = [[[0, 1], [1, 0]], [[[0, 1], [0, 1]], [[0, 1], [0, 1]]]]
    >>> model.endprob_ = [[[0, 1], [0, 1]]]
    >>> part = CategoricalHMM(4)
    >>> part.emissionprob_ = np.eye(4)
    >>> model.part_ = part
    >>> model.predict([0, 1, 2, 3, 0, 1])[:, 0]
    array([0, 0, 1, 1, 0, 0])
    """

    n_components: Any = (2, 2)
    model: Any = None
    startprob_prior: Any = 1.0
    endprob_prior: Any = 1.0
    params: str = "tfe"
    init_params: str = "tfe"

    LETTERS: ClassVar[dict[str, str]] = {"t": "transmat", "f": "endprob", "e": "part"}

    @property
    def sizes(self) -> tuple[int, ...]:
        """States of every level."""
        given = np.atleast_1d(np.asarray(self.n_components, dtype=object))
        return tuple(whole("n_components", k, 1) for k in given.tolist())

    def nodes(self) -> list[str]:
        return [f"q{d + 1}" for d in range(len(self.sizes))]

    @property
    def joint(self) -> int:
        """Joint states of all levels."""
        return int(np.prod(self.sizes))

    def check_settings(self) -> None:
        if not self.sizes:
            raise DataError("n_components names at least one level, such as (2, 3)")
        bounded("the transition of the lowest level", (*self.sizes, self.sizes[-1]))
        self._template()
        for name in ("startprob_prior", "endprob_prior"):
            prior(name, getattr(self, name), (), positive=True)
        self._check_common()

    def _template(self) -> BaseHMM:
        if self.model is None:
            raise DataError("model is what the states emit, such as hmm.GaussianHMM()")
        checked_pairs([(self.model, [0])])
        return clone(self.model).set_params(n_components=self.joint)

    def check_data(self, X: np.ndarray) -> np.ndarray:
        return self._template().check_data(np.asarray(X))

    # -- parameters -------------------------------------------------------------------------------------

    def network(self, X: np.ndarray | None = None) -> Network:
        absent = [f"{n}_" for n in ("startprob", "transmat", "endprob", "part") if not self.has(n)]
        if absent:
            raise NotFittedError(
                f"this {type(self).__name__} has no {', '.join(absent)} yet; call fit(X), or set them"
            )
        D = len(self.sizes)
        starts, moves = each("startprob_", self.startprob_, D), each("transmat_", self.transmat_, D)
        ends = each("endprob_", self.endprob_, D - 1)
        held = {}
        for d in range(D):
            above = self.sizes[: d + 1]
            start = probabilities(f"startprob_[{d}]", starts[d], above)
            move = probabilities(f"transmat_[{d}]", moves[d], (*above, self.sizes[d]))
            held[f"t{d}"] = np.concatenate([move, start[..., None, :]], axis=-2)
            if d:
                end = np.asarray(ends[d - 1], np.float64)
                held[f"f{d}"] = probabilities(f"endprob_[{d - 1}]", np.stack([1 - end, end], -1), (*above, 2))
        return self._made(held, self.part_.emission(X).check(self.joint))

    def _made(self, held: dict[str, np.ndarray], emission) -> Network:
        D, names = len(self.sizes), self.nodes()
        relations = []
        for d in range(D):
            relations += self._level(d)
        sizes = dict(zip(names, self.sizes, strict=True)) | {f"f{d + 1}": 2 for d in range(1, D)}
        own = self._template().params if "e" in self.params else "-"
        seen = Seen(emission, tuple(names), tuple(range(emission.n_features)), own)
        priors = {n: self.startprob_prior if n[0] == "t" else self.endprob_prior for n in held}
        return Network(sizes, tuple(relations), held, (seen,), priors)

    def _level(self, d: int) -> list[Relation]:
        """Tables of one level: how it starts, how it goes on, and whether it ends.

        Rows of the parameter are, within the states above, those of ``transmat_``, and then ``startprob_``.
        """
        K, D, names = self.sizes[d], len(self.sizes), self.nodes()
        above = tuple((names[u], 0) for u in range(d))
        outer = self.sizes[:d]
        rows = np.arange(int(np.prod(outer)) * (K + 1) * K).reshape(*outer, K + 1, K)
        move, start = rows[..., :K, :], rows[..., K, :]
        stay = np.broadcast_to(np.where(np.eye(K, dtype=bool), CERTAIN, IMPOSSIBLE), move.shape)
        # (states above, last state, level above moved?, level below ended?, next state)
        anew = np.broadcast_to(start[..., None, :], move.shape) if d else move
        table = np.stack([np.stack([stay, move], -2), np.stack([stay, anew], -2)], -3)
        lasts: list[Place] = [(names[d], 1)]
        if d:
            lasts.append((f"f{d + 1}", 1))
        else:
            table = table[..., 0, :, :]
        if d < D - 1:
            lasts.append((f"f{d + 2}", 1))
        else:
            table = table[..., 1, :]
        own: Place = (names[d], 0)
        found = [
            Relation(f"t{d}", (*above, own), "first", start),
            Relation(f"t{d}", (*above, *lasts, own), "later", table),
        ]
        if d:
            ends = np.arange(int(np.prod(outer)) * K * 2).reshape(*outer, K, 2)
            flag: Place = (f"f{d + 1}", 0)
            if d < D - 1:
                never = np.broadcast_to(np.array([CERTAIN, IMPOSSIBLE]), ends.shape)
                gated = np.stack([never, ends], axis=-2)
                found.append(Relation(f"f{d}", (*above, own, (f"f{d + 2}", 0), flag), "every", gated))
            else:
                found.append(Relation(f"f{d}", (*above, own, flag), "every", ends))
        return found

    def _store(self, network: Network) -> None:
        D = len(self.sizes)
        held = network.probabilities
        self.transmat_ = [held[f"t{d}"][..., :-1, :] for d in range(D)]
        self.startprob_ = [held[f"t{d}"][..., -1, :] for d in range(D)]
        self.endprob_ = [held[f"f{d}"][..., 1] for d in range(1, D)]
        self.part_ = holding(self._template(), network.seen[0].emission)

    def start(self, X: np.ndarray, lengths: list[int], rng: np.random.Generator) -> Network:
        kept = self.network(X) if all(map(self.has, ("startprob", "transmat", "endprob", "part"))) else None
        held: dict[str, np.ndarray] = {}
        for d, K in enumerate(self.sizes):
            outer = self.sizes[:d]
            held[f"t{d}"] = rng.dirichlet(np.ones(K), (*outer, K + 1))
            held[f"t{d}"][..., :K, :] = 0.5 * np.eye(K) + 0.5 * held[f"t{d}"][..., :K, :]
            if d:
                end = rng.uniform(0.05, 0.3, (*outer, K))
                held[f"f{d}"] = np.stack([1 - end, end], -1)
        template = self._template()
        if kept is not None:
            held |= {n: p for n, p in kept.probabilities.items() if n[0] not in self.init_params}
        if kept is not None and "e" not in self.init_params:
            return self._made(held, kept.seen[0].emission)
        emission: Any = template.start_emission(X, rng).check(self.joint)
        return self._made(held, emission)
