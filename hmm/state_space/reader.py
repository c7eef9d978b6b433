"""How a linear-Gaussian model infers: each method is one run of the model's factor graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hmm.sequences import is_list_of_sequences
from hmm.state_space import inference
from hmm.state_space.core import Core
from hmm.state_space.expectation import Expectation, finite
from hmm.state_space.results import Forecast, States
from hmm.state_space.simulation import simulate
from hmm.state_space.structure import structure
from hmm.validation import generator, rows_of_numbers, whole
from msgpass import FixedLag, ForwardOnly
from msgpass.errors import DataError, ShapeError


class Reader(Core):
    """Methods that read messages."""

    def score(self, X, y=None, lengths=None, *, inputs=None) -> float:
        """Log-likelihood log p(X), summed over sequences; ``y`` is ignored, or lengths, as in ``fit``.

        Under a diffuse start it is the logarithm of the integral over the flat directions (statsmodels'
        number is this minus ½ log 2π for each of them).
        """
        space, series = self._ready(X, y, lengths, inputs)
        return finite(inference.messages(space, series, schedule=ForwardOnly()).total)

    def score_sequences(self, X, lengths=None, *, inputs=None) -> np.ndarray:
        """Log-likelihood of every sequence, (N,)."""
        space, series = self._ready(X, None, lengths, inputs)
        return inference.totals(space, series)

    def score_samples(self, X, lengths=None, *, inputs=None) -> tuple[float, States]:
        """Log-likelihood and smoothed states."""
        space, series = self._ready(X, None, lengths, inputs)
        m = inference.messages(space, series)
        found = inference.smoothed(m)
        return finite(m.total), found

    def filter(self, X, lengths=None, *, inputs=None) -> States:
        """p(x_t | y_0 … y_t): ``mean`` (T, n) and ``cov`` (T, n, n)."""
        return inference.filtered(*self._ready(X, None, lengths, inputs))

    def smooth(self, X, lengths=None, lag: int | None = None, *, inputs=None) -> States:
        """States given all of X, or with a lag given what comes up to ``lag`` steps later: ``mean`` (T, n)
        and ``cov`` (T, n, n)."""
        space, series = self._ready(X, None, lengths, inputs)
        schedule = None if lag is None else FixedLag(whole("lag", lag, 0))
        return inference.smoothed(inference.messages(space, series, schedule=schedule))

    def one_step(self, X, lengths=None, *, inputs=None) -> Forecast:
        """Every step given the rows before it: ``mean`` (T, p) and ``cov`` (T, p, p) of the observation,
        ``state_mean`` and ``state_cov`` of the state.

        X − mean are the innovations, and (X − mean)/√variance what they are in standard deviations. Steps
        before a flat start is determined have NaN means and infinite variances.
        """
        return inference.one_step(*self._ready(X, None, lengths, inputs))

    def predictive_log_density(self, X, lengths=None, *, inputs=None) -> np.ndarray:
        """log p(y_t | y_0 … y_{t−1}) of every row, (T,): they sum to ``score``.

        Rows without an observation have 0, those before a flat start is determined NaN.
        """
        space, series = self._ready(X, None, lengths, inputs)
        return inference.log_densities(series.y, inference.one_step(space, series))

    def lag_one_covariances(self, X, lengths=None, *, inputs=None) -> np.ndarray:
        """Cov(x_{t+1}, x_t | X) for every pair of neighbours within a sequence, (T − N, n, n)."""
        space, series = self._ready(X, None, lengths, inputs)
        return inference.lag_one(inference.messages(space, series), space.n_states)

    def forecast(self, X, lengths=None, steps: int = 1, inputs=None, *, past_inputs=None) -> Forecast:
        """Normal distributions of the states and observations of the next ``steps`` steps.

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
            ``mean`` (h, p) and ``cov`` (h, p, p) of the observations, ``state_mean``, ``state_cov``; with
            ``lengths``, or a list of sequences, each with the sequences in front.
        """
        single = lengths is None and not is_list_of_sequences(X, flat=self.FLAT)
        steps = whole("steps", steps, 1)
        space, series = self._ready(X, None, lengths, past_inputs)
        if inputs is not None and not space.n_inputs:
            raise DataError("forecast was given inputs, but this model takes none")
        future = self._future(inputs, len(series.lengths), steps, space.n_inputs)
        found = inference.forecast(space, series, steps, future)
        if not single:
            return found
        return Forecast(found.state_mean[0], found.state_cov[0], found.mean[0], found.cov[0])

    @staticmethod
    def _future(inputs, n_sequences: int, steps: int, k: int) -> np.ndarray | None:
        if inputs is None:
            return None
        u = np.asarray(inputs, dtype=np.float64)
        u = u.reshape(u.shape[0], 1) if u.ndim == 1 and k == 1 else u
        wanted = (n_sequences, steps, k)
        if u.shape not in (wanted, wanted[1:]):
            raise ShapeError(
                f"inputs of the steps to come have shape {u.shape}, wanted {wanted[1:]} or {wanted}"
            )
        if not np.isfinite(u).all():
            raise DataError("inputs of the steps to come hold NaN or an infinite value; inputs are known")
        return np.broadcast_to(u, wanted)

    def sample(
        self, n_samples: int = 1, random_state=None, start=None, inputs=None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw one sequence from the model.

        Parameters
        ----------
        n_samples : int
        random_state : optional
            The model's own by default.
        start : array-like, (n,), optional
            The first state.
        inputs : array-like, (n_samples, k), optional
            Zero by default.

        Returns
        -------
        X : array, (n_samples, p)
            Observations.
        states : array, (n_samples, n)
        """
        space, n = self.space(), whole("n_samples", n_samples, 1)
        rng = generator(self.random_state if random_state is None else random_state)
        u = np.zeros((n, space.n_inputs)) if inputs is None else self._input_rows(inputs, n, space.n_inputs)
        if start is not None:
            start = rows_of_numbers(np.atleast_1d(np.asarray(start)), flat=True).ravel()
            if start.shape != (space.n_states,):
                raise ShapeError(
                    f"start has {start.size} numbers, wanted one for each of {space.n_states} states"
                )
        return simulate(space, n, u, rng, start)

    def sample_posterior(self, X, n: int = 1, lengths=None, random_state=None, *, inputs=None) -> np.ndarray:
        """Draw paths of states from their posterior p(x | X), (n, T, n_states)."""
        rng = generator(self.random_state if random_state is None else random_state)
        space, series = self._ready(X, None, lengths, inputs)
        return inference.draws(space, series, rng, whole("n", n, 1))

    def gradient(self, X, lengths=None, *, inputs=None) -> tuple[float, dict[str, np.ndarray]]:
        """log p(X) and its gradient in each parameter, by the attribute's name, from one run of the graph.

        A symmetric matrix has a symmetric gradient G, with d log p = tr(G dΣ). Under a stationary start the
        transition's share through the start is included.
        """
        space, series = self._ready(X, None, lengths, inputs)
        value, slopes = Expectation(series).slopes(space)
        return value, {f"{name}_": slope for name, slope in slopes.items()}

    def n_free_parameters(self, n_sequences: int = 1) -> int:
        """Numbers that a fit to so many sequences estimates, less those of a change of the states' basis
        where nothing fixes it."""
        space = self.space()
        return structure(self, space, n_sequences).n_free(space)

    def aic(self, X, lengths=None, *, inputs=None) -> float:
        """Akaike's criterion, −2 log p(X) + 2·(free parameters); lower is better."""
        space, series = self._ready(X, None, lengths, inputs)
        free = structure(self, space, len(series.lengths)).n_free(space)
        return -2 * self.score(X, lengths=lengths, inputs=inputs) + 2 * free

    def bic(self, X, lengths=None, *, inputs=None) -> float:
        """Schwarz's criterion, −2 log p(X) + log T·(free parameters), T the rows with an observation; lower
        is better."""
        space, series = self._ready(X, None, lengths, inputs)
        free = structure(self, space, len(series.lengths)).n_free(space)
        rows = int((~np.isnan(series.y)).any(axis=1).sum())
        return -2 * self.score(X, lengths=lengths, inputs=inputs) + float(np.log(max(rows, 1))) * free

    def change_of_basis(self, T):
        """The same model with states T x: a copy whose parameters are F ← T F T⁻¹, Q ← T Q Tᵀ, H ← H T⁻¹, …

        The likelihood does not tell these apart; use it to compare fits, or to put states in a basis of
        choice.
        """
        import copy

        space, matrix = self.space(), np.asarray(T, dtype=np.float64)
        n = space.n_states
        if matrix.shape != (n, n):
            raise ShapeError(f"T has shape {matrix.shape}, wanted {(n, n)}")
        if not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix) < n:
            raise DataError("T is singular or not finite; a change of basis is invertible")
        if not np.isfinite(space.initial_covariance).all():
            raise DataError(
                "initial_covariance_ has flat directions, which a change of basis mixes; use "
                'initial="diffuse"'
            )
        back = np.linalg.inv(matrix)
        found = replace(
            space,
            transition_matrix=matrix @ space.transition_matrix @ back,
            transition_input_matrix=matrix @ space.transition_input_matrix,
            transition_offset=space.transition_offset @ matrix.T,
            transition_covariance=matrix @ space.transition_covariance @ matrix.T,
            observation_matrix=space.observation_matrix @ back,
            initial_mean=matrix @ space.initial_mean,
            initial_covariance=matrix @ space.initial_covariance @ matrix.T,
        )
        other = copy.copy(self)
        for name, value in found.values().items():
            setattr(other, f"{name}_", value)
        return other
