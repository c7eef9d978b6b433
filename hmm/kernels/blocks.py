"""Blocks of time: 64 steps are laid out with time contiguous, whatever the number of states, so that
eight steps are a vector. What a last block lacks is zero.

Arrays are flat: data (C, T), tables by state and step (T, K), blocks (C, 64) or (K, 64).
"""

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import load, store, transpose8

BLOCK = 64


@jit(_nrt=False)
def take_columns(data, n_steps, first, n, block):
    """``block[c, j] = data[c, first + j]`` for j < n, 0 beyond."""
    for c in range(data.size // n_steps):
        at, here = c * n_steps + first, c * BLOCK
        for j in range(n):
            block[here + j] = data[at + j]
        for j in range(n, BLOCK):
            block[here + j] = 0.0


@jit(_nrt=False)
def take_rows(table, n_states, first, n, block):
    """``block[k, j] = table[first + j, k]`` for j < n, 0 beyond."""
    whole = n // 8 * 8 if n_states >= 8 else 0
    for j in range(0, whole, 8):
        at, k = (first + j) * n_states, 0
        while k < n_states:
            k = min(k, n_states - 8)  # the last eight states overlap those before, which does no harm
            p = at + k
            r0, r1, r2, r3, r4, r5, r6, r7 = transpose8(
                load(table, p),
                load(table, p + n_states),
                load(table, p + 2 * n_states),
                load(table, p + 3 * n_states),
                load(table, p + 4 * n_states),
                load(table, p + 5 * n_states),
                load(table, p + 6 * n_states),
                load(table, p + 7 * n_states),
            )
            q = k * BLOCK + j
            store(block, q, r0)
            store(block, q + BLOCK, r1)
            store(block, q + 2 * BLOCK, r2)
            store(block, q + 3 * BLOCK, r3)
            store(block, q + 4 * BLOCK, r4)
            store(block, q + 5 * BLOCK, r5)
            store(block, q + 6 * BLOCK, r6)
            store(block, q + 7 * BLOCK, r7)
            k += 8
    for j in range(whole, n):
        for k in range(n_states):
            block[k * BLOCK + j] = table[(first + j) * n_states + k]
    for k in range(n_states):
        for j in range(n, BLOCK):
            block[k * BLOCK + j] = 0.0


@jit(_nrt=False)
def give_rows(block, n_states, first, n, table):
    """``table[first + j, k] = block[k, j]`` for j < n."""
    whole = n // 8 * 8 if n_states >= 8 else 0
    for j in range(0, whole, 8):
        at, k = (first + j) * n_states, 0
        while k < n_states:
            k = min(k, n_states - 8)
            q = k * BLOCK + j
            r0, r1, r2, r3, r4, r5, r6, r7 = transpose8(
                load(block, q),
                load(block, q + BLOCK),
                load(block, q + 2 * BLOCK),
                load(block, q + 3 * BLOCK),
                load(block, q + 4 * BLOCK),
                load(block, q + 5 * BLOCK),
                load(block, q + 6 * BLOCK),
                load(block, q + 7 * BLOCK),
            )
            p = at + k
            store(table, p, r0)
            store(table, p + n_states, r1)
            store(table, p + 2 * n_states, r2)
            store(table, p + 3 * n_states, r3)
            store(table, p + 4 * n_states, r4)
            store(table, p + 5 * n_states, r5)
            store(table, p + 6 * n_states, r6)
            store(table, p + 7 * n_states, r7)
            k += 8
    for j in range(whole, n):
        for k in range(n_states):
            table[(first + j) * n_states + k] = block[k * BLOCK + j]
