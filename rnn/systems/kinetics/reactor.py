"""``Reactor``: a network with rates, a start and times, run forward and differentiated.

Every run is ``rnn.ode``'s chain of solver steps: concentrations are its forward messages, λ = ∂J/∂c its
backward ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from msgpass import FactorGraph, Messages
from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.ode import gradient as ode_gradient
from rnn.ode import integration
from rnn.ode.grid import Grid
from rnn.ode.steps import tableau_of
from rnn.systems.kinetics.arrhenius import Arrhenius
from rnn.systems.kinetics.network import ReactionNetwork, checked
from rnn.systems.kinetics.path import ConcentrationPath
from rnn.systems.kinetics.profile import as_profile
from rnn.systems.kinetics.rate_law import RateLaw, rate_law
from rnn.systems.kinetics.sensitivity import Sensitivity
from rnn.systems.kinetics.signs import check_signs
from rnn.systems.kinetics.targets import as_target, parts_of
from rnn.validation import positive, real_array


@dataclass(frozen=True, eq=False)
class Reactor:
    """A reaction to run: dc/dt = N v(c, k) + feed, c(t[0]) = start, at constant volume.

    Parameters
    ----------
    network : ReactionNetwork
    rates : dict by rate, array (R,), or Arrhenius
    start : dict by species, or array (S,) or (B, S)
        Concentrations; a batch of B reactors shares rates and steps.
    t : float or increasing array
        The end of a run from 0, or the times to save at, the first of them the start.
    feed : dict of float or Profile by species, optional
        What is fed, in concentration per time (semi-batch; the volume is held).
    method : str
        Of :func:`rnn.ode.odeint`; ``kvaerno5`` (implicit, adaptive) serves stiff networks too. ``euler`` and
        ``rk4`` take ``step``.
    step : float, optional
        Fixed steps of at most this size.
    rtol, atol : float
    max_steps : int

    Examples
    --------
    >>> chain = ReactionNetwork(["k1: A -> B", "k2: B -> C"])
    >>> reactor = Reactor(chain, {"k1": 1.0, "k2": 0.5}, {"A": 1.0}, 2 * np.log(2))
    >>> round(float(reactor.simulate().final["B"]), 6)
    0.5
    >>> reactor.gradient("B")
    <Sensitivity: [B] = 0.5
      name      value     gradient   elasticity
      k2          0.5    -0.386294    -0.386294
      k1            1     0.193147     0.386294>
    """

    network: ReactionNetwork
    rates: Any
    start: Any
    t: Any
    feed: Mapping[str, Any] | None = None
    method: str = "kvaerno5"
    step: float | None = None
    rtol: float = 1e-8
    atol: float = 1e-11
    max_steps: int = 1_000_000

    def __post_init__(self):
        if not isinstance(self.network, ReactionNetwork):
            raise DataError(f"network is a ReactionNetwork, got {type(self.network).__name__}")
        if not tableau_of(self.method).adaptive and self.step is None:
            raise DataError(f"{self.method} has fixed steps; give step=, their size")
        if self.step is not None:
            positive("step", self.step)
        if self.feed is not None and not isinstance(self.feed, Mapping):
            raise DataError(f"feed is a dict by species of numbers or Profiles, got {self.feed!r}")
        _ = self.times, self.y0, self.params, self.law

    # -- what the solver takes -----------------------------------------------------------------------

    @cached_property
    def times(self) -> np.ndarray:
        """Save times."""
        times = real_array("t", self.t, np.dtype(float))
        if times.ndim == 0:
            times = np.array([0.0, float(times)])
        if times.ndim != 1 or len(times) < 2:
            raise ShapeError(f"t is the end of a run, or two or more times; got shape {times.shape}")
        if not np.isfinite(times).all() or not (np.diff(times) > 0).all():
            raise DataError("t must hold finite, increasing times")
        return times

    @cached_property
    def y0(self) -> np.ndarray:
        """(S,) or (B, S)."""
        made = self.network.concentrations(self.start)
        if made.ndim > 2:
            raise ShapeError(f"start has shape {made.shape}; a batch is one axis in front, (B, S)")
        return made

    @cached_property
    def params(self) -> dict[str, np.ndarray]:
        """By name, as :mod:`rate_law` has them."""
        if isinstance(self.rates, Arrhenius):
            E = self.network._vector(self.rates.E, self.network.rate_names, self.network.rate_index, "E")
            if E.shape != (len(self.network.rate_names),) or not np.isfinite(E).all():
                raise DataError(f"E needs {len(self.network.rate_names)} finite numbers in J/mol")
            made = {"A": self.network.rate_vector(self.rates.A, "A"), "E": E}
            made["T"] = self.rates.profile.values
        else:
            made = {"k": self.network.rate_vector(self.rates)}
        if self.feed:
            knots = np.array(self._feed_knots)
            rows = [as_profile(f"feed[{s!r}]", x) for s, x in self.feed.items()]
            made["feed"] = np.array([[row.at(t) for t in knots] for row in rows])
            checked("feed", made["feed"].T, tuple(self.feed))
        return made

    @property
    def factors(self) -> np.ndarray:
        """k, or A under Arrhenius, (R,)."""
        return self.params[self.law.factor]

    @cached_property
    def _feed_knots(self) -> tuple[float, ...]:
        rows = [as_profile(f"feed[{s!r}]", x) for s, x in (self.feed or {}).items()]
        knots = sorted({float(t) for row in rows if len(row.times) > 1 for t in row.times})
        return tuple(knots) or (0.0,)

    @cached_property
    def law(self) -> RateLaw:
        """f and its derivatives."""
        warm = isinstance(self.rates, Arrhenius)
        temperature = tuple(self.rates.profile.times.tolist()) if warm else None
        fed = tuple(self.network.index(s) for s in self.feed or ())
        return rate_law(self.network, temperature, fed, self._feed_knots if fed else None)

    @cached_property
    def stops(self) -> np.ndarray:
        """Save times and kinks of profiles: a step ends at each."""
        knots = self.law.knots
        inside = knots[(knots > self.times[0]) & (knots < self.times[-1])]
        return np.union1d(self.times, inside)

    @property
    def _options(self) -> dict[str, Any]:
        steps = 0.0 if self.step is None else float(self.times[-1] - self.times[0]) / self.step
        field = self.law.field(self.method, self.y0.ndim == 2, steps)
        tolerance = {"rtol": self.rtol, "atol": self.atol, "max_steps": self.max_steps}
        return {"f": field, "y0": self.y0, "t": self.stops, "params": self.params, "method": self.method,
                "step": self.step, **tolerance}  # fmt: skip

    # -- verbs ---------------------------------------------------------------------------------------

    def simulate(self) -> ConcentrationPath:
        """Forward."""
        solution = self._told(integration.odeint)
        at = np.searchsorted(solution.t, self.times)
        check_signs(self, solution.grid.times, solution.states)
        return ConcentrationPath(self.network, self.times, solution.y[at], solution)

    def graph(self) -> FactorGraph:
        """The chain of steps, to attach factors to: parameters ``y0`` and ``k`` (or ``A``, ``E``, ``T``),
        ``feed``; sequences ``y`` and ``saved`` (at ``stops``)."""
        return integration.graph(**self._options)

    def messages(self, target) -> Messages:
        """The run that :meth:`gradient` reads."""
        return self.gradient(target).messages

    def value(self, target) -> float:
        """A target, the mean over a batch; forward only."""
        found = self.simulate()
        return float(
            np.mean(
                parts_of(as_target(target), self.network, self._rows(self.y0), self._rows(found.c[-1]))[0]
            )
        )

    def gradient(self, target) -> Sensitivity:
        """∂J/∂(rates, start, temperature, feed, end) by messages backward.

        Parameters
        ----------
        target : str, Yield, Selectivity, Concentration or callable
            A species stands for its concentration at the end. A callable is ``target(network, first,
            last)`` → (values (B,), ∂/∂first, ∂/∂last (B, S)). J is its mean over the batch.

        Returns
        -------
        Sensitivity
        """
        target = as_target(target)
        values: list[np.ndarray] = []
        direct: list[np.ndarray] = []

        def loss(saved):
            first, last = self._rows(saved[0]), self._rows(saved[-1])
            found, to_first, to_last = parts_of(target, self.network, first, last)
            values.append(np.asarray(found, float))
            bars = np.zeros_like(saved)
            bars[0] = (np.asarray(to_first) / len(first)).reshape(saved[0].shape)
            direct.append(bars[0].copy())
            bars[-1] = bars[-1] + (np.asarray(to_last) / len(first)).reshape(saved[0].shape)
            return float(np.mean(values[-1])), bars

        found = self._told(ode_gradient.odeint_gradient, loss=loss)
        solution = found.solution
        check_signs(self, solution.grid.times, solution.states)
        per_sample = values[-1] if self.y0.ndim == 2 else values[-1][0]
        return Sensitivity(self, str(target), float(found.loss), per_sample, found, direct[-1])

    def optimize(self, target, bounds: Mapping[str, tuple[float, float]], **options):
        """Raise a target within bounds; see :func:`rnn.systems.kinetics.optimizing.optimize`."""
        from rnn.systems.kinetics.optimizing import optimize

        return optimize(self, target, bounds, **options)

    def with_(self, **changes) -> Reactor:
        """Another reactor with some fields changed."""
        return replace(self, **changes)

    def __repr__(self) -> str:
        n = self.network
        batch = f", {len(self.y0)} reactors" if self.y0.ndim == 2 else ""
        return (
            f"<Reactor: {len(n.species)} species, {len(n.reactions)} reactions, t = {self.times[0]:g} to "
            f"{self.times[-1]:g}, {self.method}{batch}>"
        )

    def _rows(self, c: np.ndarray) -> np.ndarray:
        return c.reshape(-1, c.shape[-1])

    def _told(self, call, **more):
        """A run; where it fails, negative concentrations before the failure are the reason to name."""
        try:
            # What overflows is found in the states, and told.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                return call(**self._options, **more)
        except NumericalError as failed:
            self._signs_before(failed)
            self._roots_at_zero(failed)
            raise

    def _roots_at_zero(self, failed: NumericalError) -> None:
        """An order between 0 and 1 has an infinite derivative where its concentration is 0."""
        orders = self.network.orders
        root = ((orders > 0) & (orders < 1)).any(axis=0) & (self._rows(self.y0) == 0).any(axis=0)
        if root.any():
            species = self.network.species[int(np.argmax(root))]
            raise NumericalError(
                f"{species} starts at 0 and has an order below 1, which has no derivative there; start with "
                f"a small positive concentration ({failed})"
            ) from failed

    def _signs_before(self, failed: NumericalError) -> None:
        reached = getattr(failed, "t", None)
        if self.step is None or reached is None or reached <= self.times[0]:
            return
        times = Grid.fixed(self.stops, self.step, False).times
        times = times[times <= reached]
        law = self._options | {"t": times[[0, -1]], "step": None, "grid": times}
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            states = integration.odeint(**law).states
        check_signs(self, times, states)
