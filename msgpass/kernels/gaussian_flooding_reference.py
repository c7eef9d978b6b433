"""Gaussian loopy belief propagation in NumPy: the text to read, and the oracle of the compiled sweeps.

With K_a the factor's own Λ_a and on its diagonal what its other variables say,

    B_i        = local_i + Σ_{a∋i} m_{a→i}                 what is known about a variable
    n_{i→a}    = B_i − m_{a→i}                             what it says to a factor
    Λ_{a→i}    = Λ_ii − Λ_io K_oo⁻¹ Λ_oi                   o: the factor's other variables
    h_{a→i}    = h_i − Λ_io K_oo⁻¹ (h_o + n_o)

Weiss and Freeman 2001; Malioutov, Johnson and Willsky 2006 for when it converges. A change is measured in
standard deviations of what is then believed of the variable: |Δh|/√B and |ΔΛ|/B, beyond rounding.
"""

from __future__ import annotations

import heapq

import numpy as np

from msgpass.kernels.gaussian_flooding_types import (
    FIRST,
    GROWTH,
    SINGULAR,
    Factors,
    Failure,
    MessageArrays,
    Problem,
    Progress,
)

NOISE = 1e-14
"""Share of a message below which a change is rounding."""


class NotPositive(Exception):
    """A matrix over variables that are integrated out is not positive; ``row`` is the factor's, ``place``
    that of the variable whose message was made."""

    def __init__(self, row: int, place: int = -1):
        super().__init__("not positive")
        self.row, self.place = row, place


def totals(problem: Problem, messages: MessageArrays) -> tuple[np.ndarray, np.ndarray]:
    """(h, precision) of all beliefs, laid end to end."""
    h, precision = problem.h.copy(), problem.precision.copy()
    for group, (own_h, own_p) in zip(problem.groups, messages.of(problem), strict=True):
        at_h, at_p = problem.places(group)
        h += np.bincount(at_h.ravel(), own_h.ravel(), len(h))
        precision += np.bincount(at_p.ravel(), own_p.ravel(), len(precision))
    return h, precision


def carried(precision: np.ndarray, h: np.ndarray, rest: np.ndarray, keep: np.ndarray):
    """What a stack loses at the cells ``keep`` when ``rest`` are integrated out: (h, precision)."""
    inner, across = precision[:, rest[:, None], rest], precision[:, rest[:, None], keep]
    scale = np.einsum("nii->ni", inner)
    if not (scale > 0).all():
        raise NotPositive(int(np.argmin((scale > 0).all(axis=1))))
    try:
        L = np.linalg.cholesky(inner)
    except np.linalg.LinAlgError:
        unit = 1 / np.sqrt(scale)
        least = np.linalg.eigvalsh(inner * unit[:, :, None] * unit[:, None, :])[:, 0]
        raise NotPositive(int(np.argmin(least))) from None
    low = np.einsum("nii->ni", L) ** 2 <= SINGULAR * scale
    if low.any():
        raise NotPositive(int(np.argmax(low.any(axis=1))))
    back = np.swapaxes(across, -1, -2) @ np.linalg.solve(
        inner, np.concatenate([across, h[:, rest, None]], axis=-1)
    )
    return back[..., -1], (back[..., :-1] + np.swapaxes(back[..., :-1], -1, -2)) / 2


def of_pairs(group: Factors, said_h: np.ndarray, said_p: np.ndarray, chosen):
    """Messages of factors over two scalars, (n, 2) and (n, 2)."""
    a, c, _, h, k, det, u, v = group.pairs[group.table[chosen]].T
    b = group.pairs[group.table[chosen], 2]
    low = np.stack([c + said_p[:, 1], a + said_p[:, 0]], axis=1)
    bad = ~(low > SINGULAR * np.abs(np.stack([c, a], axis=1)))
    if bad.any():
        raise NotPositive(*(int(k) for k in np.argwhere(bad)[0]))
    new_p = np.stack([det + a * said_p[:, 1], det + c * said_p[:, 0]], axis=1) / low
    new_h = np.stack(
        [u + h * said_p[:, 1] - b * said_h[:, 1], v + k * said_p[:, 0] - b * said_h[:, 0]], axis=1
    )
    return new_h / low, new_p


def crossed(group: Factors, said_h: np.ndarray, said_p: np.ndarray, chosen=slice(None)):
    """New messages of factors from what their variables say, in the layout of the messages."""
    if group.sizes == (1, 1):
        return of_pairs(group, said_h, said_p, chosen)
    table = group.table[chosen]
    width = group.widths[0]
    whole, h = group.precision[table].copy(), group.h[table] + said_h
    for own, block, size in zip(group.columns, group.blocks, group.sizes, strict=True):
        whole[:, own, own] += said_p[:, block].reshape(-1, size, size)
    new_h, new_p = np.empty_like(said_h), np.empty_like(said_p)
    cells = np.arange(width)
    for place, (own, block) in enumerate(zip(group.columns, group.blocks, strict=True)):
        keep = cells[own]
        try:
            lost_h, lost_p = carried(whole, h, np.setdiff1d(cells, keep), keep)
        except NotPositive as problem:
            raise NotPositive(problem.row, place) from None
        new_h[:, own] = group.h[table][:, own] - lost_h
        new_p[:, block] = (group.precision[table][:, own, own] - lost_p).reshape(len(h), -1)
    return new_h, new_p


def moved(group: Factors, new, old, said) -> np.ndarray:
    """By how much each message changes, (n, k); NaN where what would be believed is not positive."""
    found = np.empty((len(new[0]), len(group.sizes)))
    for p, (own, block, size) in enumerate(zip(group.columns, group.blocks, group.sizes, strict=True)):
        precision = (said[1][:, block] + new[1][:, block]).reshape(-1, size, size)
        diagonal = np.einsum("nii->ni", precision)
        with np.errstate(invalid="ignore", divide="ignore"):
            unit = 1 / np.sqrt(diagonal)
            shift = beyond_rounding(new[0][:, own], old[0][:, own], said[0][:, own]) * unit
            spread = beyond_rounding(new[1][:, block], old[1][:, block], said[1][:, block])
            spread = spread.reshape(-1, size, size) * unit[:, :, None] * unit[:, None, :]
        found[:, p] = np.maximum(shift.max(axis=1), spread.max(axis=(1, 2)))
    return found


def beyond_rounding(new: np.ndarray, old: np.ndarray, said: np.ndarray) -> np.ndarray:
    """|new − old|, 0 where it is rounding of what the belief is made of."""
    change = np.abs(new - old)
    return np.where(change > NOISE * (np.abs(new) + np.abs(said)), change, 0.0)


def run(problem: Problem, order: str, damping: float, tol: float, max_iter: int, start: MessageArrays):
    """Pass messages until none changes by more than ``tol``.

    Parameters
    ----------
    problem : Problem
    order : "flood", "sequential" or "residual"
    damping, tol : float
    max_iter : int
        Sweeps; under "residual" as many messages as so many sweeps have.
    start : MessageArrays
        Messages to begin with; not changed.

    Returns
    -------
    messages : MessageArrays
    progress : Progress
    """
    state = _State(problem, start.copy(), damping)
    with np.errstate(over="ignore", invalid="ignore"):
        progress = (_residual if order == "residual" else _sweeps)(state, order, tol, max_iter)
    return state.messages, progress


class _State:
    """Messages as they are now."""

    def __init__(self, problem: Problem, messages: MessageArrays, damping: float):
        self.problem, self.messages, self.damping = problem, messages, damping
        self.views = messages.of(problem)
        self.places = [problem.places(g) for g in problem.groups]

    def totals(self):
        return totals(self.problem, self.messages)

    def proposed(self, g: int, chosen: slice, beliefs):
        """(new h, new precision, changes) of factors of a group, or the failure of one."""
        group, (h, p), (at_h, at_p) = self.problem.groups[g], self.views[g], self.places[g]
        old = h[chosen], p[chosen]
        said = beliefs[0][at_h[chosen]] - old[0], beliefs[1][at_p[chosen]] - old[1]
        try:
            new = crossed(group, *said, chosen)
        except NotPositive as problem:
            return Failure(int(group.scopes[chosen][problem.row, problem.place]), "not positive")
        change = moved(group, new, old, said)
        if np.isnan(change).any():
            row, place = np.argwhere(np.isnan(change))[0]
            finite = all(np.isfinite(array[row]).all() for array in new)
            what = "not positive" if finite else "diverged"
            return Failure(int(group.scopes[chosen][row, place]), what)
        share = self.damping
        new = tuple(share * o + (1 - share) * n for n, o in zip(new, old, strict=True)) if share else new
        return *new, change

    def flood(self):
        """All messages from those of the sweep before: the largest change."""
        beliefs, largest = self.totals(), 0.0
        made = [self.proposed(g, slice(None), beliefs) for g in range(len(self.views))]
        for found, (h, p) in zip(made, self.views, strict=True):
            if isinstance(found, Failure):
                return found
            h[:], p[:] = found[:2]
            largest = max(largest, float(found[2].max(initial=0.0)))
        return largest

    def sequential(self, backward: bool):
        """One factor after another, every other sweep in the opposite order: the largest change."""
        units = [(g, j) for g, group in enumerate(self.problem.groups) for j in range(len(group))]
        largest = 0.0
        for g, j in reversed(units) if backward else units:
            found = self.proposed(g, slice(j, j + 1), self.totals())
            if isinstance(found, Failure):
                return found
            self.views[g][0][j], self.views[g][1][j] = found[0][0], found[1][0]
            largest = max(largest, float(found[2].max()))
        return largest


def _sweeps(state: _State, order: str, tol: float, max_iter: int) -> Progress:
    history: list[float] = []
    count = state.problem.messages
    for sweep in range(max_iter):
        found = state.flood() if order == "flood" else state.sequential(sweep % 2 == 1)
        if isinstance(found, Failure):
            return Progress(np.array(history), count * len(history), False, found)
        history.append(found)
        if found <= tol:
            return Progress(np.array(history), count * len(history), True)
        if diverging(history):
            return Progress(np.array(history), count * len(history), False, Failure(-1, "diverged"))
    return Progress(np.array(history), count * len(history), False)


def diverging(history: list[float]) -> bool:
    """The last change is far beyond all of the first sweeps."""
    return not history[-1] <= GROWTH * max(history[:FIRST])


def _residual(state: _State, _order: str, tol: float, max_iter: int) -> Progress:
    """The message that would change most first (Elidan, McGraw and Koller 2006)."""
    problem = state.problem
    touching: dict[int, list[tuple[int, int]]] = {}
    for g, group in enumerate(problem.groups):
        for j, scope in enumerate(group.scopes.tolist()):
            for v in scope:
                touching.setdefault(v, []).append((g, j))
    pending: dict[tuple[int, int, int], tuple] = {}
    heap: list[tuple[float, tuple[int, int, int]]] = []

    def look(g: int, j: int, beliefs, but: int = -1):
        """Messages of a factor to all its variables but one."""
        found = state.proposed(g, slice(j, j + 1), beliefs)
        if isinstance(found, Failure):
            return found
        group = problem.groups[g]
        for p, (own, block) in enumerate(zip(group.columns, group.blocks, strict=True)):
            if group.scopes[j, p] != but:
                pending[g, j, p] = float(found[2][0, p]), found[0][0, own], found[1][0, block]
                heapq.heappush(heap, (-pending[g, j, p][0], (g, j, p)))
        return None

    history: list[float] = []
    updates, most = 0, max_iter * problem.messages
    todo = [(g, j, -1) for g, group in enumerate(problem.groups) for j in range(len(group))]
    while True:
        beliefs = state.totals()
        for g, j, but in todo:
            failure = look(g, j, beliefs, but)
            if failure is not None:
                return Progress(np.array(history), updates, False, failure)
        while heap and -heap[0][0] != pending[heap[0][1]][0]:
            heapq.heappop(heap)
        largest = -heap[0][0] if heap else 0.0
        done = largest <= tol or updates >= most
        if done or updates % problem.messages == 0:
            history.append(largest)
            if not done and diverging(history):
                return Progress(np.array(history), updates, False, Failure(-1, "diverged"))
        if done:
            return Progress(np.array(history), updates, largest <= tol)
        g, j, p = heapq.heappop(heap)[1]
        group = problem.groups[g]
        _, h, precision = pending[g, j, p]
        state.views[g][0][j, group.columns[p]], state.views[g][1][j, group.blocks[p]] = h, precision
        pending[g, j, p] = 0.0, h, precision
        updates += 1
        v = int(group.scopes[j, p])
        todo = [(a, b, v) for a, b in touching[v] if (a, b) != (g, j)]
        if state.damping:
            todo.append((g, j, -1))
