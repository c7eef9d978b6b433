"""Where a datum is out of range: the first one, its place in the user's array, and what was wanted."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError


def within(what: str, array: np.ndarray, bad: np.ndarray, wanted: str) -> None:
    """Raise a DataError that names the first value where ``bad``."""
    if bad.any():
        place = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
        where = place[0] if len(place) == 1 else place
        count = int(np.count_nonzero(bad))
        others = f" (and {count - 1} more)" if count > 1 else ""
        raise DataError(f"{what} hold {array[place]} at {where}{others}; {wanted}")
