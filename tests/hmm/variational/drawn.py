"""Variational models and data for them, of every kind."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from hmm import VariationalCategoricalHMM, VariationalGaussianHMM
from tests.hmm.drawn import make as truth
from tests.hmm.drawn import with_gaps

NORMALS = ("spherical", "diag", "full", "tied")
KINDS = ("categorical", *NORMALS)


def make(kind, K, rng, D=2, **settings):
    """An unfitted model of a kind with random priors."""
    concentrations = {
        "startprob_prior": rng.uniform(0.3, 2, K),
        "transmat_prior": rng.uniform(0.3, 2, (K, K)),
        "random_state": int(rng.integers(1000)),
    }
    if kind == "categorical":
        return VariationalCategoricalHMM(
            K, emissionprob_prior=rng.uniform(0.3, 2, (K, 3)), n_features=3, **concentrations | settings
        )
    root = rng.normal(size=(K, D, D))
    scale = root @ np.swapaxes(root, 1, 2) + 0.3 * np.eye(D)
    scales = {"full": scale, "tied": scale[0], "diag": scale[:, 0] ** 2 + 0.1, "spherical": scale[:, 0, 0]}
    return VariationalGaussianHMM(
        K,
        kind,
        means_prior=rng.normal(size=(K, D)),
        beta_prior=rng.uniform(0.2, 2, K),
        dof_prior=D + 1.5 if kind == "tied" else D + rng.uniform(0, 2, K),
        scale_prior=scales[kind],
        **concentrations | settings,
    )


def data(kind, T, rng, D=2, K=3):
    """(T, D) drawn from a model with parameters."""
    return truth(kind, K, D, rng).sample(T, rng)[0].astype(float)


@dataclass
class Drawn:
    """A model and sequences end to end."""

    kind: str
    model: object
    X: np.ndarray
    lengths: list
    rng: np.random.Generator

    def __repr__(self):
        return f"{self.model} over {self.lengths}"


@st.composite
def drawn(draw, kinds=KINDS, max_states=3, max_length=12, sequences=3, gaps=True, **settings):
    kind = draw(st.sampled_from(kinds))
    K, D = draw(st.integers(1, max_states)), draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(1, max_length), min_size=1, max_size=sequences))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = data(kind, sum(lengths), rng, D)
    if gaps and draw(st.booleans()):
        X = with_gaps(X, 0.3, rng)
    return Drawn(kind, make(kind, K, rng, D, **settings), X, lengths, rng)
