"""Compiled forward-backward over chains with a sparse transition, scaled and in linear tables.

The scale of a step is known before it is taken:

    a_t = e_t (a_{t−1} A) / s_{t−1},  s_t = Σ a_t    Σ a_t b_t = 1 is kept by b_{t−1} = A (e_t b_t) / s_{t−1}
    b_{t−1} = A (e_t b_t) / u_t,      u_t = Σ b_t    Σ f_t b_t = 1 is kept by f_t = e_t (f_{t−1} A) / u_t

so that marginals and counts come in the same pass as the second message, whichever of the two that is. One
long sequence is swept from both ends to its middle; where the sweeps have met, each goes on over the messages
that the other one left, and puts the marginals in their place.

Everywhere ``entries`` is (runs, kinds, loose, order, values) and ``local`` (final, evidence, rows, groups,
offsets), as :class:`~msgpass.kernels.sparse_chain_compiled.Sweep` makes them.
"""

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.sparse_chain_cross import FAST, against, along, pairs


@jit(fastmath=FAST)
def evidence_at(local, t, last, out):
    """Potentials of all states at step t; the final ones come in at the last step."""
    final, evidence, rows, groups, _ = local
    row = evidence[rows[t] if rows.size else t]
    if groups.size:
        for s in range(out.size):
            out[s] = row[groups[s]]
    else:
        for s in range(out.size):
            out[s] = row[s]
    if last:
        for s in range(out.size):
            out[s] *= final[s]


@jit
def table_at(entries, pair, own):
    """Entries at a pair, in order: the shared ones as they are, or those of the step brought into order."""
    _, _, _, order, values = entries
    if not order.size:
        return values[0]
    row = values[pair]
    for e in range(order.size):
        own[e] = row[order[e]]
    return own


@jit(fastmath=FAST)
def forward(entries, init, local, n, first, upto, lost, alpha, scale):
    """a_t and s_t of sequence n from row ``first`` up to row ``upto``, kept in row t modulo the rows of
    ``alpha``, where the row before stands; False when a scale is lost.
    """
    runs, kinds, loose, order, _ = entries
    start, stop = local[4][n], local[4][n + 1]
    kept, here_evidence, own = alpha.shape[0], np.empty(init.size), np.empty(order.size)
    for t in range(first, upto):
        evidence_at(local, t, t == stop - 1, here_evidence)
        here, factor = alpha[t % kept], 1.0
        if t == start:
            here[:] = init
        else:
            along(runs, kinds, loose, table_at(entries, t - 1 - n, own), alpha[(t - 1) % kept], here)
            factor = 1.0 / scale[t - 1]
        total = 0.0
        for j in range(here.size):
            here[j] *= here_evidence[j] * factor
            total += here[j]
        scale[t] = total
        if not total >= lost:
            return False
    return True


@jit(fastmath=FAST)
def step_back(entries, local, n, t, factor, beta, before):
    """b_{t−1} = A (e_t b_t) · factor; its sum."""
    runs, kinds, loose, order, _ = entries
    ahead = np.empty(beta.size)
    evidence_at(local, t, t == local[4][n + 1] - 1, ahead)
    for j in range(ahead.size):
        ahead[j] *= beta[j] * factor
    against(runs, kinds, loose, table_at(entries, t - 1 - n, np.empty(order.size)), ahead, before)
    return before.sum()


@jit(fastmath=FAST)
def backward(entries, local, n, last, downto, lost, beta, scale):
    """b_t and u_t of sequence n from below row ``last``, which stands in ``beta`` if it is not the very
    last, down to row ``downto``.
    """
    stop, kept = local[4][n + 1], beta.shape[0]
    if last == stop - 1:
        beta[last % kept] = 1.0
        scale[last] = 1.0
    for t in range(last, downto, -1):
        total = step_back(entries, local, n, t, 1.0 / scale[t], beta[t % kept], beta[(t - 1) % kept])
        scale[t - 1] = total
        if not total >= lost:
            return False
    return True


@jit(fastmath=FAST)
def collect_backward(entries, local, n, first, last, total, beta, lost, alpha, scale, xi, stepped):
    """Marginals in the place of a_t from below row ``last`` to row ``first``, and the counts of the pairs
    between.

    ``beta`` is b at ``last``, with Σ a b = ``total`` near 1; it becomes that at ``first``. ``xi`` gets Σ ξ
    without its factor A in the order of the entries, or ``stepped`` ξ of each pair in the user's order.
    Returns Σ a b at ``first``, or 0 when the scale is lost, or what b of some state has lost may matter.
    """
    runs, kinds, loose, order, _ = entries
    stop, kept = local[4][n + 1], alpha.shape[0]
    ahead, own = np.empty(beta.size), np.empty(order.size)
    for t in range(last, first, -1):
        if not (total > 0.5 and total < 2.0):
            return 0.0
        evidence_at(local, t, t == stop - 1, ahead)
        factor, peak = 1.0 / (scale[t - 1] * total), 0.0
        for j in range(ahead.size):
            peak += beta[j]  # bounds the largest, and unlike it is summed in vectors
            ahead[j] *= beta[j] * factor
        if not peak * lost <= 1.0:
            return 0.0
        table = table_at(entries, t - 1 - n, own)
        against(runs, kinds, loose, table, ahead, beta)
        if order.size:
            xi[:] = 0.0
        pairs(runs, kinds, loose, alpha[(t - 1) % kept], ahead, xi)
        if order.size:
            spread(xi, table, order, stepped[t - 1 - n])
        total = marginals(alpha[(t - 1) % kept], beta)
    return total if total > 0.5 and total < 2.0 else 0.0


@jit(fastmath=FAST)
def marginals(alpha, beta):
    """α β in the place of α, their sum, and β 0 where α is: nothing comes by there, and β may be anything."""
    total = 0.0
    for i in range(alpha.size):
        beta[i] = beta[i] if alpha[i] != 0.0 else 0.0
        alpha[i] *= beta[i]
        total += alpha[i]
    return total


@jit(fastmath=FAST)
def collect_forward(entries, local, n, first, upto, total, before, lost, beta, scale, xi, stepped):
    """As :func:`collect_backward`: marginals in the place of b_t from row ``first`` up to row ``upto``.

    ``before`` is a at the row before, with Σ a b = ``total`` there; it becomes that at the last of these
    rows.
    """
    runs, kinds, loose, order, _ = entries
    stop, kept = local[4][n + 1], beta.shape[0]
    own, weight, after = np.empty(order.size), np.empty(before.size), np.empty(before.size)
    for t in range(first, upto):
        if not (total > 0.5 and total < 2.0):
            return 0.0
        evidence_at(local, t, t == stop - 1, weight)
        factor, here = 1.0 / (scale[t] * total), beta[t % kept]
        table = table_at(entries, t - 1 - n, own)
        along(runs, kinds, loose, table, before, after)
        total, peak = 0.0, 0.0
        for j in range(after.size):
            # Where b is 0 no path goes on, and a may be anything.
            after[j] = after[j] * (weight[j] * factor) if here[j] != 0.0 else 0.0
            peak += after[j]
            weight[j] *= here[j] * factor
            here[j] *= after[j]
            total += here[j]
        if not peak * lost <= 1.0:
            return 0.0
        if order.size:
            xi[:] = 0.0
        pairs(runs, kinds, loose, before, weight, xi)
        if order.size:
            spread(xi, table, order, stepped[t - 1 - n])
        before[:] = after
    return total if total > 0.5 and total < 2.0 else 0.0


@jit
def spread(xi, table, order, out):
    """ξ of one pair in the user's order."""
    for e in range(order.size):
        out[order[e]] = xi[e] * table[e]


@jit
def sequences(entries, init, local, first, last, lost, gamma, scale, xi, stepped, failed):
    """Forward and back over whole sequences, one after another; a failed one may have left counts."""
    for n in range(first, last):
        if failed[n]:
            continue
        start, end = local[4][n], local[4][n + 1] - 1
        fine = forward(entries, init, local, n, start, end + 1, lost, gamma, scale)
        if fine:
            beta = np.full(init.size, 1.0 / scale[end])
            total = marginals(gamma[end], beta)
            total = collect_backward(
                entries, local, n, start, end, total, beta, lost, gamma, scale, xi, stepped
            )
            fine = total > 0.0
        failed[n] = not fine


@jit
def forwards(entries, init, local, first, last, lost, scale, failed):
    """Scales of whole sequences, with two rows of messages kept."""
    alpha = np.empty((2, init.size))
    for n in range(first, last):
        failed[n] = not forward(entries, init, local, n, local[4][n], local[4][n + 1], lost, alpha, scale)
