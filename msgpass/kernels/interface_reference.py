"""Messages from slice to slice in NumPy, in logarithms, for any reduction over states.

With ψ_c the sum of what clique c multiplies (log tables of factors and messages of earlier cliques) and ⊕ the
reduction over its residual,

    forward     up_c[s]    = ⊕_r ψ_c[r, s]
    backward    down_i[k]  = ⊕_{entries that meet k} (ψ_c − the input i itself + down_c)     for a message i
    belief      b_c[r, s]  = ψ_c[r, s] + down_c[s]

Messages are shifted so that their largest entry is 0; what is taken out of ``up`` is added up by slice in
``scale``. Murphy 2002, §3.2; the cliques are those of bucket elimination.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.kernels.interface_types import Programs, Slices, Tables, number_of, settle


class InterfaceReference:
    """One sweep.

    Parameters
    ----------
    programs, slices : Programs, Slices
    tables : Tables
        In logarithms.
    batch : int
        Members of an aligned batch.
    reduce : callable (logs, axes) → logs
    """

    def __init__(self, programs: Programs, slices: Slices, tables: Tables, batch: int, reduce: Callable):
        self.p, self.s, self.t, self.batch, self.reduce = programs, slices, tables, batch, reduce
        self.rows = len(slices.program)
        self.up, self.scale = self.collect()
        self._down: np.ndarray | None = None

    def collect(self) -> tuple[np.ndarray, np.ndarray]:
        """(messages (B, …), what was taken out of each slice (B, N))."""
        p, s = self.p, self.s
        up, scale = np.zeros((self.batch, int(s.block[-1]))), self.t.scale.copy()
        for t in range(self.rows):
            for c in self.cliques(t):
                message = self.reduce(self.inside(t, c, up), (-2,))
                top = self.reduce(message, (-1,))
                scale[:, t] += top  # −∞ from the first impossible slice of a part on
                at = int(s.block[t] + p.message[c])
                up[:, at : at + p.separator[c]] = message - finite(top)[:, None]
        return up, scale

    def cliques(self, t: int) -> range:
        """Those of a slice."""
        k = self.s.program[t]
        return range(int(self.p.cliques[k]), int(self.p.cliques[k + 1]))

    def input(self, t: int, i: int, up: np.ndarray) -> np.ndarray:
        """What input i holds for slice t, over the clique, (B, entries)."""
        p, s, tables = self.p, self.s, self.t
        f, place, size = int(p.family[i]), int(p.place[i]), int(p.size[i])
        if f < 0:
            at = int(s.block[t]) + place
            return up[:, at : at + size]
        j = int(s.instances[s.first[t] + place])
        at = int(tables.base[f]) + j * int(tables.step[f])
        members = np.arange(self.batch)[:, None] * int(tables.stride[f])
        return tables.entries[at + members + np.arange(size)]

    def met(self, at: int, c: int) -> np.ndarray:
        """Entries of an input that each entry of clique c meets."""
        return self.p.maps[at : at + int(self.p.residual[c] * self.p.separator[c])]

    def inside(self, t: int, c: int, up: np.ndarray, without: int = -1) -> np.ndarray:
        """Everything that clique c multiplies, but for one input, (B, R, S)."""
        p = self.p
        total = np.zeros((self.batch, int(p.residual[c] * p.separator[c])))
        for i in range(int(p.inputs[c]), int(p.inputs[c + 1])):
            if i != without:
                total = total + self.input(t, i, up)[:, self.met(int(p.map[i]), c)]
        return total.reshape(self.batch, int(p.residual[c]), int(p.separator[c]))

    @property
    def down(self) -> np.ndarray:
        """What later cliques and slices say to each message."""
        if self._down is None:
            self._down = self.distribute()
        return self._down

    def distribute(self, local: bool = False) -> np.ndarray:
        """Last slice to first; ``local``: each slice without what later ones say."""
        p, s = self.p, self.s
        down = np.zeros_like(self.up)
        for t in range(self.rows - 1, -1, -1):
            for c in reversed(self.cliques(t)):
                own = self.own(t, c, down)
                for i in range(int(p.inputs[c]), int(p.inputs[c + 1])):
                    if p.family[i] >= 0 or (local and p.place[i] < 0):
                        continue
                    logs = self.inside(t, c, self.up, without=i) + own
                    message = self.gathered(logs.reshape(self.batch, -1), int(p.map[i]), int(p.size[i]), c)
                    at = int(s.block[t] + p.place[i])
                    down[:, at : at + p.size[i]] = message - finite(self.reduce(message, (-1,)))[:, None]
        return down

    def own(self, t: int, c: int, down: np.ndarray) -> np.ndarray:
        """What is said to clique c's message, (B, 1, S)."""
        at = int(self.s.block[t] + self.p.message[c])
        return down[:, None, at : at + int(self.p.separator[c])]

    def gathered(self, logs: np.ndarray, at: int, size: int, c: int) -> np.ndarray:
        """⊕ of the entries (B, entries) that meet each entry of an input, (B, size)."""
        met = self.met(at, c)
        order = np.argsort(met, kind="stable")
        counts = np.bincount(met, minlength=size)
        if counts.min(initial=0) == counts.max(initial=0) > 0:
            return self.reduce(logs[:, order].reshape(len(logs), size, -1), (-1,))
        found = np.full((len(logs), size), -np.inf)  # a diagonal: entries off it are met by nothing
        for k in np.flatnonzero(counts):
            found[:, k] = self.reduce(logs[:, met == k], (-1,))
        return found

    def read(self, sink: int, count: int, local: bool = False) -> np.ndarray:
        """Log beliefs of a family's instances, or of a node's rows, (B, count, entries), normalised by ⊕."""
        p, s = self.p, self.s
        down = self.distribute(local=True) if local else self.down
        wanted = np.flatnonzero(p.sink == sink)
        size = int(p.sink_size[wanted[0]]) if len(wanted) else 0
        found = np.full((self.batch, count, size), -np.inf)
        for k in wanted.tolist():
            c = int(np.searchsorted(p.sinks, k, side="right")) - 1
            program = int(np.searchsorted(p.cliques, c, side="right")) - 1
            for t in np.flatnonzero(s.program == program).tolist():
                logs = self.inside(t, c, self.up) + self.own(t, c, down)
                own = self.gathered(logs.reshape(self.batch, -1), int(p.sink_map[k]), size, c)
                place = int(p.sink_place[k])
                row = min(t, count - 1) if place < 0 else int(s.instances[s.first[t] + place])
                found[:, row if count > 1 else 0] = own - finite(self.reduce(own, (-1,)))[:, None]
        return found

    # -- whole assignments -----------------------------------------------------------------------------

    def variables(self, t: int, c: int, firsts: np.ndarray) -> np.ndarray:
        """Numbers of the variables of clique c at slice t, residual first."""
        at = slice(int(self.p.variables[c]), int(self.p.variables[c + 1]))
        lag = self.p.lag[at]
        return firsts[self.p.node[at]] + np.where(lag < 0, 0, t - lag)

    def scores(self, t: int, c: int, states: np.ndarray, firsts: np.ndarray) -> np.ndarray:
        """Log scores of the residual's states given what is decided, (B, draws, R)."""
        p = self.p
        of, n = self.variables(t, c, firsts), int(p.decided[c])
        sizes = p.states[int(p.variables[c]) : int(p.variables[c + 1])][n:].tolist()
        at = np.ravel_multi_index(tuple(np.moveaxis(states[..., of[n:]], -1, 0)), sizes) if sizes else 0
        logs = self.inside(t, c, self.up)
        if not sizes:
            return np.broadcast_to(logs[:, None, :, 0], (*states.shape[:2], logs.shape[1]))
        return np.take_along_axis(np.swapaxes(logs, 1, 2), at[..., None], axis=1)

    def decide(self, states: np.ndarray, firsts: np.ndarray, draws: np.ndarray | None = None) -> None:
        """Fill in states (B, n, variables) from the last slice to the first: the best ones, the lowest of
        equals, or draws, by uniform numbers (B, n, all cliques).
        """
        for number in range(int(self.s.number[-1]) - 1, -1, -1):
            t, c = number_of(self.p, self.s, number)
            if self.p.decided[c]:
                scores = self.scores(t, c, states, firsts)
                chosen = scores.argmax(axis=-1) if draws is None else _pick(scores, draws[..., number])
                self.settle(states, firsts, number, chosen)

    def settle(self, states: np.ndarray, firsts: np.ndarray, number: int, chosen) -> None:
        """Write the states that number ``chosen`` of a residual stands for."""
        settle(self.p, self.s, states, firsts, number, chosen)

    def complete(self, states: np.ndarray, firsts: np.ndarray, b: int, first: int, last: int) -> None:
        """The best states (variables,) of what cliques first ≤ number < last decide, given later ones."""
        for number, scores in self._scored(states, firsts, b, first, last):
            self.settle(states, firsts, number, scores.argmax())

    def losses(self, states: np.ndarray, firsts: np.ndarray, b: int, first: int, last: int) -> np.ndarray:
        """What every other state of each residual gives away, from the last clique to the first."""
        found = [np.zeros(0)]
        for number, scores in self._scored(states, firsts, b, first, last):
            t, c = number_of(self.p, self.s, number)
            n = int(self.p.decided[c])
            sizes = self.p.states[int(self.p.variables[c]) :][:n].tolist()
            own = int(np.ravel_multi_index(states[self.variables(t, c, firsts)[:n]].tolist(), sizes))
            found.append(scores[own] - scores)
            found[-1][own] = np.inf
        return np.concatenate(found)

    def _scored(self, states, firsts, b, first, last):
        for number in range(last - 1, first - 1, -1):
            t, c = number_of(self.p, self.s, number)
            if self.p.decided[c]:
                each = np.broadcast_to(states, (self.batch, 1, len(states)))
                yield number, self.scores(t, c, each, firsts)[b, 0]


def finite(logs: np.ndarray) -> np.ndarray:
    """0 in place of −∞."""
    return np.where(np.isfinite(logs), logs, 0.0)


def _pick(logs: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The state at which cumulated probabilities pass u."""
    weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
    sums = np.cumsum(weights, axis=-1)
    passed = sums <= (u * sums[..., -1])[..., None]
    return np.minimum(passed.sum(axis=-1), logs.shape[-1] - 1)
