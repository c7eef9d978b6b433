"""``fit``: follow the gradients at the weights downhill, with the best weights so far always at hand."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from msgpass import Sequential
from msgpass.errors import ConvergenceWarning, DataError, NumericalError, UnsupportedError
from msgpass.schedule.base import Schedule
from rnn.losses import OutputLoss
from rnn.networks import Network
from rnn.objective import Objective
from rnn.optimizers import OPTIMIZERS, Outcome
from rnn.validation import flag, generator, one_of, positive, whole

SILENT_SECONDS = 1.0
"""A fit that takes longer than this shows a progress bar."""


@dataclass
class History:
    """What a fit went through.

    Attributes
    ----------
    losses : list of float
        The loss after every iteration, the first one before any step.
    best : float
        The least loss that was met; its weights are those of the network now.
    converged : bool
        The tolerance was met.
    reason : str
        Why the fit stopped.
    seconds : float
    """

    optimizer: str
    losses: list[float] = field(default_factory=list)
    best: float = np.inf
    converged: bool = False
    reason: str = ""
    seconds: float = 0.0

    @property
    def n_iter(self) -> int:
        """Iterations made."""
        return max(0, len(self.losses) - 1)

    def __repr__(self) -> str:
        course = f"{self.losses[0]:.6g} → {self.best:.6g}" if self.losses else "no loss yet"
        what = f"{self.optimizer}, {self.n_iter} iterations, loss {course}"
        return f"<History: {what}, {self.reason}, {self.seconds:.2f} s>"


def fit(
    net: Network,
    x,
    loss: OutputLoss,
    optimizer: str = "lbfgs",
    *,
    n_iter: int = 200,
    tol: float | None = 1e-6,
    lr: float = 1e-2,
    schedule: Schedule | None = None,
    h0=None,
    progress: bool = True,
    random_state=None,
    **data,
) -> History:
    """Train a network, and the readout of its loss, in place.

    Parameters
    ----------
    net : RNN, LSTM, GRU or another network
    x, h0
        As for a call of the network.
    loss : SquaredError or CrossEntropy
        The mean (``reduction="mean"``) suits Adam's step sizes; L-BFGS does not mind the scale.
    optimizer : {"lbfgs", "adam"}
        L-BFGS of SciPy (Liu & Nocedal 1989), or Adam (Kingma & Ba 2015), both on all the data at once.
    n_iter : int
        Most iterations.
    tol : float or None
        L-BFGS stops when an iteration lowers the loss by less than tol · max(loss, 1), Adam when ten have
        not lowered the best loss by that much. None: all iterations are made.
    lr : float
        Adam's step size.
    schedule : schedule, optional
        As for :func:`bptt`; a truncated one only with Adam, since L-BFGS needs the gradient of the loss
        itself.
    progress : bool
        A bar on stderr, on a terminal, for what takes longer than a second.
    random_state : int or Generator, optional
        Start from newly drawn weights; by default from the present ones.
    **data
        What else the network takes beside x: ``lengths`` of a ragged batch.

    Returns
    -------
    History
        The network then has the best weights met, also when the fit is stopped by Ctrl-C.

    Raises
    ------
    NumericalError
        When the loss is not finite any more; the network then has the best weights met before.
    ShapeError, DataError, UnsupportedError

    Warns
    -----
    ConvergenceWarning
        When ``n_iter`` iterations did not meet ``tol``.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import RNN, Linear, SquaredError
    >>> y = np.sin(np.arange(40) / 3)[:, None]
    >>> loss = SquaredError(y[1:], readout=Linear(4, 1, random_state=1))
    >>> history = fit(RNN(1, 4, random_state=0), y[:-1], loss, n_iter=30, tol=None)
    >>> history.best < 0.01 * history.losses[0]
    True
    """
    optimize = OPTIMIZERS[one_of("optimizer", optimizer, tuple(OPTIMIZERS))]
    n_iter, lr, progress = whole("n_iter", n_iter), positive("lr", lr), flag("progress", progress)
    tol = None if tol is None else positive("tol", tol)
    if not isinstance(net, Network) or not isinstance(loss, OutputLoss):
        raise DataError(f"fit takes a network and a loss, got {type(net).__name__} and {type(loss).__name__}")
    if optimizer == "lbfgs" and (schedule or Sequential()).windowed:
        raise UnsupportedError(
            f"{schedule!r} does not give the gradient that L-BFGS needs; use optimizer='adam'"
        )
    data |= {} if h0 is None else {"h0": h0}
    net.call(x, loss, **data)  # refuses data that do not fit, before any weight changes
    if random_state is not None:
        rng = generator(random_state)
        net.reset(rng)
        loss.reset(rng)
    objective, history = Objective(net, x, loss, schedule, data), History(optimizer)
    began = perf_counter()
    try:
        # What overflows is found in the loss or the gradient and raised.
        with _bar(n_iter, progress) as bar, np.errstate(over="ignore", invalid="ignore"):
            outcome = optimize(objective, objective.start, n_iter, tol, lr, _recorder(history, bar))
    except KeyboardInterrupt:
        outcome = Outcome(False, "interrupted")
    except NumericalError as problem:
        kept = (
            "nothing was better before"
            if objective.evaluations == 0
            else f"the best weights (loss {objective.best:.6g}) are kept"
        )
        raise NumericalError(
            f"{problem}, in iteration {len(history.losses)} of {optimizer}; {kept}. Take a smaller lr, or "
            "scale the inputs and targets to about 1"
        ) from problem
    finally:
        objective.install()
        history.best, history.seconds = objective.best, perf_counter() - began
    history.converged, history.reason = outcome
    if tol is not None and not outcome.converged and outcome.reason != "interrupted":
        warnings.warn(
            f"{optimizer} stopped before it met tol={tol:g} ({outcome.reason}); raise n_iter, loosen tol, "
            "or give tol=None",
            ConvergenceWarning,
            stacklevel=2,
        )
    return history


def _bar(n_iter: int, progress: bool):
    from tqdm import tqdm

    return tqdm(
        total=n_iter, desc="fit", delay=SILENT_SECONDS, leave=False, disable=None if progress else True
    )


def _recorder(history: History, bar):
    """Called with the loss after every iteration, and once before the first."""

    def record(value: float) -> None:
        if history.losses:
            bar.update()
            bar.set_postfix_str(f"loss {value:.6g}", refresh=False)
        history.losses.append(float(value))

    return record
