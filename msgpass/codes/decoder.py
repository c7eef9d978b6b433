"""``Decoder``: the graph of a code, kept, and a run of it for each word that arrives."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.algebra import MaxProduct
from msgpass.codes.checks import parity_checks
from msgpass.codes.linear_code import LinearCode
from msgpass.errors import ConvergenceWarning, DataError, ShapeError
from msgpass.graph import FactorGraph
from msgpass.potentials import Table
from msgpass.run import run
from msgpass.schedule import Flooding

BETWEEN = 4
"""Iterations between two looks at the checks: a look costs about five iterations of a code of 1000 bits."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """What messages make of what arrived.

    Attributes
    ----------
    word : int array (n,)
        The likelier value of each bit.
    valid : bool
        It passes all checks.
    iterations : int
        Iterations that were spent under Flooding; 1 under others.
    messages : Messages
        The run, or its last stretch.
    """

    word: np.ndarray
    valid: bool
    iterations: int
    messages: Any

    @property
    def belief(self) -> np.ndarray:
        """Log probabilities of each bit, (n, 2) (under max-product, of the best word with that bit)."""
        return self.messages.belief["x"]


class Decoder:
    """Decodes words of one code; its graph is built once.

    Messages of a code that works never settle: they grow, the more certain of its bits, without end. So
    decoding stops at the first word that passes all checks, which is looked for every few iterations.

    Parameters
    ----------
    code : LinearCode, or what makes one
    algebra : optional
        ``SumProduct()`` by default; ``MaxProduct()`` is the min-sum decoder.
    schedule : optional
        ``Flooding(order="flood", max_iter=50)`` by default, under MaxProduct with ``damping=0.3``: where all
        evidence is equally strong, as after a BinarySymmetric channel, min-sum without it swings between
        ties. ``JunctionTree()`` is exact, for small codes.

    Examples
    --------
    >>> from msgpass.codes import BinarySymmetric, LinearCode
    >>> code = LinearCode([[0, 2, 4, 6], [1, 2, 5, 6], [3, 4, 5, 6]], 7)
    >>> received = code.encode([1, 0, 1, 1])
    >>> received[5] ^= 1
    >>> found = Decoder(code).decode(BinarySymmetric(0.05).log_evidence(received))
    >>> found.valid, code.message(found.word).tolist()
    (True, [1, 0, 1, 1])
    """

    def __init__(self, code, algebra=None, schedule=None):
        self.code = code if isinstance(code, LinearCode) else LinearCode(code)
        self.algebra = algebra
        if schedule is None:
            best = algebra is MaxProduct or isinstance(algebra, MaxProduct)
            schedule = Flooding(order="flood", damping=0.3 if best else 0.0, max_iter=50)
        self.schedule = schedule
        self.graph = FactorGraph()
        x = self.graph.sequence("x", length=self.code.n, states=2)
        evidence = self.graph.parameter("evidence", np.zeros((self.code.n, 2)))
        self.graph.factor(Table(evidence), x[:], name="channel")
        parity_checks(self.graph, x, self.code)

    def decode(self, log_evidence, schedule=None) -> Decoded:
        """Run the messages on log P(received | bit), (n, 2).

        Raises
        ------
        ImpossibleEvidenceError
            Where bits that are certain contradict a check, which it names.
        """
        try:
            evidence = np.asarray(log_evidence, float)
        except (TypeError, ValueError):
            raise DataError(f"the evidence of a word is numbers, got {log_evidence!r:.60}") from None
        if evidence.shape != (self.code.n, 2):
            raise ShapeError(
                f"the evidence of a word is log P(received | bit) of shape ({self.code.n}, 2), got "
                f"{evidence.shape}; a channel's log_evidence makes it"
            )
        chosen, values = self.schedule if schedule is None else schedule, {"evidence": evidence}
        if not isinstance(chosen, Flooding):
            return self._decoded(run(self.graph, self.algebra, chosen, values), 1)
        spent, last = 0, chosen.start
        while True:
            stretch = copy(chosen)
            stretch.start, stretch.max_iter = last, min(BETWEEN, chosen.max_iter - spent)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # the checks tell whether it is a word
                last = run(self.graph, self.algebra, stretch, values)
            spent += max(1, min(last.convergence.iterations, stretch.max_iter))
            found = self._decoded(last, spent)
            if found.valid or last.convergence or spent == chosen.max_iter:
                return found

    def _decoded(self, m, spent: int) -> Decoded:
        word = np.argmax(m.belief["x"], axis=-1)
        return Decoded(word, not self.code.syndrome(word).any(), spent, m)
