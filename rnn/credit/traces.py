"""Eligibility traces by themselves: forward messages of the recurrence e_t = γ_{t−1} λ_{t−1} e_{t−1} +
x_t."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Messages, run
from msgpass.errors import DataError, UnsupportedError
from rnn.credit import steps
from rnn.credit.affine import step
from rnn.credit.features import Visits, step_sizes
from rnn.credit.rows import Rows

KINDS = {"accumulating": steps.accumulated, "replacing": steps.replaced, "dutch": steps.dutch}


def eligibility_traces(
    features, discounts=1.0, lambda_=0.9, kind: str = "accumulating", *, step_size=None, n_states=None
):
    """e_t of every step.

    Parameters
    ----------
    features : (T, d) array, or a list of such arrays
        Of the states s_0, …, s_{T−1}; or states (T,) with ``n_states``.
    discounts, lambda_ : float, (T,) array or a list
        γ_t and λ_t of the step from s_t to s_{t+1}, as for :func:`lambda_returns`: they act on e_{t+1}.
        ``lambda_`` may be a function of the states, see :func:`td_lambda`.
    kind : {"accumulating", "replacing", "dutch"}
        A replacing trace starts anew at each visit, so features are 0 or 1. Dutch traces depend on
        ``step_size``.

    Returns
    -------
    (T, d) array or a list of arrays

    Examples
    --------
    >>> eligibility_traces([0, 1, 0], 1.0, 0.5, n_states=2)
    array([[1.  , 0.  ],
           [0.5 , 1.  ],
           [1.25, 0.5 ]])
    >>> eligibility_traces([0, 1, 0], 1.0, 0.5, "replacing", n_states=2)[-1]
    array([1. , 0.5])
    """
    rows = 2 if n_states is None else 1  # axes of one episode
    if isinstance(features, list | tuple) and len(features) and np.ndim(features[0]) == rows:
        silence: list | np.ndarray = [np.zeros(len(part)) for part in features]
    else:
        silence = np.zeros(np.shape(features)[:1])
    visits = Visits.of(features, silence, discounts, lambda_, n_states)
    check_kind(kind, visits.x, visits.rows)
    alpha = None
    if kind == "dutch":
        if step_size is None:
            raise UnsupportedError("dutch traces depend on the step size; give step_size=")
        alpha = step_sizes(visits.rows, step_size)
    elif step_size is not None:
        raise UnsupportedError(
            f"{kind} traces do not depend on step_size; leave it out, or take kind='dutch'"
        )
    return visits.rows.split(traces(visits, kind, alpha).forward["e"])


def traces(visits: Visits, kind: str = "accumulating", alpha=None) -> Messages:
    """Sequence e of all episodes."""
    g = FactorGraph()
    e = g.sequence("e", length=visits.rows.length, shape=visits.x.shape[1:])
    inputs = [g.observe("x", visits.x)[:], g.observe("decay", visits.decay[:, None])[:]]
    if kind == "dutch":
        given = np.broadcast_to(alpha, visits.r.shape)[:, None]
        inputs.append(g.observe("step_size", given)[:])
    g.factor(
        step(KINDS[kind]),
        e.after(g.parameter("e0", np.zeros(visits.x.shape[1]))),
        *inputs,
        out=e[:],
        name="trace",
    )
    return run(g, schedule=ForwardOnly())


def check_kind(kind: str, x: np.ndarray, rows: Rows) -> None:
    """Replacing traces take features of 0 and 1."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise UnsupportedError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    if kind != "replacing":
        return
    wrong = ((x != 0) & (x != 1)).any(axis=1)
    if wrong.any():
        raise DataError(
            "replacing traces are for features of 0 and 1, got others at "
            f"{rows.place(int(np.argmax(wrong)))}; take 'accumulating', or true online TD(λ), whose traces "
            "suit any features"
        )
