"""``Equal`` and ``Potts``: variables of any number of states that agree, or are rewarded for it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from msgpass.errors import GraphError
from msgpass.kernels import structured_reference as reference
from msgpass.potentials.structured.base import Parts, Structured, check_shape, log, part_of


class Equal(Structured):
    """All variables are in one state.

    Examples
    --------
    >>> m = np.log([[[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]])
    >>> np.exp(Equal().log_messages(m)[0, 1]).round(2).tolist()
    [0.18, 0.08]
    """

    binary = False

    def links(self, arity: int, parts: Parts, states: int = 2) -> list[np.ndarray]:
        """Hidden: the state of all so far."""
        same = log(np.eye(states))
        middle = np.full((1, states, states, states), -np.inf)
        middle[0, np.arange(states), np.arange(states), np.arange(states)] = 0.0
        return [same[None, None], *[middle] * (arity - 2), same[None, :, :, None]]

    def log_weight(self, states, parts) -> np.ndarray:
        """0 where all are in one state, else −∞."""
        return log((states == states[..., :1]).all(axis=-1))

    def compiled_messages(self, incoming, maximise, parts) -> np.ndarray:
        """NumPy's passes over whole arrays are as quick."""
        return self.reference_messages(incoming, maximise, parts)

    def reference_messages(self, incoming, maximise, parts) -> np.ndarray:
        """What all others say."""
        n, arity, states = incoming.shape
        along = np.swapaxes(incoming, 1, 2).reshape(-1, arity)
        return np.swapaxes(reference.leave_one_out(along).reshape(n, states, arity), 1, 2)

    def log_partition(self, incoming, maximise=False, parts=None) -> np.ndarray:
        """⊕ over the common state."""
        return reference.reduce(np.asarray(incoming, float).sum(axis=1), (1,), maximise)


class Potts(Structured):
    """log f(x, y) = strength where x = y, else 0: two variables of many states, messages in O(K).

    Parameters
    ----------
    strength : float, array or Parameter, () or (instances,)
        −∞ forbids agreement.

    Examples
    --------
    >>> m = np.log([[[0.7, 0.2, 0.1], [1, 1, 1]]])
    >>> np.exp(Potts(np.log(3)).log_messages(m)[0, 1]).round(2).tolist()  # 1 + 2·.7, 1 + 2·.2, 1 + 2·.1
    [2.4, 1.4, 1.2]
    """

    binary = False
    axes: ClassVar = {"strength": 0}

    def __init__(self, strength):
        self.parts = {"strength": part_of("a Potts strength", strength, allow_minus_inf=True)}

    def check_parts(self, factor) -> None:
        """Two variables, one strength."""
        if len(factor.args) != 2:
            raise GraphError(
                f"factor {factor.name!r}: Potts relates two variables, got {len(factor.args)}; use Equal, or "
                "one Potts a pair"
            )
        check_shape(factor, "strength", self.parts["strength"], ())

    def links(self, arity: int, parts: Parts, states: int = 2) -> list[np.ndarray]:
        """Hidden: the first variable's state."""
        strength = parts["strength"][:, None, None]
        table = np.where(np.eye(states, dtype=bool), strength, 0.0)
        return [log(np.eye(states))[None, None], table[..., None]]

    def log_weight(self, states, parts) -> np.ndarray:
        """The strength where both agree."""
        return np.where(states[..., 0] == states[..., 1], parts["strength"][:, None], 0.0)

    def compiled_messages(self, incoming, maximise, parts) -> np.ndarray:
        """NumPy's passes over whole arrays are as quick."""
        return self.reference_messages(incoming, maximise, parts)

    def reference_messages(self, incoming, maximise, parts) -> np.ndarray:
        """The strength for agreement, or ⊕ over all other states."""
        crossed = incoming[:, ::-1]
        agree, differ = crossed + parts["strength"][:, None, None], others(crossed, maximise)
        return np.maximum(agree, differ) if maximise else np.logaddexp(agree, differ)

    def log_partition(self, incoming, maximise=False, parts=None) -> np.ndarray:
        """⊕ over the second variable."""
        incoming, parts = np.asarray(incoming, float), self.arrays() if parts is None else parts
        out = self.reference_messages(incoming, maximise, parts)
        return reference.reduce(incoming[:, 1] + out[:, 1], (1,), maximise)

    def gradients(self, incoming, parts) -> Parts:
        """Probability that both agree."""
        agree = reference.reduce(np.asarray(incoming, float).sum(axis=1), (1,), False) + parts["strength"]
        return {"strength": np.exp(agree - self.log_partition(incoming, False, parts))}

    def gradients_at(self, states, parts) -> Parts:
        """One where both agree."""
        return {"strength": (states[..., 0] == states[..., 1]) * 1.0}


def others(logs: np.ndarray, maximise: bool) -> np.ndarray:
    """⊕ over the last axis without each entry, from both ends."""
    ufunc = np.maximum if maximise else np.logaddexp
    edge = np.full((*logs.shape[:-1], 1), -np.inf)
    before = np.concatenate([edge, ufunc.accumulate(logs[..., :-1], axis=-1)], axis=-1)
    after = np.concatenate([ufunc.accumulate(logs[..., :0:-1], axis=-1)[..., ::-1], edge], axis=-1)
    return ufunc(before, after)
