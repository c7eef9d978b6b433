"""Linearise at the smoothed path, smooth, repeat: Gauss-Newton, or iterated posterior linearisation.

Gauss-Newton has an objective, J(x) = −log p(x, y) without normalising constants; a pass is a step towards
the mean of the linearised posterior, halved until J falls, or taken with Levenberg-Marquardt damping:
canonical quadratics on every variable that hold it where it is. Differences of J are blind to steps of the
size of √eps, and Gauss-Newton is slow, or turns in circles, where residuals are large and curved; so each
pass also tries Anderson's mixture of the last ones, and takes it if J is not higher there.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from msgpass.errors import ConvergenceWarning, DataError, NumericalError, ShapeError, UnsupportedError
from msgpass.graph import Factor
from msgpass.linearisation.cubature import Cubature
from msgpass.linearisation.extended import Extended
from msgpass.nodes import Parameter, Sequence, as_slice
from msgpass.plan import resolve, undirected_block
from msgpass.potentials import Quadratic
from msgpass.sweeps.anderson import Anderson
from msgpass.sweeps.objective import objective

HALVINGS = 30
MOST_DAMPING = 1e16


def iterate(made):
    """(linear run, linearisations, report) at the fixed point; ``made`` is a
    :class:`~msgpass.sweeps.linearised.Linearised`."""
    settings = made.rule
    rule, spread = settings.rule, settings.rule.spread
    means, covs = _start(made)
    has_objective = type(rule) is Extended
    value = objective(made.relations, means) if has_objective else None
    if settings.damping > 0 and value is None:
        raise UnsupportedError(
            f"{settings!r}: damping needs log p(x, y), which singular covariances have none of; leave it out"
        )
    history: list[Any] = [] if value is None else [value]
    damping, run, affine, moved = settings.damping, None, {}, np.inf
    recent = Anderson()
    for iteration in range(1, settings.max_iter + 1):
        affine = made.linearise_at(means, covs, rule)
        run = made.run_linear(affine, smooth=True)
        target, target_covs = made.moments(run)
        moved = _distance(target, means) + (_distance(target_covs, covs) if spread else 0.0)
        if moved <= settings.tol:
            return _finish(made, run, affine, means, True, iteration, history)
        if value is None:
            means, covs = target, target_covs
            continue
        mixed = recent.mix(means, target)
        if damping > 0:
            found, damping = _damped(made, affine, means, value, damping)
        elif settings.line_search:
            found = _searched(made, means, target, value)
        else:
            found = target, objective(made.relations, target)
        means, value = _better(made, mixed, found) if settings.line_search else found
        covs = target_covs
        history.append(value)
    warnings.warn(
        f"{settings!r} stopped with means still moving by {moved:.2g} of their scale; raise max_iter, add "
        "damping=1.0, or start nearer",
        ConvergenceWarning,
        stacklevel=8,  # where run was called
    )
    return _finish(made, run, affine, means, False, settings.max_iter, history)


def _finish(made, run, affine, means, converged, iterations, history):
    from msgpass.sweeps.linearised import Report

    report = {n: Report(made.rule, m, converged, iterations, tuple(history)) for n, m in means.items()}
    return run, affine, report


def _start(made):
    """The path that the user gives, or a smoother that linearises on the way: by the rule itself, or in place
    of tangents by cubature, which is not so easily led astray."""
    given = made.rule.start
    if given is None:
        try:
            rule = made.rule.rule
            return made.smoothed(Cubature() if type(rule) is Extended else rule)
        except NumericalError:  # points may lie where f is not defined
            if type(rule) is not Extended:
                raise
            return made.smoothed(rule)
    means, covs = {}, {}
    for name, node in made.nodes.items():
        rows = node.clock.total if isinstance(node, Sequence) else 1
        if name not in given:
            raise DataError(f"Iterated: start has no path of {name!r}; it has {', '.join(given) or 'none'}")
        path = np.asarray(given[name], float)
        if path.size != rows * node.size or not np.isfinite(path).all():
            raise ShapeError(
                f"Iterated: start[{name!r}] has shape {path.shape}, wanted finite numbers of shape "
                f"{(rows, *node.shape)}"
            )
        means[name] = path.reshape(rows, node.size)
        covs[name] = np.broadcast_to(np.eye(node.size), (rows, node.size, node.size))
    return means, covs


def _distance(a, b) -> float:
    """Largest difference over the scale of each variable."""
    return max(float(np.abs(a[n] - b[n]).max(initial=0.0) / (1.0 + np.abs(a[n]).max(initial=0.0))) for n in a)


def _better(made, mixed, found):
    """The lower of Anderson's path and the safeguarded step."""
    if mixed is not None:
        value = _try(made, mixed)
        if value is not None and value <= found[1] + 1e-14 * (1.0 + abs(found[1])):
            return mixed, value
    return found


def _searched(made, means, target, value: float):
    """Halve the step towards ``target`` until the objective falls (or stays, to rounding)."""
    slack = 1e-13 * (1.0 + abs(value))
    step = 1.0
    for _ in range(HALVINGS):
        trial = {n: means[n] + step * (target[n] - means[n]) for n in means}
        found = _try(made, trial)
        if found is not None and found <= value + slack:
            return trial, found
        step /= 2
    return means, value


def _try(made, means) -> float | None:
    try:
        return objective(made.relations, means)
    except NumericalError:  # f overflows so far from where the path is
        return None


def _damped(made, affine, means, value: float, damping: float):
    """A Levenberg-Marquardt step: more damping until the objective falls, less for the next one."""
    slack = 1e-13 * (1.0 + abs(value))
    while damping < MOST_DAMPING:
        towards = {n: damping * m for n, m in means.items()}
        target, _ = made.moments(damped_run(made, affine, towards, damping))
        found = _try(made, target)
        if found is not None and found <= value + slack:
            return (target, found), damping / 10
        damping *= 10
    return (means, value), damping


def damped_run(made, affine, towards, damping: float):
    """The linear engine with exp(towards·x − ½ damping |x|²) on every variable beside everything else."""
    block, names = made.kept("damped", lambda: _damped_block(made))
    values = made.values_of(affine)
    for name, (h, precision) in names.items():
        values[h] = towards[name]
        values[precision] = damping * np.eye(towards[name].shape[1])
    return made.run_block(("damped", made.k), block, values, True)


def _damped_block(made):
    graph = made.block.families[0].factor.graph
    families, names = list(made.surrogates.block.families), {}
    for name, node in made.nodes.items():
        many = isinstance(node, Sequence)
        rows = node.clock.total if many else 1
        called = f"damping of {name}"
        h = Parameter(graph, f"{called}: h", np.broadcast_to(0.0, (rows, node.size)))
        precision = Parameter(graph, called, np.broadcast_to(0.0, (node.size, node.size)))
        where = node[:] if many else as_slice(node)
        clock, counts = (node.clock, np.asarray(node.clock.lengths)) if many else (None, None)
        families.append(resolve(Factor(graph, called, Quadratic(h, precision), (where,), (), clock, counts)))
        names[name] = (h.name, precision.name)
    return undirected_block(graph, made.block.nodes, families), names
