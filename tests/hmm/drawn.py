"""Random models with data for them, for Hypothesis: a seed and a few sizes, everything else follows."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from hmm import CategoricalHMM, GaussianHMM, PoissonHMM

KINDS = ("categorical", "poisson", "spherical", "diag", "full", "tied")
SYMBOLS = 3


@dataclass
class Drawn:
    """A model with its parameters set, and sequences end to end."""

    model: object
    X: np.ndarray
    lengths: list

    def __repr__(self):
        return f"{self.model} over {self.lengths}"

    @property
    def sequences(self):
        return np.split(self.X, np.cumsum(self.lengths)[:-1])


def make(kind, K, D, rng, **settings):
    """An unfitted model of a kind with random parameters."""
    if kind == "categorical":
        model = CategoricalHMM(K, n_features=SYMBOLS, **settings)
        model.emissionprob_ = rng.dirichlet(np.ones(SYMBOLS), K)
    elif kind == "poisson":
        model = PoissonHMM(K, **settings)
        model.lambdas_ = rng.gamma(2, 2, (K, D))
    else:
        model = GaussianHMM(K, covariance_type=kind, **settings)
        model.means_ = rng.normal(size=(K, D)) * 2
        root = rng.normal(size=(K, D, D))
        full = root @ np.swapaxes(root, 1, 2) + 0.3 * np.eye(D)
        model.covars_ = {
            "spherical": full[:, 0, 0],
            "diag": np.diagonal(full, axis1=1, axis2=2),
            "full": full,
            "tied": full[0],
        }[kind]
    model.startprob_ = rng.dirichlet(np.ones(K))
    model.transmat_ = rng.dirichlet(np.ones(K), K)
    return model


def with_gaps(X, share, rng):
    """Cells lost at random."""
    X = X.astype(float)
    X[rng.random(X.shape) < share] = np.nan
    return X


@st.composite
def drawn(draw, kinds=KINDS, max_states=3, max_length=5, sequences=1, missing=True, **settings):
    """A random model of one of ``kinds`` and data drawn from it."""
    kind = draw(st.sampled_from(kinds))
    K, D = draw(st.integers(1, max_states)), draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(1, max_length), min_size=1, max_size=sequences))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    model = make(kind, K, D, rng, **settings)
    X = np.concatenate([model.sample(n, rng)[0] for n in lengths])
    if missing and draw(st.booleans()):
        X = with_gaps(X, 0.3, rng)
    return Drawn(model, X, lengths)
