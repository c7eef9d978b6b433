"""How a nonlinear model infers: each method is one run of the model's factor graph."""

from __future__ import annotations

import numpy as np

from hmm.sequences import is_list_of_sequences
from hmm.state_space.nonlinear_core import NonlinearCore
from hmm.state_space.results import Forecast, States
from hmm.state_space.series import Series
from hmm.state_space.simulation import root
from hmm.validation import generator, whole
from msgpass import ForwardOnly, run
from msgpass.errors import DataError, ShapeError


class NonlinearReader(NonlinearCore):
    """Methods that read messages."""

    def score(self, X, y=None, lengths=None, *, inputs=None) -> float:
        """log Z of the linearised model, summed over sequences; ``y`` is ignored, or lengths, as in
        ``fit``."""
        graph = self.make_graph(*self._ready(X, y, lengths, inputs))
        return float(run(graph, self.algebra(), ForwardOnly()).total)

    def score_samples(self, X, lengths=None, *, inputs=None) -> tuple[float, States]:
        """log Z and smoothed states."""
        m = self.messages(X, lengths, inputs=inputs)
        return float(m.total), States(*m.belief["x"])

    def filter(self, X, lengths=None, *, inputs=None) -> States:
        """States given the rows up to theirs: ``mean`` (T, n) and ``cov`` (T, n, n).

        Under ``Iterated`` these are the forward messages of the model linearised at the smoothed path, which
        has seen all rows; filter with a rule that linearises on the way.
        """
        m = self.messages(X, lengths, schedule=ForwardOnly(), inputs=inputs)
        return States(m.forward["x"].mean, m.forward["x"].cov)

    def smooth(self, X, lengths=None, *, inputs=None) -> States:
        """States given all of X: ``mean`` (T, n) and ``cov`` (T, n, n)."""
        return States(*self.messages(X, lengths, inputs=inputs).belief["x"])

    def sample_posterior(self, X, n: int = 1, lengths=None, random_state=None, *, inputs=None) -> np.ndarray:
        """Draw paths of states from the linearised posterior, (n, T, n_states)."""
        rng = generator(self.random_state if random_state is None else random_state)
        m = self.messages(X, lengths, inputs=inputs)
        return m.sample("x", rng, whole("n", n, 1))

    def gradient(self, X, lengths=None, *, inputs=None) -> tuple[float, dict[str, np.ndarray]]:
        """``score`` and its gradient in each parameter, by the attribute's name."""
        m = self.messages(X, lengths, inputs=inputs)
        names = self.numbers().values()
        return float(m.total), {f"{name}_": m.parameters[name] for name in names}

    def forecast(self, X, lengths=None, steps: int = 1, inputs=None, *, past_inputs=None) -> Forecast:
        """Normal distributions of the states and observations of the next ``steps`` steps, linearised by the
        model's rule.

        Parameters
        ----------
        X, lengths
        steps : int
            How far ahead, h.
        inputs : array-like, (h, k), optional
            Inputs of the steps to come, zero by default; (N, h, k) with several sequences. A state takes the
            input of the row that it starts from, so the first forecast has the last row's in its state.
        past_inputs : array-like, (T, k), optional
            Inputs of X, unless they are its last columns.

        Returns
        -------
        Forecast
            ``mean`` (h, p), ``cov``, ``state_mean``, ``state_cov``; with ``lengths``, or a list of sequences,
            each with the sequences in front.
        """
        single = lengths is None and not is_list_of_sequences(X, flat=self.FLAT)
        steps = whole("steps", steps, 1)
        numbers, series = self._ready(X, None, lengths, past_inputs)
        last, N, k = series.offsets[1:] - 1, len(series.lengths), self.n_inputs
        filtered = run(self.make_graph(numbers, series), self.algebra(), ForwardOnly()).forward["x"]
        start = filtered.mean[last], filtered.cov[last]
        u = np.zeros((N, steps + 1, k))
        u[:, 0] = series.u[last]
        if inputs is not None and not k:
            raise DataError("forecast was given inputs, but this model takes none")
        if inputs is not None:
            given = np.asarray(inputs, np.float64)
            given = given[:, None] if given.ndim == 1 and k == 1 else given
            if given.shape not in ((steps, k), (N, steps, k)) or not np.isfinite(given).all():
                raise ShapeError(
                    f"inputs of the steps to come have shape {given.shape}, wanted finite numbers, "
                    f"({steps}, {k})"
                )
            u[:, 1:] = given
        ahead = Series(np.zeros((0, 0)), u.reshape(N * (steps + 1), k), [steps + 1] * N)
        m = run(self.make_graph(numbers, ahead, start, latent=True), self.algebra())
        found = [
            part.reshape(N, steps + 1, *part.shape[1:])[:, 1:] for name in "xy" for part in m.belief[name]
        ]
        return Forecast(*(part[0] for part in found)) if single else Forecast(*found)

    def sample(
        self, n_samples: int = 1, random_state=None, start=None, inputs=None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw one sequence from the model itself (not linearised): (observations (T, p), states (T, n)).

        Parameters
        ----------
        n_samples : int
        random_state : optional
            The model's own by default.
        start : array-like, (n,), optional
            The first state.
        inputs : array-like, (n_samples, k), optional
            Zero by default.
        """
        self.check_settings()
        numbers, T = self.numbers(), whole("n_samples", n_samples, 1)
        rng = generator(self.random_state if random_state is None else random_state)
        n, p = numbers.n_states, numbers.n_outputs
        u = np.zeros((T, self.n_inputs)) if inputs is None else self._input_rows(inputs, T)
        noise = rng.normal(size=(T, n))
        x = np.empty((T, n))
        x[0] = numbers.initial_mean + root(numbers.initial_covariance) @ noise[0]
        if start is not None:
            start = np.atleast_1d(np.asarray(start, np.float64))
            if start.shape != (n,):
                raise ShapeError(f"start has shape {start.shape}, wanted ({n},)")
            x[0] = start
        moved = noise @ root(numbers.transition_covariance).T
        for t in range(T - 1):
            x[t + 1] = self._call("transition", numbers, x[t], u[t], n) + moved[t + 1]
        y = np.stack([self._call("observation", numbers, x[t], u[t], p) for t in range(T)])
        return y + rng.normal(size=(T, p)) @ root(numbers.observation_covariance).T, x

    def _call(self, name: str, numbers, x, u, size: int) -> np.ndarray:
        """f or h of one state."""
        step = self.step(name)
        lead = (lambda a: a[None]) if step.vectorized else (lambda a: a)
        inputs = [lead(x)] + ([lead(u)] if self.n_inputs else [])
        found = np.asarray(step.f(*inputs, *([] if numbers.theta is None else [numbers.theta])), float)
        found = found[0] if step.vectorized else found
        if found.shape != (size,):
            raise ShapeError(f"{name} returned shape {found.shape} for one state, wanted ({size},)")
        if not np.isfinite(found).all():
            raise DataError(f"{name} became NaN or infinite at the state {x}")
        return found
