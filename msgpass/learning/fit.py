"""``fit``: parameters of any graph from data."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from msgpass.errors import ConvergenceWarning, DataError, GraphError, UnavailableError, UnsupportedError
from msgpass.graph import FactorGraph
from msgpass.learning.ascent import Ascent
from msgpass.learning.children import child_axes, factors_behind, structural
from msgpass.learning.distributions import Distributions
from msgpass.learning.em import EM
from msgpass.learning.expectation import Expectation
from msgpass.learning.fitted import Fitted
from msgpass.learning.priors import Dirichlet, as_priors
from msgpass.learning.progress import Progress
from msgpass.learning.rows import Rows, read_rows, unseen
from msgpass.nodes import Parameter

METHODS = ("em", "lbfgs")


def fit(
    graph: FactorGraph,
    data: Any = None,
    method: str = "em",
    *,
    parameters: Iterable | None = None,
    frozen: Iterable = (),
    axes: dict | None = None,
    tied: Iterable[Iterable] = (),
    prior: Any = None,
    given: Iterable = (),
    positive: Iterable = (),
    weights: Any = None,
    algebra: Any = None,
    schedule: Any = None,
    values: dict | None = None,
    n_iter: int = 100,
    tol: float = 1e-4,
    n_init: int = 1,
    random_state: Any = None,
    verbose: bool = False,
) -> Fitted:
    """Learn parameters of a graph, complete data or not, from what arrives at them.

    Parameters
    ----------
    graph : FactorGraph
        Learning starts from its parameters' values.
    data : dict or data frame, optional
        A column a discrete variable or observation, a row an independent look; −1 (or NaN) is missing, and a
        variable without a column is never seen. By default the graph's own observations are all data.
    method : {"em", "lbfgs"}
        "em" re-estimates tables that are (conditional) distributions from expected counts. "lbfgs" climbs by
        gradients, and takes any parameter of any graph.
    parameters : iterable of names, optional
        What to learn; by default all tables under "em", all parameters under "lbfgs".
    frozen : iterable of names
        What to leave as it is.
    axes : dict, optional
        Of which variable a table is a distribution: {parameter: variable, axis, several, or None for all}.
        EM finds it by itself in a Bayesian network, where each variable is the child of one table. Under
        "lbfgs" parameters named here stay normalised.
    tied : iterable of groups of names
        Parameters of one shape that share a value. (One parameter in many factors is tied already.)
    prior : prior, or dict from parameters to priors, optional
        :class:`Dirichlet` under "em"; under "lbfgs" also :class:`L2`, or a function of the value that returns
        (log density, gradient).
    given : iterable of columns
        Under "lbfgs": variables and observations that the likelihood is conditional on.
    positive : iterable of names
        Under "lbfgs": parameters that stay above zero, such as variances; they move as logarithms.
    weights : array, optional
        How often each row counts.
    algebra, schedule
        As :func:`msgpass.run` takes them. ``JunctionTree()`` for loops; ``Flooding()`` for a surrogate.
    values : dict, optional
        Values of parameters to start from, or to hold, in place of the graph's.
    n_iter, tol : int, float
        It ends after so many iterations, or when one gains less than ``tol``.
    n_init : int
        Starts; all but the first are random. The best is returned.
    random_state : int or numpy.random.Generator, optional
    verbose : bool
        Print each iteration.

    Returns
    -------
    Fitted
        ``values`` for ``run(graph, values=…)``, ``history``, ``converged``.

    Warns
    -----
    ConvergenceWarning
        Where ``n_iter`` ends it.

    Notes
    -----
    Under "em" the objective is Σ log Z, which is the log-likelihood of a Bayesian network. Under "lbfgs" it
    is Σ log Z − log Z of what is given, all else missing, so that tables need not be normalised; and where a
    run's total is a loss (steps, losses, conditioned labels), minus that loss.

    Examples
    --------
    A coin that decides which of two dice is thrown; half of the coins were not seen.

    >>> from msgpass import FactorGraph, Table
    >>> from msgpass.learning import fit
    >>> g = FactorGraph()
    >>> coin, die = g.variable("coin", states=2), g.variable("die", states=3)
    >>> _ = g.factor(Table(g.parameter("p", np.log([0.5, 0.5]))), coin)
    >>> _ = g.factor(Table(g.parameter("q", np.log([[0.4, 0.3, 0.3], [0.3, 0.3, 0.4]]))), coin, die)
    >>> data = {"coin": [0, 0, 1, 1, -1, -1], "die": [0, 0, 1, 2, 0, 1]}
    >>> fitted = fit(g, data)
    >>> fitted.probabilities["p"].round(2), fitted.converged
    (array([0.5, 0.5]), True)
    """
    if not isinstance(graph, FactorGraph):
        raise GraphError(f"fit takes a FactorGraph, got {type(graph).__name__}")
    if method not in METHODS:
        raise UnsupportedError(f'method is "em" or "lbfgs", got {method!r}')
    n_iter, n_init = (_count(n, k) for n, k in (("n_iter", n_iter), ("n_init", n_init)))
    if isinstance(tol, bool) or not isinstance(tol, int | float) or math.isnan(tol):
        raise DataError(f"tol must be a number, got {tol!r}")
    rows = read_rows(graph, data, weights)
    learned = _learned(graph, method, parameters, frozen)
    start = {n.name: np.array(n.value, np.float64) for n in graph.nodes.values() if isinstance(n, Parameter)}
    start |= _own_values(graph, values, rows)
    groups = _groups(graph, learned, tied, start)
    heads = [group[0] for group in groups]
    priors = as_priors(prior, heads)
    settings = algebra, schedule
    behind, axes = factors_behind(graph), _names(axes or {})
    if unknown := [name for name in axes if name not in behind]:
        raise UnavailableError(f"axes names {unknown[0]!r}, which is no table's parameter")
    algorithm: EM | Ascent
    if method == "em":
        dirichlets = _check_em(graph, given, priors, start)
        found = child_axes(graph, learned, axes)
        tables = {n: Distributions.of(n, behind[n][0], found[n]) for n in learned}
        for name, table in tables.items():
            table.check(start[name])
        for group in groups:
            if len({found[n] for n in group}) > 1:
                told = ", ".join(f"{n!r} along {found[n]}" for n in group)
                raise DataError(f"tied: {told}; tied tables are distributions along one axis")
        expectation = Expectation(graph, rows, learned, *settings)
        algorithm = EM(expectation, [[tables[n] for n in group] for group in groups], dirichlets)
    else:
        normal = {n: axes[n] for n in heads if n in axes}
        tables = {
            n: Distributions.of(n, behind[n][0], a) for n, a in child_axes(graph, normal, normal).items()
        }
        terms = _terms(graph, rows, learned, [getattr(n, "name", n) for n in given], set(tables), settings)
        algorithm = Ascent(terms, groups, priors, tables, _positive(positive, heads, axes, start))
    rng = np.random.default_rng(random_state)
    best, scores = _best_of(algorithm, start, n_init, rng, n_iter, tol, verbose)
    if best.n_iter == n_iter and not best.converged and tol > 0 and n_iter > 0:
        gain = best.history[-1] - best.history[-2]
        warnings.warn(
            f"the fit stopped after n_iter={n_iter} iterations, the last of which gained {gain:.3g} ≥ "
            f"tol={tol}; raise n_iter, or tol, or set tol=0",
            ConvergenceWarning,
            stacklevel=2,
        )
    return Fitted({n: best.values[n] for n in learned}, best.history, best.converged, scores)


def _terms(
    graph: FactorGraph, rows: Rows, learned, given, normal, settings
) -> list[tuple[float, Expectation]]:
    """The runs whose totals, each with its sign, make the objective."""
    seen = Expectation(graph, rows, learned, *settings)
    if graph.plan().real:
        if given:
            raise UnsupportedError(
                f"given={given!r}: this graph's total is a loss already; condition its labels with "
                "g.condition(variable, observation) and give the rest as observations"
            )
        return [(-1.0, seen)]
    children = structural(graph)
    normalised = normal.issuperset(learned) and children.keys() == graph.factors.keys()
    if normalised and not given:
        return [(1.0, seen)]  # log Z of what is not seen is 0
    return [(1.0, seen), (-1.0, Expectation(graph, unseen(graph, rows, given), learned, *settings))]


def _best_of(algorithm, start, n_init: int, rng, n_iter: int, tol: float, verbose: bool):
    """The best of several climbs, and where each ended."""
    best: Fitted | None = None
    scores: list[float] = []
    with Progress(n_iter * n_init, "fit", quiet=verbose) as progress:
        for k in range(n_init):
            own = start if k == 0 else algorithm.start(start, rng)
            one = _climb(algorithm.climb(own), n_iter, tol, verbose, progress)
            scores.append(one.objective)
            if best is None or one.objective > best.objective:
                best = one
    assert best is not None
    return best, scores


def _climb(iterations: Iterator, n_iter: int, tol: float, verbose: bool, progress: Progress) -> Fitted:
    """Iterations until one gains less than ``tol``."""
    history: list[float] = []
    converged = False
    held: dict[str, np.ndarray] = {}
    for objective, values in iterations:
        gain = objective - history[-1] if history else math.inf
        if verbose:
            print(f"{len(history):>10d} {objective:>16.8f} {gain:>+16.8f}", file=sys.stderr)
        if history:
            progress.advance(f"objective {objective:.6g}")
        history.append(objective)
        held = values
        if gain < tol:
            converged = True
        if converged or len(history) > n_iter:
            return Fitted(held, history, converged)
    return Fitted(held, history, True)  # no step gains


def _count(name: str, value) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < (name == "n_init"):
        raise DataError(f"{name} is a whole number ≥ {int(name == 'n_init')}, got {value!r}")
    return int(value)


def _names(keyed: dict) -> dict[str, Any]:
    return {getattr(key, "name", key): value for key, value in keyed.items()}


def _learned(graph: FactorGraph, method: str, parameters, frozen) -> list[str]:
    """Names of what is learned."""
    own = [n.name for n in graph.nodes.values() if isinstance(n, Parameter)]
    tables = list(factors_behind(graph))
    fit_for = tables if method == "em" else own
    frozen = [getattr(p, "name", p) for p in frozen]
    chosen = fit_for if parameters is None else [getattr(p, "name", p) for p in parameters]
    for name in (*chosen, *frozen):
        if name not in own:
            raise UnavailableError(f"the graph has no parameter {name!r}; it has {', '.join(own) or 'none'}")
        if name in chosen and name not in fit_for:
            raise UnsupportedError(
                f'{name!r} is behind no table, and EM re-estimates tables; learn it with method="lbfgs"'
            )
    learned = [name for name in dict.fromkeys(chosen) if name not in frozen]
    if not learned:
        raise GraphError(
            "there is nothing to learn: make the log values of tables parameters, "
            "Table(g.parameter(name, log_values)), and leave one of them out of frozen="
        )
    return learned


def _own_values(graph: FactorGraph, values, rows) -> dict[str, np.ndarray]:
    """Values of parameters that a caller starts from, checked."""
    from msgpass.run import resolve_values

    names = _names(values or {})
    for name in names:
        if not isinstance(graph.nodes.get(name), Parameter):
            raise UnavailableError(f"values has {name!r}, which is no parameter; data go into data=")
    arrays, _ = resolve_values(graph.plan(), names)
    return {name: np.array(arrays[name], np.float64) for name in names}


def _positive(names, heads: list[str], axes, start) -> set[str]:
    """Names of what stays above zero, checked."""
    found = {getattr(name, "name", name) for name in names}
    for name in found:
        if name not in heads:
            raise UnavailableError(
                f"positive names {name!r}, which is not learned (or tied to one before it)"
            )
        if name in axes or not (start[name] > 0).all():
            raise DataError(f"positive: {name!r} is a log table, or does not start above zero")
    return found


def _groups(graph: FactorGraph, learned: list[str], tied, start) -> list[list[str]]:
    """Parameters that share a value; those of a group start from the first one's."""
    groups, left = [], list(learned)
    for given in tied:
        group = [getattr(p, "name", p) for p in given]
        for name in group:
            if name not in left:
                why = "is in two groups" if name in learned else "is not learned"
                raise UnavailableError(f"tied: {name!r} {why}")
            left.remove(name)
        shapes = {start[name].shape for name in group}
        if len(shapes) > 1:
            raise DataError(f"tied: {', '.join(group)} have shapes {sorted(shapes)}; one value has one shape")
        for name in group[1:]:
            start[name] = start[group[0]]
        groups.append(group)
    return groups + [[name] for name in left]


def _check_em(graph: FactorGraph, given, priors, start) -> dict[str, Dirichlet]:
    """The priors, once what EM asks for is there."""
    if graph.plan().real:
        raise UnsupportedError(
            "EM re-estimates the tables of a graph whose total is log Z; this one has steps, losses or "
            'conditioned labels, so that its total is a loss: method="lbfgs"'
        )
    if tuple(given):
        raise UnsupportedError('given= is for method="lbfgs": EM maximises the joint likelihood')
    found = {}
    for name, prior in priors.items():
        if not isinstance(prior, Dirichlet):
            raise UnsupportedError(
                f"prior of {name!r}: EM takes Dirichlet(concentration), got {prior!r}; others go with "
                'method="lbfgs"'
            )
        prior.check(name, start[name].shape)
        found[name] = prior
    return found
