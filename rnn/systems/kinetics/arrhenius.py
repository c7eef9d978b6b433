"""``Arrhenius``: rates from temperature, k = A exp(−E / (R T))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError
from rnn.systems.kinetics.profile import Profile, as_profile
from rnn.systems.kinetics.rate_law import GAS_CONSTANT
from rnn.validation import positive


@dataclass(frozen=True)
class Arrhenius:
    """k_r(t) = A_r exp(−E_r / (R T(t))).

    Parameters
    ----------
    A : array (R,) or dict by rate
        Pre-exponential factors, in the units of the rates.
    E : array (R,) or dict by rate
        Activation energies in J/mol.
    T : float or Profile
        Temperature in K.

    Examples
    --------
    >>> warm = Arrhenius.through({"k1": 1.0, "k2": 0.5}, at=300.0, E={"k1": 50e3, "k2": 80e3}, T=310.0)
    >>> {name: round(float(k), 3) for name, k in warm.rates_at(310.0).items()}
    {'k1': 1.909, 'k2': 1.407}
    """

    A: Mapping[str, float] | np.ndarray
    E: Mapping[str, float] | np.ndarray
    T: float | Profile

    @classmethod
    def through(cls, rates: Mapping[str, float], at: float, E: Mapping[str, float], T) -> Arrhenius:
        """With the A that gives ``rates`` at the temperature ``at``."""
        positive("at, a temperature in K,", at)
        if set(rates) != set(E):
            raise DataError(f"rates names {', '.join(rates)}, but E names {', '.join(E)}")
        return cls({n: k * np.exp(E[n] / (GAS_CONSTANT * at)) for n, k in rates.items()}, E, T)

    @property
    def profile(self) -> Profile:
        """T with knots, of which a constant has one."""
        made = as_profile("T", self.T)
        if not (made.values > 0).all():
            raise DataError(f"T is in K and must be > 0, got {made.values.min():g}")
        return made

    def rates_at(self, T: float) -> dict[str, float]:
        """The rates at a temperature, where A and E are dicts."""
        positive("T, in K,", T)
        if not isinstance(self.A, Mapping) or not isinstance(self.E, Mapping):
            raise DataError("rates_at gives rates by name; give A and E as dicts")
        return {n: a * np.exp(-self.E[n] / (GAS_CONSTANT * T)) for n, a in self.A.items()}
