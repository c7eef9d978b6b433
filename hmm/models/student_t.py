"""``StudentTHMM``: states that emit heavy-tailed numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hmm.emissions.student_t import StudentT
from hmm.models.independent import IndependentHMM


@dataclass(eq=False, repr=False)
class StudentTHMM(IndependentHMM):
    """Hidden Markov model of real numbers with Student t distributions, which outliers do not pull about.

    X is (T, D), or (T,) for one feature; NaN is missing. Features are independent given the state.

    Parameters
    ----------
    n_components : int
        States K.
    startprob_prior, transmat_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        EM stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "l" locs, "c" scales,
        "d" dofs.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    locs_, scales_, dofs_ : array, (K, D)
        Centre, scale and degrees of freedom, the last kept between 0.2 and 1000 by ``fit``.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.standard_t(2, 300), 20 + rng.standard_t(2, 300)])
    >>> model = StudentTHMM(n_components=2, random_state=0).fit(X)
    >>> np.abs(np.sort(model.locs_.ravel())).round()
    array([ 0., 20.])
    """

    EMISSION = StudentT

    n_components: int = 1
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stlcd"
    init_params: str = "stlcd"
    implementation: str = "log"
