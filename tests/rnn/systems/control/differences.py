"""Central differences of vector functions."""

import numpy as np


def jacobian(f, z, h=1e-6):
    """(p, d) from f: (d,) → (p,)."""
    columns = []
    for e in np.eye(len(z)):
        columns.append((np.atleast_1d(f(z + h * e)) - np.atleast_1d(f(z - h * e))) / (2 * h))
    return np.array(columns).T


def hessian(f, z, h=1e-4):
    """(d, d) from f: (d,) → number."""
    eye = h * np.eye(len(z))
    return np.array(
        [[f(z + a + b) - f(z + a - b) - f(z - a + b) + f(z - a - b) for b in eye] for a in eye]
    ) / (4 * h**2)
