"""``Attention``: what a decoder reads of a whole source, as steps of the graph.

    keys[s] = U memory[s];   attention[t] = softmax_s scale · score(query_t, keys[s]);
    context[t] = Σ_s attention[t, s] memory[s]

Each is a sequence, so that ∂L/∂attention_t and ∂L/∂context_t are messages as any other. A step reads the
whole source, ``memory.all``; no step reads another one's attention.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from msgpass import FactorGraph
from msgpass.errors import DataError, ShapeError
from msgpass.nodes import Observation, Sequence, Slice
from rnn.attention.additive import ADDITIVE
from rnn.attention.base import Score
from rnn.attention.dot import DOT, GENERAL, PROJECTED, SCALED
from rnn.attention.read import READ, read
from rnn.readout import LINEAR, linear
from rnn.validation import UNDRAWN, flag, float_dtype, generator, one_of, positive, real_array, whole
from rnn.weights import checked

SCORES: dict[str, Score] = {"additive": ADDITIVE, "dot": DOT, "scaled": SCALED, "general": GENERAL}
"""By the name that :class:`Attention` takes; "scaled" with a size is ``PROJECTED``."""


class Attention:
    """Weights over the rows of a source, and their weighted sum.

    Parameters
    ----------
    score : {"additive", "dot", "scaled", "general"}
        vᵀ tanh(W q + U m) (Bahdanau et al. 2015); q · m; q · m / √d (Vaswani et al. 2017), with ``size=d``
        over projections W q and U m; q · U m (Luong et al. 2015).
    query_size, memory_size : int
        Numbers of a decoder's state and of a row of the source (an encoder's ``output_size``).
    size : int, optional
        Features in which both are compared; ``query_size`` by default where "additive" needs one.
    scale : float, optional
        Factor of the scores, an inverse temperature: large is sharp, small diffuse. 1 by default, 1/√d for
        "scaled".
    bias : bool
        "additive": tanh(W q + U m + b).
    dtype : {"float64", "float32"} or dtype
    random_state : int, Generator or None
        Weights are drawn uniform on (−1/√n, 1/√n) for n inputs.

    Attributes
    ----------
    weights : dict
        ``weight_memory``, ``bias``, ``weight_query``, ``v``: those that the score has.

    Examples
    --------
    >>> import numpy as np
    >>> attention = Attention("dot", 2, 2, scale=50.0)
    >>> memory = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])  # two rows of a source, a batch of one
    >>> context, weights = attention(np.array([[[0.0, 1.0]]]), memory)
    >>> context.round(6).tolist(), weights.shape
    ([[[0.0, 1.0]]], (1, 1, 2))
    """

    def __init__(
        self,
        score: str,
        query_size: int,
        memory_size: int,
        size: int | None = None,
        *,
        scale: float | None = None,
        bias: bool = False,
        dtype=np.float64,
        random_state=None,
    ):
        self.score = one_of("score", score, tuple(SCORES))
        self.query_size, self.memory_size = whole("query_size", query_size), whole("memory_size", memory_size)
        self._projected = score == "scaled" and size is not None
        if size is not None and not self.rule.sized:
            raise DataError(
                f"size is of the scores 'additive' and 'scaled'; {score!r} has none, got {size!r}"
            )
        self.size = whole("size", query_size if size is None else size) if self.rule.sized else None
        self.bias = flag("bias", bias)
        if self.bias and score != "additive":
            raise DataError(f"bias=True is of the score 'additive'; {score!r} has no bias")
        if not self.rule.sized and not self.rule.key_weights and query_size != memory_size:
            raise ShapeError(
                f"score={score!r} multiplies a query of {query_size} numbers with a memory of {memory_size}; "
                "make both alike, or take 'general', 'additive', or 'scaled' with size="
            )
        self.scale = self.rule.scale(query_size, self.size) if scale is None else positive("scale", scale)
        self.dtype = float_dtype(dtype)
        self.shapes = self.rule.shapes(self.query_size, self.memory_size, self.size, self.bias)
        self.weights: dict[str, np.ndarray] = {}
        self.reset(random_state)

    @property
    def rule(self) -> Score:
        """How it compares."""
        return PROJECTED if self._projected else SCORES[self.score]

    # -- weights -----------------------------------------------------------------------------------

    def reset(self, random_state=None) -> Attention:
        """Draw all weights anew."""
        rng = generator(random_state)
        if rng is UNDRAWN:
            self.weights = {}
            return self
        inputs = {"bias": self.memory_size}
        bounds = {key: inputs.get(key, shape[-1]) ** -0.5 for key, shape in self.shapes.items()}
        self.weights = {
            key: rng.uniform(-bounds[key], bounds[key], shape).astype(self.dtype)
            for key, shape in self.shapes.items()
        }
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the weights by key."""
        return {key: value.copy() for key, value in self.weights.items()}

    def load_state_dict(self, state: Mapping) -> Attention:
        """Take in weights; a DataError names missing and unknown keys, a ShapeError a wrong shape."""
        self.weights = checked(state, self.shapes, self.dtype, repr(self))
        return self

    def _split(self, by_key: Mapping) -> tuple[list, list]:
        """Weights of the keys, and those of the score."""
        of_keys = [by_key[k] for k in self.shapes if k in self.rule.key_weights]
        return of_keys, [by_key[k] for k in self.shapes if k not in self.rule.key_weights]

    # -- the graph ---------------------------------------------------------------------------------

    def attach(
        self,
        graph: FactorGraph,
        query: Slice,
        memory: Sequence | Observation,
        steps: int,
        mask: Observation | None = None,
        prefix: str = "attention",
        context: Sequence | None = None,
        keys: Sequence | Observation | None = None,
    ) -> tuple[Sequence, Sequence]:
        """Add attention to a graph; returns the sequences ``attention`` (B, S) and ``context`` (B, M).

        Parameters
        ----------
        graph : FactorGraph
        query : slice
            One row (B, Q) for each of ``steps``: ``s[:]``, or ``s.after(s0)`` for the state before.
        memory : sequence, or observation (S, B, M)
        steps : int
            Length of the sequences that are added.
        mask : observation (S, B, 1), optional
            0 where the source is padding: it then has no weight.
        prefix : str
            In front of the names of parameters and factors; "attention" is also the name of the weights.
        context : sequence, optional
            Computed instead of a new one, where what makes the query reads it.
        keys : sequence or observation, optional
            Keys that are there already; by default they are computed, as the sequence ``keys``.
        """
        parameters = {k: graph.parameter(f"{prefix}.{k}", w) for k, w in self.weights.items()}
        of_keys, of_score = self._split(parameters)
        length = memory.shape[0] if isinstance(memory, Observation) else len(memory)
        batch, width = memory.shape[-2:]
        inner = "" if prefix == "attention" else f"{prefix}."
        if keys is None and of_keys:
            keys = graph.sequence(f"{inner}keys", length, shape=(batch, of_keys[0].shape[0]))
            graph.factor(LINEAR, memory[:], *of_keys, out=keys[:], name=f"{prefix}.keys")
        compared = memory if keys is None else keys
        weights = graph.sequence(prefix, steps, shape=(batch, length))
        step = self.rule.step(self.scale, mask is not None)
        masks = () if mask is None else (mask.all,)
        graph.factor(step, query, compared.all, *masks, *of_score, out=weights[:], name=f"{prefix}.attend")
        if context is None:
            context = graph.sequence(f"{inner}context", steps, shape=(batch, width))
        graph.factor(READ, weights[:], memory.all, out=context[:], name=f"{prefix}.read")
        return weights, context

    def keys(self, memory: np.ndarray) -> np.ndarray | None:
        """Keys of a memory (S, B, M); None where they are its rows themselves."""
        of_keys, _ = self._split(self.weights)
        return linear(memory, *of_keys) if of_keys else None

    # -- values ------------------------------------------------------------------------------------

    def __call__(self, query, memory, lengths=None) -> tuple[np.ndarray, np.ndarray]:
        """Contexts (T, B, M) and weights (T, B, S) of queries (T, B, Q) over a memory (S, B, M).

        Parameters
        ----------
        query, memory : array
        lengths : array of int (B,), optional
            Rows of each sequence's source; what lies behind them is padding.
        """
        query = real_array("query", query, self.dtype)
        memory = real_array("memory", memory, self.dtype)
        fits = query.ndim == memory.ndim == 3 and query.shape[1] == memory.shape[1]
        if not fits or (query.shape[2], memory.shape[2]) != (self.query_size, self.memory_size):
            raise ShapeError(
                f"query {query.shape} and memory {memory.shape}: wanted (T, B, {self.query_size}) and "
                f"(S, B, {self.memory_size})"
            )
        _, of_score = self._split(self.weights)
        keys = self.keys(memory)
        keys = memory if keys is None else keys
        masks = (
            () if lengths is None else (source_mask(lengths, memory.shape[0], memory.shape[1], self.dtype),)
        )
        weights = self.rule.step(self.scale, lengths is not None).f(query, keys, *masks, *of_score)
        return read(weights, memory), weights

    def __repr__(self) -> str:
        size = "" if self.size is None else f", {self.size}"
        return f"Attention({self.score!r}, {self.query_size}, {self.memory_size}{size}, scale={self.scale:g})"


def source_mask(lengths, steps: int, batch: int, dtype) -> np.ndarray:
    """(S, B, 1): 1 on each sequence's own rows."""
    array = np.asarray(lengths)
    if array.shape != (batch,) or array.dtype.kind not in "iu":
        raise ShapeError(
            f"lengths must be {batch} whole numbers, one a sequence, got shape {array.shape} of {array.dtype}"
        )
    if array.min() < 1 or array.max() > steps:
        raise DataError(
            f"lengths run from {array.min()} to {array.max()}; with this source they lie in 1 … {steps}"
        )
    return (np.arange(steps)[:, None] < array).astype(dtype)[..., None]
