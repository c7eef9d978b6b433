"""A series taken apart: what each component adds to it given all data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hmm.state_space.structural.assembly import Values
from hmm.state_space.structural.estimate import Estimate, projected
from hmm.state_space.structural.likelihood import Likelihood
from msgpass.optional import pandas


@dataclass(frozen=True, eq=False, repr=False)
class Decomposition(Mapping[str, Estimate]):
    """Estimates by component: ``parts["trend"].mean``, ``.lower``, ``.upper``.

    The means of :attr:`contributions` and of "irregular" add up to the series where it is observed.

    Attributes
    ----------
    observed : array, (T,)
    contributions : tuple of str
        Components that add to the series; the others ("trend.slope", "regression.price") are read beside
        them.
    estimates : dict of str to Estimate
    signal : Estimate
        The series without its irregular component.
    """

    observed: np.ndarray
    contributions: tuple[str, ...]
    estimates: dict[str, Estimate]
    signal: Estimate

    def __getitem__(self, name: str) -> Estimate:
        return self.estimates[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.estimates)

    def __len__(self) -> int:
        return len(self.estimates)

    def __repr__(self) -> str:
        return f"Decomposition({len(self.observed)} steps: {', '.join(self)})"

    def to_frame(self, index=None):
        """A column of means for the series, the signal and each estimate."""
        columns = {"observed": self.observed, "signal": self.signal.mean}
        columns |= {name: own.mean for name, own in self.items()}
        return pandas().DataFrame(columns, index=index)


def decomposition(likelihood: Likelihood, at: Values, level: float) -> Decomposition:
    """From the beliefs of one run."""
    own, y = likelihood.assembly.blocks(at, likelihood.inputs), likelihood.y
    x = likelihood.messages(at).belief["x"]
    contributions = likelihood.assembly.contributions(own.H)
    rows = contributions | likelihood.assembly.readings()
    estimates = {name: projected(row, x.mean, x.cov, level) for name, row in rows.items()}
    signal = projected(own.H, x.mean, x.cov, level)
    for label in (c.label for c in likelihood.assembly.components if not c.n_states):
        # y − H x where y is known, else noise of which nothing is known
        missing = np.isnan(y)
        noise = np.where(missing, 0.0, y - signal.mean), np.where(missing, own.R, signal.variance)
        estimates[label] = Estimate(*noise, level)
    return Decomposition(y, tuple(contributions), estimates, signal)
