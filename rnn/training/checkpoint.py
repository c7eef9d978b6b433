"""A fit on disk: what it needs to go on as if it had not been cut short, to the bit.

The file is safetensors: weights, the optimiser's memory, the best weights and the course as arrays, the place
in the data in the header, and a digest of data and settings; a fit resumes from it only if the digest is its
own.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from msgpass import files
from msgpass.errors import DataError
from rnn.training.state import Course, State

FORMAT, VERSION = "msgpass-rnn-fit", "1"

SECONDS = 10.0
"""Between two writes."""

COURSE = ("losses", "validation", "rates")
PLACE = ("updates", "epoch", "batch", "best_epoch", "noted")


class Checkpoint:
    """The file of one fit.

    Parameters
    ----------
    path : str or path
    digest : str
        Of the data and the settings.
    """

    def __init__(self, path, digest: str):
        self.path, self.digest, self.written = Path(path), digest, time.monotonic()
        if not self.path.absolute().parent.is_dir():
            raise DataError(
                f"there is no folder {self.path.absolute().parent} to keep the checkpoint in; make it"
            )

    def load(self, fresh: State) -> State:
        """The state that an earlier fit left, or ``fresh`` where there is no file.

        Raises
        ------
        DataError
            If the file is no checkpoint, is damaged, or is one of other data or settings.
        """
        if not self.path.exists():
            return fresh
        header, arrays = files.read(self.path)
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise DataError(f"{self.path} is not a checkpoint of a network's fit; name another file")
        if header.get("digest") != self.digest:
            raise DataError(
                f"{self.path} is the checkpoint of a fit of other data or with other settings; remove it to "
                "begin anew, or name another file"
            )
        try:
            place = json.loads(header["place"], parse_constant=files.no_constant)
            course = Course(*(arrays[name].tolist() for name in COURSE))
            numbers: dict[str, Any] = {name: int(place[name]) for name in PLACE}
            running = tuple(arrays["running"].tolist())
            found = State(
                {name: self._like(array, arrays[f"state.{name}"]) for name, array in fresh.arrays.items()},
                self._like(fresh.best_weights, arrays["best_weights"]),
                best=float(arrays["best"][0]),
                running=(running[0], running[1]),
                course=course,
                **numbers,
            )
        except (ValueError, TypeError, KeyError, IndexError) as problem:
            raise DataError(
                f"{self.path} is damaged: {type(problem).__name__}: {problem}; remove it to begin anew"
            ) from None
        return found

    @staticmethod
    def _like(own: np.ndarray, found: np.ndarray) -> np.ndarray:
        if own.shape != found.shape or own.dtype != found.dtype:
            raise ValueError(f"wanted {own.dtype} of shape {own.shape}, found {found.dtype} {found.shape}")
        return np.array(found)

    def after(self, state: State) -> None:
        """Write now and then."""
        if time.monotonic() - self.written > SECONDS:
            self.write(state)

    def write(self, state: State) -> None:
        """In one step: a reader finds the old file or the new one."""
        arrays = {f"state.{name}": array for name, array in state.arrays.items()}
        arrays |= {name: np.array(getattr(state.course, name)[: state.noted], float) for name in COURSE}
        arrays |= {"running": np.array(state.running), "best": np.array([state.best])}
        arrays["best_weights"] = state.best_weights
        header = {
            "format": FORMAT,
            "version": VERSION,
            "digest": self.digest,
            "place": json.dumps({name: getattr(state, name) for name in PLACE}),
        }
        files.write(self.path, arrays, header)
        self.written = time.monotonic()


def digest(settings: Iterable[object], arrays: Iterable[dict[str, np.ndarray]]) -> str:
    """SHA-256 of settings, by their repr, and of data."""
    # An object of the user's without a repr has its address there, which the next process does not share.
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(tuple(settings)))
    found = hashlib.sha256(text.encode())
    for data in arrays:
        for name in sorted(data):
            array = np.ascontiguousarray(data[name])
            found.update(f"{name}{array.dtype}{data[name].shape}".encode())
            found.update(array.data)
    return found.hexdigest()
