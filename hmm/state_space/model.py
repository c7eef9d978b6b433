"""``LinearGaussianSSM``: a real state that moves linearly and is seen linearly, with normal noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hmm.state_space.learner import Learner
from hmm.state_space.reader import Reader


@dataclass(eq=False, repr=False)
class LinearGaussianSSM(Learner, Reader):
    """Linear-Gaussian state space model (Kalman filter and smoother, EM, exact likelihood).

        x_0 ~ N(m, P)    x_{t+1} = F x_t + B u_t + b + N(0, Q)    y_t = H x_t + D u_t + d + N(0, R)

    X is (T, p), or (T,) for one output; NaN cells are missing, whole rows too. Q, R and P may be singular.

    Parameters
    ----------
    n_components : int
        States n.
    transition_matrix, transition_covariance, transition_offset, transition_input_matrix : array, optional
        F (n, n), Q (n, n), b (n,), B (n, k): where a fit starts, or what the model is if it is not fitted.
        Each may have a step axis in front: row t is of the step from t to t + 1, in every sequence (or, with
        several sequences, one row for each row of X). Such parameters are not learned.
    observation_matrix, observation_covariance, observation_offset, observation_input_matrix : array, optional
        H (p, n), R (p, p), d (p,), D (p, k), likewise; row t is of step t.
    initial_mean, initial_covariance : array, optional
        m (n,), P (n, n). An infinite variance on P's diagonal makes the density of that state flat.
    initial : {"known", "diffuse", "stationary"}
        Where the first state comes from: N(m, P); a flat density (exact, not a large number); or the
        distribution that F and Q keep, for which F must be stable.
    n_inputs : int
        The last columns of X are so many inputs. They may come by ``inputs=`` instead.
    learned : list of str, optional
        Parameters that a fit moves, by name. By default all but the transition's offset, what has a step
        axis, what ``initial`` says, the input matrices where there are no inputs, the observation's offset
        where the observation matrix is frozen, and, of a single sequence, the first state's covariance.
    frozen : list of str or dict, optional
        What a fit leaves as it is: names, or name → True or a mask of the entries that are held.
    transition_covariance_type, observation_covariance_type, initial_covariance_type : str
        "full"; "diag"; "spherical", a multiple of the identity; or "scaled", a multiple of the matrix that
        the fit starts from. States or outputs whose noise is zero at the start have none at the end.
    priors : dict, optional
        A covariance → (degrees ν, scale Ψ), inverse Wishart; "transition_matrix" or "observation_matrix" →
        (mean M, precision Λ), normal with covariances Q (or R) ⊗ Λ⁻¹. A number stands for a multiple of the
        identity. The fit then maximises log p(X) + log prior.
    method : {"em", "lbfgs"}
        EM, or L-BFGS on the same exact likelihood, whose gradient is read from the same messages. The latter
        is the quicker near the maximum, and the only one for a stationary start.
    n_init : int
        Starts; the fit keeps the best. The first is made from windows of the data, others look at these from
        random sides.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        A fit stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.

    Attributes
    ----------
    transition_matrix_, transition_covariance_, transition_offset_, transition_input_matrix_ : array
    observation_matrix_, observation_covariance_, observation_offset_, observation_input_matrix_ : array
    initial_mean_, initial_covariance_ : array
        Of a stationary start, what follows from the transition; of a diffuse one, without meaning.
    monitor_ : ConvergenceMonitor

    Notes
    -----
    If F, Q, H are learned without restriction, states are known up to an invertible change of basis only
    (:meth:`change_of_basis`); a fit stays near the basis of its start, in which states have about mean 0 and
    variance 1. ``aic`` and ``bic`` do not count these n² numbers. An offset of the observations goes with the
    scale of a state that never returns (an eigenvalue 1 of F): freeze one of them.

    A fit starts from the constructor's parameters and from attributes that were set by hand; the rest comes
    from the data, so that fitting twice gives the same result twice.

    Examples
    --------
    >>> import numpy as np
    >>> model = LinearGaussianSSM(
    ...     1,
    ...     transition_matrix=1,
    ...     transition_covariance=1,
    ...     observation_matrix=1,
    ...     observation_covariance=2,
    ...     initial_mean=0,
    ...     initial_covariance=10,
    ... )
    >>> model.smooth([1.0, 3.0, 2.0, 5.0]).mean.ravel().round(4)
    array([1.8483, 2.4573, 2.7949, 3.5299])
    >>> round(model.score([1.0, 3.0, 2.0, 5.0]), 6)
    -8.731711
    """

    n_components: int = 1
    transition_matrix: Any = None
    transition_covariance: Any = None
    transition_offset: Any = None
    transition_input_matrix: Any = None
    observation_matrix: Any = None
    observation_covariance: Any = None
    observation_offset: Any = None
    observation_input_matrix: Any = None
    initial_mean: Any = None
    initial_covariance: Any = None
    initial: str = "known"
    n_inputs: int = 0
    learned: Any = None
    frozen: Any = None
    transition_covariance_type: str = "full"
    observation_covariance_type: str = "full"
    initial_covariance_type: str = "full"
    priors: Any = None
    method: str = "em"
    n_init: int = 1
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
