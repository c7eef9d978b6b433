"""A component with noisy steps in one run: place the linearisations, run the linear engine on what they
give, and bring back what arrives at F, b and Q to parameters, inputs and noise.

``total`` is log Z of the linearised model. ∂total/∂parameter is its whole derivative, the motion of the
places included, so that it equals differences of ``total``.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from msgpass.algebra.gaussian_forms import to_moments
from msgpass.errors import UnsupportedError
from msgpass.linearisation import Iterated
from msgpass.linearisation.base import Affine
from msgpass.nodes import Sequence
from msgpass.plan import GaussianChain, NonlinearTree
from msgpass.schedule.sequential import Sequential
from msgpass.sweeps.gaussian_chain import GaussianChainRun
from msgpass.sweeps.gaussian_chain_arrays import ChainArrays, NoChainForm
from msgpass.sweeps.on_the_way import OnTheWay
from msgpass.sweeps.real import Store
from msgpass.sweeps.relations import NoisyRelation, relations_of
from msgpass.sweeps.rows import instance_numbers
from msgpass.sweeps.surrogates import Surrogates, make_surrogates
from msgpass.sweeps.top_down import top_down
from msgpass.sweeps.tree import TreeRun
from msgpass.values import Values

Paths = dict[str, np.ndarray]  # by name: rows of flat vectors, or of matrices


class Report(NamedTuple):
    """Where a component was linearised, and whether an iteration came to rest.

    Attributes
    ----------
    rule : Linearisation
    mean : ndarray
        The points: the filtered means, or the trajectory at which the last pass linearised.
    converged : bool
    iterations : int
        Passes over the linearised model.
    objective : tuple of float
        Of Gauss-Newton: −log p(x, y) at the points of each pass, without normalising constants.
    """

    rule: Any
    mean: np.ndarray
    converged: bool = True
    iterations: int = 1
    objective: tuple[float, ...] = ()


class Linearised:
    """One run; ``linear`` is the linear engine's."""

    def __init__(self, x, k: int, block: NonlinearTree, algebra, clamp):
        self.x, self.k, self.block, self.algebra, self.clamp = x, k, block, algebra, clamp
        self.rule = algebra.linearisation
        graph = block.families[0].factor.graph
        self.nodes = {name: graph.nodes[name] for name in block.nodes}
        self.relations = relations_of(block, x.values)
        for _, relation in self.noisy():
            relation.steps.check_noise(x.overridden)
        self.surrogates: Surrogates = self.kept("surrogates", lambda: make_surrogates(block))
        if isinstance(self.rule, Iterated):
            from msgpass.sweeps.iterated import iterate

            found = iterate(self)
        else:
            found = self.pass_on_the_way(self.rule)
        self.linear, self.affine, self.report = found

    def kept(self, what: str, make):
        """Made once a plan."""
        cache = self.x.plan.cache
        if (what, self.k) not in cache:
            cache[(what, self.k)] = make()
        return cache[(what, self.k)]

    @property
    def order(self):
        """Levels of the filter on the way."""
        return self.kept("top down", lambda: top_down(self.relations, self.nodes))

    def noisy(self) -> list[tuple[int, NoisyRelation]]:
        """Positions and relations of noisy steps."""
        return [(k, r) for k, r in enumerate(self.relations) if isinstance(r, NoisyRelation)]

    def pass_on_the_way(self, rule):
        """(linear run, linearisations, report) of a filter that linearises as it goes."""
        found = OnTheWay(self.relations, self.order, self.nodes, rule)
        return (
            self.run_linear(found.affine),
            found.affine,
            {n: Report(rule, m) for n, m in found.mean.items()},
        )

    def smoothed(self, rule) -> tuple[Paths, Paths]:
        """Moments of the smoother that linearises on the way."""
        found = OnTheWay(self.relations, self.order, self.nodes, rule)
        return self.moments(self.run_linear(found.affine, smooth=True))

    # -- the linear engine -------------------------------------------------------------------------------

    def values_of(self, affine: dict[int, Affine]) -> Values:
        """The run's values and those of the linear stand-ins."""
        values = Values(dict(self.x.values), dict(self.x.values.known))
        for k, relation in self.noisy():
            names = self.surrogates.names[k]
            found = affine[k]
            if names.F is not None:
                values[names.F] = found.F
            values[names.b] = found.b
            noise = relation.steps.noise
            shared = found.extra is None and len(noise) == 1
            everything = np.arange(relation.steps.count)
            values[names.Q] = noise[0] if shared else relation.covariance(everything, found.extra)
        return values

    def run_linear(self, affine: dict[int, Affine], smooth: bool = False):
        """The stand-in block with these linearisations; ``smooth`` also where the schedule goes forward
        only."""
        return self.run_block(self.k, self.surrogates.block, self.values_of(affine), smooth)

    def run_block(self, key, block, values: Values, smooth: bool = False):
        """A block of quadratics, as a chain where it is one."""
        x = self.x
        schedule = Sequential() if smooth and not x.schedule.backward else x.schedule

        def tree():
            oriented = x.orientation(key, block)
            return TreeRun(block, oriented, self.algebra, values, self.clamp, schedule.backward)

        if not isinstance(block, GaussianChain):
            return tree()
        try:
            return GaussianChainRun(block, ChainArrays(block, values, x.overridden), schedule, tree)
        except NoChainForm:
            return tree()

    def moments(self, run) -> tuple[Paths, Paths]:
        """(means, covariances) of every variable given everything, as flat vectors by row."""
        if isinstance(run, GaussianChainRun):
            mean, cov = run.belief()
            (name,) = self.nodes
            return {name: mean}, {name: cov}
        means, covs = {}, {}
        for name, node in self.nodes.items():
            rows = range(node.clock.total) if isinstance(node, Sequence) else (-1,)
            found = [to_moments(run.belief(run.o.index[(name, row)])) for row in rows]
            means[name], covs[name] = np.stack([m.mean for m in found]), np.stack([m.cov for m in found])
        return means, covs

    def linearise_at(self, means: Paths, covs: Paths | None, rule) -> dict[int, Affine]:
        """All steps linearised at once where a path is."""
        found = {}
        for k, relation in self.noisy():
            m, P = self.points(relation, means, covs)
            found[k] = relation.linearise(np.arange(relation.steps.count), m, P, rule)
        return found

    def points(self, relation, means: Paths, covs: Paths | None):
        """(mean, cov) of a relation's source in every instance."""
        if relation.source is None:
            return None, None
        rows, name = instance_numbers(relation.family, relation.source), relation.source.name
        return means[name][rows], None if covs is None else covs[name][rows]

    # -- back --------------------------------------------------------------------------------------------

    def impossible(self) -> None:
        """Gaussian evidence always has a posterior."""
        self.linear.impossible()

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """Add ∂log Z/∂ parameters and observations to ``store``."""
        bars = self.held(store)
        if isinstance(self.rule, Iterated):
            from msgpass.sweeps.implicit import pull_iterated

            pull_iterated(self, bars, store)
        else:
            again = OnTheWay(self.relations, self.order, self.nodes, self.rule, keep=True)
            again.pull(bars, store)
        for relation, part in zip(self.relations, bars, strict=True):
            relation.deliver(part, store)

    def held(self, store) -> list[dict[str, np.ndarray]]:
        """What arrives with the linearisations held: at the arrays of noisy steps as bars, at everything
        else in the store."""
        inner = Store(self.values)
        self.linear.add_parameters(inner)
        bars = [relation.zero_bars() for relation in self.relations]
        own = set()
        for k, relation in self.noisy():
            names = self.surrogates.names[k]
            own |= set(names)
            if names.F is not None:
                bars[k]["F"] += inner[names.F]
            bars[k]["b"] += inner[names.b]
            at_Q = inner[names.Q]
            if at_Q.ndim == 2:  # shared by all steps
                relation.steps.add_noise(store, at_Q[None])
            else:
                bars[k]["Q"] += at_Q
        for name in list(inner):
            if name not in own:
                store[name] = store[name] + inner[name]
        return bars

    @cached_property
    def values(self) -> Values:
        """Values of the final linear run."""
        return self.values_of(self.affine)


def unsupported_schedule(schedule) -> UnsupportedError:
    """Windows and checkpoints cut what a linearisation needs whole."""
    return UnsupportedError(
        f"steps with noise are linearised over whole sequences, and {schedule!r} cuts them; use Sequential() "
        "or ForwardOnly()"
    )
