"""``Session``: one call of ``fit``: its loop, what it tells, what it keeps."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from msgpass.errors import NumericalError
from rnn.losses import OutputLoss
from rnn.networks import Network
from rnn.optimizers import LBFGS, Outcome
from rnn.training.batches import Batches
from rnn.training.checkpoint import Checkpoint, digest
from rnn.training.data import Data
from rnn.training.history import History, Report
from rnn.training.loop import Loop
from rnn.training.objective import Objective
from rnn.training.progress import bar
from rnn.training.settings import Settings
from rnn.training.state import State
from rnn.training.whole import Whole

Callback = Callable[[Report], bool | None]


def digest_of(net: Network, settings: Settings, data: list[Data]) -> str:
    """What a checkpoint must agree with."""
    own = repr(net), {**net.shapes}, data[0].loss.key, settings.decisive
    return digest(own, [net.call(d.x, d.loss, **d.extra).arrays for d in data])


class Session:
    """A network, data, settings.

    Parameters
    ----------
    net : Network
    loss : OutputLoss
        Whose readout is trained.
    data, tried : Data
        What it learns from; what decides, or None.
    settings : Settings
    callbacks : list of callable
    progress : bool
    checkpoint : Checkpoint or None
    """

    def __init__(
        self,
        net: Network,
        loss: OutputLoss,
        data: Data,
        tried: Data | None,
        settings: Settings,
        callbacks: list[Callback],
        progress: bool,
        checkpoint: Checkpoint | None,
    ):
        self.net, self.loss, self.settings, self.callbacks = net, loss, settings, callbacks
        self.checkpoint = checkpoint
        size, method = settings.batch_size, settings.method
        self.objective = Objective(net, loss, settings.schedule, settings.surgery)
        batches, start = Batches(data, size, settings.seed, settings.shuffle), self.objective.start
        parts = [] if tried is None else Batches(tried, size, shuffle=False).all()
        fresh = State({"weights": start} if isinstance(method, LBFGS) else method.start(start), start)
        state = fresh if checkpoint is None else checkpoint.load(fresh)
        self.loop: Loop | Whole
        if isinstance(method, LBFGS):
            self.loop = Whole(self.objective, settings, data, state, parts, self._noted)
        else:
            self.loop = Loop(self.objective, settings, batches, state, parts, self._noted, self._stepped)
        self.total = settings.n_iter * len(batches)
        self.bar = bar(
            self.total, progress, "it" if size is None else "batch", min(state.updates, self.total)
        )

    def run(self) -> History:
        """To the end, to an interrupt or to an error: the network has the best weights afterwards."""
        began = perf_counter()
        try:
            # What overflows is found in the loss or the gradient and raised.
            with self.bar, np.errstate(over="ignore", invalid="ignore"):
                outcome = self.loop.run()
        except KeyboardInterrupt:
            outcome = Outcome(False, "interrupted")
        except NumericalError as problem:
            raise NumericalError(f"{problem}, in {self._place()}") from problem
        finally:
            self.objective.install(self.loop.state.best_weights, self.loss)
        if self.checkpoint is not None:
            self.checkpoint.write(self.loop.state)
        return self._history(outcome, perf_counter() - began)

    def _noted(self, state: State, better: bool) -> bool:
        """After an iteration or epoch; True stops."""
        self.bar.set_postfix_str(f"loss {state.course.watched[-1]:.6g}", refresh=False)
        if isinstance(self.loop, Whole) and state.noted > 1:
            self.bar.update()
        if not self.callbacks:
            return False
        self.objective.install(state.weights, self.loss)
        course = state.course
        tried = course.validation[-1] if course.validation else None
        numbers = state.noted - 1, course.losses[-1], tried, course.rates[-1]
        report = Report(*numbers, state.best, better, self.net)
        return any([callback(report) is True for callback in self.callbacks])

    def _stepped(self, state: State) -> None:
        """After an update."""
        self.bar.update()
        if self.checkpoint is not None:
            self.checkpoint.after(state)

    def _history(self, outcome: Outcome, seconds: float) -> History:
        state = self.loop.state
        course = state.course
        return History(
            self.settings.name,
            course.losses[: state.noted],
            course.validation[: state.noted],
            course.rates[: state.noted],
            state.best,
            state.best_epoch,
            max(0, state.noted - (self.settings.batch_size is None)),
            state.updates,
            *outcome,
            seconds,
        )

    def _place(self) -> str:
        """Where the fit is, and what can be done."""
        state, name = self.loop.state, self.settings.name
        place = f"iteration {state.noted} of {name}"
        if self.settings.batch_size is not None:
            place = f"epoch {state.epoch}, batch {state.batch} (update {state.updates}) of {name}"
        kept = "nothing was better before"
        if np.isfinite(state.best):
            kept = f"the best weights (loss {state.best:.6g}) are kept"
        return (
            f"{place}; {kept}. Take a smaller lr, clip the gradient (clip_norm=1), or scale the inputs and "
            "targets to about 1"
        )
