"""What a user may hand over as data: an array, a frame, or a list with one of these a sequence; and what the
second positional argument of ``fit`` means.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hmm.validation import sequence_lengths
from msgpass.errors import DataError, ShapeError


def end_to_end(X, lengths, *, flat: bool = False) -> tuple[Any, Any]:
    """(X, lengths) with a list of sequences laid end to end; anything else comes back as it is.

    A list or tuple is one of sequences where every item is two-dimensional (arrays or frames), or, if (T,)
    may stand for (T, 1), where its items are one-dimensional arrays of different lengths.

    Raises
    ------
    DataError
        If ``lengths`` comes with a list.
    ShapeError
        If the sequences have different numbers of columns.

    Examples
    --------
    >>> X, lengths = end_to_end([np.zeros((2, 1)), np.ones((3, 1))], None)
    >>> X.ravel().tolist(), lengths
    ([0.0, 0.0, 1.0, 1.0, 1.0], [2, 3])
    """
    if not is_list_of_sequences(X, flat=flat):
        return _values(X), lengths
    if lengths is not None:
        raise DataError(
            f"X is a list of {len(X)} sequences and lengths were given too; a list has its lengths with it: "
            "leave them out"
        )
    arrays = [_values(x) for x in X]
    arrays = [a[:, None] if a.ndim == 1 else a for a in arrays]
    widths = sorted({a.shape[1] for a in arrays})
    if len(widths) > 1:
        raise ShapeError(
            f"the sequences have {', '.join(map(str, widths))} columns; all sequences must have the same"
        )
    short = next((n for n, a in enumerate(arrays) if not len(a)), None)
    if short is not None:
        raise ShapeError(f"sequence {short} is empty; leave it out")
    return np.concatenate(arrays), [len(a) for a in arrays]


def is_list_of_sequences(X, *, flat: bool = False) -> bool:
    """Whether X holds one array or frame a sequence."""
    if not isinstance(X, list | tuple) or not X:
        return False
    shapes = [getattr(x, "shape", None) for x in X]
    if any(not isinstance(s, tuple) for s in shapes):
        return False
    axes = {len(s) for s in shapes if s is not None}
    return axes == {2} or (flat and axes == {1} and len(set(shapes)) > 1)


def _values(X) -> np.ndarray | Any:
    """A frame as an array, with NaN for its missing values; anything else as it is."""
    if not hasattr(X, "columns") or not hasattr(X, "to_numpy"):
        return X
    array = np.ascontiguousarray(X.to_numpy())  # frames come by column, and sums would differ by rounding
    if array.dtype.kind != "O":
        return array
    try:
        return np.ascontiguousarray(X.to_numpy(dtype=np.float64, na_value=np.nan))  # pandas' nullable columns
    except (TypeError, ValueError):
        return array


def column_names(X) -> np.ndarray | None:
    """Names of a frame's columns (of the first frame of a list), if all of them are strings."""
    first = X[0] if isinstance(X, list | tuple) and X else X
    columns = getattr(first, "columns", None)
    if columns is None or not len(columns) or not all(isinstance(c, str) for c in columns):
        return None
    return np.array(list(columns), dtype=object)


def same_names(fitted: np.ndarray | None, given: np.ndarray | None, model: str) -> None:
    """The columns that the model was fitted to, in their order, where both sides have names."""
    if fitted is None or given is None or (len(fitted) == len(given) and (fitted == given).all()):
        return
    unseen = [str(c) for c in given if c not in set(fitted)]
    missing = [str(c) for c in fitted if c not in set(given)]
    lines = ["The feature names should match those that were passed during fit."]
    if unseen:
        lines += ["Feature names unseen at fit time:", *(f"- {c}" for c in sorted(unseen)[:5])]
    if missing:
        lines += [
            "Feature names seen at fit time, yet now missing:",
            *(f"- {c}" for c in sorted(missing)[:5]),
        ]
    if not unseen and not missing:
        lines += ["Feature names must be in the same order as they were in fit."]
    raise DataError("\n".join(lines) + f"\nGive {model} the columns that it was fitted to")


def lengths_or_target(y, lengths, n_rows: int):
    """What the second positional argument of ``fit`` and ``score`` means.

    hmmlearn has ``lengths`` there and scikit-learn ``y``, which an HMM has no use for. Whole numbers of at
    least 1 that sum to the number of rows are lengths; anything else with one entry a row is a target, and is
    ignored. (Ones for every row are both; they are taken as lengths.)

    Returns
    -------
    lengths or None
    """
    if y is None or lengths is not None:
        return lengths
    try:
        array = np.asarray(y)
    except (TypeError, ValueError):
        return sequence_lengths(y, n_rows)
    if array.ndim >= 1 and len(array) == n_rows:
        whole = array.ndim == 1 and array.dtype.kind in "iu"
        return array if whole and array.min(initial=1) >= 1 and array.sum() == n_rows else None
    return sequence_lengths(array, n_rows)
