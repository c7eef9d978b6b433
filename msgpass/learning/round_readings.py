"""What messages of a round say: marginals, and Bethe's log Z, each with its VJP."""

from __future__ import annotations

import numpy as np

from msgpass.learning.message_round import Arrays, Round, onto, reduced, towards


class Readings:
    """Readings of messages over the scopes of a round."""

    def __init__(self, around: Round):
        self.around = around

    def beliefs(self, messages: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        """Marginals of all variables end to end, (Σ states,)."""
        totals = self._variable_logs(messages, weights)
        sums, zeros = self.around.sums(messages, weights)
        return np.exp(np.where(zeros > 0, -np.inf, sums - self._spread(totals)))

    def beliefs_vjp(self, inputs, cotangent: np.ndarray):
        """Cotangents of messages and weights."""
        messages, *weights = inputs
        p = self.beliefs(messages, *weights)
        at_sums = p * (cotangent - self._spread(np.add.reduceat(p * cotangent, self.around.where[:-1])))
        at_weights: Arrays = [np.zeros_like(w) for w in weights]
        self.around.local_back(at_sums, weights, at_weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            at_messages = np.where(messages > 0, at_sums[self.around.cells] / messages, 0.0)
        return (at_messages, *at_weights)

    def bethe(self, messages: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        """Σ_f log z_f − Σ_fv log z_fv + Σ_v log z_v: with n the messages to factors, z_f = Σ w Π n,
        z_fv = Σ p n, and z_v the sum of what arrives at v. Its slope by settled messages is zero.
        """
        heard = self.around.cavity(messages, weights)
        total = float(self._variable_logs(messages, weights).sum())
        for k, own in enumerate(self.around.edges):
            if len(own) > 1:
                factors, pairs = self._partitions(k, messages, heard, weights)
                total += float(np.log(factors).sum()) - sum(float(np.log(z).sum()) for z in pairs)
        return np.array(total)

    def bethe_vjp(self, inputs, cotangent):
        """Cotangents of messages and weights."""
        messages, *weights = inputs
        heard = self.around.cavity(messages, weights)
        at_heard, at_messages = np.zeros_like(messages), np.zeros_like(messages)
        at_weights: Arrays = [np.zeros_like(w) for w in weights]
        for k, own in enumerate(self.around.edges):
            if len(own) < 2:
                continue
            ins = [heard[e.place].reshape(e.cells.shape) for e in own]
            factors, pairs = self._partitions(k, messages, heard, weights)
            at_weights[k] += onto(weights[k], [ins[0] / factors, *ins[1:]])
            for a, (e, z) in enumerate(zip(own, pairs, strict=True)):
                at_messages[e.place] -= (ins[a] / z).ravel()
                said = messages[e.place].reshape(e.cells.shape)
                at_heard[e.place] += (towards(weights[k], ins, a) / factors - said / z).ravel()
        at_logs, at_sums = self.around.cavity_back(heard, at_heard)
        known = self.beliefs(messages, *weights)
        self.around.local_back(at_sums + known, weights, at_weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            at_messages += np.where(messages > 0, (at_logs + known[self.around.cells]) / messages, 0.0)
        return tuple(float(cotangent) * g for g in (at_messages, *at_weights))

    def _partitions(self, k: int, messages, heard, weights) -> tuple[np.ndarray, Arrays]:
        """(z_f, and z_fv of each argument) of a family's instances, (n, 1)."""
        own = self.around.edges[k]
        ins = [heard[e.place].reshape(e.cells.shape) for e in own]
        factors = reduced(np.add, towards(weights[k], ins, 0) * ins[0])
        pairs = [
            reduced(np.add, messages[e.place].reshape(n.shape) * n) for e, n in zip(own, ins, strict=True)
        ]
        for e, z in zip((own[0], *own), (factors, *pairs), strict=True):
            if (z <= 0).any():
                self.around.impossible(self.around.variable(e, z))
        return factors, pairs

    def _variable_logs(self, messages, weights) -> np.ndarray:
        """log z_v of every variable."""
        sums, zeros = self.around.sums(messages, weights)
        logs = np.where(zeros > 0, -np.inf, sums)
        top = np.maximum.reduceat(logs, self.around.where[:-1])
        if (top == -np.inf).any():
            self.around.impossible(int(np.argmin(top)))
        return top + np.log(np.add.reduceat(np.exp(logs - self._spread(top)), self.around.where[:-1]))

    def _spread(self, per_variable: np.ndarray) -> np.ndarray:
        return np.repeat(per_variable, np.diff(self.around.where))
