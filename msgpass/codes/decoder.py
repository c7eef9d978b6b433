"""``Decoder``: the graph of a code, kept, and a run of it for each word that arrives."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.codes.checks import parity_checks
from msgpass.codes.linear_code import LinearCode
from msgpass.errors import ConvergenceWarning, ShapeError
from msgpass.graph import FactorGraph
from msgpass.potentials import Table
from msgpass.run import run
from msgpass.schedule import Flooding


@dataclass(frozen=True, eq=False)
class Decoded:
    """What messages make of what arrived.

    Attributes
    ----------
    word : int array (n,)
        The likelier value of each bit.
    valid : bool
        It passes all checks.
    messages : Messages
        The run.
    """

    word: np.ndarray
    valid: bool
    messages: Any

    @property
    def belief(self) -> np.ndarray:
        """Log probabilities of each bit, (n, 2) (under max-product, of the best word with that bit)."""
        return self.messages.belief["x"]


class Decoder:
    """Decodes words of one code; its graph is built once.

    Parameters
    ----------
    code : LinearCode
    algebra : optional
        ``SumProduct()`` by default; ``MaxProduct()`` is the min-sum decoder.
    schedule : optional
        ``Flooding(order="flood", max_iter=50)`` by default; ``JunctionTree()`` is exact, for small codes.

    Examples
    --------
    >>> from msgpass.codes import BinarySymmetric, LinearCode
    >>> code = LinearCode([[0, 2, 4, 6], [1, 2, 5, 6], [3, 4, 5, 6]], 7)
    >>> received = code.encode([1, 0, 1, 1])
    >>> received[5] ^= 1
    >>> from msgpass import JunctionTree
    >>> found = Decoder(code, schedule=JunctionTree()).decode(BinarySymmetric(0.05).log_evidence(received))
    >>> found.valid, code.message(found.word).tolist()
    (True, [1, 0, 1, 1])
    """

    def __init__(self, code: LinearCode, algebra=None, schedule=None):
        self.code, self.algebra = code, algebra
        self.schedule = Flooding(order="flood", max_iter=50) if schedule is None else schedule
        self.graph = FactorGraph()
        x = self.graph.sequence("x", length=code.n, states=2)
        evidence = self.graph.parameter("evidence", np.zeros((code.n, 2)))
        self.graph.factor(Table(evidence), x[:], name="channel")
        parity_checks(self.graph, x, code)

    def decode(self, log_evidence, schedule=None) -> Decoded:
        """Run the messages on log P(received | bit), (n, 2)."""
        evidence = np.asarray(log_evidence, float)
        if evidence.shape != (self.code.n, 2):
            raise ShapeError(
                f"the evidence of a word is log P(received | bit) of shape ({self.code.n}, 2), got "
                f"{evidence.shape}; a channel's log_evidence makes it"
            )
        chosen = self.schedule if schedule is None else schedule
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the checks tell whether it is a word
            m = run(self.graph, self.algebra, chosen, {"evidence": evidence})
            word = np.argmax(m.belief["x"], axis=-1)
        return Decoded(word, not self.code.syndrome(word).any(), m)
