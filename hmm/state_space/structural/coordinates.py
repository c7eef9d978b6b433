"""Free coordinates of all parameters of a model, as one vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.state_space.structural.assembly import Assembly, Values


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The vector space that a climb moves in.

    Parameters
    ----------
    assembly : Assembly
    like : dict
        Values with the structure that stays: zeros of variances.
    held : frozenset of str
        Full names that keep their value; fixed ones always do.
    """

    assembly: Assembly
    like: Values
    held: frozenset[str] = frozenset()

    def _fields(self):
        for name, p in self.assembly.parameters.items():
            value = self.like[name]
            keep = p.fixed is not None or name in self.held
            held = np.full(value.shape, keep)
            yield name, p.domain, value, held, p.domain.free(value, held)

    def labels(self) -> list[str]:
        """One a coordinate."""
        found = []
        for name, _, value, _, free in self._fields():
            for index in np.argwhere(free).tolist():
                found.append(name + (f"[{', '.join(map(str, index))}]" if value.ndim else ""))
        return found

    def vector(self, values: Values) -> np.ndarray:
        """Coordinates of values."""
        parts = [d.outward(values[name], like, held)[free] for name, d, like, held, free in self._fields()]
        return np.concatenate([np.ravel(part) for part in parts])

    def values(self, point: np.ndarray) -> Values:
        """Values at coordinates."""
        found, at = {}, 0
        for name, domain, like, held, free in self._fields():
            u, size = np.zeros(like.shape), int(free.sum())
            u[free] = point[at : at + size]
            at += size
            found[name] = np.asarray(domain.inward(u, like, held), float)
        return found

    def pullback(self, point: np.ndarray, values: Values, slopes: Values) -> np.ndarray:
        """∂f/∂coordinates."""
        parts, at = [], 0
        for name, domain, like, held, free in self._fields():
            own = np.ravel(np.asarray(domain.pullback(values[name], slopes[name], like, held))[free])
            if getattr(domain, "EVEN", False):
                own = np.where(point[at : at + own.size] < 0, -own, own)
            at += own.size
            parts.append(own)
        return np.concatenate(parts)

    def jacobian(self, point: np.ndarray) -> dict[str, np.ndarray]:
        """∂values/∂coordinates, (size of the parameter, coordinates)."""
        values, found = self.values(point), {}
        zero = {name: np.zeros(value.shape) for name, value in values.items()}
        for name, value in values.items():
            rows = []
            for index in np.ndindex(value.shape):
                one = np.zeros(value.shape)
                one[index] = 1
                rows.append(self.pullback(point, values, zero | {name: one}))
            found[name] = np.array(rows).reshape(value.size, len(point))
        return found

    def at_edge(self, values: Values) -> frozenset[str]:
        """Names of parameters at the end of their range."""
        found = set()
        for name, domain, _, _, free in self._fields():
            edge = np.asarray(domain.edge(values[name], np.zeros(values[name].shape)))
            if (edge & free).any():
                found.add(name)
        return frozenset(found)
