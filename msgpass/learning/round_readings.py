"""What messages of a round say: marginals, and Bethe's log Z, each with its VJP."""

from __future__ import annotations

import numpy as np

from msgpass.learning.message_round import Arrays, Round, onto, reduced, towards, weights


class Readings:
    """Readings of messages over the scopes of a round."""

    def __init__(self, around: Round):
        self.around = around

    def beliefs(self, messages: np.ndarray, *tables: np.ndarray) -> np.ndarray:
        """Marginals of all variables end to end, (Σ states,)."""
        totals = self._variable_logs(messages, tables)
        sums, zeros = self.around.sums(messages, tables)
        return np.exp(np.where(zeros > 0, -np.inf, sums - self._spread(totals)))

    def beliefs_vjp(self, inputs, cotangent: np.ndarray):
        """Cotangents of messages and tables."""
        messages, *tables = inputs
        p = self.beliefs(messages, *tables)
        at_sums = p * (cotangent - self._spread(np.add.reduceat(p * cotangent, self.around.where[:-1])))
        at_tables: Arrays = [np.zeros_like(t) for t in tables]
        self.around.local_back(at_sums, tables, at_tables)
        return (np.where(messages > 0, 0.0, at_sums[self.around.cells]), *at_tables)

    def bethe(self, messages: np.ndarray, *tables: np.ndarray) -> np.ndarray:
        """Σ_f log z_f − Σ_fv log z_fv + Σ_v log z_v: with n the messages to factors and p those from them,
        z_f = Σ w Π n, z_fv = Σ p n, and z_v the sum of what arrives at v. Its slope by settled messages is
        zero.
        """
        heard = self.around.cavity(messages, tables)
        total = float(self._variable_logs(messages, tables).sum())
        for k, own in enumerate(self.around.edges):
            if len(own) > 1:
                factors, pairs = self._partitions(k, messages, heard, tables)
                total += float(np.log(factors).sum()) - sum(float(np.log(z).sum()) for z in pairs)
        return np.array(total)

    def bethe_vjp(self, inputs, cotangent):
        """Cotangents of messages and tables."""
        messages, *tables = inputs
        heard = self.around.cavity(messages, tables)
        at_heard, at_messages = np.zeros_like(messages), np.zeros_like(messages)
        at_tables: Arrays = [np.zeros_like(t) for t in tables]
        for k, own in enumerate(self.around.edges):
            if len(own) < 2:
                continue
            w, ins = weights(tables[k]), self.around.ins(own, heard)
            factors, pairs = self._partitions(k, messages, heard, tables)
            at_tables[k] += w * onto(w, [ins[0] / factors, *ins[1:]])
            for a, (e, z) in enumerate(zip(own, pairs, strict=True)):
                said = weights(messages[e.place].reshape(e.cells.shape))
                at_messages[e.place] -= (said * ins[a] / z).ravel()
                at_heard[e.place] += (towards(w, ins, a) / factors - said / z).ravel()
        at_logs, at_sums = self.around.cavity_back(heard, at_heard)
        known = self.beliefs(messages, *tables)
        self.around.local_back(at_sums + known, tables, at_tables)
        at_messages += np.where(messages > 0, 0.0, at_logs + known[self.around.cells])
        return tuple(float(cotangent) * g for g in (at_messages, *at_tables))

    def _partitions(self, k: int, messages, heard, tables) -> tuple[np.ndarray, Arrays]:
        """(z_f, and z_fv of each argument) of a family's instances, (n, 1)."""
        own = self.around.edges[k]
        ins = self.around.ins(own, heard)
        factors = reduced(np.add, towards(weights(tables[k]), ins, 0) * ins[0])
        said = [weights(messages[e.place].reshape(n.shape)) for e, n in zip(own, ins, strict=True)]
        pairs = [reduced(np.add, p * n) for p, n in zip(said, ins, strict=True)]
        for e, z in zip((own[0], *own), (factors, *pairs), strict=True):
            if (z <= 0).any():
                self.around.impossible(self.around.variable(e, z))
        return factors, pairs

    def _variable_logs(self, messages, tables) -> np.ndarray:
        """log z_v of every variable."""
        sums, zeros = self.around.sums(messages, tables)
        logs = np.where(zeros > 0, -np.inf, sums)
        top = np.maximum.reduceat(logs, self.around.where[:-1])
        if (top == -np.inf).any():
            self.around.impossible(int(np.argmin(top)))
        return top + np.log(np.add.reduceat(np.exp(logs - self._spread(top)), self.around.where[:-1]))

    def _spread(self, per_variable: np.ndarray) -> np.ndarray:
        return np.repeat(per_variable, np.diff(self.around.where))
