"""Forward-backward over one long chain: both directions at once on two threads, meeting in the middle.

The forward thread stores α up to the middle while the backward thread stores β down to it; each then goes on
through the other's half, where γ and ξ can be formed at once, so that the array of γ holds α and β and
nothing else is kept. The power of two that scales a message is that of the message before, which takes the
horizontal sum and the division off the recursion. Σ ξ is added up 32 time steps at a time as a matrix
product.
"""

from typing import NamedTuple

import numpy as np

from msgpass.kernels.runtime import aligned_zeros, jit, run_pair
from msgpass.kernels.simd import broadcast, fma, horizontal_sum, load, splat, split_exponent, store
from msgpass.kernels.table_chain_tile import COLUMNS, tile

BLOCK = 32
INVERSE, EXPONENT, LOST = 0, 8, 16  # places in a direction's ``state``: three vectors of equal lanes


@jit(forceinline=True, _nrt=False)
def _through(x, depth, table, width, out):
    """``out = x @ table``: ``table`` (depth, width) with ``depth`` a multiple of 4, ``width`` one of 16.

    Eight independent sums a chunk hide the latency of a multiply-add: 64 columns, or 32 twice, or 16 four
    times.
    """
    column = 0
    while column + 64 <= width:
        b = broadcast(x, 0)
        c0, c1 = b * load(table, column), b * load(table, column + 8)
        c2, c3 = b * load(table, column + 16), b * load(table, column + 24)
        c4, c5 = b * load(table, column + 32), b * load(table, column + 40)
        c6, c7 = b * load(table, column + 48), b * load(table, column + 56)
        for i in range(1, depth):
            b = broadcast(x, i)
            p = i * width + column
            c0, c1 = fma(b, load(table, p), c0), fma(b, load(table, p + 8), c1)
            c2, c3 = fma(b, load(table, p + 16), c2), fma(b, load(table, p + 24), c3)
            c4, c5 = fma(b, load(table, p + 32), c4), fma(b, load(table, p + 40), c5)
            c6, c7 = fma(b, load(table, p + 48), c6), fma(b, load(table, p + 56), c7)
        (
            store(out, column, c0),
            store(out, column + 8, c1),
            store(out, column + 16, c2),
            store(out, column + 24, c3),
        )
        store(out, column + 32, c4), store(out, column + 40, c5)
        store(out, column + 48, c6), store(out, column + 56, c7)
        column += 64
    zero = splat(0.0)
    if column + 32 <= width:
        c0, c1, c2, c3, c4, c5, c6, c7 = zero, zero, zero, zero, zero, zero, zero, zero
        for i in range(0, depth, 2):
            p = i * width + column
            b = broadcast(x, i)
            c0, c1 = fma(b, load(table, p), c0), fma(b, load(table, p + 8), c1)
            c2, c3 = fma(b, load(table, p + 16), c2), fma(b, load(table, p + 24), c3)
            b = broadcast(x, i + 1)
            p += width
            c4, c5 = fma(b, load(table, p), c4), fma(b, load(table, p + 8), c5)
            c6, c7 = fma(b, load(table, p + 16), c6), fma(b, load(table, p + 24), c7)
        store(out, column, c0 + c4), store(out, column + 8, c1 + c5)
        store(out, column + 16, c2 + c6), store(out, column + 24, c3 + c7)
        column += 32
    if column < width:
        c0, c1, c2, c3, c4, c5, c6, c7 = zero, zero, zero, zero, zero, zero, zero, zero
        for i in range(0, depth, 4):
            p = i * width + column
            b = broadcast(x, i)
            c0, c1 = fma(b, load(table, p), c0), fma(b, load(table, p + 8), c1)
            b = broadcast(x, i + 1)
            p += width
            c2, c3 = fma(b, load(table, p), c2), fma(b, load(table, p + 8), c3)
            b = broadcast(x, i + 2)
            p += width
            c4, c5 = fma(b, load(table, p), c4), fma(b, load(table, p + 8), c5)
            b = broadcast(x, i + 3)
            p += width
            c6, c7 = fma(b, load(table, p), c6), fma(b, load(table, p + 8), c7)
        store(out, column, (c0 + c2) + (c4 + c6)), store(out, column + 8, (c1 + c3) + (c5 + c7))


@jit(forceinline=True, _nrt=False)
def _read(array, p, n_states, row):
    """A row of K numbers into the padded ``row``, whose padding stays as it is."""
    whole = n_states - n_states % 8
    for k in range(0, whole, 8):
        store(row, k, load(array, p + k))
    for k in range(whole, n_states):
        row[k] = array[p + k]


@jit(forceinline=True, _nrt=False)
def _write(array, p, n_states, row):
    """The inverse of :func:`_read`."""
    whole = n_states - n_states % 8
    for k in range(0, whole, 8):
        store(array, p + k, load(row, k))
    for k in range(whole, n_states):
        array[p + k] = row[k]


@jit(forceinline=True, _nrt=False)
def _row(rows, t, n_states):
    return (rows[t] if rows.size else t) * n_states


@jit(forceinline=True, _nrt=False)
def _add_pairs(alpha, outgoing, count, width, xi):
    """``xi += Σ alpha[t]ᵀ outgoing[t]``."""
    for column in range(0, width, COLUMNS):
        for i in range(0, width, 8):
            tile(alpha, i, 1, width, outgoing, column, width, count, xi, i * width + column, width, True)


@jit
def forward_half(
    init, table, depth, width, n_states, evidence, rows, start, middle, lost, gamma, a, work, state
):
    """α of ``start:middle`` into ``gamma``, if there is one; the last stays in ``a``."""
    local, y = work[:width], work[width : 2 * width]
    inverse, exponent = splat(1.0), splat(0.0)
    kept = True
    for t in range(start, middle):
        _read(evidence, _row(rows, t, n_states), n_states, local)
        if t > start:
            _through(a, depth, table, width, y)
        total = splat(0.0)
        for k in range(0, width, 8):
            before = load(init, k) if t == start else load(y, k)
            value = before * (load(local, k) * inverse)
            store(a, k, value)
            total = total + value
        if gamma.size:
            _write(gamma, t * n_states, n_states, a)
        mass = horizontal_sum(total)
        kept &= mass >= lost
        inverse, shift = split_exponent(splat(mass))
        exponent = exponent + shift
    store(state, INVERSE, inverse), store(state, EXPONENT, exponent)
    state[LOST] = 0.0 if kept else 1.0


@jit
def backward_half(
    transposed, depth, width, n_states, evidence, rows, middle, stop, lost, gamma, b, work, state
):
    """β of ``stop − 1`` down to ``middle`` into ``gamma``, if there is one; the next one stays in ``b``."""
    local, w = work[:width], work[width : 2 * width]
    inverse, exponent = splat(1.0), splat(0.0)
    kept = True
    for k in range(width):
        b[k] = 1.0 if k < n_states else 0.0
    for t in range(stop - 1, middle - 1, -1):
        _read(evidence, _row(rows, t, n_states), n_states, local)
        if gamma.size:
            _write(gamma, t * n_states, n_states, b)
        for k in range(0, width, 8):
            store(w, k, load(b, k) * (load(local, k) * inverse))
        _through(w, depth, transposed, width, b)
        total = load(b, 0)
        for k in range(8, width, 8):
            total = total + load(b, k)
        mass = horizontal_sum(total)
        kept &= mass >= lost
        inverse, shift = split_exponent(splat(mass))
        exponent = exponent + shift
    store(state, INVERSE, inverse), store(state, EXPONENT, exponent)
    state[LOST] = 0.0 if kept else 1.0


@jit
def forward_rest(
    table, depth, width, n_states, evidence, rows, middle, stop, lost, gamma, a, work, state, pairs, xi
):
    """γ of ``middle:stop`` over the β in ``gamma``, and pairs with the step before; returns Z's mantissa."""
    local, y, w = work[:width], work[width : 2 * width], work[2 * width : 3 * width]
    alphas, outgoing = pairs[: BLOCK * width], pairs[BLOCK * width :]
    inverse, exponent, shift = load(state, INVERSE), load(state, EXPONENT), splat(0.0)
    count, mantissa, kept = 0, 0.0, True
    for t in range(middle, stop):
        _read(evidence, _row(rows, t, n_states), n_states, local)
        _read(gamma, t * n_states, n_states, w)
        _through(a, depth, table, width, y)
        both, total = splat(0.0), splat(0.0)
        o = count * width
        for k in range(0, width, 8):
            e, predicted = load(local, k), load(y, k)
            out = load(w, k) * e
            both = fma(predicted, out, both)
            store(w, k, out)
            store(alphas, o + k, load(a, k))
            value = predicted * (e * inverse)
            store(a, k, value)
            total = total + value
        z = horizontal_sum(both)
        kept &= z >= lost
        share = splat(1.0 / z)
        for k in range(0, width, 8):
            out = load(w, k) * share
            store(outgoing, o + k, out)
            store(w, k, load(y, k) * out)
        _write(gamma, t * n_states, n_states, w)
        mantissa, exponent = horizontal_sum(total), exponent + shift
        kept &= mantissa >= lost
        inverse, shift = split_exponent(splat(mantissa))
        count += 1
        if count == BLOCK or t == stop - 1:
            _add_pairs(alphas, outgoing, count, width, xi)
            count = 0
    store(state, EXPONENT, exponent)
    state[LOST] = state[LOST] if kept else 1.0
    return mantissa


@jit
def backward_rest(
    transposed, depth, width, n_states, evidence, rows, start, middle, lost, gamma, b, work, state, pairs, xi
):
    """γ of ``middle − 1`` down to ``start`` over the α in ``gamma``, and their pairs with the step after."""
    local, a, w = work[:width], work[width : 2 * width], work[2 * width : 3 * width]
    alphas, outgoing = pairs[: BLOCK * width], pairs[BLOCK * width :]
    inverse = load(state, INVERSE)
    count, kept = 0, True
    for t in range(middle - 1, start - 1, -1):
        o = count * width
        if t < middle - 1:
            _read(evidence, _row(rows, t + 1, n_states), n_states, local)
            for k in range(0, width, 8):
                store(w, k, load(b, k) * (load(local, k) * inverse))
            _through(w, depth, transposed, width, b)
        _read(gamma, t * n_states, n_states, a)
        both, total = splat(0.0), splat(0.0)
        for k in range(0, width, 8):
            alpha, beta = load(a, k), load(b, k)
            both = fma(alpha, beta, both)
            total = total + beta
            store(alphas, o + k, alpha)
        z = horizontal_sum(both)
        kept &= z >= lost
        share = splat(1.0 / z)
        for k in range(0, width, 8):
            store(outgoing, o + k, load(w, k) * share)
            store(a, k, load(a, k) * load(b, k) * share)
        _write(gamma, t * n_states, n_states, a)
        if t < middle - 1:
            mass = horizontal_sum(total)
            kept &= mass >= lost
            inverse, _ = split_exponent(splat(mass))
            count += 1
        if count == BLOCK or (t == start and count > 0):
            _add_pairs(alphas, outgoing, count, width, xi)
            count = 0
    state[LOST] = state[LOST] if kept else 1.0


class _Halves(NamedTuple):
    """What the two directions have left in the middle."""

    tables: tuple  # transition and transpose, padded and flat; and their depth
    shared: tuple
    middle: int
    messages: tuple  # the last α, the last β
    work: np.ndarray
    state: np.ndarray


def _halves(init, transition, evidence, rows, start, stop, lost, gamma) -> _Halves:
    """Both directions up to the middle; their messages are kept in the flat ``gamma``, unless it is empty."""
    n_states = len(init)
    width, depth = -(-n_states // COLUMNS) * COLUMNS, -(-n_states // 4) * 4
    both = aligned_zeros((2, depth, width))
    both[0, :n_states, :n_states], both[1, :n_states, :n_states] = transition, transition.T
    first, a, b = aligned_zeros((3, width))
    first[:n_states] = init
    work, state = aligned_zeros((2, 3 * width)), aligned_zeros((2, 24))
    middle = (start + stop + 1) // 2
    shared = (width, n_states, evidence.ravel(), rows)
    table, transposed = both[0].ravel(), both[1].ravel()
    run_pair(
        forward_half,
        (first, table, depth, *shared, start, middle, lost, gamma, a, work[0], state[0]),
        backward_half,
        (transposed, depth, *shared, middle, stop, lost, gamma, b, work[1], state[1]),
    )
    return _Halves((table, transposed, depth), shared, middle, (a, b), work, state)


def scale(
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    start: int,
    stop: int,
    lost: float,
) -> tuple[float, float, bool]:
    """(mantissa, exponent, failed) of Z of sequence ``start:stop``, of two steps or more: Z = Σ α β."""
    halves = _halves(init, transition, evidence, rows, start, stop, lost, np.empty(0))
    (a, b), state = halves.messages, halves.state
    mantissa = float((a * state[0, INVERSE]) @ (b * state[1, INVERSE]))
    failed = bool(state[:, LOST].any()) or not mantissa >= lost
    return mantissa, state[0, EXPONENT] + state[1, EXPONENT], failed


def one(
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    start: int,
    stop: int,
    lost: float,
    gamma: np.ndarray,
) -> tuple[float, float, np.ndarray, bool]:
    """Sequence ``start:stop``, of two steps or more; γ is written in place.

    Returns
    -------
    mantissa, exponent : float
    xi : ndarray, shape (K, K)
        Without the factor A.
    failed : bool
    """
    n_states, flat = len(init), gamma.ravel()
    halves = _halves(init, transition, evidence, rows, start, stop, lost, flat)
    (table, transposed, depth), (a, b) = halves.tables, halves.messages
    here, middle, work, state = halves.shared, halves.middle, halves.work, halves.state
    width = here[0]
    pairs, xi = aligned_zeros((2, 2 * BLOCK * width)), aligned_zeros((2, width * width))
    work[:] = 0.0
    mantissa, _ = run_pair(
        forward_rest,
        (table, depth, *here, middle, stop, lost, flat, a, work[0], state[0], pairs[0], xi[0]),
        backward_rest,
        (transposed, depth, *here, start, middle, lost, flat, b, work[1], state[1], pairs[1], xi[1]),
    )
    counts = (xi[0] + xi[1]).reshape(width, width)[:n_states, :n_states]
    return mantissa, state[0, EXPONENT], counts, bool(state[:, LOST].any())
