"""Messages of many factors with structure at once: the compiled kernels, and what they hand back redone in
logarithms.

Messages come out with the better state at 0. The kernels agree with
:mod:`~msgpass.kernels.structured_reference` to rounding, −∞ included.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.kernels import structured_reference as reference

FEWEST = 512
"""Messages from which the compiled kernels are worth their loading."""

WIDEST = 256
"""Bits up to which a check of nearly certain bits stays compiled, in O(a²) and with products below 2²⁵⁶."""


def two_state_messages(incoming: np.ndarray, links, maximise: bool = False) -> np.ndarray:
    """Messages through a chain of links with at most two hidden states, binary variables."""
    from msgpass.kernels.structured_two_state import max_messages, sum_messages

    flat, out, lost = _arrays(incoming)
    if maximise:
        max_messages(flat, incoming.shape[1], padded(links), out.reshape(-1))
        return out
    sum_messages(flat, incoming.shape[1], np.exp(padded(links)), out.reshape(-1), lost)
    return redone(out, lost, lambda at: reference.link_messages(incoming[at], _some(links, at)))


def parity_messages(incoming: np.ndarray, odd: np.ndarray, links, maximise: bool = False) -> np.ndarray:
    """Messages of parity checks, ``odd`` (n or 1,) saying which parity is wanted."""
    from msgpass.kernels.structured_parity import parity_far, parity_maxima, parity_sums

    flat, out, lost = _arrays(incoming)
    (parity_maxima if maximise else parity_sums)(flat, incoming.shape[1], odd, out.reshape(-1), lost)
    if not maximise and incoming.shape[1] <= WIDEST and lost.any():
        parity_far(flat, incoming.shape[1], odd, out.reshape(-1), lost)
    return redone(out, lost, lambda at: reference.link_messages(incoming[at], _some(links, at), maximise))


def count_messages(incoming: np.ndarray, log_weights: np.ndarray, maximise: bool = False) -> np.ndarray:
    """Messages of log weights (n or 1, a + 1) on the number of ones."""
    from msgpass.kernels.structured_count import max_counts, sum_counts

    flat, out, lost = _arrays(incoming)
    if maximise:
        max_counts(flat, incoming.shape[1], np.array(log_weights, float), out.reshape(-1))
        return out
    sum_counts(flat, incoming.shape[1], np.exp(topped(np.array(log_weights, float))), out.reshape(-1), lost)
    return redone(out, lost, lambda at: reference.count_messages(incoming[at], *_some([log_weights], at)))


def _arrays(incoming) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat incoming messages, room for the outgoing ones, and for what is to be redone."""
    flat = np.ascontiguousarray(incoming, np.float64).reshape(-1)
    return flat, np.empty(incoming.shape), np.empty(len(incoming), np.bool_)


def _some(parts, at: np.ndarray) -> list[np.ndarray]:
    """Parts of the chosen instances; shared ones as they are."""
    return [part if len(part) == 1 else part[at] for part in parts]


def redone(out: np.ndarray, lost: np.ndarray, messages: Callable) -> np.ndarray:
    """Put the reference's messages where the kernel lost digits."""
    if lost.any():
        at = np.flatnonzero(lost)
        out[at] = topped(messages(at))
    return out


def padded(links) -> np.ndarray:
    """Links of at most two hidden states as one array (n or 1, a, 2, 2, 2) of logs."""
    n = max(len(link) for link in links)
    tables = np.full((n, len(links), 2, 2, 2), -np.inf)
    for i, link in enumerate(links):
        tables[:, i, : link.shape[1], :, : link.shape[3]] = link
    return tables


def topped(messages: np.ndarray) -> np.ndarray:
    """The largest entry of the last axis at 0, in place; all −∞ stays."""
    top = messages.max(axis=-1, keepdims=True)
    messages -= np.where(top == -np.inf, 0.0, top)
    return messages
