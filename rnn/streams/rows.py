"""What a network carries from step to step, and which data of a call have a row a step."""

from __future__ import annotations

from typing import Any

from msgpass import Messages
from msgpass.errors import DataError, UnsupportedError
from rnn.layout import Layout
from rnn.losses import OutputLoss, Several
from rnn.networks import Embedded, Recurrence
from rnn.networks.base import Call, Network
from rnn.networks.recurrent import RecurrentNetwork
from rnn.weights import start_name

INPUTS = ("x", "tokens")


def checked_network(what: str, net) -> Network:
    """A network whose steps follow each other in one direction."""
    inner = net.net if isinstance(net, Embedded) else net
    if not isinstance(inner, RecurrentNetwork | Recurrence):
        raise DataError(
            f"{what} runs an RNN, LSTM or GRU, perhaps behind an embedding, or a Recurrence; got "
            f"{type(net).__name__}"
        )
    if isinstance(inner, RecurrentNetwork) and inner.bidirectional:
        raise UnsupportedError(
            "the second direction of a bidirectional network starts at the end of the sequence, which "
            f"{what} does not know; use a network with bidirectional=False"
        )
    return net


def single_losses(loss: OutputLoss) -> tuple[OutputLoss, ...]:
    """The losses that a loss consists of."""
    return loss.losses if isinstance(loss, Several) else (loss,)


def starts(net: Any) -> dict[str, str]:
    """Names of the initial states, and of the sequences that they start."""
    if isinstance(net, Embedded):
        return starts(net.net)
    if isinstance(net, Recurrence):
        return {f"{name}0": name for name in net.states}
    return {start_name(s, suffix): s + suffix for s in net.cell.states for suffix in net.suffixes}


def last_states(net: Any, m: Messages, layout: Layout):
    """States after the last row, in the form of ``h0``."""
    if isinstance(net, Embedded):
        return last_states(net.net, m, layout)
    if isinstance(net, Recurrence):
        found = tuple(m.forward[n][-1] if layout.batched else m.forward[n][-1, 0] for n in net.states)
        return found if len(found) > 1 else found[0]
    return net.read(m, layout)[1]


def is_target(name: str) -> bool:
    """A name among the rows is that of a loss's data."""
    return name not in INPUTS and not name.startswith("dropout_")


def rows(what: str, call: Call) -> dict:
    """Arrays of a call with a row a step: inputs, dropout's masks and the data of losses."""
    assert call.loss is not None
    names = {one.named(one.name) for one in single_losses(call.loss)}
    found = {n: a for n, a in call.arrays.items() if n in names or not is_target(n)}
    for name, array in found.items():
        if array.shape[:2] != (call.layout.steps, call.layout.batch):
            raise DataError(f"{name} does not have a row a step; {what} takes losses of single steps")
    return found
