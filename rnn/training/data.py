"""``Data``: sequences with their loss, which can be cut into batches.

Batches are cut in the user's axes, by the network (``Network.cut``) and the loss (``OutputLoss.part``). A
batch of ragged sequences ends with its longest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from msgpass.errors import DataError
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.networks import Network


@dataclass(frozen=True)
class Data:
    """What a network is trained on, or tried out on.

    Attributes
    ----------
    x
        As for a call of the network.
    loss : OutputLoss
    layout : Layout
        How ``x`` is laid out.
    cutter : callable
        The network's ``cut``.
    extra : dict
        ``lengths``, ``h0`` and what else the network's ``call`` takes.
    """

    x: Any
    loss: OutputLoss
    layout: Layout
    cutter: Callable
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, net: Network, x, loss: OutputLoss, extra: dict[str, Any]) -> Data:
        """Data that fit a network; it refuses what does not."""
        given = {name: value for name, value in extra.items() if value is not None}
        return cls(x, loss, net.call(x, loss, **given).layout, net.cut, given)

    def __len__(self) -> int:
        """Number of sequences."""
        return self.layout.batch

    def part(self, rows: np.ndarray, steps: int | None = None) -> Data:
        """Some of the sequences, as long as their longest (or ``steps``)."""
        layout = self.layout
        if not layout.batched:
            raise DataError(
                f"x is one sequence of {layout.steps} steps, which cannot be cut into batches; cut it into a "
                "batch of shorter ones"
            )
        lengths = None if layout.lengths is None else layout.lengths[rows]
        if steps is None:
            steps = layout.steps if lengths is None else int(lengths.max())
        cut = {name: self.cutter(layout, name, v, rows, steps) for name, v in self.extra.items()}
        found = replace(layout, steps=steps, batch=len(rows), lengths=lengths)
        x = self.cutter(layout, "x", self.x, rows, steps)
        return Data(x, self.loss.part(rows, steps, layout.batch_first), found, self.cutter, cut)

    def split(self, share: float, rng: np.random.Generator) -> tuple[Data, Data]:
        """(the rest, a random share of the sequences, at least one of each)."""
        n = len(self)
        if n < 2 or not self.layout.batched:
            raise DataError(
                f"a share of the sequences cannot be set aside for validation: there is {n}; give "
                "validation=(x, loss)"
            )
        aside = min(max(1, round(share * n)), n - 1)
        order = rng.permutation(n)
        return self.part(np.sort(order[aside:])), self.part(np.sort(order[:aside]))


def with_validation(net: Network, data: Data, validation, seed: int) -> tuple[Data, Data | None]:
    """(what is trained on, what is tried out) of a share or of data that are given."""
    if validation is None:
        return data, None
    if isinstance(validation, float):
        if not 0 < validation < 1:
            raise DataError(f"validation must be a share between 0 and 1, got {validation}")
        return data.split(validation, np.random.default_rng([seed, 2]))
    given: Any = validation
    if not _is_data(given):
        raise DataError(
            "validation must be a share such as 0.2, or (x, loss), or (x, loss, {'lengths': …}), got "
            f"{type(validation).__name__}"
        )
    x, loss, *extra = given
    if type(loss) is not type(data.loss) or loss.key != data.loss.key:
        raise DataError(
            "the validation data's loss must be of the same kind as the training data's, with the same "
            "reduction and a readout of the same shape"
        )
    return data, Data.of(net, x, loss, extra[0] if extra else {})


def _is_data(given) -> bool:
    """(x, loss) or (x, loss, {…})."""
    return (
        isinstance(given, tuple)
        and len(given) in (2, 3)
        and isinstance(given[1], OutputLoss)
        and (len(given) == 2 or isinstance(given[2], dict))
    )
