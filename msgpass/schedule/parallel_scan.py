"""``ParallelScan``: the messages of a chain by an associative scan, its stretches at the same time.

A step is a function of the message that enters it, and two steps after each other are one such function
again: ∘ is associative, so that the messages α_t = α_0 ∘ E_1 ∘ … ∘ E_t are the prefixes of a scan, and may be
combined in any bracketing (Särkkä & García-Fernández 2021, *Temporal parallelization of Bayesian smoothers*;
Hassan, Särkkä & García-Fernández 2021 for tables).
"""

from msgpass.schedule.base import Schedule


class ParallelScan(Schedule):
    """The same messages as Sequential, within rounding, with every processor at work on one chain.

    What scans is a chain of tables under SumProduct or MaxProduct: a step is a matrix, and the scan
    multiplies matrices in the algebra. Small chains are scanned by a tree of batched products, larger ones
    are cut into blocks. Blocks between the first and the last are reduced to a matrix first, which costs K
    messages a step instead of one; two processors work from both ends and need none, so that they do not pay
    it. Everything else (trees, sparse tables, other table algebras) runs as under Sequential.

    Where several paths are equally good, another one than Sequential's may be found. The number of processors
    decides where chains are cut, and so the last digits.

    Examples
    --------
    >>> import numpy as np
    >>> from msgpass import FactorGraph, Table, run
    >>> g = FactorGraph()
    >>> z = g.sequence("z", length=3, states=2)
    >>> _ = g.factor(Table(np.log([[0.9, 0.1], [0.2, 0.8]])), z[:-1], z[1:])
    >>> _ = g.factor(Table([[0.0, -1.0], [-2.0, 0.0], [0.0, 0.0]]), z[:])
    >>> one, other = run(g), run(g, schedule=ParallelScan())
    >>> bool(np.allclose(one.belief["z"], other.belief["z"]))
    True
    """

    scans = True
