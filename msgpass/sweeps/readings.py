"""Reading a finished run: forward and backward messages, beliefs, gradients, assignments, and any single
message.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.algebra import MaxProduct
from msgpass.algebra.tangent import Dual
from msgpass.errors import UnavailableError, UnsupportedError
from msgpass.nodes import Parameter, Sequence, Variable
from msgpass.plan import Map, Recurrence, SwitchingChain, TableChain, Tree
from msgpass.sweeps.checkpointed_chain import CheckpointedChain
from msgpass.sweeps.gaussian_chain import GaussianChainRun
from msgpass.sweeps.gaussian_messages import GaussianBelief
from msgpass.sweeps.sparse_chain import SparseChainRun
from msgpass.sweeps.structured_chain import refuse_long
from msgpass.sweeps.switching_chain import SwitchingRun
from msgpass.sweeps.table_chain import ChainRun
from msgpass.sweeps.windowed import WindowedChain


def owner(x, name: str) -> tuple[int, Any]:
    """Number and block of a latent node."""
    block = x.plan.owner[name]
    return numbers_of(x.plan)[block], block


def numbers_of(plan) -> dict:
    """Number of each block, and of the block of each factor by its name."""
    found = plan.cache.get("block numbers")
    if found is None:
        found = {block: k for k, block in enumerate(plan.blocks)}
        found |= {f.name: k for k, block in enumerate(plan.blocks) for f in block.families}
        plan.cache["block numbers"] = found
    return found


def on_chain(run) -> bool:
    """The component was run by the chain's own sweeps (otherwise as a tree)."""
    return isinstance(run, ChainRun | SparseChainRun | WindowedChain)


def full(x):
    """This run, or the same run with every message kept."""
    return x if x.schedule.slots is None else x.everything


def has_forward(x, name: str) -> bool:
    """A sequence, or a variable that a step computes."""
    node = x.plan.graph.nodes.get(name)
    return isinstance(node, Sequence) or (
        isinstance(node, Variable) and isinstance(x.plan.owner.get(name), Map | Recurrence)
    )


def forward(x, name: str):
    """Forward messages of a sequence, or the value of a variable."""
    found = _forward(x, name)
    return found if x.second is None else x.second.forward(name, found)


def _forward(x, name: str):
    if x.schedule.slots is not None:
        raise UnavailableError(
            f"{x.schedule!r} has dropped the forward messages of {name!r}; run with Sequential() to keep them"
        )
    k, block = owner(x, name)
    if isinstance(block, Map | Recurrence):
        return x.values[name] if x.tangents is None else Dual(x.values[name], x.tangents[name])
    return x.runs[k].read_forward(name)


def backward(x, name: str):
    """Backward messages of a sequence."""
    found = _backward(x, name)
    return found if x.second is None else x.second.backward(name, found)


def _backward(x, name: str):
    k, block = owner(x, name)
    x = full(x)
    if isinstance(block, Map | Recurrence):
        needs_backward(x, f"the cotangents of {name!r}")
        return sum(later.complete(name) for _, later in x.stores.values())
    _needs_schedule(x, name)
    return x.runs[k].read_backward(name)


def _needs_schedule(x, name) -> None:
    if not x.schedule.backward:
        raise UnavailableError(f"ForwardOnly passes nothing backward to {name!r}; run with Sequential()")


def needs_backward(x, what) -> None:
    _needs_schedule(x, what)
    if x.impossible is not None:
        raise x.impossible
    if x.tangents is not None:
        raise UnsupportedError(
            f"Tangent runs forward only, so there is no backward message for {what}; use Adjoint()"
        )


def discrete_names(x) -> list[str]:
    """Latent discrete variables."""
    return [n for n in x.plan.owner if x.plan.graph.nodes[n].discrete]


def believed(x) -> list[str]:
    """Names that have a belief: variables of components, and their factors."""
    blocks = [b for b in x.plan.blocks if isinstance(b, TableChain | Tree | SwitchingChain)]
    return [n for b in blocks for n in b.nodes] + [f.name for b in blocks for f in b.families]


def has_belief(x, name: str) -> bool:
    """A variable of a component, or one of its factors."""
    block = x.plan.owner.get(name)
    if block is None and name in x.plan.graph.factors:
        block = x.plan.blocks[numbers_of(x.plan)[name]]
    return isinstance(block, TableChain | Tree | SwitchingChain)


def believe(x, name: str):
    """Belief of a variable or of a factor."""
    found = _believe(x, name)
    return found if x.second is None else x.second.belief(name, found)


def _believe(x, name: str):
    x = full(x)
    if not x.schedule.backward:
        _needs_schedule(x, f"a belief of {name!r}; m.forward[{name!r}] holds the filter")
    if name in x.plan.graph.factors:
        return _factor_belief(x, name)
    return x.runs[owner(x, name)[0]].read_belief(name)


def _factor_belief(x, name: str):
    k = numbers_of(x.plan)[name]
    block = x.plan.blocks[k]
    family = next(f for f in block.families if f.name == name)
    refuse_long(x.runs[k], family)
    found = x.runs[k].read_factor(x.linear_family(k, family))
    if isinstance(found, GaussianBelief):
        return found if family.counts is not None else GaussianBelief(found.mean[0], found.cov[0])
    return found if family.factor.stepped or family.factor.n > 1 else found[0]


def no_belief(x, name: str) -> str | None:
    """Why a name has no belief."""
    if name in x.plan.owner or name in x.plan.graph.factors:
        return (
            f"{name!r} is deterministic: it has a value (m.forward[{name!r}]) and a cotangent "
            f"(m.gradient[{name!r}]), but no belief; beliefs are of variables in Tables and Quadratics"
        )
    return None


def real_names(x) -> list[str]:
    """Names that have a gradient."""
    return [n for n in x.plan.graph.nodes if has_gradient(x, n)]


def has_gradient(x, name: str) -> bool:
    """It is computed by steps, or a real number that is given."""
    if name in x.plan.owner:
        return isinstance(x.plan.owner[name], Map | Recurrence)
    return name in x.plan.graph.nodes and name in x.values and x.values[name].dtype.kind == "f"


def gradient(x, name: str):
    """∂total/∂ a real variable, parameter or observation; a Dual where it moves."""
    found = _gradient(x, name)
    return found if x.second is None else x.second.gradient(name, found)


def _gradient(x, name: str) -> np.ndarray:
    if x.schedule.slots is not None and not _survives(x, name):
        x = full(x)
    if not x.plan.real:
        _needs_schedule(x, name)
        return x.component_store[name]
    needs_backward(x, f"∂total/∂{name}")
    if len(x.stores) == 1:
        ((store, _),) = x.stores.values()
        return store.complete(name).copy()
    return sum(store.complete(name) for store, _ in x.stores.values())


def _survives(x, name: str) -> bool:
    """A checkpointed run has the gradient: that of a parameter, or of what has no rows where it says so."""
    return isinstance(x.plan.graph.nodes[name], Parameter) or name in x.without_rows


def lent(x, name: str) -> np.ndarray:
    """What arrives at a parameter, not copied where nothing but one message did, and not to be written to."""
    if x.second is not None:
        raise x.second.without_tangents(f"a lent message at {name!r}")
    if x.plan.real:
        array = gradient(x, name)
    else:
        _needs_schedule(x, name)
        array = x.component_store.peek(name)
    view = np.asarray(array).view()  # a single number may come as one
    view.flags.writeable = False
    return view


def no_gradient(x, name: str) -> str | None:
    """Why a name has no gradient."""
    node = x.plan.graph.nodes.get(name)
    if node is not None and node.discrete:
        return (
            f"{name!r} is discrete, so total has no gradient with respect to it; exp(m.belief[{name!r}]) is "
            "∂log Z/∂(its log evidence)"
        )
    if node is not None:
        return f"{name!r} is Gaussian, so it is integrated out; m.belief[{name!r}] has its mean and cov"
    return None


def parameter(x, name: str):
    """What arrives at a parameter."""
    return gradient(x, name)


def mixture(x, name: str, filtered: bool):
    """The posterior of a switched variable, one Gaussian a state."""
    if not filtered:
        _needs_schedule(x, f"the mixture of {name!r}; filtered=True is there")
    run = full(x).runs[owner(x, name)[0]] if name in x.plan.owner else None
    if not isinstance(run, SwitchingRun):
        raise UnavailableError(
            f"{name!r} is no Gaussian chain that states switch, so its posterior is no mixture; read m.belief"
        )
    run.impossible()
    return run.filtered if filtered else run.mixtures


def linearised_names(x) -> list[str]:
    """Gaussian variables that noisy steps relate."""
    return [n for made in full(x).linearised.values() for n in made.report]


def linearisation(x, name: str):
    """Where a variable's component was linearised."""
    k, _ = owner(x, name)
    found = x.linearised[k].report[name]
    node = x.plan.graph.nodes[name]
    shape = (node.clock.total, *node.shape) if isinstance(node, Sequence) else node.shape
    return found._replace(mean=found.mean.reshape(shape))


def converged(x, name: str) -> np.ndarray:
    """Rows from which the gains of a Gaussian chain are constant."""
    run = full(x).runs[owner(x, name)[0]] if name in x.plan.owner else None
    if not isinstance(run, GaussianChainRun):
        raise UnavailableError(
            f"{name!r} has no gains: they belong to a chain of Gaussian variables, one real sequence linked "
            "across time by Quadratic.linear_gaussian, under Sequential() or ForwardOnly()"
        )
    return run.sweep.converged


def assignment(x, name: str) -> np.ndarray:
    """Best states of a discrete variable."""
    k, _ = owner(x, name)
    if isinstance(x.algebras[k], MaxProduct) and isinstance(x.runs.get(k), CheckpointedChain):
        x.runs[k].impossible()
        return x.runs[k].stacked(x.runs[k].path)
    x = full(x)
    if not isinstance(x.algebras[k], MaxProduct):
        raise UnsupportedError(
            f"{x.algebras[k].name} has beliefs but no best assignment of {name!r}; run with MaxProduct()"
        )
    run = x.runs[k]
    run.impossible()
    if on_chain(run):
        return run.stacked(run.path)
    if hasattr(run, "read_assignment"):
        return run.read_assignment(name)
    if "assigned" not in run.__dict__:
        run.assigned = run.assign()
    node = x.plan.graph.nodes[name]
    if isinstance(node, Sequence):
        return np.stack([run.assigned[run.o.index[(name, r)]] for r in range(node.clock.total)])
    return run.assigned[run.o.index[(name, -1)]]


def convergence(x):
    """How loopy propagation went, over all components."""
    from msgpass.sweeps.flooding.convergence import joined

    parts = [r.convergence for r in full(x).runs.values() if hasattr(r, "convergence")]
    if not parts:
        raise UnavailableError(
            f"{x.schedule!r} passed every message once; convergence is that of Flooding() over undirected "
            f"factors"
        )
    return joined(parts)
