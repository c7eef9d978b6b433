"""A progress bar for whoever watches a long fit."""

from __future__ import annotations

import sys
import time
from typing import Any

SILENT_SECONDS = 2.0
"""A fit that is over by then shows no bar."""


class Progress:
    """A bar on standard error, from the moment a fit has taken two seconds and if a person is watching."""

    def __init__(self, total: int, label: str, quiet: bool = False):
        self.total, self.label = total, label
        self.watched = not quiet and sys.stderr.isatty()
        self.started, self.done = time.perf_counter(), 0
        self.bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self, note: str) -> None:
        """One more iteration is done."""
        self.done += 1
        if not self.watched:
            return
        if self.bar is None and time.perf_counter() - self.started > SILENT_SECONDS:
            from tqdm import tqdm

            self.bar = tqdm(
                total=self.total, initial=self.done - 1, desc=self.label, unit="iteration", leave=False
            )
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update()
