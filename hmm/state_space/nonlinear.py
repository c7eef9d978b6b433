"""``NonlinearSSM``: a real state that moves by a function and is seen through one, with normal noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hmm.state_space.nonlinear_learner import NonlinearLearner
from hmm.state_space.nonlinear_reader import NonlinearReader


@dataclass(eq=False, repr=False)
class NonlinearSSM(NonlinearLearner, NonlinearReader):
    """Nonlinear Gaussian state space model (extended, iterated and sigma-point filters and smoothers).

        x_0 ~ N(m, P)    x_{t+1} = f(x_t, u_t, θ) + N(0, Q)    y_t = h(x_t, u_t, θ) + N(0, R)

    X is (T, p), or (T,) for one output; NaN cells are missing, whole rows too.

    Parameters
    ----------
    transition, observation : callable or msgpass.Step
        f and h, of a state (n,), then of the inputs (k,) where there are some, then of θ where it is given;
        to (n,) and (p,). Written with NumPy functions they are differentiated by autograd; a Step brings
        its own derivatives (``Step.from_jax``).
    transition_covariance, observation_covariance : array, (n, n) and (p, p)
        Q and R, or numbers.
    initial_mean, initial_covariance : array, (n,) and (n, n)
    theta : array, optional
        Numbers that f and h read and a fit may move.
    linearisation : msgpass.linearisation.Linearisation, optional
        ``Extended()`` by default; ``Iterated()``, ``Unscented()``, ``Cubature()``, ``GaussHermite(order)``.
    n_inputs : int
        How many inputs f and h take. They are the last columns of X, or come by ``inputs=``.
    vectorized : bool
        Whether f and h also take states and inputs with an axis in front, (…, n): much the quicker.
    learned : list of str, optional
        What a fit moves: "theta", "transition_covariance", "observation_covariance", "initial_mean",
        "initial_covariance". By default θ and the two noises.
    covariance_type : {"full", "diag"}
        Of the covariances that a fit moves.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        A fit stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.

    Attributes
    ----------
    theta_, transition_covariance_, observation_covariance_, initial_mean_, initial_covariance_ : array
    monitor_ : ConvergenceMonitor

    Notes
    -----
    ``score`` is log Z of the linearised model: under ``Extended`` and the sigma-point rules the filter's
    prediction-error likelihood, under ``Iterated`` Laplace's approximation at the smoothed path. ``fit``
    climbs it by L-BFGS with its exact gradient (the motion of the linearisation included). EM would climb
    another function, for the expectations are not of the model that the likelihood belongs to.

    Functions are not written to files, so that ``save`` is an error: keep the attributes (``np.savez``), and
    give them to the constructor.

    Examples
    --------
    A pendulum seen from the side:

    >>> import numpy as np
    >>> model = NonlinearSSM(
    ...     lambda x: np.stack([x[0] + 0.1 * x[1], x[1] - 0.98 * np.sin(x[0])]),
    ...     lambda x: np.sin(x[:1]),
    ...     transition_covariance=1e-4 * np.eye(2),
    ...     observation_covariance=0.01,
    ...     initial_mean=[1.0, 0.0],
    ...     initial_covariance=0.1 * np.eye(2),
    ... )
    >>> X, states = model.sample(50, random_state=0)
    >>> bool(np.abs(model.smooth(X).mean - states).max() < 0.4)
    True
    """

    transition: Any = None
    observation: Any = None
    transition_covariance: Any = None
    observation_covariance: Any = None
    initial_mean: Any = None
    initial_covariance: Any = None
    theta: Any = None
    linearisation: Any = None
    n_inputs: int = 0
    vectorized: bool = False
    learned: Any = None
    covariance_type: str = "full"
    random_state: Any = None
    n_iter: int = 100
    tol: float = 1e-4
    verbose: bool = False
