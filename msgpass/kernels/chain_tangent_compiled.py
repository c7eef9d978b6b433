"""The recursions of :mod:`~msgpass.kernels.chain_tangent_reference`, compiled; they agree to rounding."""

from msgpass.kernels.runtime import jit


@jit(_nrt=False)
def ahead(first, before, init_dot, tables_dot, evidence_dot, gamma, start, moved, mean):
    """α̇ forward; arguments as in the reference."""
    states = init_dot.size
    for k in range(before.shape[0]):
        t = start + k
        base = 0.0
        if first[t]:
            for j in range(states):
                moved[t, j] = init_dot[j] + evidence_dot[t, j]
        else:
            table = tables_dot[0 if tables_dot.shape[0] == 1 else k]
            base = mean[t - 1]
            for j in range(states):
                moved[t, j] = evidence_dot[t, j]
            for i in range(states):
                carried = moved[t - 1, i]
                for j in range(states):
                    moved[t, j] += before[k, i, j] * (table[i, j] + carried)
        middle = 0.0
        for j in range(states):
            middle += gamma[t, j] * moved[t, j]
        for j in range(states):
            moved[t, j] -= middle
        mean[t] = base + middle


@jit(_nrt=False)
def behind(first, after, tables_dot, evidence_dot, gamma, start, moved_ahead, moved, mean, xi, xi_dot):
    """β̇ backward and pair counts; arguments as in the reference."""
    states = gamma.shape[1]
    for k in range(after.shape[0] - 1, -1, -1):
        t = start + k
        if first[t]:
            continue
        table = tables_dot[0 if tables_dot.shape[0] == 1 else k]
        place = 0 if xi.shape[0] == 1 else k
        middle = 0.0
        both = 0.0
        for i in range(states):
            total = 0.0
            for j in range(states):
                total += after[k, i, j] * (table[i, j] + (evidence_dot[t, j] + moved[t, j]))
            moved[t - 1, i] = total
            middle += gamma[t - 1, i] * total
            both += gamma[t - 1, i] * (total + moved_ahead[t - 1, i])
        for i in range(states):
            weight = gamma[t - 1, i]
            rest = moved_ahead[t - 1, i] - both
            for j in range(states):
                joint = weight * after[k, i, j]
                xi[place, i, j] += joint
                xi_dot[place, i, j] += joint * (table[i, j] + (evidence_dot[t, j] + moved[t, j]) + rest)
        for i in range(states):
            moved[t - 1, i] -= middle
        mean[t - 1] = mean[t] + middle
