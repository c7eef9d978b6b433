"""Which data of a call have a row a step, and which states a network carries from step to step."""

from __future__ import annotations

from msgpass.errors import DataError, UnsupportedError
from rnn.losses import OutputLoss, Several
from rnn.networks.base import Call
from rnn.networks.recurrent import RecurrentNetwork
from rnn.weights import start_name


def checked_network(what: str, net) -> RecurrentNetwork:
    """A network whose steps follow each other in one direction."""
    if not isinstance(net, RecurrentNetwork):
        raise DataError(f"{what} runs a network such as RNN(inputs, hidden), got {type(net).__name__}")
    if net.bidirectional:
        raise UnsupportedError(
            "the second direction of a bidirectional network starts at the end of the sequence, which "
            f"{what} does not know; use a network with bidirectional=False"
        )
    return net


def single_losses(loss: OutputLoss) -> tuple[OutputLoss, ...]:
    """The losses that a loss consists of."""
    return loss.losses if isinstance(loss, Several) else (loss,)


def starts(net: RecurrentNetwork) -> dict[str, str]:
    """Names of the initial states, and of the sequences that they start."""
    return {start_name(s, suffix): s + suffix for s in net.cell.states for suffix in net.suffixes}


def is_target(name: str) -> bool:
    """A name among the rows is that of a loss's data."""
    return name != "x" and not name.startswith("dropout_")


def rows(what: str, call: Call) -> dict:
    """Arrays of a call with a row a step: x, dropout's masks and the data of losses."""
    assert call.loss is not None
    names = {one.named(one.name) for one in single_losses(call.loss)}
    found = {n: a for n, a in call.arrays.items() if n in names or not is_target(n)}
    for name, array in found.items():
        if array.shape[:2] != (call.layout.steps, call.layout.batch):
            raise DataError(f"{name} does not have a row a step; {what} takes losses of single steps")
    return found
