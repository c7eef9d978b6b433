"""``fit``: follow the gradients at the weights downhill, with the best weights so far always at hand."""

from __future__ import annotations

import warnings

from msgpass.errors import ConvergenceWarning, DataError
from msgpass.schedule.base import Schedule
from rnn.learning_rates import LearningRate
from rnn.losses import OutputLoss
from rnn.networks import Network
from rnn.optimizers import LBFGS, Optimizer
from rnn.training.checkpoint import Checkpoint
from rnn.training.data import Data, with_validation
from rnn.training.history import History
from rnn.training.session import Callback, Session, digest_of
from rnn.training.settings import Seeds, Settings
from rnn.training.surgery import Surgery
from rnn.validation import flag


def fit(
    net: Network,
    x,
    loss: OutputLoss,
    optimizer: str | Optimizer | LBFGS = "lbfgs",
    *,
    n_iter: int = 200,
    tol: float | None = 1e-6,
    patience: int = 10,
    lr: float | LearningRate = 1e-2,
    batch_size: int | None = None,
    shuffle: bool = True,
    validation=None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    schedule: Schedule | None = None,
    surgery: Surgery | None = None,
    h0=None,
    progress: bool = True,
    callbacks: Callback | list[Callback] | tuple[Callback, ...] = (),
    checkpoint=None,
    random_state=None,
    seed: int | None = None,
    **data,
) -> History:
    """Train a network, and the readout of its loss, in place.

    Parameters
    ----------
    net : RNN, LSTM, GRU or another network
    x, h0
        As for a call of the network.
    loss : SquaredError, CrossEntropy, …
        The mean (``reduction="mean"``) suits the step sizes of first-order optimisers; L-BFGS does not mind
        the scale.
    optimizer : {"lbfgs", "adam", "adamw", "rmsprop", "sgd"} or an optimiser
        L-BFGS of SciPy, on all the data at once; or first-order steps, such as those of
        ``rnn.optimizers.Adam(beta2=0.99)``.
    n_iter : int
        Most iterations; with batches most epochs, passes over the data.
    tol : float or None
        L-BFGS stops when an iteration lowers the loss by less than tol · max(loss, 1); the others when
        ``patience`` iterations or epochs have not lowered the best watched loss by that much. None: all
        iterations are made.
    patience : int
        With validation data it is their loss that is watched, for L-BFGS too.
    lr : float or LearningRate
        Step size of first-order optimisers, or a schedule such as ``rnn.learning_rates.Cosine(0.01, 100)``.
    batch_size : int, optional
        Sequences of a step; by default all of them. Ragged sequences are taken with others of about their
        length.
    shuffle : bool
        Whether each epoch takes the sequences in another order.
    validation : float or tuple, optional
        A share of the sequences that is set aside, or data (x, loss) or (x, loss, {"lengths": …}), whose loss
        decides which weights are the best and when to stop.
    clip_norm, clip_value : float, optional
        Bounds of the gradient: its length over all weights, and each number of it.
    schedule : schedule, optional
        As for :func:`bptt`; a truncated one not with L-BFGS, which needs the gradient of the loss itself.
    surgery : rnn.multitask.PCGrad, MGDA, CAGrad or another Surgery, optional
        What is made of the tasks' gradients at the weights that several of them reach, for a loss
        ``Several(…)`` of named tasks; not with L-BFGS. The losses reported stay their sum.
    progress : bool
        A bar on stderr, on a terminal, for what takes longer than a second.
    callbacks : callable or list of them
        Told a :class:`Report` after each iteration or epoch; one that returns True ends the fit.
    checkpoint : str or path, optional
        A file that is written every ten seconds, at the end and on Ctrl-C. Where there is one of the same
        data and settings, the fit goes on from it, with the bits of a fit that was never interrupted;
        ``n_iter``, ``tol`` and ``patience`` may differ.
    random_state : int or Generator, optional
        Start from newly drawn weights; by default from the present ones.
    seed : int, optional
        Of the order of batches, of dropout and of the share for validation; by default it is drawn from
        ``random_state`` where that is given, else 0.
    **data
        What else the network takes beside x: ``lengths`` of a ragged batch.

    Returns
    -------
    History
        The network then has the best weights met, also when the fit is stopped by Ctrl-C.

    Raises
    ------
    NumericalError
        When the loss, a state, a gradient or a weight is not finite any more; it names the iteration and the
        variable. The network then has the best weights met before.
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
    seeds = Seeds.of(random_state, seed)
    settings = Settings.of(
        optimizer,
        lr,
        seeds.order,
        n_iter=n_iter,
        tol=tol,
        patience=patience,
        batch_size=batch_size,
        shuffle=shuffle,
        clip_norm=clip_norm,
        clip_value=clip_value,
        schedule=schedule,
        surgery=surgery,
    )
    progress = flag("progress", progress)
    hooks = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    if not isinstance(net, Network) or not isinstance(loss, OutputLoss):
        raise DataError(f"fit takes a network and a loss, got {type(net).__name__} and {type(loss).__name__}")
    settings.check_lbfgs(net, checkpoint)
    settings.check_tasks(loss)
    everything = Data.of(net, x, loss, data | {"h0": h0})
    trained, tried = with_validation(net, everything, validation, seeds.order)
    kept = None
    if checkpoint is not None:
        kept = Checkpoint(
            checkpoint, digest_of(net, settings, [d for d in (trained, tried) if d is not None])
        )
    # All that does not fit has been refused by now, and no weight has changed.
    if seeds.weights is not None:
        net.reset(seeds.weights)
        loss.reset(seeds.weights)
    history = Session(net, loss, trained, tried, settings, hooks, progress, kept).run()
    if history.fell_short and tol is not None:
        warnings.warn(
            f"{history.optimizer} stopped before it met tol={tol:g} ({history.reason}); raise n_iter, loosen "
            "tol, or give tol=None",
            ConvergenceWarning,
            stacklevel=2,
        )
    return history
