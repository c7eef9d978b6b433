"""A fit on disk: what it needs to go on as if it had not been cut short, to the bit.

The file is safetensors, as a kept model is. It holds a digest of the data, the settings and what is frozen,
the climb under way, the best so far, and the seeds of the starts to come with the attributes that they start
from; a fit resumes from it only if the digest is its own."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hmm.chain import Chain
from hmm.keeping import Reader, Writer, unchecked
from hmm.learning.fitting import State
from hmm.learning.restrictions import restrictions
from hmm.sample import Sample
from msgpass.errors import DataError, MessagePassingError
from msgpass.files import no_constant, read, write

FORMAT, VERSION = "msgpass-hmm-fit", 1
SECONDS = 10.0
"""Between two writes."""

MAY_CHANGE = ("n_iter", "tol", "verbose", "algorithm", "implementation")
"""Settings that a resumed fit may have changed: how long it goes on, and what does not touch it."""


class Checkpoint:
    """The file of one fit.

    Parameters
    ----------
    path : str or path
    model : any model of ``hmm``
    digest : str
        Of the data and the settings, by :func:`digest`.
    chain_of : callable
        Makes the chain of a model of this kind, ready to be fitted to the data.

    Attributes
    ----------
    origin : model
        As it was before the fit: the model that is being fitted holds the best so far in its attributes.
    """

    def __init__(self, path, model, digest: str, chain_of: Callable[[Any], Chain]):
        self.path, self.model, self.digest, self.chain_of = Path(path), model, digest, chain_of
        self.origin = copy.copy(model)
        vars(self.origin).pop("_running_", None)
        self.written = time.monotonic()
        if not self.path.absolute().parent.is_dir():
            raise DataError(
                f"there is no folder {self.path.absolute().parent} to keep the checkpoint in; make it"
            )

    def load(self) -> State | None:
        """The state that an earlier fit left, or None where there is no file.

        Raises
        ------
        DataError
            If the file is no checkpoint, is damaged, or is one of other data or settings.
        """
        if not self.path.exists():
            return None
        header, arrays = read(self.path)
        if header.get("format") != FORMAT or header.get("version") != str(VERSION):
            raise DataError(f"{self.path} is not a checkpoint of a fit; name another file")
        if header.get("digest") != self.digest:
            raise DataError(
                f"{self.path} is the checkpoint of a fit of other data or with other settings; remove it to "
                "begin anew, or name another file"
            )
        try:
            found = json.loads(header.get("fit", ""), parse_constant=no_constant)
            reader = Reader(arrays)
            origin = self._with_attributes(found["origin"], reader)
            state = State(
                [int(seed) for seed in found["seeds"]],
                int(found["restart"]),
                self._chain(found["chain"], reader),
                [float(value) for value in found["history"]],
                self._chain(found["best"], reader),
                int(found["best_restart"]),
                [float(value) for value in found["best_history"]],
            )
        except (MessagePassingError, ValueError, TypeError, KeyError, AttributeError, IndexError) as problem:
            raise DataError(f"{self.path} is damaged: {problem}; remove it to begin anew") from None
        changed = self._changed(origin)
        if changed is not None:
            raise DataError(
                f"{self.path} is the checkpoint of a fit that held {changed}_ at other values; remove it to "
                "begin anew, or name another file"
            )
        self.origin = origin
        return state

    def _changed(self, origin) -> str | None:
        """A parameter that the fit has no hand in and that is not as it was when it began."""
        for name in self.model.untouched():
            if not (self.model.has(name) and origin.has(name)):
                continue
            now, then = getattr(self.model, f"{name}_"), getattr(origin, f"{name}_")
            numbers = not any(np.asarray(v).dtype == object for v in (now, then))
            if numbers and not np.array_equal(np.asarray(now), np.asarray(then)):
                return name
        return None

    def after(self, state: State) -> None:
        """Write now and then, and when the fit has ended."""
        if state.done or time.monotonic() - self.written > SECONDS:
            self.write(state)

    def write(self, state: State) -> None:
        """In one step: a reader finds the old file or the new one."""
        writer = Writer()
        document = {
            "origin": writer.model(self.origin, "origin."),
            "seeds": state.seeds,
            "restart": state.restart,
            "chain": self._document(state.chain, writer, "chain."),
            "history": state.history,
            "best": self._document(state.best, writer, "best."),
            "best_restart": state.best_restart,
            "best_history": state.best_history,
        }
        header = {
            "format": FORMAT,
            "version": str(VERSION),
            "digest": self.digest,
            "fit": json.dumps(document, allow_nan=False),
        }
        write(self.path, writer.arrays, header)
        self.written = time.monotonic()

    def _document(self, chain: Chain | None, writer: Writer, prefix: str) -> Any:
        if chain is None:
            return None
        draft = copy.copy(self.model)
        draft._store(chain)
        return writer.model(draft, prefix)

    def _chain(self, document, reader: Reader) -> Chain | None:
        if document is None:
            return None
        return self.chain_of(self._with_attributes(document, reader))

    def _with_attributes(self, document, reader: Reader) -> Any:
        """The model with the attributes of another, and no others."""
        draft, other = copy.copy(self.model), unchecked(document, reader)
        for name in [name for name in vars(draft) if name.endswith("_")]:
            del vars(draft)[name]
        vars(draft).update({name: value for name, value in vars(other).items() if name.endswith("_")})
        return draft


def digest(model, sample: Sample) -> str:
    """SHA-256 of the data and of the settings that decide how a fit goes."""
    found = hashlib.sha256()
    add_sample(found, sample)
    return with_settings(found, model, frozen_values(model))


def add_sample(found, sample: Sample) -> None:
    """Take data into a hash."""
    add_arrays(found, sample.X, np.asarray(sample.lengths), sample.U, sample.labels, sample.weights)


def add_arrays(found, *arrays: np.ndarray | None) -> None:
    """Take arrays into a hash."""
    for array in arrays:
        if array is None:
            found.update(b"none")
        else:
            found.update(f"{array.dtype}{array.shape}".encode())
            found.update(np.ascontiguousarray(array).data)


def frozen_values(model) -> Iterator[tuple[str, np.ndarray]]:
    """What ``frozen`` holds, by attribute: numbers that decide how a fit goes, and that it leaves alone."""
    letters = model.EMISSION.LETTERS
    held = restrictions(model.n_components, letters, model.frozen, model.tied)
    masks = {"startprob_": held.initial, "transmat_": held.transition}
    masks |= {f"{letters[letter]}_": mask for letter, mask in held.emission.items()}
    for name, mask in masks.items():
        value = np.asarray(getattr(model, name, None))
        if mask is not None and value.dtype.kind in "fiu" and value.shape[: mask.ndim] == mask.shape:
            yield name, value[mask].astype(np.float64)


def with_settings(found, model, held: Iterable[tuple[str, np.ndarray]]) -> str:
    """The digest of data that a hash has taken in, under the model's settings and numbers that are held."""
    settings = model.get_params(deep=False)
    if not isinstance(settings.get("random_state"), int | np.integer):
        settings["random_state"] = None
    writer = Writer()
    kept = {name: writer.plain(value, name) for name, value in settings.items() if name not in MAY_CHANGE}
    kept |= {f"frozen.{name}": writer.plain(value, f"frozen.{name}") for name, value in held}
    found.update(json.dumps([type(model).__name__, kept], sort_keys=True).encode())
    for name in sorted(writer.arrays):
        found.update(name.encode())
        found.update(writer.arrays[name].data)
    return found.hexdigest()
