"""The factor graph of a switching space and data: regimes "z", states "x", observations "y".

Factors are "first regime" and "regimes", and over states and their regime "initial", "transition" and
"observation". Parameters have the names of the attributes, those of regimes are logarithms."""

from __future__ import annotations

import numpy as np

from hmm.simplex import log
from hmm.state_space.series import Series
from hmm.state_space.switching.space import MATRICES, OBSERVATION, TRANSITION, SwitchingSpace
from msgpass import FactorGraph, Quadratic, Table


def make_graph(space: SwitchingSpace, series: Series) -> FactorGraph:
    """The graph; :func:`values` make it a graph of other parameters."""
    g, lengths = FactorGraph(), series.lengths
    length = lengths if len(lengths) > 1 else lengths[0]
    z = g.sequence("z", length=length, states=space.n_regimes)
    x = g.sequence("x", length=length, shape=(space.n_states,))
    y = g.observe("y", series.y)
    known = {name: g.parameter(name, value) for name, value in values(space).items()}
    g.factor(Table(known["startprob"]), z[0], name="first regime")
    g.factor(Table(known["transmat"]), z[:-1], z[1:], name="regimes")
    g.factor(Quadratic.prior(known["initial_mean"], known["initial_covariance"]), z[0], x[0], name="initial")
    F, b, Q = (known[name] for name in TRANSITION)
    H, d, R = (known[name] for name in OBSERVATION)
    g.factor(Quadratic.linear_gaussian(F, Q, b), z[1:], x[:-1], x[1:], name="transition")
    g.factor(Quadratic.linear_gaussian(H, R, d), z[:], x[:], y[:], name="observation")
    return g


def values(space: SwitchingSpace) -> dict[str, np.ndarray]:
    """The graph's parameters by name."""
    found = {name: getattr(space, name) for name in MATRICES}
    return found | {"startprob": log(space.startprob), "transmat": log(space.transmat)}
