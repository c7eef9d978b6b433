"""Readings of whole assignments of a discrete component: draws, the best k, their entropy, and the total of
each part.

A part is what nothing connects with the rest: one sequence of a ragged chain, one member of an aligned batch,
one tree of a forest. Parts are independent given the evidence, so each has a list of its own.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from msgpass.algebra import MaxProduct, SumProduct
from msgpass.errors import DataError, UnavailableError, UnsupportedError
from msgpass.kernels import sparse_chain_paths as sparse
from msgpass.kernels.chain_paths import draw_paths, path_entropies, ranked_paths
from msgpass.plan import GaussianChain, NonlinearTree
from msgpass.sweeps import tree_paths
from msgpass.sweeps.checkpointed_chain import CheckpointedChain
from msgpass.sweeps.gaussian_chain import GaussianChainRun
from msgpass.sweeps.readings import full, on_chain, owner
from msgpass.sweeps.sparse_chain import SparseChainRun
from msgpass.sweeps.switching_chain import SwitchingRun
from msgpass.sweeps.windowed import WindowedChain


class Ranked(NamedTuple):
    """The best assignments of every part, best first.

    Attributes
    ----------
    scores : array, (parts, k)
        Log scores; −∞ where a part has fewer possible assignments.
    states : array of int, (k, …)
        States of the variable, shaped as in ``assignment``; −1 where a part has fewer.
    """

    scores: np.ndarray
    states: np.ndarray


def totals(x, name: str) -> np.ndarray:
    """log Z (or best score) of every part, (parts,)."""
    kept = x.runs.get(owner(x, name)[0]) if name in x.plan.owner else None
    if isinstance(kept, CheckpointedChain):
        return np.array(kept.per_sequence, np.float64)
    if isinstance(kept, SwitchingRun):
        return kept.per_sequence
    run, _ = _component(x, name, gaussian=True)
    if on_chain(run):
        return np.array(_plain(run).per_sequence, np.float64)
    if isinstance(run, GaussianChainRun):
        return run.per_sequence
    cliques = getattr(run, "part_totals", None)  # of runs over cliques, (batch, parts), and of loopy ones
    return _of(run, "totals")(name) if cliques is None else np.ravel(cliques.T)


def sample(x, name: str, rng, n: int | None) -> np.ndarray:
    """Draws of a variable's states from the posterior over whole assignments."""
    run, algebra = _component(x, name, gaussian=True)
    _exact(x, name)
    if type(algebra) is not SumProduct and x.plan.graph.nodes[name].discrete:
        raise UnsupportedError(
            f"{name!r} is drawn from sum-product messages, or, in a Gaussian chain, from Gaussian "
            f"ones; this run was {algebra.name}: use SumProduct() or Gaussian()"
        )
    if n is not None and (isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1):
        raise DataError(f"the number of draws must be a whole number ≥ 1, got {n!r}")
    rng = np.random.default_rng(rng)
    run.impossible()
    if isinstance(run, GaussianChainRun):
        draws = run.sample(rng, n or 1)
        return draws if n is not None else draws[0]
    if not on_chain(run):
        draws = _of(run, "sample")(name, rng, n or 1)
        return draws if n is not None else draws[0]
    chain = _plain(run)
    T = int(chain.layout.offsets[-1])
    if isinstance(chain, SparseChainRun):
        draws = sparse.draw_paths(chain.tables.logs, chain.log_alpha, rng.random((n or 1, T)))
        return draws if n is not None else draws[0]
    paths = draw_paths(
        chain.log_alpha_beta[0],
        chain.tables.log_transition,
        chain.layout.offsets,
        rng.random((n or 1, T)),
    )
    draws = _stacked(chain, paths)
    return draws if n is not None else draws[0]


def k_best(x, name: str, k: int) -> Ranked:
    """The k best assignments of every part, and this variable's states in them."""
    run, algebra = _component(x, name)
    _exact(x, name)
    if not isinstance(algebra, MaxProduct):
        raise UnsupportedError(
            f"the best assignments of {name!r} are read from max-product messages; this run was "
            f"{algebra.name}: use MaxProduct()"
        )
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise DataError(f"k must be a whole number ≥ 1, got {k!r}")
    _whole(x, name)
    run.impossible()
    if not on_chain(run):
        return Ranked(*_of(run, "k_best")(name, int(k)))
    if isinstance(run, SparseChainRun):
        return Ranked(*sparse.ranked_paths(run.tables.logs, run.log_alpha, int(k)))
    offsets, alpha, table = run.layout.offsets, run.log_alpha_beta[0], run.tables.log_transition
    scores = np.full((run.layout.n, k), -np.inf)
    paths = np.full((k, int(offsets[-1])), -1, np.int64)
    for n, (a, b) in enumerate(pairwise(offsets)):
        own = table if table.ndim == 2 else table[a - n : b - n - 1]
        found, states = ranked_paths(alpha[a:b], own, int(k))
        scores[n, : len(found)] = found
        paths[: len(found), a:b] = states
    return Ranked(scores, _stacked(run, paths))


def entropy(x, name: str) -> np.ndarray:
    """Entropy in nats of the assignments of every part given the evidence, (parts,)."""
    run, algebra = _component(x, name, hasattr(_run_of(x, name), "read_entropy"))
    _exact(x, name)
    if type(algebra) is not SumProduct and x.plan.graph.nodes[name].discrete:
        raise UnsupportedError(
            f"the entropy of {name!r} is read from sum-product messages; this run was {algebra.name}: use "
            "SumProduct()"
        )
    if not x.schedule.backward:
        raise UnavailableError("ForwardOnly has no posteriors; entropies need Sequential()")
    _whole(x, name)
    run.impossible()
    if not on_chain(run):
        return _of(run, "entropy")(name)
    if isinstance(run, SparseChainRun):
        return sparse.path_entropies(run.tables.logs, run.log_alpha, run.gamma)
    return path_entropies(run.log_alpha_beta[0], run.gamma, run.tables.log_transition, run.layout.offsets)


def _component(x, name: str, gaussian: bool = False):
    """(run, algebra) of the discrete component that holds a variable, or of its Gaussian chain or graph that
    was run as a whole."""
    block = x.plan.owner.get(name)
    chain = isinstance(block, GaussianChain) or (
        isinstance(block, NonlinearTree) and isinstance(x.runs[owner(x, name)[0]], GaussianChainRun)
    )
    chain = chain or hasattr(_run_of(x, name), "read_joint")
    if name not in x.plan.owner or not (x.plan.graph.nodes[name].discrete or (gaussian and chain)):
        names = [n for n in x.plan.owner if x.plan.graph.nodes[n].discrete]
        raise UnavailableError(
            f"{name!r} is not a latent discrete variable; this graph has {', '.join(names) or 'none'}"
        )
    x = full(x)
    k, _ = owner(x, name)
    algebra = x.algebras[k]
    if isinstance(x.runs[k], SwitchingRun):
        raise UnsupportedError(
            f"{name!r} belongs to a switching chain, whose {algebra.name} keeps no distribution over whole "
            "assignments; m.belief and m.mixture have each step's"
        )
    return x.runs[k], SumProduct() if "step" in algebra.potentials else algebra


def _run_of(x, name: str):
    return x.runs.get(owner(x, name)[0]) if name in x.plan.owner else None


def _of(run, what: str):
    """A reading of a run that has it of its own, or of a tree."""
    own = getattr(run, f"read_{what}", None)
    return partial(getattr(tree_paths, what), run) if own is None else own


def _exact(x, name: str) -> None:
    if x.schedule.loops == "approximate":
        raise UnsupportedError(
            f"{x.schedule.name}() has beliefs of variables and factors, and no distribution over whole "
            f"assignments of {name!r}; use JunctionTree(), or Sequential() where there are no loops"
        )


def _whole(x, name: str) -> None:
    if x.schedule.windowed:
        raise UnsupportedError(
            f"{x.schedule!r} gives each step of {name!r} evidence of its own, so no one distribution "
            "over whole assignments exists; use Sequential()"
        )


def _plain(run):
    """A windowed chain's forward messages and totals are those of the exact run."""
    return run.run if isinstance(run, WindowedChain) else run


def _stacked(run, paths: np.ndarray) -> np.ndarray:
    """(n, kernel order) → (n, T, *batch)."""
    return np.moveaxis(run.stacked(np.ascontiguousarray(paths.T)), -1, 0)
