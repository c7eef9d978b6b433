"""Compiled forward-backward over chains with a sparse transition, scaled and in linear tables.

A forward step gathers over the entries into each state, a backward step over those out of it, so that neither
writes to the same place twice. The scale of every step is known before it is taken:

    a_t = e_t (a_{t−1} A) / s_{t−1},  s_t = Σ a_t       Σ a_t b_t = 1  ⇒  b_{t−1} = A (e_t b_t) / s_{t−1} keeps it
    b_{t−1} = A (e_t b_t) / u_t,      u_t = Σ b_t       Σ f_t b_t = 1  ⇒  f_t = e_t (f_{t−1} A) / u_t keeps it

so that marginals and counts come in the same pass as the second message, whichever of the two that is. One long
sequence is swept from both ends to its middle; where the sweeps have met, each goes on over the messages that
the other one left, and puts the marginals in their place.
"""

import numpy as np

from msgpass.kernels.runtime import jit

FAST = {"contract", "reassoc", "nsz"}  # infinities and NaN are looked at, so no assumptions about them


@jit(fastmath=FAST)
def evidence_at(evidence, rows, groups, final, t, last, local):
    """Local potentials of all states at step t; the final ones come in at the last step."""
    row = evidence[rows[t] if rows.size else t]
    if groups.size:
        for s in range(local.size):
            local[s] = row[groups[s]]
    else:
        for s in range(local.size):
            local[s] = row[s]
    if last:
        for s in range(local.size):
            local[s] *= final[s]


@jit
def table_at(values, order, pair, own):
    """Entries at a pair, sorted: the shared ones as they are, or those of the step brought into order."""
    if not order.size:
        return values[0]
    row = values[pair]
    for e in range(order.size):
        own[e] = row[order[e]]
    return own


@jit(fastmath=FAST)
def forward(
    bounds, source, values, order, init, final, evidence, rows, groups, offsets, n, upto, lost, alpha, scale
):
    """a_t and s_t of the first steps of sequence n, up to row ``upto``, kept in row t modulo the rows of
    ``alpha``; False when a scale is lost.
    """
    start, stop = offsets[n], offsets[n + 1]
    states, kept = init.size, alpha.shape[0]
    local, own = np.empty(states), np.empty(order.size)
    for t in range(start, upto):
        evidence_at(evidence, rows, groups, final, t, t == stop - 1, local)
        here = alpha[t % kept]
        total = 0.0
        if t == start:
            for j in range(states):
                here[j] = init[j] * local[j]
                total += here[j]
        else:
            before = alpha[(t - 1) % kept]
            table = table_at(values, order, t - 1 - n, own)
            factor = 1.0 / scale[t - 1]
            for j in range(states):
                crossed = 0.0
                for e in range(bounds[j], bounds[j + 1]):
                    crossed += table[e] * before[source[e]]
                here[j] = crossed * (local[j] * factor)
                total += here[j]
        scale[t] = total
        if not total >= lost:
            return False
    return True


@jit(fastmath=FAST)
def backward(
    bounds, target, values, order, final, evidence, rows, groups, offsets, n, downto, lost, beta, scale
):
    """b_t and u_t of the last steps of sequence n, down to row ``downto``, kept as those of
    :func:`forward`.
    """
    stop = offsets[n + 1]
    states, kept = final.size, beta.shape[0]
    local, own = np.empty(states), np.empty(order.size)
    beta[(stop - 1) % kept] = 1.0
    scale[stop - 1] = 1.0
    for t in range(stop - 1, downto, -1):
        evidence_at(evidence, rows, groups, final, t, t == stop - 1, local)
        if not step_back(
            bounds,
            target,
            table_at(values, order, t - 1 - n, own),
            local,
            beta[t % kept],
            1.0 / scale[t],
            beta[(t - 1) % kept],
            scale,
            t - 1,
            lost,
        ):
            return False
    return True


@jit(fastmath=FAST)
def step_back(bounds, target, table, local, beta, factor, before, scale, row, lost):
    """b_{t−1} from b_t; ``local`` is used up."""
    for j in range(local.size):
        local[j] *= beta[j] * factor
    total = 0.0
    for i in range(local.size):
        crossed = 0.0
        for e in range(bounds[i], bounds[i + 1]):
            crossed += table[e] * local[target[e]]
        before[i] = crossed
        total += crossed
    scale[row] = total
    return total >= lost


@jit(fastmath=FAST)
def meet(alpha, beta, factor):
    """Σ a b, to be scaled to one."""
    total = 0.0
    for i in range(alpha.size):
        total += alpha[i] * (beta[i] * factor)
    return total


@jit(fastmath=FAST)
def collect_backward(
    bounds,
    target,
    values,
    order,
    final,
    evidence,
    rows,
    groups,
    offsets,
    n,
    last,
    beta,
    lost,
    alpha,
    scale,
    xi,
    stepped,
):
    """Marginals in the place of a_t from row ``last`` to the first, and the counts of the pairs between.

    ``beta`` is b at ``last``, with Σ a b = 1; it is used up. ``xi`` gets Σ ξ / A in the order of the entries,
    or ``stepped`` ξ of each pair in the user's order. False when the scale is lost, or what b of some state has
    lost may matter.
    """
    start, stop = offsets[n], offsets[n + 1]
    states = final.size
    local, own = np.empty(states), np.empty(order.size)
    total = marginals(alpha[last], beta)
    for t in range(last, start, -1):
        if not (total > 0.5 and total < 2.0):
            return False
        evidence_at(evidence, rows, groups, final, t, t == stop - 1, local)
        factor, peak = 1.0 / (scale[t - 1] * total), 0.0
        for j in range(states):
            peak = max(peak, beta[j])
            local[j] *= beta[j] * factor
        if not peak * lost <= 1.0:
            return False
        table = table_at(values, order, t - 1 - n, own)
        here, total = alpha[t - 1], 0.0
        if order.size:
            xi[:] = 0.0
        for i in range(states):
            weight = here[i]
            if weight == 0.0:  # nothing comes by here; β may be anything, infinite too
                beta[i] = 0.0
                continue
            crossed = 0.0
            for e in range(bounds[i], bounds[i + 1]):
                ahead = local[target[e]]
                crossed += table[e] * ahead
                xi[e] += weight * ahead
            beta[i] = crossed
            here[i] = weight * crossed
            total += here[i]
        if order.size:
            spread(xi, table, order, stepped[t - 1 - n])
    return total > 0.5 and total < 2.0


@jit(fastmath=FAST)
def collect_forward(
    bounds,
    source,
    values,
    order,
    final,
    evidence,
    rows,
    groups,
    offsets,
    n,
    first,
    before,
    lost,
    beta,
    scale,
    xi,
    stepped,
):
    """As :func:`collect_backward`: marginals in the place of b_t from row ``first`` to the last.

    ``before`` is a at the row before, with Σ a b = 1 there; it is used up.
    """
    stop = offsets[n + 1]
    states = final.size
    local, own, after = np.empty(states), np.empty(order.size), np.empty(states)
    total = 1.0
    for t in range(first, stop):
        if not (total > 0.5 and total < 2.0):
            return False
        evidence_at(evidence, rows, groups, final, t, t == stop - 1, local)
        factor, peak = 1.0 / (scale[t] * total), 0.0
        table = table_at(values, order, t - 1 - n, own)
        here, total = beta[t], 0.0
        if order.size:
            xi[:] = 0.0
        for j in range(states):
            ahead = here[j]
            scaled = local[j] * factor
            weight = scaled * ahead
            if weight == 0.0:
                after[j] = 0.0
                here[j] = 0.0
                continue
            crossed = 0.0
            for e in range(bounds[j], bounds[j + 1]):
                behind = before[source[e]]
                crossed += table[e] * behind
                xi[e] += weight * behind
            after[j] = crossed * scaled
            peak = max(peak, after[j])
            here[j] = weight * crossed
            total += here[j]
        if not peak * lost <= 1.0:
            return False
        before[:] = after
        if order.size:
            spread(xi, table, order, stepped[t - 1 - n])
    return total > 0.5 and total < 2.0


@jit
def spread(xi, table, order, out):
    """ξ of one pair in the user's order."""
    for e in range(order.size):
        out[order[e]] = xi[e] * table[e]


@jit(fastmath=FAST)
def marginals(alpha, beta):
    """α β in the place of α; their sum."""
    total = 0.0
    for i in range(alpha.size):
        alpha[i] = alpha[i] * beta[i] if alpha[i] != 0.0 else 0.0
        total += alpha[i]
    return total


@jit
def sequences(
    into, source, by_target, out_of, target, by_source, inward, outward, init, final, evidence, rows, groups,
    offsets, first, last, lost, gamma, scale, xi, stepped, failed,
):  # fmt: skip
    """Forward and back over whole sequences, one after another; a failed one may have left counts."""
    for n in range(first, last):
        if failed[n]:
            continue
        end = offsets[n + 1] - 1
        fine = forward(
            into, source, inward, by_target, init, final, evidence, rows, groups, offsets, n, end + 1, lost,
            gamma, scale,
        )  # fmt: skip
        if fine:
            beta = np.full(init.size, 1.0 / scale[end])
            fine = collect_backward(
                out_of, target, outward, by_source, final, evidence, rows, groups, offsets, n, end, beta, lost,
                gamma, scale, xi, stepped,
            )  # fmt: skip
        failed[n] = not fine


@jit
def forwards(
    into, source, by_target, inward, init, final, evidence, rows, groups, offsets, first, last, lost, scale,
    failed,
):  # fmt: skip
    """Scales of whole sequences, with two rows of messages kept."""
    alpha = np.empty((2, init.size))
    for n in range(first, last):
        failed[n] = not forward(
            into, source, inward, by_target, init, final, evidence, rows, groups, offsets, n, offsets[n + 1],
            lost, alpha, scale,
        )  # fmt: skip
