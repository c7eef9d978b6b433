"""The backward information filter: compiled against reference, and against dense integrals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.errors import NumericalError
from msgpass.kernels.gaussian_chain_information import backward_information, backward_reference, row_evidence
from msgpass.kernels.gaussian_chain_information_compiled import backward_compiled
from msgpass.kernels.gaussian_chain_types import GaussianChainArrays
from tests.msgpass.gaussian_models import covariance
from tests.msgpass.table_models import seeds


def arrays(rng, n=2, p=1, lengths=(4, 2), stepped=False, singular=False) -> GaussianChainArrays:
    """A random chain with gaps."""
    T, N = sum(lengths), len(lengths)
    S, rows = (T - N, T) if stepped else (1, 1)
    Q = np.array([covariance(rng, n) for _ in range(S)]).reshape(S, n, n)
    if singular:
        Q[:, 0], Q[:, :, 0] = 0, 0
    y = rng.normal(size=(T, p))
    return GaussianChainArrays(
        np.zeros((1, n)),
        np.eye(n)[None],
        np.zeros((n, 0)),
        rng.normal(size=(S, n, n)) / np.sqrt(n),
        Q,
        rng.normal(size=(S, n)),
        rng.normal(size=(rows, p, n)),
        np.stack([covariance(rng, p) for _ in range(rows)]),
        np.where(rng.random(y.shape) < 0.2, np.nan, y),
        np.concatenate([[0], np.cumsum(lengths)]),
    )


models = st.builds(
    lambda seed, n, p, lengths, stepped, singular: arrays(
        np.random.default_rng(seed), n, p, lengths, stepped, singular
    ),
    seeds,
    st.integers(1, 4),
    st.integers(1, 3),
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
)


def swept(chain, sweep):
    own = row_evidence(chain)
    found = [np.zeros_like(part) for part in own]
    assert sweep(chain.F, chain.Q, chain.b, *own, chain.offsets, *found) == -1
    return found


@settings(max_examples=40)
@given(models)
def test_compiled_is_the_reference(chain):
    for one, other in zip(swept(chain, backward_reference), swept(chain, backward_compiled), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@settings(max_examples=40)
@given(models)
def test_it_is_the_likelihood_of_later_rows_given_this_state(chain):
    """log p(y_{t+1}, … | x_t) at some x, from the joint covariance of what is observed."""
    found = backward_information(chain)
    rng = np.random.default_rng(1)
    for k in range(len(chain.offsets) - 1):
        first, last = chain.offsets[k], chain.offsets[k + 1]
        x = rng.normal(size=chain.mean.shape[-1])
        said = found.log_scale[first] + found.h[first] @ x - 0.5 * x @ found.precision[first] @ x
        np.testing.assert_allclose(said, _log_density(chain, k, first, last, x), rtol=1e-7, atol=1e-7)


def _log_density(chain, k, first, last, x):
    of = lambda a, t: a[0] if len(a) == 1 else a[t]  # noqa: E731
    n = len(x)
    mean, cov, means, crosses = x, np.zeros((n, n)), [], []
    rows, noise, y = [], [], []
    blocks = {}
    for t in range(first + 1, last):
        j = t - 1 - k
        F, Q, b = of(chain.F, j), of(chain.Q, j), of(chain.b, j)
        for s in blocks:
            blocks[s] = F @ blocks[s]
        mean, cov = F @ mean + b, F @ cov @ F.T + Q
        blocks[t] = cov
        means.append(mean)
        crosses.append(dict(blocks))
        seen = ~np.isnan(chain.y[t])
        rows.append((t, of(chain.H, t)[seen]))
        noise.append(of(chain.R, t)[np.ix_(seen, seen)])
        y.append(chain.y[t][seen])
    if not rows:
        return 0.0
    m = np.concatenate([H @ mu for (_, H), mu in zip(rows, means, strict=True)])
    values = np.concatenate(y)
    S = np.zeros((len(m), len(m)))
    ends = np.cumsum([0, *(len(v) for v in y)])
    for a, (_, Ha) in enumerate(rows):
        for c, (tc, Hc) in enumerate(rows[: a + 1]):
            S[ends[a] : ends[a + 1], ends[c] : ends[c + 1]] = Ha @ crosses[a][tc] @ Hc.T
            S[ends[c] : ends[c + 1], ends[a] : ends[a + 1]] = S[
                ends[a] : ends[a + 1], ends[c] : ends[c + 1]
            ].T
        S[ends[a] : ends[a + 1], ends[a] : ends[a + 1]] += noise[a]
    if not len(m):
        return 0.0
    r = values - m
    return -0.5 * (len(m) * np.log(2 * np.pi) + np.linalg.slogdet(S)[1] + r @ np.linalg.solve(S, r))


def test_what_is_not_integrable_names_its_row():
    chain = arrays(np.random.default_rng(0), n=1, p=1, lengths=(3,))
    own = row_evidence(chain)
    own.precision[2] = -10.0
    for sweep in (backward_reference, backward_compiled):
        found = [np.zeros_like(part) for part in own]
        assert sweep(chain.F, chain.Q, chain.b, *own, chain.offsets, *found) == 1


def test_singular_noise_has_no_information_form():
    chain = arrays(np.random.default_rng(0))._replace(R=np.zeros((1, 1, 1)))
    with pytest.raises(NumericalError, match="singular noise"):
        backward_information(chain)
