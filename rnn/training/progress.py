"""A bar on stderr, on a terminal, for what takes longer than a second."""

from __future__ import annotations

SILENT_SECONDS = 1.0
"""A fit that is over by then shows no bar."""


def bar(total: int, progress: bool, unit: str = "it", done: int = 0):
    """tqdm's bar, which closes with its ``with``."""
    from tqdm import tqdm

    return tqdm(
        total=total,
        initial=done,
        desc="fit",
        unit=unit,
        delay=SILENT_SECONDS,
        leave=False,
        disable=None if progress else True,
    )
