"""Real series to work on: nine that are bundled, and the user's own CSV.

``load("earthquakes")`` and ``read_csv("my.csv", "sales")`` both return a `Series`, so that whatever runs on a
bundled series runs on the user's. Provenance and licences stand in ``README.md`` beside the files.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from msgpass.data.csv_file import read_csv
from msgpass.data.series import Kind, Series
from msgpass.errors import DataError

__all__ = ["Kind", "Series", "load", "names", "read_csv"]

FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Names of the bundled series.

    >>> names()
    ('earthquakes', 'nile', 'sunspots', 'elnino', 'inflation', 'letters', 'fedfunds', 'gnp', 'co2')
    """
    return tuple(_catalogue())


def load(name: str) -> Series:
    """A bundled series.

    Parameters
    ----------
    name : str
        One of `names()`.

    Raises
    ------
    DataError
        If there is no such series.

    Examples
    --------
    >>> series = load("earthquakes")
    >>> series
    Series('earthquakes', 107 steps 1900-2006, counts)
    >>> int(series.values.sum())
    2072
    """
    if name not in _catalogue():
        raise DataError(
            f"There is no bundled series {name!r}; bundled are {', '.join(names())}. "
            "For a file of your own use read_csv(path, column)."
        )
    about = dict(_catalogue()[name])
    series = read_csv(
        FOLDER / f"{name}.csv", about.pop("column"), kind=about.pop("kind"), index=about.pop("index")
    )
    return replace(series, name=name, **about)


@cache
def _catalogue() -> dict[str, dict]:
    import tomllib

    return tomllib.loads((FOLDER / "catalogue.toml").read_text(encoding="utf-8"))
