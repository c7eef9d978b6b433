"""Messages of many factors at once: the compiled kernels between NumPy's exp and log, and what they hand back
redone in logarithms.

Messages come out with the better state at 0. The kernels agree with
:mod:`~msgpass.kernels.structured_reference` to rounding, −∞ included.
"""

import numpy as np

from msgpass.kernels import structured_reference as reference

FEWEST = 4096
"""Messages from which the compiled kernels are worth their loading."""

FARTHEST = 700.0
"""Log-ratio beyond which exp underflows, and logarithms are needed."""


def two_state_messages(incoming, links, maximise: bool = False) -> np.ndarray:
    """Messages through a chain of links with at most two hidden states, binary variables."""
    from msgpass.kernels.structured_two_state import max_messages, sum_messages

    tables, incoming = padded(links), np.ascontiguousarray(incoming, np.float64)
    if maximise:
        out = np.empty_like(incoming)
        max_messages(incoming, tables, out)
        return topped(out)
    out, lost = np.empty_like(incoming), np.empty(len(incoming), np.bool_)
    sum_messages(np.exp(topped(incoming.copy())), np.exp(tables), out, lost)
    with np.errstate(divide="ignore"):
        np.log(out, out=out)
    if lost.any():
        some = [link if len(link) == 1 else link[lost] for link in links]
        out[lost] = reference.link_messages(incoming[lost], some)
    return topped(out)


def parity_messages(incoming, odd: np.ndarray, maximise: bool = False) -> np.ndarray:
    """Messages of parity checks, ``odd`` (n or 1,) saying which parity is wanted."""
    from msgpass.kernels.structured_parity import parity_maxima, parity_sums

    incoming = np.asarray(incoming, np.float64)
    with np.errstate(invalid="ignore"):
        d = incoming[..., 1] - incoming[..., 0]
    gone = np.isnan(d)  # a message without a state leaves none to the others
    broken = bool(gone.any())
    if broken:
        d[gone] = 0.0
    found = np.empty_like(d)
    if maximise:
        parity_maxima(d, odd, found)
    else:
        size = np.abs(d)
        parity_sums(d, np.exp(-size), odd, found)
        with np.errstate(divide="ignore"):
            found = np.copysign(np.log(np.abs(found)), -found)
        far = ((size > FARTHEST) & (size < np.inf)).any(axis=1)
        if far.any():
            found[far] = np.copysign(reference.parity_log_ratios(-size[far]), found[far])
    out = np.empty(incoming.shape)
    np.minimum(-found, 0.0, out=out[..., 0])
    np.minimum(found, 0.0, out=out[..., 1])
    if broken:
        out[gone.sum(axis=1, keepdims=True) - gone > 0] = -np.inf
    return out


def padded(links) -> np.ndarray:
    """Links of at most two hidden states as one array (n or 1, a, 2, 2, 2) of logs."""
    n = max(len(link) for link in links)
    tables = np.full((n, len(links), 2, 2, 2), -np.inf)
    for i, link in enumerate(links):
        tables[:, i, : link.shape[1], :, : link.shape[3]] = link
    return tables


def topped(messages: np.ndarray) -> np.ndarray:
    """The better state at 0, in place; all −∞ stays."""
    top = messages.max(axis=-1, keepdims=True)
    messages -= np.where(top == -np.inf, 0.0, top)
    return messages


def count_messages(incoming, log_weights, maximise: bool = False) -> np.ndarray:
    """Messages of log weights (n or 1, a + 1) on the number of ones."""
    from msgpass.kernels.structured_count import max_counts, sum_counts

    incoming = np.ascontiguousarray(incoming, np.float64)
    out = np.empty_like(incoming)
    if maximise:
        max_counts(incoming, log_weights, out)
        return topped(out)
    scaled = topped(log_weights.astype(float))
    lost = np.empty(len(incoming), np.bool_)
    sum_counts(np.exp(topped(incoming.copy())), np.exp(scaled), out, lost)
    with np.errstate(divide="ignore"):
        np.log(out, out=out)
    if lost.any():
        own = log_weights if len(log_weights) == 1 else log_weights[lost]
        out[lost] = reference.count_messages(incoming[lost], own)
    return topped(out)
