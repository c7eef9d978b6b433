"""``PoissonNLL``: Σ exp(o) − y o, the negative log-likelihood of counts, up to log y!."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError
from rnn.losses.elementwise import ElementwiseLoss
from rnn.losses.ranges import within
from rnn.readout import Linear
from rnn.validation import flag, positive


class PoissonNLL(ElementwiseLoss):
    """Negative log-likelihood of counts: exp(o) − y o with the log rate o, r − y log(r + ε) with the rate r.

    Parameters
    ----------
    target : array, the network's output shape (with a readout its width on the last axis)
        Counts ≥ 0; NaN is missing, cell by cell.
    reduction : {"sum", "mean"}
        The mean is over all observed cells.
    readout : Linear, optional
        From the network's output to one number a count.
    log_input : bool
        Outputs are logarithms of rates; otherwise rates, which must not be negative.
    full : bool
        Add log y!, which no weight can change; the loss is then the whole −log p.
    eps : float
        ε of the second form.
    task : str, optional
        Name of the task, where there are several: :class:`Several`.

    Examples
    --------
    >>> from rnn import RNN, Linear, PoissonNLL, bptt
    >>> net, readout = RNN(1, 4, random_state=0), Linear(4, 1, random_state=1)
    >>> m = bptt(net, np.zeros((3, 1)), PoissonNLL([[0], [2], [np.nan]], readout=readout, full=True))
    >>> round(float(m.total), 3)
    3.098
    """

    def __init__(
        self,
        target,
        reduction: str = "sum",
        readout: Linear | None = None,
        *,
        log_input: bool = True,
        full: bool = False,
        eps: float = 1e-8,
        task: str | None = None,
    ):
        super().__init__(reduction, readout, task)
        self.target = target
        self.log_input, self.full = flag("log_input", log_input), flag("full", full)
        self.eps = positive("eps", eps)

    @property
    def key(self) -> tuple:
        """The form belongs to the graph."""
        return *super().key, self.log_input, self.full, self.eps

    def check(self, target: np.ndarray) -> None:
        """Counts are not negative."""
        within("targets", target, target < 0, "counts are 0 or more, NaN is missing")

    def cell(self, output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and slope of every cell."""
        if self.log_input:
            rate = np.exp(output)
            losses, slope = rate - target * output, rate - target
        else:
            if (output < 0).any():
                raise DataError(
                    f"PoissonNLL(log_input=False) reads rates, and the output holds {output.min():.6g}; let "
                    "the network give logarithms (log_input=True) or rates that are not negative"
                )
            shifted = output + self.eps
            losses, slope = output - target * np.log(shifted), 1 - target / shifted
        if self.full:
            from scipy.special import gammaln

            losses = losses + gammaln(target + 1)
        return losses, slope

    def bend(self, output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How the slope moves with the output and with the target."""
        if self.log_input:
            return np.exp(output), np.full_like(output, -1)
        shifted = output + self.eps
        return target / shifted**2, -1 / shifted
