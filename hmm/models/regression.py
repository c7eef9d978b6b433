"""What the regressions share: covariates beside responses in X, and sampling that asks for them."""

from __future__ import annotations

import copy

import numpy as np

from hmm.base import BaseHMM
from hmm.validation import rows_of_numbers
from msgpass.errors import DataError, ShapeError


class RegressionHMM(BaseHMM):
    """Base of models whose rows are [responses, covariates]."""

    @property
    def n_features(self) -> int:
        """Columns of X, responses and covariates."""
        return self.chain().emission.n_features

    def sample(
        self, n_samples: int = 1, random_state=None, currstate=None, inputs=None, covariates=None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw responses for given covariates.

        Parameters
        ----------
        n_samples : int
            Not needed beside ``covariates``.
        random_state, currstate, inputs : optional
        covariates : array-like, (n_samples, P)

        Returns
        -------
        X : array, (n_samples, D)
            Responses and covariates.
        states : array of int, (n_samples,)
        """
        if covariates is None:
            raise DataError("sampling a regression needs covariates=, one row for each response")
        draft = copy.copy(self)
        draft._inputs = np.asarray(rows_of_numbers(covariates, flat=True), np.float64)
        if np.isnan(draft._inputs).any():
            raise DataError("covariates hold NaN; there is no response without them")
        wanted = np.shape(self.coef_)[-1]
        if draft._inputs.shape[1] != wanted:
            raise ShapeError(f"covariates have {draft._inputs.shape[1]} columns, but the model has {wanted}")
        return BaseHMM.sample(draft, len(draft._inputs), random_state, currstate, inputs)

    @staticmethod
    def check_covariates(X: np.ndarray, n_targets: int) -> None:
        """At least one covariate, and all of them wherever there is a response."""
        if X.shape[1] <= n_targets:
            raise ShapeError(
                f"X has {X.shape[1]} columns; wanted {n_targets} of responses and at least one of covariates"
            )
        lost = np.isnan(X[:, n_targets:]) & ~np.isnan(X[:, :n_targets]).all(axis=1, keepdims=True)
        if lost.any():
            t, d = np.argwhere(lost)[0]
            raise DataError(
                f"X has a response at row {t} whose covariate in column {n_targets + d} is missing; "
                "make the response NaN, too, or fill the covariate in"
            )
