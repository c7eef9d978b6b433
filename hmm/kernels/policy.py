"""When a compiled pass over the data is worth loading; by size alone, so that the same shapes give the same
bits."""

COMPILED = 8192
"""Entries T·K from which on the sweep over the chain, too, is compiled or soon will be. With 5000 steps and 2
states NumPy's density and moments take 27 and 78 µs, the compiled ones 17 and 32."""

MOST_FEATURES = 12
"""Features up to which covariance matrices go there; with more, BLAS works a state at a time."""


def worth(n_steps: int, n_states: int, n_features: int = 0) -> bool:
    """Whether to use the compiled pass; ``n_features`` counts for covariance matrices only."""
    return n_steps * n_states >= COMPILED and n_features <= MOST_FEATURES
