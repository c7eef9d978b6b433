"""The result of a run: every directed message, beliefs, the total, and what arrives at each parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from msgpass.errors import UnavailableError, UnsupportedError
from msgpass.nodes import Parameter, Sequence
from msgpass.sweeps import paths, readings, single_messages
from msgpass.sweeps.gaussian_messages import GaussianBelief
from msgpass.sweeps.joint import joint


class Reading(Mapping):
    """A lazy mapping from names to arrays, made when they are asked for."""

    def __init__(
        self,
        what: str,
        names: Callable[[], list[str]],
        read: Callable[[str], Any],
        explain: Callable[[str], str | None] = lambda _: None,
        has: Callable[[str], bool] | None = None,
    ):
        self._what, self._names, self._read, self._explain = what, names, read, explain
        self._has = has or (lambda name: name in names())
        self._kept: dict[str, Any] = {}

    def __getitem__(self, key):
        name = getattr(key, "name", key)
        if name not in self._kept:
            if not self._has(name):
                why = self._explain(name)
                if why is not None:
                    raise UnsupportedError(why)
                names = self._names()
                raise UnavailableError(
                    f"there is no {self._what} of {name!r}; there is one of "
                    f"{', '.join(names) or 'nothing in this graph'}"
                )
            self._kept[name] = self._read(name)
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, key) -> bool:
        return self._has(getattr(key, "name", key))

    def __repr__(self) -> str:
        return f"<{self._what}: {', '.join(self._names())}>"


class TaskMessages(NamedTuple):
    """One task's share of a run."""

    total: float
    parameters: dict[str, np.ndarray]
    gradient: dict[str, np.ndarray]


def _task(execution, name: str) -> TaskMessages:
    x = readings.full(execution)
    store, blocks = x.stores[name][0], x.plan.blocks
    total = sum(v for k, (v, _) in x.losses.items() if blocks[k].families[0].potential.task == name)
    total += sum(sign * run.total for k in x.runs if x.task_of(k) == name for run, sign in x.shares(k))
    gradient: dict = {n: store.complete(n) for n in readings.real_names(x)}
    if x.second is not None:
        total = x.second.of_task_total(name, total)
        gradient = {n: x.second.of_task(name, n, g) for n, g in gradient.items()}
    parameters = {n: gradient[n] for n, v in x.plan.graph.nodes.items() if isinstance(v, Parameter)}
    return TaskMessages(total, parameters, gradient)


def _sequences(execution) -> list[str]:
    return [n for n, v in execution.plan.graph.nodes.items() if isinstance(v, Sequence)]


class Messages:
    """What :func:`msgpass.run` returns.

    Attributes
    ----------
    total : float
        log Z, best score, or loss (with Tangent: value and directional derivative).

        With ``Tangent(…, over=…)`` this and every mapping below hold :class:`~msgpass.algebra.tangent.Dual`
        pairs: what is said here, and how it moves along the direction; so do the parts of Gaussian readings.
    forward, backward : mapping from a sequence's name to an array, first axis time
        ``forward`` holds what slices up to and including t say, ``backward`` what later slices say: log
        tables
        for discrete variables, (h, precision) for Gaussian ones, values and cotangents for real ones. Where a
        recurrence runs against the clock, later means later in its sweep. ``forward`` of a single variable
        that a step computes is its value.
    belief : mapping from a variable's or a factor's name
        Normalised log marginals (max-marginals with the best at 0; Gaussian: mean and cov); of a factor its
        joint belief.
    parameters : mapping
        ∂total/∂parameter: expected counts, sufficient statistics, gradients.
    gradient : mapping
        ∂total/∂ any real variable, parameter or observation.
    assignment : mapping
        Under MaxProduct, the best state of every discrete variable.
    tasks : mapping from a task's name to its own total, parameters and gradient
    """

    def __init__(self, execution):
        self._x = execution

    # Each is made when it is first asked for. No reading refers to self: a run's arrays are freed with it,
    # without waiting for the collector.

    @cached_property
    def forward(self) -> Reading:
        """What slices up to and including t say; of a variable that a step computes, its value."""
        x = self._x
        return Reading(
            "forward message",
            lambda: _sequences(x),
            lambda n: readings.forward(x, n),
            has=lambda n: readings.has_forward(x, n),
        )

    @cached_property
    def backward(self) -> Reading:
        """What later slices say."""
        x = self._x
        return Reading("backward message", lambda: _sequences(x), lambda n: readings.backward(x, n))

    @cached_property
    def belief(self) -> Reading:
        """Normalised log marginals."""
        x = self._x
        return Reading(
            "belief",
            lambda: readings.believed(x),
            lambda n: readings.believe(x, n),
            lambda n: readings.no_belief(x, n),
            lambda n: readings.has_belief(x, n),
        )

    @cached_property
    def parameters(self) -> Reading:
        """∂total/∂parameter."""
        x = self._x
        nodes = x.plan.graph.nodes
        return Reading(
            "parameter message",
            lambda: [n for n, v in nodes.items() if isinstance(v, Parameter)],
            lambda n: readings.parameter(x, n),
            has=lambda n: isinstance(nodes.get(n), Parameter),
        )

    @cached_property
    def gradient(self) -> Reading:
        """∂total/∂ any real variable, parameter or observation."""
        x = self._x
        return Reading(
            "gradient",
            lambda: readings.real_names(x),
            lambda n: readings.gradient(x, n),
            lambda n: readings.no_gradient(x, n),
            lambda n: readings.has_gradient(x, n),
        )

    @cached_property
    def assignment(self) -> Reading:
        """Best states of discrete variables."""
        x = self._x
        return Reading("assignment", lambda: readings.discrete_names(x), lambda n: readings.assignment(x, n))

    @cached_property
    def tasks(self) -> Reading:
        """Each task's own total, parameters and gradient."""
        x = self._x
        return Reading("task", lambda: [t for t in x.tasks if t is not None], lambda n: _task(x, n))

    @cached_property
    def statistics(self) -> Reading:
        """Expected sufficient statistics of Gaussian factors: moments of a factor's variables end to end,
        summed over its instances, as ``count``, ``mean``, ``scatter`` about the mean, and ``raw`` = Σ E[(1,
        z)(1, z)ᵀ]. Missing cells of a relation's last variable count with their moments given all data;
        instances where nothing of it is seen are left out. In a switching chain these are tuples, one entry a
        state, whose counts are expected ones.

        Examples
        --------
        >>> from msgpass import FactorGraph, Quadratic, run
        >>> g = FactorGraph()
        >>> x, y = g.sequence("x", length=3), g.observe("y", [1.0, 2.0, 3.0])
        >>> _ = g.factor(Quadratic.prior(0.0, 1.0), x[0])
        >>> _ = g.factor(Quadratic.linear_gaussian(1.0, 1.0), x[:-1], x[1:], name="walk")
        >>> _ = g.factor(Quadratic.observation(1.0, 1.0), x[:], y[:])
        >>> run(g).statistics["walk"].count
        2
        """
        x = self._x
        from msgpass.sweeps.gaussian_statistics import factor_names, statistics

        return Reading("Gaussian statistics", lambda: factor_names(x), lambda n: statistics(x, n))

    @cached_property
    def linearisation(self) -> Reading:
        """Of Gaussian variables that noisy steps relate: ``rule``, the points ``mean`` at which the steps
        were linearised, and of iterated rules whether they ``converged``, after how many ``iterations``,
        with which ``objective`` at each.

        Examples
        --------
        >>> from msgpass import FactorGraph, Gaussian, Quadratic, Step, run
        >>> from msgpass.linearisation import Iterated
        >>> g = FactorGraph()
        >>> x, y = g.sequence("x", length=3), g.observe("y", [0.9, 0.4, 0.1])
        >>> _ = g.factor(Quadratic.prior(1.0, 1.0), x[0])
        >>> _ = g.factor(Step(np.sin, noise=0.1), x[:-1], out=x[1:])
        >>> _ = g.factor(Quadratic.observation(1.0, 0.1), x[:], y[:])
        >>> run(g, Gaussian(Iterated())).linearisation["x"].converged
        True
        """
        x = self._x
        return Reading(
            "linearisation", lambda: readings.linearised_names(x), lambda n: readings.linearisation(x, n)
        )

    @property
    def graph(self):
        """The graph that was run."""
        return self._x.plan.graph

    @property
    def total(self):
        """log Z, best score, or loss."""
        return self._x.total

    @property
    def has_backward(self) -> bool:
        """Whether anything was passed backward, so that there are beliefs and gradients."""
        return self._x.schedule.backward and self._x.tangents is None

    @property
    def schedule(self):
        """The schedule of this run."""
        return self._x.schedule

    def message(self, source, target):
        """One directed message between a factor instance and a variable instance.

        Parameters
        ----------
        source, target : ``f[t]`` and ``z[t]`` (or a single variable or factor), in either order
            factor → variable, or variable → factor.

        Returns
        -------
        array
            A log table; (h, precision) of a Gaussian variable; a value along a step's arrow and a cotangent
            against it.
        """
        return single_messages.message(self._x, source, target)

    def contributions(self, name, factor: str | None = None, task: str | None = None):
        """The terms of the sum that arrives at a parameter: what each step, and each sample, says to it.

        Parameters
        ----------
        name : str or parameter
        factor : str, optional
            Terms of this factor alone; of all that read the parameter by default.
        task : str, optional
            Of this task's losses alone.

        Returns
        -------
        Contributions
            ``by_step`` (T, *shape), ``by_sample`` (B, *shape) and ``by_step_and_sample`` (T, B, *shape),
            made when they are read; ``c[t]`` and ``c.sample(t, b)`` one at a time; ``norms(by)``. Terms of
            factors that have no step or no sample are ``without_step`` and ``without_sample``. A rule on
            the parameter as a variable acts on their sum.

        Examples
        --------
        >>> from msgpass import FactorGraph, Loss, Step, run
        >>> g = FactorGraph()
        >>> h, w, x = g.sequence("h", length=3), g.parameter("w", 2.0), g.observe("x", [1.0, 2.0, 4.0])
        >>> _ = g.factor(Step(lambda x, w: w * x), x[:], w, out=h[:])
        >>> _ = g.factor(Loss(lambda h: (h, 1.0)), h[:])
        >>> run(g).contributions("w").by_step.tolist()
        [1.0, 2.0, 4.0]
        """
        from msgpass.sweeps.contributions import Contributions

        return Contributions(self._x, getattr(name, "name", name), getattr(factor, "name", factor), task)

    def jacobian(self, of, wrt, sample: int | None = None) -> np.ndarray:
        """Derivative of one row of what a step computes by an earlier row, by data or by a parameter.

        Parameters
        ----------
        of : ``h[t]`` or ``("h", t)``, or a single variable
        wrt : the same, or a name: all rows of a sequence or an observation, a parameter
        sample : int, optional
            Of rows (B, …): derivative of this sample by the same sample's row.

        Returns
        -------
        array
            (*row of ``of``, *shape of ``wrt``). Between rows (B, …) each sample's own block, (B, *own,
            *other), or with ``sample`` (*own, *other). With all rows of ``wrt`` a first axis of T: the whole
            profile by lag, from one sweep.

        Notes
        -----
        ``wrt`` moves by itself and what is computed from it follows: of an LSTM ∂h_t/∂h_s is with c_s held,
        and the blocks of its state's Jacobian are the four of h and c. Rules on edges do not act here.

        Examples
        --------
        >>> from msgpass import FactorGraph, Loss, Step, run
        >>> g = FactorGraph()
        >>> h, x = g.sequence("h", length=4), g.observe("x", np.ones(4))
        >>> _ = g.factor(Step(lambda h, x: 2 * h + x), h.after(g.parameter("h0", 0.0)), x[:], out=h[:])
        >>> run(g).jacobian(h[3], h).tolist()
        [8.0, 4.0, 2.0, 1.0]
        """
        from msgpass.sweeps.jacobian import jacobian

        return jacobian(self._x, of, wrt, sample)

    def step_jacobians(self, *states) -> np.ndarray:
        """Jacobians of one step of a recurrence at every time, ∂s_t/∂s_{t−1}.

        Parameters
        ----------
        *states : str or sequence
            All states of one recurrence, such as ``"h_l0", "c_l0"``; their numbers end to end are s.

        Returns
        -------
        array (T, n, n), of rows (B, …) (T, B, n, n)
            Row t of a recurrence that runs with the clock is ∂s_t/∂s_{t−1}, the first one by the start; of
            one that runs against it ∂s_t/∂s_{t+1}.

        Raises
        ------
        UnsupportedError
            Where a time step is more than one vectorised step, or not all states are named.

        Examples
        --------
        >>> from msgpass import FactorGraph, Loss, Step, run
        >>> g = FactorGraph()
        >>> h, x = g.sequence("h", length=3, shape=(1,)), g.observe("x", np.ones((3, 1)))
        >>> step = Step(lambda h, x: h * x / 2, vectorized=True)
        >>> _ = g.factor(step, h.after(g.parameter("h0", [1.0])), x[:], out=h[:])
        >>> run(g).step_jacobians("h").ravel().tolist()
        [0.5, 0.5, 0.5]
        """
        from msgpass.sweeps.step_jacobians import step_jacobians

        return step_jacobians(self._x, tuple(getattr(s, "name", s) for s in states))

    def lent(self, name) -> np.ndarray:
        """What arrives at a parameter, as ``parameters`` has it, but read only and without a copy where that
        can be: for tables with a row a step, which may be as large as all messages.

        Examples
        --------
        >>> from msgpass import FactorGraph, Table, run
        >>> g = FactorGraph()
        >>> z = g.sequence("z", length=2, states=2)
        >>> _ = g.factor(Table(g.parameter("evidence", np.log([[0.2, 0.8], [0.5, 0.5]]))), z[:])
        >>> run(g).lent("evidence")
        array([[0.2, 0.8],
               [0.5, 0.5]])
        """
        name = getattr(name, "name", name)
        if name not in self.parameters:
            return self.parameters[name]  # which says what there is
        return readings.lent(self._x, name)

    def totals(self, name) -> np.ndarray:
        """log Z (or best score) of every independent part of a variable's component, (parts,).

        Parts are the sequences of a ragged chain, the members of an aligned batch, the trees of a forest, and
        what is connected in a graph with loops. Of Gaussian components, chains have parts, and those that
        JunctionTree has run.
        """
        return paths.totals(self._x, getattr(name, "name", name))

    def sample(self, name, rng=None, n: int | None = None) -> np.ndarray:
        """Draw a discrete variable, or the sequence of a Gaussian chain, from the posterior over whole
        assignments; under JunctionTree any Gaussian variable, in one draw with all others of its component
        where the seed is one.

        Parameters
        ----------
        name : str or variable
        rng : numpy.random.Generator or seed
        n : int, optional
            Independent draws on a first axis; one without that axis by default.

        Returns
        -------
        array of int, (T,) or (n, T); of a Gaussian sequence (T, *shape) or (n, T, *shape)

        Raises
        ------
        UnsupportedError
            Unless the run was SumProduct. Forward messages are enough: ForwardOnly() will do.
        ImpossibleEvidenceError

        Examples
        --------
        >>> from msgpass import FactorGraph, Table, run
        >>> g = FactorGraph()
        >>> z = g.sequence("z", length=3, states=2)
        >>> _ = g.factor(Table(np.log([0.5, 0.5])), z[0])
        >>> _ = g.factor(Table([[0, -np.inf], [-np.inf, 0]]), z[:-1], z[1:])
        >>> draws = run(g).sample("z", 0, n=1000)
        >>> draws.shape, bool((draws == draws[:, :1]).all())
        ((1000, 3), True)
        """
        return paths.sample(self._x, getattr(name, "name", name), rng, n)

    def k_best(self, name, k: int) -> paths.Ranked:
        """The k best assignments of every part under MaxProduct, best first: scores (parts, k) and the
        variable's states (k, …).

        Examples
        --------
        >>> from msgpass import FactorGraph, MaxProduct, Table, run
        >>> g = FactorGraph()
        >>> z = g.sequence("z", length=2, states=2)
        >>> _ = g.factor(Table([[3.0, 1.0], [2.0, 0.0]]), z[:-1], z[1:])
        >>> best = run(g, MaxProduct()).k_best("z", 3)
        >>> best.scores.tolist(), best.states.tolist()
        ([[3.0, 2.0, 1.0]], [[0, 0], [1, 0], [0, 1]])
        """
        return paths.k_best(self._x, getattr(name, "name", name), k)

    def mixture(self, name, filtered: bool = False):
        """Posterior of the real variable of a switching chain, one Gaussian a state: ``log_weights`` (T, K),
        ``means`` (T, K, n), ``covs`` (T, K, n, n); ``filtered``, given the rows up to each. Approximate; see
        :class:`~msgpass.AssumedDensity`."""
        return readings.mixture(self._x, getattr(name, "name", name), filtered)

    @property
    def convergence(self):
        """How a run under ``Flooding`` went: ``converged`` (its truth value, too), ``iterations``,
        ``history`` of largest changes, ``updates``, and which variables were still ``moving`` or, under
        MaxProduct, are in ``ties``.

        Examples
        --------
        >>> from msgpass import FactorGraph, Flooding, Table, run
        >>> g = FactorGraph()
        >>> s = g.sequence("s", length=3, states=2)
        >>> _ = g.factor(Table([[0.5, -0.5], [-0.5, 0.5]]), s[[0, 1, 2]], s[[1, 2, 0]])
        >>> run(g, schedule=Flooding("flood")).convergence
        converged in 1 iterations of 6 messages: largest change 0, tolerance 1e-06
        """
        return readings.convergence(self._x)

    def component(self, k: int):
        """What was run for block ``k`` of the plan."""
        return readings.full(self._x).runs.get(k)

    def converged(self, name) -> np.ndarray:
        """First row within each sequence of a Gaussian chain from which the filter's gains no longer change,
        (N,); the sequence's length where they never settle.

        Examples
        --------
        >>> from msgpass import FactorGraph, Quadratic, run
        >>> g = FactorGraph()
        >>> x, y = g.sequence("x", length=200), g.observe("y", np.ones(200))
        >>> _ = g.factor(Quadratic.prior(0.0, 1.0), x[0])
        >>> _ = g.factor(Quadratic.linear_gaussian(0.5, 1.0), x[:-1], x[1:])
        >>> _ = g.factor(Quadratic.observation(1.0, 1.0), x[:], y[:])
        >>> int(run(g).converged("x")[0]) < 40
        True
        """
        return readings.converged(self._x, getattr(name, "name", name))

    def joint(self, *variables) -> np.ndarray | GaussianBelief:
        """Normalised log joint belief of rows and variables of discrete components, however far apart: one
        axis each, in the order given (joint max-marginal under MaxProduct). Exact schedules only; it takes a
        run for each assignment of all but the largest of them.

        Of Gaussian variables it is the mean and covariance of their numbers end to end.

        Examples
        --------
        >>> from msgpass import FactorGraph, Table, run
        >>> g = FactorGraph()
        >>> z = g.sequence("z", length=9, states=2)
        >>> _ = g.factor(Table(np.log([0.5, 0.5])), z[0])
        >>> _ = g.factor(Table(np.log([[0.9, 0.1], [0.1, 0.9]])), z[:-1], z[1:])
        >>> np.exp(run(g).joint(z[2], z[7])).round(3)
        array([[0.332, 0.168],
               [0.168, 0.332]])
        """
        return joint(self._x, variables)

    @property
    def cliques(self):
        """The cliques of a run with JunctionTree(), and the messages between them: of each its ``variables``,
        ``separator``, ``parent``, ``children``, and as normalised log tables its ``belief``, what it tells
        its parent (``up``) and what its parent tells it (``down``).

        Examples
        --------
        >>> from msgpass import FactorGraph, JunctionTree, Table, run
        >>> g = FactorGraph()
        >>> v = [g.variable(name, states=2) for name in "abcd"]
        >>> for i, j in (0, 1), (1, 2), (2, 3), (3, 0):
        ...     _ = g.factor(Table([[1.0, 0.0], [0.0, 1.0]]), v[i], v[j])
        >>> run(g, schedule=JunctionTree()).cliques
        2 cliques
          0. (a, b, d) → 1 through (b, d)
          1. (b, c, d)
        """
        from msgpass.sweeps.junction_tree.report import cliques

        return cliques(self._x)

    def entropy(self, name) -> np.ndarray:
        """Posterior entropy in nats of the assignments of every part, (parts,); of a Gaussian component that
        JunctionTree has run, the differential entropy.
        """
        return paths.entropy(self._x, getattr(name, "name", name))

    def to_frame(self):
        """Tidy pandas frame: one row a variable, step, index and quantity."""
        from msgpass.frames import messages_frame

        return messages_frame(self)

    def plot(self, name: str | None = None):
        """Matplotlib figure of forward and backward messages and beliefs over time."""
        from msgpass.plot import plot_messages

        return plot_messages(self, name)

    def plot_graph(self, ax=None):
        """Draw the unrolled graph with beliefs at its variables and what factors say on its lines."""
        from msgpass.plot_run import plot_run

        return plot_run(self, ax)

    def __repr__(self) -> str:
        blocks = ", ".join(
            f"{b.kind}({', '.join(b.nodes) or b.families[0].name})" for b in self._x.plan.blocks
        )
        algebras = ", ".join(dict.fromkeys(a.name for a in self._x.algebras))
        return f"<Messages: total {self.total!r}; {algebras} under {self._x.schedule!r}; {blocks}>"
