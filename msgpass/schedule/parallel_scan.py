"""``ParallelScan``: the messages of a chain by an associative scan, its stretches at the same time.

A step is a function of the message that enters it, and two steps after each other are one such function
again: ∘ is associative, so that the messages α_t = α_0 ∘ E_1 ∘ … ∘ E_t are the prefixes of a scan, and may be
combined in any bracketing (Särkkä & García-Fernández 2021, *Temporal parallelization of Bayesian smoothers*;
Hassan, Särkkä & García-Fernández 2021 for tables).
"""

from msgpass.schedule.base import Schedule


class ParallelScan(Schedule):
    """The same messages as Sequential, within rounding, with every processor at work on one chain.

    ==================================  ======================================================================
    chains of tables                    a step is a matrix, ∘ its product in SumProduct or MaxProduct: a tree
                                        of batched products while small, then compiled blocks
    Gaussian chains                     (A, b, C, η, J): what a row says of the state before it, and of its
                                        own given that one; the adjoint is affine and scans, too. From 1024
                                        rows on, a long single sequence in compiled blocks
    recurrences under Adjoint           forward as under Sequential, for f is not affine in its state;
                                        backward, which is, for states of up to 16 numbers that read the step
                                        before
    trees, sparse tables, others        as under Sequential
    ==================================  ======================================================================

    Combining steps costs K messages where passing one on costs one, which processors have to win back. Two
    of them therefore start from both ends of a chain of tables and combine nothing. Measured on two, against
    Sequential, for chains of 10⁵ steps and more:

    - log messages (``m.forward``, ``m.backward``) in 1/4 to 2/3 of its time, with a transition a step in 1/2
      to 1;
    - with a transition a step, best paths in 1/3 to 1/2 for up to 4 states and 2/3 to 9/10 for more, counts
      in 2/3 to 9/10 for 4 and 8 states and 0.6 for 16 and 32; for 2 states, and for 10⁴ steps of few, there
      is nothing to win;
    - counts and best paths under one transition in its time, for Sequential cuts such chains itself; up to
      1.6 times as long where it may use segments that forget their start, from 6 states on;
    - one Gaussian chain of 10⁵ rows: with matrices by step log Z in 0.6 to 0.7 of its time and the
      smoother in 0.7 to 0.9, for Sequential has both processors at work in smoothing; where the gains settle,
      log Z in 0.6 (16 states) to 1 (2) and the smoother in 0.9 to 1.3 (worst at 8). Of 10⁴ rows from 8 states
      on, by step, 0.7 and 0.7 to 1; otherwise it is Sequential's sweep. A
      block is an element until its start is forgotten, and goes on as an ordinary one; where a coordinate
      without noise is never forgotten, log Z and smoother take 0.9 to 1.1 of the time. Several sequences,
      flat starts and messages against time go as under Sequential, shorter chains by a tree in NumPy;
    - the backward pass of a vectorised recurrence without a compiled kernel in 1/12 for a state of 2 numbers
      and 1/3 for 8.

    Where several paths are equally good, another one than Sequential's may be found. The number of processors
    decides where chains are cut, and so the last digits. A Gaussian row that is seen exactly, and a chain on
    which a scan would lose digits, go one step after another.

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
