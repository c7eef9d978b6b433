"""``diagnose``: vanishing, exploding or steady, with the figures that say so."""

from __future__ import annotations

import numpy as np

from msgpass import Messages
from msgpass.errors import DataError
from rnn.bptt import bptt
from rnn.diagnose.diagnosis import Diagnosis
from rnn.diagnose.lyapunov import lyapunov_exponents
from rnn.diagnose.state import State, state_of
from rnn.diagnose.transport import Transport, transported
from rnn.losses import OutputLoss
from rnn.networks import Network

MOST_LAGS = 100
"""Lags of a long sequence whose singular values are taken; those in between hardly differ."""


def diagnose(net: Network, x, loss: OutputLoss, *, state: str | None = None, **data) -> Diagnosis:
    """How the gradient of the last step's loss travels back through a network on data.

    Parameters
    ----------
    net : RNN, LSTM, GRU or another network
    x : array
        As for a call of the network; a few sequences of one length are enough.
    loss : SquaredError, CrossEntropy, …
        It must say something at the last step for ``adjoint`` to be more than zeros.
    state : str, optional
        A sequence of the recurrence to look at, such as ``"h_l0"``; by default of the last layer.
    **data
        What else :func:`rnn.bptt` takes, such as ``h0``.

    Returns
    -------
    Diagnosis
        ``print(d)`` says it in words, ``d.plot()`` draws it.

    Raises
    ------
    DataError
        For sequences of several lengths, for a name that is no state, for more Jacobians than memory.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import RNN, SquaredError
    >>> net = RNN(1, 4, random_state=0)
    >>> x = np.random.default_rng(0).normal(size=(60, 3, 1))
    >>> d = diagnose(net, x, SquaredError(np.zeros((60, 3, 4))))
    >>> d.verdict, d.horizon() < 20
    ('vanishing', True)
    """
    if data.get("lengths") is not None:
        raise DataError("diagnose compares lags over a batch: give sequences of one length, without lengths=")
    return diagnosis(bptt(net, x, loss, **data), state)


def diagnosis(m: Messages, state: str | None = None) -> Diagnosis:
    """The same of a run at hand; its states have rows (B, …)."""
    where = state_of(m, state)
    T, B = m.gradient[where.names[0]].shape[:2]
    lags = np.arange(T)
    if T > MOST_LAGS:
        lags = np.unique(np.geomspace(1, T, MOST_LAGS).round().astype(int)) - 1
    found = transported(m, where, lags)
    exponents = error = None
    if found.steps is not None and T > 1:
        each = lyapunov_exponents(found.steps, burn=min(T // 10, where.size))
        exponents = each.mean(axis=0)
        error = float(each[:, 0].std(ddof=1) / np.sqrt(B)) if B > 1 else None
    return Diagnosis(
        state=where,
        lags=lags,
        log_singular_values=_logs(found),
        adjoint=_adjoint(m, where, found),
        paths={name: _path(found, s) for name, s in where.slices.items()},
        direct=None if found.steps is None else _direct(found.steps, where, lags),
        exponents=exponents,
        exponents_error=error,
    )


def _logs(found: Transport) -> np.ndarray:
    values = np.linalg.svd(found.parts, compute_uv=False)
    with np.errstate(divide="ignore"):
        return (np.log(values) + found.scales[..., None]).mean(axis=1)


def _path(found: Transport, part: slice) -> np.ndarray:
    with np.errstate(divide="ignore", over="ignore"):
        logs = np.log(np.linalg.norm(found.parts[..., part, part], 2, axis=(-2, -1)))
        return np.exp((logs + found.scales).mean(axis=1))


def _direct(steps: np.ndarray, state: State, lags: np.ndarray) -> dict[str, np.ndarray]:
    from rnn.diagnose.transport import scaled

    found = {}
    for name, s in state.slices.items():
        own, logs = steps[..., s, s], []
        part, scale = np.broadcast_to(np.eye(s.stop - s.start), own.shape[1:]), np.zeros(own.shape[1])
        for lag in range(int(lags[-1]) + 1):
            if lag in lags:
                with np.errstate(divide="ignore"):
                    logs.append((np.log(np.linalg.norm(part, 2, axis=(-2, -1))) + scale).mean())
            part, scale = scaled(part @ own[len(own) - 1 - lag], scale)
        with np.errstate(over="ignore"):
            found[name] = np.exp(logs)
    return found


def _adjoint(m: Messages, state: State, found: Transport) -> np.ndarray:
    """Root mean square over samples of |g P_k|, with g what the last step's own loss says."""
    last = 0 if state.reverse else -1
    g = np.concatenate([m.gradient[n][last].reshape(found.parts.shape[1], -1) for n in state.names], axis=1)
    lengths = np.linalg.norm(np.einsum("bi,kbij->kbj", g, found.parts), axis=-1)
    with np.errstate(over="ignore"):
        return np.sqrt(((lengths * np.exp(found.scales)) ** 2).mean(axis=1))
