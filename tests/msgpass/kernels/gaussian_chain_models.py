"""Random linear-Gaussian chains as the kernels take them, and a dense solve of each."""

import numpy as np
from hypothesis import strategies as st

from msgpass.kernels.gaussian_chain_types import GaussianChainArrays, at


@st.composite
def problems(draw, flats=True):
    """Anything the arrays allow: shared or not, singular Q and starts, missing cells, ragged, flat."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, p = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=3))
    varying = draw(st.sets(st.sampled_from("FQbHRmc")))
    rank = draw(st.integers(0, n))
    missing = draw(st.sampled_from([0.0, 0.3]))
    d = draw(st.integers(0, n)) if flats else 0
    if d:
        lengths = [length + n + 2 for length in lengths]
    return problem(rng, n, p, lengths, varying, rank, missing, d)


def problem(rng, n=2, p=1, lengths=(5,), varying=(), rank=None, missing=0.0, d=0) -> GaussianChainArrays:
    """``rank`` of Q; ``varying`` names the arrays that are not shared; d flat coordinates."""
    N, T = len(lengths), sum(lengths)
    rank = n if rank is None else rank

    def count(name, many):
        return max(many, 0) if name in varying else 1

    def covs(count, size, rank):
        B = rng.normal(size=(count, size, rank))
        return B @ np.swapaxes(B, 1, 2) / max(rank, 1)

    flat = np.eye(n)[:, rng.permutation(n)[:d]]
    keep = np.eye(n) - flat @ flat.T
    pairs = T - N
    y = rng.normal(size=(T, p))
    # With a flat start the first rows see everything, so that every direction is determined.
    safe = np.concatenate([np.arange(length) < (n + 2) * (d > 0) for length in lengths])
    y[(rng.random((T, p)) < missing) & ~safe[:, None]] = np.nan
    F = 0.7 * rng.normal(size=(count("F", pairs), n, n)) + 0.3 * np.eye(n)
    # Expanding dynamics without noise cost the dense solve its digits.
    F /= np.maximum(1, np.linalg.norm(F, 2, (1, 2)) / 1.1)[:, None, None]
    return GaussianChainArrays(
        mean=rng.normal(size=(count("m", N), n)),
        cov=keep @ covs(count("c", N), n, max(rank, 1)) @ keep,
        flat=flat,
        F=F,
        Q=covs(count("Q", pairs), n, rank),
        b=rng.normal(size=(count("b", pairs), n)),
        H=rng.normal(size=(count("H", T), p, n)),
        R=covs(count("R", T), p, p) + 0.2 * np.eye(p),
        y=y,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
    )


class Dense:
    """Moments of all states of sequence k, given its rows before ``stop``, by one solve.

    x = c + W δ + N(0, V) over all states end to end, y = H x + noise; δ by generalised least squares.
    """

    def __init__(self, arrays: GaussianChainArrays, k: int, stop: int | None = None):
        first, end = arrays.offsets[k], arrays.offsets[k + 1]
        L, n = end - first, arrays.mean.shape[-1]
        d, p = arrays.flat.shape[1], arrays.y.shape[1]
        stop = L if stop is None else stop
        c, W, V = np.zeros(L * n), np.zeros((L * n, d)), np.zeros((L * n, L * n))
        c[:n], W[:n], V[:n, :n] = at(arrays.mean, k), arrays.flat, at(arrays.cov, k)
        for t in range(1, L):
            F, Q, b = (at(part, first + t - 1 - k) for part in (arrays.F, arrays.Q, arrays.b))
            now, before, past = slice(t * n, t * n + n), slice(t * n - n, t * n), slice(0, t * n)
            c[now], W[now] = F @ c[before] + b, F @ W[before]
            V[now, past] = F @ V[before, past]
            V[past, now] = V[now, past].T
            V[now, now] = F @ V[before, before] @ F.T + Q
        H, R = np.zeros((L * p, L * n)), np.zeros((L * p, L * p))
        for t in range(L):
            H[t * p : t * p + p, t * n : t * n + n] = at(arrays.H, first + t)
            R[t * p : t * p + p, t * p : t * p + p] = at(arrays.R, first + t)
        y = arrays.y[first:end].reshape(-1)
        seen = ~np.isnan(y) & (np.arange(L * p) < stop * p)
        # States and all noises together, so that missing cells have moments, too.
        joint = np.block([[V, np.zeros((L * n, L * p))], [np.zeros((L * p, L * n)), R]])
        look = np.hstack([H, np.eye(L * p)])[seen]
        c, W = np.concatenate([c, np.zeros(L * p)]), np.vstack([W, np.zeros((L * p, d))])
        S = look @ joint @ look.T
        inverse = np.linalg.inv(S) if seen.any() else S
        gain = joint @ look.T @ inverse
        v = y[seen] - look @ c
        self.mean, self.cov = c + gain @ v, joint - gain @ look @ joint
        logdet = np.linalg.slogdet(S)[1]
        self.total = -0.5 * (len(v) * np.log(2 * np.pi) + logdet + v @ inverse @ v)
        if d:
            E = look @ W
            precision = E.T @ inverse @ E
            left = W - gain @ E
            score = E.T @ inverse @ v
            delta = np.linalg.solve(precision, score)
            self.mean = self.mean + left @ delta
            self.cov = self.cov + left @ np.linalg.inv(precision) @ left.T
            self.total += 0.5 * (d * np.log(2 * np.pi) - np.linalg.slogdet(precision)[1] + score @ delta)
        self.L, self.n, self.p, self.H = L, n, p, H

    def state(self, t: int) -> slice:
        """Where x_t is."""
        return slice(t * self.n, (t + 1) * self.n)

    def noise(self, t: int) -> slice:
        """Where y_t − H x_t is."""
        start = self.L * self.n + t * self.p
        return slice(start, start + self.p)
