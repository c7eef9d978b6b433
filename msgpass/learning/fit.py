"""``fit``: parameters of any graph from data."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from msgpass.errors import ConvergenceWarning, DataError, UnavailableError, UnsupportedError
from msgpass.graph import FactorGraph
from msgpass.learning.ascent import Ascent
from msgpass.learning.children import factors_behind, normalised
from msgpass.learning.domains import Normalised
from msgpass.learning.em import EM
from msgpass.learning.expectation import Expectation, Sum
from msgpass.learning.fitted import Fitted
from msgpass.learning.priors import as_priors
from msgpass.learning.progress import Progress
from msgpass.learning.rows import Rows, blank, read_rows, unseen
from msgpass.learning.settings import (
    by_name,
    check_em,
    check_shared,
    count,
    distributions_of,
    domains_of,
    groups_of,
    learned_names,
    own_values,
    parts_of,
)
from msgpass.nodes import Parameter

METHODS = ("em", "lbfgs")


def fit(
    graph: FactorGraph | Sequence[FactorGraph],
    data: Any = None,
    method: str = "em",
    *,
    parameters: Iterable | None = None,
    frozen: Iterable = (),
    axes: dict | None = None,
    tied: Iterable[Iterable] = (),
    prior: Any = None,
    given: Iterable = (),
    domains: dict | None = None,
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
    graph : FactorGraph, or several
        Learning starts from its parameters' values. Several graphs share parameters by name; the first has
        all that is learned.
    data : dict or data frame, optional
        A column a discrete variable or observation, a row an independent look; −1 (or NaN) is missing, and a
        variable without a column is never seen. By default the graph's own observations are all data. Of
        several graphs a list, one entry a graph.
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
    domains : dict, optional
        Under "lbfgs": where parameters live, {name: "positive", "unit" (between 0 and 1) or "covariance"}.
    weights : array, optional
        How often each row counts. Of several graphs a list.
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
    graphs, data, weights = parts_of(graph, data, weights)
    graph = graphs[0]
    if method not in METHODS:
        raise UnsupportedError(f'method is "em" or "lbfgs", got {method!r}')
    n_iter, n_init = (count(n, k) for n, k in (("n_iter", n_iter), ("n_init", n_init)))
    if isinstance(tol, bool) or not isinstance(tol, int | float) or math.isnan(tol):
        raise DataError(f"tol must be a number, got {tol!r}")
    rows = [read_rows(*part) for part in zip(graphs, data, weights, strict=True)]
    learned = learned_names(graph, method, parameters, frozen)
    check_shared(graphs, learned)
    start = {n.name: np.array(n.value, np.float64) for n in graph.nodes.values() if isinstance(n, Parameter)}
    start |= own_values(graph, values)
    groups = groups_of(graph, learned, tied, start)
    heads = [group[0] for group in groups]
    priors = as_priors(prior, heads)
    settings = algebra, schedule
    parts = list(zip(graphs, rows, strict=True))
    axes = by_name(axes or {})
    if unknown := [name for name in axes if name not in factors_behind(graph)]:
        raise UnavailableError(f"axes names {unknown[0]!r}, which is no table's parameter")
    algorithm: EM | Ascent
    if method == "em":
        dirichlets = check_em(graphs, given, priors, start)
        tables = distributions_of(graph, groups, axes, start)
        if all(blank(g, r) and normalised(g, learned, learned, start) for g, r in parts):
            raise DataError(
                "no value is observed, so that there is nothing to learn from: give data, columns of which "
                "hold more than −1, or observations with g.observe"
            )
        seen = [(1.0, Expectation(g, r, learned, *settings)) for g, r in parts]
        algorithm = EM(Sum(seen), [[tables[n] for n in group] for group in groups], dirichlets)
    else:
        own = domains_of(graph, by_name(domains or {}), axes, heads, start)
        normal = {n for n, domain in own.items() if isinstance(domain, Normalised)}
        given = [getattr(n, "name", n) for n in given]
        terms = [term for g, r in parts for term in _terms(g, r, learned, given, normal, start, settings)]
        algorithm = Ascent(Sum(terms), groups, priors, own)
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
    graph: FactorGraph, rows: Rows, learned, given, normal, start, settings
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
    if normalised(graph, learned, normal, start) and not given:
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
