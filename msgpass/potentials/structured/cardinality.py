"""``Cardinality``: a log weight on the number of variables that are on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from msgpass.kernels import structured_reference as reference
from msgpass.kernels.structured import count_messages
from msgpass.potentials.structured.base import Parts, Structured, check_shape, part_of


class Cardinality(Structured):
    """log f(x) = w[Σ x]. All messages of an instance cost O(a²).

    Parameters
    ----------
    log_weights : array or Parameter, (a + 1,), or (instances, a + 1)
        Log weight of each count; −∞ forbids it. What arrives at a parameter is the expected number of
        instances with that count.

    Examples
    --------
    Two or three of four:

    >>> two_or_three = Cardinality([-np.inf, -np.inf, 0, 0, -np.inf])
    >>> np.exp(two_or_three.log_partition(np.zeros((1, 4, 2)))).round(6).tolist()
    [10.0]
    """

    least = 1
    axes: ClassVar = {"log_weights": 1}

    def __init__(self, log_weights):
        self.parts = {
            "log_weights": part_of("log weights of counts", log_weights, allow_minus_inf=True),
        }

    def check_parts(self, factor) -> None:
        """One weight a count."""
        check_shape(factor, "log_weights", self.parts["log_weights"], (len(factor.args) + 1,))

    def links(self, arity: int, parts: Parts, states: int = 2) -> list[np.ndarray]:
        """Hidden: the count so far."""
        found = []
        for i in range(arity):
            link = np.full((1, i + 1, 2, i + 2), -np.inf)
            for x in (0, 1):
                link[0, np.arange(i + 1), x, np.arange(i + 1) + x] = 0.0
            found.append(link)
        weights = parts["log_weights"]
        found[-1] = np.stack([weights[:, :-1], weights[:, 1:]], axis=2)[..., None]
        return found

    def log_weight(self, states, parts) -> np.ndarray:
        """Weight of the count."""
        weights, counts = parts["log_weights"], states.sum(axis=-1)
        shape = np.broadcast_shapes((len(weights), 1), counts.shape)
        rows = np.arange(len(weights))[:, None]
        return weights[np.broadcast_to(rows, shape), np.broadcast_to(counts, shape)]

    def reference_messages(self, incoming, maximise, parts) -> np.ndarray:
        """By counting from both ends."""
        return reference.count_messages(incoming, parts["log_weights"], maximise)

    def compiled_messages(self, incoming, maximise, parts) -> np.ndarray:
        """The same, compiled."""
        return count_messages(incoming, parts["log_weights"], maximise)

    def log_partition(self, incoming, maximise=False, parts=None) -> np.ndarray:
        """By counting."""
        parts = self.arrays() if parts is None else parts
        return reference.count_partition(np.asarray(incoming, float), parts["log_weights"], maximise)

    def gradients(self, incoming, parts) -> Parts:
        """Probability of each count."""
        return {
            "log_weights": np.exp(reference.count_beliefs(np.asarray(incoming, float), parts["log_weights"]))
        }

    def link_gradients(self, i, arity, weights, parts) -> Parts:
        """The last link counts to the end."""
        found = np.zeros((len(weights), arity + 1))
        if i == arity - 1:
            found[:, :-1] += weights[:, :, 0, 0]
            found[:, 1:] += weights[:, :, 1, 0]
        return {"log_weights": found}

    def gradients_at(self, states, parts) -> Parts:
        """One at the count."""
        return {"log_weights": (states.sum(axis=-1)[..., None] == np.arange(states.shape[-1] + 1)) * 1.0}
