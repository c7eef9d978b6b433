"""``NoisyOr``: causes that may each fail to have their effect."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.kernels import structured_reference as reference
from msgpass.potentials.structured.base import (
    Parts,
    Structured,
    check_probabilities,
    check_shape,
    log,
    log_not,
    part_of,
)


class NoisyOr(Structured):
    """P(out = 0 | x) = (1 − leak) Π_i (1 − links_i)^{x_i}, the last variable being the outcome.

    The diagnosis networks of QMR-DT (Shwe et al. 1991): a disease i that is there shows in the finding with
    probability ``links[i]``, and the finding is there for no known reason with probability ``leak``.

    Parameters
    ----------
    links : array or Parameter, (d,) for d causes, or (instances, d); a number is shared by all
    leak : float, array or Parameter, () or (instances,)

    Notes
    -----
    Linear time under sum-product. Under max-product the best x is a knapsack, so that messages come from the
    table, up to 20 variables.

    Examples
    --------
    >>> flu, cold = [0.9, 0.1], [0.5, 0.5]
    >>> m = np.log([[flu, cold, [1, 1]]])
    >>> np.exp(NoisyOr([0.8, 0.5], leak=0.1).log_messages(m)[0, 2]).round(3).tolist()
    [0.621, 0.379]
    """

    deterministic = False
    axes: ClassVar = {"links": 1, "leak": 0}
    way_out = "NoisyOr under max-product is a knapsack: use SumProduct(), or fewer causes"

    def __init__(self, links, leak=0.0):
        self.parts = {
            "links": part_of("link probabilities", links),
            "leak": part_of("leak probabilities", leak),
        }
        self.arrays()

    def check_parts(self, factor) -> None:
        """One link a cause."""
        wanted = () if self.parts["links"].shape == () else (len(factor.args) - 1,)
        check_shape(factor, "links", self.parts["links"], wanted)
        check_shape(factor, "leak", self.parts["leak"], ())

    def check_value(self, role, array, name) -> None:
        """Probabilities."""
        check_probabilities(f"NoisyOr: {role}", array, name)

    def links(self, arity: int, parts: Parts, states: int = 2) -> list[np.ndarray]:
        """Hidden: whether a cause, or the leak, has had its effect."""
        on, leak, chain = _spread(parts["links"], arity - 1), parts["leak"], []
        for i in range(arity - 1):
            link = np.zeros((len(on), 2, 2, 2))
            link[:, 0, 0, 0] = link[:, 1, :, 1] = 1.0
            link[:, 0, 1, 0], link[:, 0, 1, 1] = 1 - on[:, i], on[:, i]
            if i == 0:
                link = ((1 - leak)[:, None, None] * link[:, 0] + leak[:, None, None] * link[:, 1])[:, None]
            chain.append(log(link))
        return [*chain, log(np.eye(2))[None, :, :, None]]

    def log_weight(self, states, parts) -> np.ndarray:
        """log P(out | causes)."""
        off = log_not(parts["leak"])[:, None] + _inhibition(states, parts).sum(axis=-1)
        with np.errstate(divide="ignore"):
            return np.where(states[..., -1] == 1, np.log(-np.expm1(off)), off)

    def gradients(self, incoming, parts) -> Parts:
        """∂Z/∂links_i = (m_out(1) − m_out(0)) m_i(1) (1 − leak) Π_{j≠i} (m_j(0) + (1 − links_j) m_j(1))."""
        incoming = np.asarray(incoming, float)
        causes, out = incoming[:, :-1], incoming[:, -1]
        stay, kept = log_not(_spread(parts["links"], causes.shape[1])), log_not(parts["leak"])
        quiet = np.logaddexp(causes[..., 0], stay + causes[..., 1])
        total = reference.link_partition(incoming, self.links(incoming.shape[1], parts))
        by_link = causes[..., 1] + reference.leave_one_out(quiet) + (kept - total)[:, None]
        by_leak = quiet.sum(axis=1) - total
        found = {
            "links": np.exp(by_link + out[:, 1:]) - np.exp(by_link + out[:, :1]),
            "leak": np.exp(by_leak + out[:, 1]) - np.exp(by_leak + out[:, 0]),
        }
        return _folded(found, parts)

    def link_gradients(self, i, arity, weights, parts) -> Parts:
        """Each link but the last counts how often its cause failed, and how often it had its effect."""
        n, on = len(weights), _spread(parts["links"], arity - 1)
        found = {"links": np.zeros((n, arity - 1)), "leak": np.zeros(n)}
        if i == arity - 1:
            return _folded(found, parts)
        link, leak = on[:, i], parts["leak"] if i == 0 else np.zeros(1)
        for role, values in (("links", link), ("leak", leak if i == 0 else np.full(1, 0.5))):
            if role in self.parameters and ((values == 0) | (values == 1)).any():
                raise self.certain()
        failed, had, some = weights[:, 0, 1, 0], weights[:, 0, 1, 1], 1 - (1 - link) * (1 - leak)
        found["links"][:, i] = _ratio(had * (1 - leak), some) - _ratio(failed, 1 - link)
        if i == 0:
            quiet = weights[:, 0, 0, 0] + failed
            found["leak"] += _ratio(weights[:, 0, 0, 1], leak) + _ratio(had * (1 - link), some)
            found["leak"] -= _ratio(quiet, 1 - leak)
        return _folded(found, parts)

    def certain(self) -> UnsupportedError:
        """A table does not know what stood beside a probability of 0."""
        return UnsupportedError(
            "NoisyOr: a probability of 0 or 1 has no gradient through a table. Keep parameters inside "
            "(0, 1), give fixed ones as arrays, or run with Flooding()"
        )

    def gradients_at(self, states, parts) -> Parts:
        """∂ log P(out | causes); an error where P is 0 and would not stay so."""
        value = self.log_weight(states, parts)
        kept, quiet = log_not(parts["leak"])[:, None], _inhibition(states, parts)
        rest = reference.leave_one_out(quiet.reshape(-1, quiet.shape[-1])).reshape(quiet.shape)
        links, leak = states[..., :-1] * np.exp(rest + kept[..., None]), np.exp(quiet.sum(axis=-1))
        never, sign = value == -np.inf, np.where(states[..., -1] == 1, 1.0, -1.0)
        lost = {"links": (links > 0) & never[..., None], "leak": (leak > 0) & never}
        if any(lost[role].any() for role in self.parameters or self.parts):
            raise self.certain()
        scale = sign * np.exp(-np.where(never, 0.0, value))
        return _folded({"links": links * scale[..., None], "leak": leak * scale}, parts)


def _ratio(a, b) -> np.ndarray:
    """a / b, 0 where b is."""
    a, b = np.broadcast_arrays(a, b)
    return np.divide(a, b, out=np.zeros(a.shape), where=b != 0)


def _spread(links: np.ndarray, causes: int) -> np.ndarray:
    """(n or 1, causes), a shared number being the link of all."""
    return np.broadcast_to(links if links.ndim > 1 else links[:, None], (len(links), causes))


def _inhibition(states, parts) -> np.ndarray:
    """log (1 − link_i)^{x_i}."""
    stay = log_not(_spread(parts["links"], states.shape[-1] - 1))[:, None]
    return np.where(states[..., :-1] == 1, stay, 0.0)


def _folded(found: Parts, parts: Parts) -> Parts:
    """Gradients of a shared link are summed over the causes."""
    if parts["links"].ndim == 1:
        found["links"] = found["links"].sum(axis=-1)
    return found
