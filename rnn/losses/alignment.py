"""Alignments of a label sequence with steps, as states of a chain: what :class:`~rnn.CTC` sums over.

Steps read a blank or a label; equal neighbours are one label, and blanks are dropped (Graves, Fernández,
Gomez & Schmidhuber 2006). Between two labels a blank may be left out unless they are equal. Which are equal
differs from one target to the next, and the transitions should not; so a label that follows the one before it
without a blank is entered through a state of its own, and where that is forbidden the *evidence* closes that
state:

    b_0   [s_1  l_1  b_1]   [s_2  l_2  b_2]   …   [s_U  l_U  b_U]   ended
    l_u ← b_{u−1}, l_u, s_u    s_u ← l_{u−1}, s_{u−1}    b_u ← b_u, l_u, s_u    ended ← b_U, l_U, s_U, ended

Targets are aligned to the right, so that all of them finish in the same three states; a shorter one starts
further on. The transitions are one sparse table for all batches.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from msgpass import Step
from rnn import softmax


@lru_cache(maxsize=16)
def transitions(labels: int) -> tuple[np.ndarray, np.ndarray]:
    """(from, to) of the possible steps between the 3 U + 2 states."""
    U, pairs = labels, []
    blank, label, straight = (lambda u: 3 * u), (lambda u: 3 * u - 1), (lambda u: 3 * u - 2)
    ended = 3 * U + 1
    for u in range(U + 1):
        pairs.append((blank(u), blank(u)))
        if u:
            pairs += [(label(u), label(u)), (straight(u), label(u)), (blank(u - 1), label(u))]
            pairs += [(label(u), blank(u)), (straight(u), blank(u))]
        if u > 1:
            pairs += [(label(u - 1), straight(u)), (straight(u - 1), straight(u))]
    finals = [blank(U), label(U), straight(U)] if U else [blank(0)]
    pairs += [(f, ended) for f in [*finals, ended]]
    rows, cols = np.array(pairs).T
    return rows.copy(), cols.copy()


def states(targets: list[np.ndarray], labels: int, blank: int) -> tuple[np.ndarray, np.ndarray]:
    """(symbol of every state, whether it may be entered), both (B, 3 U + 2), targets aligned to the right."""
    symbols = np.full((len(targets), 3 * labels + 2), blank, np.int64)
    open_ = np.ones(symbols.shape)
    for own, may, target in zip(symbols, open_, targets, strict=True):
        at = 3 * np.arange(labels - len(target) + 1, labels + 1)
        own[at - 1] = own[at - 2] = target
        may[at[1:] - 2] = target[1:] != target[:-1]
    return symbols, open_


def needed(target: np.ndarray) -> int:
    """Steps that an alignment takes at least: one a label, and a blank between equal ones."""
    return len(target) + int(np.count_nonzero(target[1:] == target[:-1]))


def evidence(output, symbols, open_, starts, steps) -> np.ndarray:
    """Log evidence of every state, (B T, 3 U + 2), one sequence after the other.

    Parameters
    ----------
    output : array (T, B, C)
    symbols, open_ : arrays (B, S)
    starts, steps : arrays (B,)
        State of the first blank; steps of each sequence (0: it has ended before it begins).
    """
    T, B, _ = output.shape
    log_p = softmax.log_softmax(output).swapaxes(0, 1)
    S = symbols.shape[1]
    rows = np.empty((B, T, S), output.dtype)
    for own, one, classes, may in zip(rows, log_p, symbols, open_, strict=True):
        np.take(one, classes, axis=1, out=own)
        own[:, may == 0] = -np.inf
    rows[:, :, -1] = -np.inf
    place, every = np.arange(S), np.arange(B)
    running = steps > 0
    first = (place == starts[:, None]) | ((place == starts[:, None] + 2) & (place < S - 1))
    rows[:, 0][~first] = -np.inf
    last = np.maximum(steps - 1, 0).astype(np.int64)
    rows[every, last, : max(0, S - 4)] = np.where(
        running[:, None], -np.inf, rows[every, last, : max(0, S - 4)]
    )
    ended = np.arange(T) >= steps[:, None]
    rows[ended] = -np.inf
    rows[ended, -1] = 0
    return rows.reshape(B * T, S)


def _onto_classes(weights, output, symbols, steps) -> np.ndarray:
    """Σ over the states of each class, (T, B, C); 0 on padded steps."""
    T, B, C = output.shape
    weights = weights.reshape(B, T, -1)
    onto = np.zeros((B, T, C), output.dtype)
    for b in range(B):
        n = int(steps[b])
        one = np.zeros((symbols.shape[1] - 1, C), output.dtype)
        one[np.arange(len(one)), symbols[b, :-1]] = 1
        onto[b, :n] = weights[b, :n, :-1] @ one
    return onto.swapaxes(0, 1)


def evidence_vjp(inputs, cotangent):
    """Through the gather, then the softmax."""
    output, symbols, _, _, steps = inputs
    return softmax.pull(output, _onto_classes(cotangent, output, symbols, steps)), None, None, None, None


def evidence_jvp(inputs, tangents):
    """Motion of the evidence where it is finite."""
    output, symbols, *_ = inputs
    T, B, _ = output.shape
    moved = softmax.push(output, tangents[0]).swapaxes(0, 1)
    rows = np.take_along_axis(moved, np.broadcast_to(symbols[:, None], (B, T, symbols.shape[1])), axis=2)
    rows[:, :, -1] = 0
    return np.where(np.isfinite(evidence(*inputs)), rows.reshape(B * T, -1), 0)


def evidence_hvp(inputs, cotangent, tangents):
    """The softmax bends."""
    output, symbols, _, _, steps = inputs
    c = _onto_classes(cotangent, output, symbols, steps)
    return softmax.bend(output, c, tangents[0]), None, None, None, None


EVIDENCE = Step(evidence, vjp=evidence_vjp, jvp=evidence_jvp, hvp=evidence_hvp, vectorized=True)
