"""``Stream``: truncated back-propagation over a sequence that comes in chunks and never is in memory as a
whole.

Rows wait until windows of k1 steps are full. A run goes over the rows of some windows and, in front, the rows
that the first of them reaches back to, started from the state before these. So the sums are those of
``Truncated(k1, k2)`` over the whole sequence, wherever the chunks end. What is held are k2 − 1 rows, for so
many the shortest last window may reach, and the states after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from msgpass import Messages, Truncated, run
from msgpass.errors import DataError, UnsupportedError
from msgpass.schedule.base import Schedule
from rnn.losses import OutputLoss
from rnn.networks.base import Call, Network
from rnn.streams.continued import Continued
from rnn.streams.rows import checked_network, is_target, last_states, rows, single_losses, starts
from rnn.validation import generator, whole

ROWS = 4096
"""Steps of the windows that go together in :meth:`Stream.run`."""

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class StreamPart:
    """What one or several windows of a stream say.

    Attributes
    ----------
    start, stop : int
        Their steps, counted from the beginning of the stream.
    total : float
        Loss of these steps.
    parameters : dict
        Gradients by state-dict key, as ``bptt`` has them.
    states : array, or tuple of arrays
        After step ``stop − 1``, in the form of ``h0``.
    messages : Messages
        The run that they were read from, over the steps that the windows reach.
    """

    start: int
    stop: int
    total: float
    parameters: Arrays
    states: Any
    messages: Messages = field(repr=False)


@dataclass
class StreamSum:
    """What all windows of a stream add up to.

    Attributes
    ----------
    steps : int
    total : float
    parameters : dict
    states : array, or tuple of arrays
        After the last step, in the form of ``h0``: a later stream may go on from them.
    """

    steps: int = 0
    total: float = 0.0
    parameters: Arrays = field(default_factory=dict)
    states: Any = None

    def add(self, part: StreamPart) -> None:
        """Take in what the next windows say."""
        self.steps, self.states, self.total = part.stop, part.states, self.total + part.total
        for name, gradient in part.parameters.items():
            held = self.parameters.get(name)
            self.parameters[name] = gradient.copy() if held is None else held + gradient


class Stream:
    """Truncated back-propagation through time over chunks.

    Parameters
    ----------
    net : RNN, LSTM, GRU, Recurrence or Embedded
        In one direction.
    loss : callable
        From a chunk's targets to its loss: ``SquaredError``, or ``lambda y: CrossEntropy(y,
        readout=readout)``. Losses are sums over steps, since a mean is not known before the stream ends.
    schedule : Truncated or FixedLag
    h0 : array, or tuple of arrays, optional
        As for a call of the network.
    random_state : int or Generator, optional
        Draws the masks of dropout between layers.

    Examples
    --------
    >>> import numpy as np
    >>> from msgpass import Truncated
    >>> from rnn import RNN, SquaredError, bptt
    >>> rng, net = np.random.default_rng(0), RNN(1, 3, random_state=0)
    >>> x, y = rng.normal(size=(50, 1)), rng.normal(size=(50, 3))
    >>> chunks = [(x[:7], y[:7]), (x[7:], y[7:])]
    >>> found = Stream(net, SquaredError, Truncated(4, 10)).run(chunks)
    >>> whole = bptt(net, x, SquaredError(y), Truncated(4, 10))
    >>> bool(np.allclose(found.parameters["weight_hh_l0"], whole.parameters["weight_hh_l0"]))
    True

    Online, a step downhill after every window:

    >>> for part in Stream(net, SquaredError, Truncated(4, 10)).windows(chunks):
    ...     for key, gradient in part.parameters.items():
    ...         net.weights[key] -= 0.01 * gradient
    """

    def __init__(
        self,
        net: Network,
        loss: Callable[[Any], OutputLoss],
        schedule: Schedule,
        h0=None,
        random_state=None,
    ):
        if not callable(loss):
            raise DataError(
                "loss makes a chunk's loss of its targets: give SquaredError, or lambda y: CrossEntropy(y, "
                f"readout=…), got {type(loss).__name__}"
            )
        if not isinstance(schedule, Truncated):
            raise UnsupportedError(
                f"a stream goes window by window: schedule must be Truncated(k1, k2) or FixedLag(lag), got "
                f"{schedule!r}"
            )
        self.net, self.loss, self.schedule = checked_network("a stream", net), loss, schedule
        self.h0, self.rng = h0, None if random_state is None else generator(random_state)
        self.rows: list[Arrays] = []  # of the rows from ``first`` on, chunk by chunk
        self.waiting = 0  # rows that no window has been through
        self.first = self.stop = 0  # step of the first row held, and of the first row that waits
        self.given: Arrays = {}  # states before the stream, where the network's own do not apply
        self.after: Arrays = {}  # states after the rows first − 1, …, stop − 1
        self.call: Call | None = None

    # -- what is done with it ----------------------------------------------------------------------------

    def run(self, chunks: Iterable) -> StreamSum:
        """Sums over all windows of ``chunks``, an iterable of (x, target)."""
        found = StreamSum()
        at_once = -(-ROWS // self.schedule.k1)
        for part in self._parts(chunks, at_once):
            found.add(part)
        return found

    def windows(self, chunks: Iterable, at_once: int = 1) -> Iterator[StreamPart]:
        """What each window says, as soon as its steps have come; weights may be changed in between.

        The states that a window starts from were computed with the weights of their time; the k2 − k1 steps
        before its losses run again with the present ones. ``at_once``: windows in one part.
        """
        return self._parts(chunks, whole("at_once", at_once))

    def _parts(self, chunks: Iterable, at_once: int) -> Iterator[StreamPart]:
        rows = at_once * self.schedule.k1
        for chunk in chunks:
            try:
                x, target = chunk
            except (TypeError, ValueError):
                raise DataError(
                    "a stream's chunks are pairs (x, target) of arrays over the same steps, got "
                    f"{type(chunk).__name__}"
                ) from None
            self._take(x, target)
            while self.waiting >= rows:
                yield self._advance(rows)
        if self.waiting:
            yield self._advance(self.waiting)

    # -- rows ----------------------------------------------------------------------------------------------

    def _take(self, x, target) -> None:
        """Check a chunk and hold its rows."""
        loss = self.loss(target)
        if not isinstance(loss, OutputLoss):
            raise DataError(
                f"loss must make a loss such as SquaredError of targets, got {type(loss).__name__}"
            )
        if any(one.reduction == "mean" for one in single_losses(loss)):
            raise DataError(
                "reduction='mean' divides by all observed targets, which a stream does not know before its "
                "end; use reduction='sum', and divide by the steps"
            )
        first = self.call is None
        data = {"h0": self.h0} if first and self.h0 is not None else {}
        if self.rng is not None:
            data["random_state"] = self.rng
        call = self.net.call(x, loss, **data)
        layout = call.layout
        if first:
            self.given = {n: call.arrays[n] for n in starts(self.net) if n in call.arrays}
        elif (layout.batch, layout.batched) != (self.call.layout.batch, self.call.layout.batched):  # type: ignore[union-attr]
            raise DataError(
                f"a chunk has a batch of {layout.batch}, the ones before of {self.call.layout.batch}; all "  # type: ignore[union-attr]
                "chunks of a stream hold the same sequences"
            )
        self.rows.append(rows("a stream", call))
        self.call, self.waiting = call, self.waiting + layout.steps

    def _advance(self, new: int) -> StreamPart:
        """Run the windows of the next ``new`` rows."""
        k1, k2 = self.schedule.k1, self.schedule.k2
        held, call, names = self._held(), self.call, starts(self.net)
        assert call is not None and call.loss is not None
        context = min(self.stop - self.first, max(0, k2 - min(k1, new)))
        begin = self.stop - context - self.first
        arrays = {n: a[begin : begin + context + new] for n, a in held.items()}
        for name, array in arrays.items():
            # The losses of rows in front have been charged.
            if context and is_target(name):
                arrays[name] = array.copy()
                arrays[name][:context] = np.nan if array.dtype.kind == "f" else -1
        whole_stream = self.stop == context
        before = self.given if whole_stream else {n: self.after[n][begin] for n in names}
        shared = {n: a for n, a in call.arrays.items() if n not in arrays and n not in names}
        layout = replace(call.layout, steps=context + new)
        now = Call(layout, {**arrays, **shared, **before}, call.loss, call.options)
        weights = {**self.net.weights, **call.loss.weights, **now.arrays}
        m = run(self.net.kept(now), schedule=Continued(k1, k2, context), values=weights)
        self._move_on(held, m, begin, new)
        gradients = {n: g for n, g in m.parameters.items() if n not in before}
        return StreamPart(self.stop - new, self.stop, m.total, gradients, last_states(self.net, m, layout), m)

    def _held(self) -> Arrays:
        if len(self.rows) > 1:
            self.rows = [{n: np.concatenate([r[n] for r in self.rows]) for n in self.rows[0]}]
        return self.rows[0]

    def _move_on(self, held: Arrays, m: Messages, begin: int, new: int) -> None:
        """Keep what later windows can reach, and the states after these rows."""
        self.waiting, self.stop = self.waiting - new, self.stop + new
        drop = max(0, self.stop - self.first - (self.schedule.k2 - 1))
        for start, name in starts(self.net).items():
            states = m.forward[name]
            before = self.after.get(start, np.zeros_like(states[:1]))[: begin + 1]
            self.after[start] = np.concatenate([before, states])[drop:]
        if drop:
            # Copies: a view would keep the chunk alive.
            self.rows, self.first = [{n: a[drop:].copy() for n, a in held.items()}], self.first + drop


def bptt_stream(
    net: Network,
    chunks: Iterable,
    loss: Callable[[Any], OutputLoss],
    schedule: Schedule,
    h0=None,
    random_state=None,
) -> StreamSum:
    """Gradients of a sequence that comes in chunks: those of ``bptt`` under the same schedule.

    Parameters
    ----------
    net, loss, schedule, h0, random_state
        As in :class:`Stream`, whose ``windows`` give them one by one.
    chunks : iterable of (x, target)
        Chunks over any numbers of steps, with the axes that ``bptt`` takes.

    Returns
    -------
    StreamSum
        ``total``, ``parameters`` by state-dict key, ``steps``, ``states`` after the last step.

    Examples
    --------
    >>> import numpy as np
    >>> from msgpass import Truncated
    >>> from rnn import RNN, SquaredError
    >>> net, rng = RNN(2, 3, random_state=0), np.random.default_rng(0)
    >>> chunks = ((rng.normal(size=(100, 2)), np.zeros((100, 3))) for _ in range(50))
    >>> m = bptt_stream(net, chunks, SquaredError, Truncated(20, 60))
    >>> m.steps, m.parameters["weight_hh_l0"].shape
    (5000, (3, 3))
    """
    return Stream(net, loss, schedule, h0, random_state).run(chunks)
