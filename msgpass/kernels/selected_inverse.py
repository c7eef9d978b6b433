"""Entries of the inverse of a sparse symmetric matrix where its Cholesky factor has entries.

A = L D Lᵀ with a unit lower L. From the last column to the first, with R the rows of column j below the
diagonal,

    Z_Rj = −Z_RR L_Rj,    Z_jj = 1/d_j − L_Rjᵀ Z_Rj

and Z_RR is known, for elimination joins the rows of a column to each other. This is the backward pass over the
tree of cliques, a variable at a time: what Takahashi, Fagan and Chen (1973) found for networks.
"""

import numpy as np


def selected_inverse_reference(indptr, indices, lower, pivots) -> np.ndarray:
    """As :func:`~msgpass.kernels.selected_inverse_compiled.selected_inverse`, in NumPy with a full matrix.

    Parameters
    ----------
    indptr, indices : arrays of int
        Columns of L with sorted rows, the diagonal first.
    lower : array
        Entries of L.
    pivots : array, (n,)
        Diagonal of D.

    Returns
    -------
    array
        Entries of A⁻¹ at those of L.

    Examples
    --------
    [[2, 1], [1, 2]] has the inverse [[2, −1], [−1, 2]] / 3:

    >>> z = selected_inverse_reference([0, 2, 3], [0, 1, 1], np.array([1.0, 0.5, 1.0]), np.array([2.0, 1.5]))
    >>> z.round(4).tolist()
    [0.6667, -0.3333, 0.6667]
    """
    n = len(pivots)
    full, found = np.zeros((n, n)), np.empty(len(lower))
    for j in range(n - 1, -1, -1):
        column = slice(indptr[j] + 1, indptr[j + 1])
        rows, own = np.asarray(indices[column], int), lower[column]
        full[rows, j] = -full[np.ix_(rows, rows)] @ own
        full[j, rows] = full[rows, j]
        full[j, j] = 1 / pivots[j] - own @ full[rows, j]
        found[indptr[j]] = full[j, j]
        found[column] = full[rows, j]
    return found
