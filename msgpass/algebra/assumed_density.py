"""``AssumedDensity``: a chain of states that picks the matrices of a Gaussian chain. Approximate.

The exact message at x_t is a mixture of one Gaussian for every path of states so far, K^t of them. After
every step it is replaced by one Gaussian a state, with the same moments: Kim's filter and smoother (Kim
1994), also known as GPB2 (Bar-Shalom & Li 1993) and as a case of assumed-density filtering (Minka 2001).
``total`` is the log Z of that filter. What arrives at a parameter is E[∂ log φ] over the smoother's
posterior, which is ∂total/∂parameter where the posterior is exact (Fisher's identity), as for one state or up
to two steps, and near it otherwise."""

from msgpass.algebra.base import Algebra


class AssumedDensity(Algebra):
    """One Gaussian a state, by matching moments; the default where states switch a Gaussian chain.

    Examples
    --------
    >>> import numpy as np
    >>> from msgpass import FactorGraph, Quadratic, Table, run
    >>> g = FactorGraph()
    >>> z, x = g.sequence("z", length=4, states=2), g.sequence("x", length=4)
    >>> y = g.observe("y", [0.1, -0.2, 3.0, 6.2])
    >>> _ = g.factor(Table.from_probabilities([0.5, 0.5]), z[0])
    >>> _ = g.factor(Table.from_probabilities([[0.9, 0.1], [0.1, 0.9]]), z[:-1], z[1:])
    >>> _ = g.factor(Quadratic.prior(0.0, 1.0), x[0])
    >>> walk = Quadratic.linear_gaussian([[[1.0]], [[1.0]]], [[[0.1]], [[0.1]]], [[0.0], [3.0]])
    >>> _ = g.factor(walk, z[1:], x[:-1], x[1:])
    >>> _ = g.factor(Quadratic.observation(1.0, 0.1), x[:], y[:])
    >>> m = run(g, AssumedDensity())
    >>> np.exp(m.belief["z"])[:, 1].round(2).tolist()
    [0.1, 0.0, 1.0, 1.0]
    """

    potentials = frozenset({"switching"})
