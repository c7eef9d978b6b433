"""Messages of factors that are short chains of small tables inside: the text to read, and the oracle of the
compiled kernels.

A weighted automaton reads the variables x_0 … x_{a−1} of a factor one after another, with a hidden state h
that holds all that matters of those read so far (a parity, a count, whether one was on):

    f(x) = ⊕_h Π_i T_i(h_{i−1}, x_i, h_i),      T_0 has one row and T_{a−1} one column.

Forward-backward over h gives all messages of the factor in O(a S²) where a table has K^a entries:

    α_{i+1}(h') = ⊕_{h, x} α_i(h) m_i(x) T_i(h, x, h'),   β_i(h) = ⊕_{x, h'} m_i(x) T_i(h, x, h') β_{i+1}(h'),
    out_i(x) = ⊕_{h, h'} α_i(h) T_i(h, x, h') β_{i+1}(h').

All in logarithms, over leading instances; ⊕ is log-sum-exp or max. Nothing is divided out of a product, so
that −∞ (an exact zero) is right wherever it stands.
"""

from collections.abc import Sequence

import numpy as np

from msgpass.kernels.chain_reference import log_sum_exp


def reduce(logs: np.ndarray, axes: tuple[int, ...], maximise: bool) -> np.ndarray:
    """⊕ over axes."""
    if maximise:
        return logs.max(axis=axes)
    for axis in sorted(axes, reverse=True):
        logs = log_sum_exp(logs, axis)
    return logs


def _forward(incoming, links, maximise) -> list[np.ndarray]:
    alpha = [np.zeros((len(incoming), 1))]
    for i, link in enumerate(links):
        joined = alpha[-1][:, :, None, None] + incoming[:, i, None, :, None] + link
        alpha.append(reduce(joined, (1, 2), maximise))
    return alpha


def link_partition(incoming: np.ndarray, links: Sequence[np.ndarray], maximise: bool = False) -> np.ndarray:
    """⊕_x f(x) Π_i m_i(x_i) of every instance, (n,)."""
    return _forward(incoming, links, maximise)[-1][:, 0]


def link_messages(incoming: np.ndarray, links: Sequence[np.ndarray], maximise: bool = False) -> np.ndarray:
    """Messages from a factor to each of its variables.

    Parameters
    ----------
    incoming : ndarray, shape (n, a, K)
        Log messages of the variables.
    links : a arrays, shape (n or 1, S_i, K, S_{i+1})
        Log tables T_i; S_0 = S_a = 1.
    maximise : bool
        ⊕ = max in place of log-sum-exp.

    Returns
    -------
    ndarray, shape (n, a, K)
        Not normalised: ⊕_x incoming[:, i] + out[:, i] is the same for all i.

    Examples
    --------
    Two variables that are equal:

    >>> same = np.log(np.eye(2), where=np.eye(2) > 0, out=np.full((2, 2), -np.inf))
    >>> links = [same.reshape(1, 1, 2, 2), same.reshape(1, 2, 2, 1)]
    >>> np.exp(link_messages(np.log([[[0.9, 0.1], [0.5, 0.5]]]), links)).round(3).tolist()
    [[[0.5, 0.5], [0.9, 0.1]]]
    """
    alpha = _forward(incoming, links, maximise)
    outgoing, beta = np.empty_like(incoming), np.zeros((len(incoming), 1))
    for i in range(len(links) - 1, -1, -1):
        ahead = links[i] + beta[:, None, None, :]
        outgoing[:, i] = reduce(alpha[i][:, :, None, None] + ahead, (1, 3), maximise)
        beta = reduce(incoming[:, i, None, :, None] + ahead, (2, 3), maximise)
    return outgoing


def table_messages(incoming: np.ndarray, table: np.ndarray, maximise: bool = False) -> np.ndarray:
    """The same from full log tables, shape (n or 1, K, …, K): K^a entries an instance."""
    arity, outgoing = incoming.shape[1], np.empty_like(incoming)
    for i in range(arity):
        joined = table
        for k in range(arity):
            if k != i:
                joined = joined + _along(incoming[:, k], k, arity)
        outgoing[:, i] = reduce(joined, tuple(1 + k for k in range(arity) if k != i), maximise)
    return outgoing


def table_joint(incoming: np.ndarray, table: np.ndarray) -> np.ndarray:
    """f(x) Π_i m_i(x_i) as log tables, (n, K, …, K)."""
    arity = incoming.shape[1]
    return table + sum(_along(incoming[:, k], k, arity) for k in range(arity))


def _along(message, k: int, arity: int) -> np.ndarray:
    return message.reshape(len(message), *(message.shape[1] if i == k else 1 for i in range(arity)))


def leave_one_out(logs: np.ndarray) -> np.ndarray:
    """Sum over the last axis without each entry, (n, a) → (n, a), by sums from both ends (−∞ − −∞ is NaN)."""
    before, after = np.zeros_like(logs), np.zeros_like(logs)
    np.cumsum(logs[:, :-1], axis=1, out=before[:, 1:])
    np.cumsum(logs[:, :0:-1], axis=1, out=after[:, -2::-1])
    return before + after


def parity_log_ratios(logs: np.ndarray) -> np.ndarray:
    """log O/E of the others, from log r ≤ 0 of each: E' = E + O r, O' = O + E r from both ends; (n, a)."""
    n, arity = logs.shape
    before, after = ([(np.zeros(n), np.full(n, -np.inf))] for _ in range(2))
    for i in range(arity - 1):
        for found, r in ((before, logs[:, i]), (after, logs[:, arity - 1 - i])):
            even, odd = found[-1]
            found.append((np.logaddexp(even, odd + r), np.logaddexp(odd, even + r)))
    ratios = np.empty_like(logs)
    for i in range(arity):
        (e, o), (f, p) = before[i], after[arity - 1 - i]
        ratios[:, i] = np.logaddexp(e + p, o + f) - np.logaddexp(e + f, o + p)
    return ratios


def count_partition(incoming: np.ndarray, weights: np.ndarray, maximise: bool = False) -> np.ndarray:
    """⊕_x w(Σ x) Π_i m_i(x_i) of binary variables, (n,)."""
    return reduce(_counts_before(incoming, maximise)[-1] + weights, (1,), maximise)


def count_messages(incoming: np.ndarray, weights: np.ndarray, maximise: bool = False) -> np.ndarray:
    """Messages of a weight w(Σ x) on the number of ones, in O(a²).

    ``weights`` is (n or 1, a + 1). The hidden state of the automaton is the count, and each link moves it by
    0 or 1.
    """
    alpha = _counts_before(incoming, maximise)
    outgoing = np.empty_like(incoming)
    beta = np.broadcast_to(weights, (len(incoming), weights.shape[1]))
    for i in range(incoming.shape[1] - 1, -1, -1):
        off, on = beta[:, :-1], beta[:, 1:]
        outgoing[:, i, 0] = reduce(alpha[i] + off, (1,), maximise)
        outgoing[:, i, 1] = reduce(alpha[i] + on, (1,), maximise)
        beta = _either(incoming[:, i, :1] + off, incoming[:, i, 1:] + on, maximise)
    return outgoing


def count_beliefs(incoming: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Log probability of each count, (n, a + 1)."""
    joint = _counts_before(incoming, False)[-1] + weights
    return joint - reduce(joint, (1,), False)[:, None]


def _counts_before(incoming, maximise) -> list[np.ndarray]:
    found = [np.zeros((len(incoming), 1))]
    for i in range(incoming.shape[1]):
        n, count = found[-1].shape
        off, on = np.full((n, count + 1), -np.inf), np.full((n, count + 1), -np.inf)
        off[:, :-1] = found[-1] + incoming[:, i, :1]
        on[:, 1:] = found[-1] + incoming[:, i, 1:]
        found.append(_either(off, on, maximise))
    return found


def _either(a, b, maximise: bool) -> np.ndarray:
    return np.maximum(a, b) if maximise else np.logaddexp(a, b)
