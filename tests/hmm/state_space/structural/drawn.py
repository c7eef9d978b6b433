"""Random structural models with parameters and data, and the dense solution of any."""

import numpy as np
from hypothesis import strategies as st

from hmm.state_space.structural.assembly import Assembly
from hmm.structural import (
    AR,
    ARMA,
    Cycle,
    Irregular,
    LocalLevel,
    LocalLinearTrend,
    Regression,
    Seasonal,
)

PARTS = {
    "level": LocalLevel(),
    "constant": LocalLevel(name="constant", variance=0),
    "trend": LocalLinearTrend(),
    "damped": LocalLinearTrend(name="damped", damped=True),
    "smooth": LocalLinearTrend(name="smooth", smooth=True),
    "dummies": Seasonal(period=3),
    "harmonics": Seasonal(name="harmonics", period=5, form="trigonometric", harmonics=1),
    "cycle": Cycle(periods=(3, 12)),
    "ar": AR(order=2),
    "arma": ARMA(p=1, q=1),
    "regression": Regression(columns=2),
    "drifting": Regression(name="drifting", random_walk=True),
}
LEVELS = ("level", "constant", "trend", "damped", "smooth")


@st.composite
def models(draw):
    """(assembly, values, y, inputs): at most one trend, any others, always with noise."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = draw(st.lists(st.sampled_from([k for k in PARTS if k not in LEVELS]), max_size=3, unique=True))
    trend = draw(st.sampled_from([*LEVELS, None] if kinds else LEVELS))
    return drawn(rng, [*([trend] if trend else []), *kinds])


def drawn(rng, kinds, T=24, gaps=True):
    """See :func:`models`."""
    assembly = Assembly.of([*(PARTS[kind] for kind in kinds), Irregular()])
    y = rng.normal(size=T).cumsum() + rng.normal(size=T)
    if gaps:
        y[rng.random(T) < 0.15] = np.nan
    inputs = rng.normal(size=(T, assembly.n_inputs))
    values = assembly.start(np.nan_to_num(y), inputs, 1.0, rng)
    # variances that are not far apart, so that a dense solve keeps its digits
    for name, p in assembly.parameters.items():
        if p.spread and p.fixed is None:
            values[name] = rng.uniform(0.2, 2.0, p.shape)
    return assembly, values, y, inputs


def dense(assembly, values, y, inputs):
    """(m, C, A): y = m + A δ + N(0, C) over the observed steps, δ flat."""
    own, T = assembly.blocks(values, inputs), len(y)
    n, flat = assembly.n_states, assembly.flat(values)
    H = np.broadcast_to(own.H, (T, n))
    proper = np.where(np.isposinf(own.cov), 0.0, own.cov)
    powers = [np.eye(n)]
    for _ in range(T - 1):
        powers.append(own.F @ powers[-1])
    cov = np.zeros((T, n, T, n))
    spread = proper
    for t in range(T):
        for s in range(t, T):
            cov[s, :, t] = powers[s - t] @ spread
            cov[t, :, s] = cov[s, :, t].T
        spread = own.F @ spread @ own.F.T + own.Q
    C = np.einsum("ti,tisj,sj->ts", H, cov, H) + float(own.R) * np.eye(T)
    A = np.stack([H[t] @ powers[t] for t in range(T)])[:, flat]
    m = np.array([H[t] @ powers[t] @ own.mean for t in range(T)])
    seen = ~np.isnan(y)
    return m[seen], C[np.ix_(seen, seen)], A[seen]


def diffuse_log_likelihood(assembly, values, y, inputs) -> float:
    """log of the integral over δ, less d/2 log 2π."""
    m, C, A = dense(assembly, values, y, inputs)
    gap = y[~np.isnan(y)] - m
    W = np.linalg.inv(C)
    found = -0.5 * (len(gap) * np.log(2 * np.pi) + np.linalg.slogdet(C)[1] + gap @ W @ gap)
    if A.shape[1]:
        G, h = A.T @ W @ A, A.T @ W @ gap
        found += 0.5 * (h @ np.linalg.solve(G, h) - np.linalg.slogdet(G)[1])
    return float(found)
