"""Networks in files: safetensors for the weights, JSON in the header for the settings, and nothing that runs.

The arrays are the state dict, by torch's keys, so that ``safetensors.torch.load_file`` and
``module.load_state_dict`` read the file as it is. The header names the class and its constructor's arguments.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from msgpass import files
from msgpass.errors import DataError, MessagePassingError, UnsupportedError
from rnn.validation import UNDRAWN

FORMAT, VERSION = "msgpass-rnn", 1
ESTIMATOR = "msgpass-rnn-estimator"
"""Format of fitted estimators, which :mod:`rnn.estimators.keeping` reads."""


def settings(model) -> dict[str, Any]:
    """The constructor's arguments but for the seed, as attributes hold them."""
    names = [
        n for n in inspect.signature(type(model).__init__).parameters if n not in ("self", "random_state")
    ]
    return {name: plain(getattr(model, name), f"{type(model).__name__}'s {name}") for name in names}


def plain(value, what: str) -> Any:
    """JSON for a setting."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, np.generic):
        return plain(value.item(), what)
    if isinstance(value, float) and np.isfinite(value):
        return value
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, list | tuple):
        return {"tuple": [plain(v, what) for v in value]}
    if type(value).__name__ in known():
        return {"class": type(value).__name__, "settings": settings(value)}
    raise UnsupportedError(
        f"{what} is {value!r}, which has no place in a file; write the weights alone with "
        "save_file(net.state_dict(), path), and load them into a network that is made anew"
    )


def known() -> dict[str, type]:
    """Classes of which a file may hold one: the library's, and the user's that are defined by now."""
    import rnn
    from rnn.networks import Network

    found: dict[str, type] = {cls.__name__: cls for cls in (rnn.Attention, rnn.Embedding, rnn.Linear)}
    waiting: list[type] = [Network]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        own = getattr(rnn, cls.__name__, cls)  # a name of the library's is the library's class
        if own is cls and cls is not Network:
            found.setdefault(cls.__name__, cls)
    return found


def save(model, path) -> None:
    """Write a network to a file, in one step: a reader sees the old file or the new one.

    Parameters
    ----------
    model : Network or Linear
    path : str or path

    Raises
    ------
    UnsupportedError
        If a setting is neither number nor string nor network: a function has no place in a file.
    DataError
        If the file cannot be written.
    """
    document = {"class": type(model).__name__, "settings": settings(model)}
    header = {"format": FORMAT, "version": str(VERSION), "model": json.dumps(document, allow_nan=False)}
    _write(path, model.state_dict(), header)


def load(path):
    """Read a network that ``net.save(path)`` wrote, or an estimator that ``model.save(path)`` did.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    The network or estimator, of the class that was saved; it computes to the bit what it did.

    Raises
    ------
    DataError
        If there is no such file, or it is not a network's; a file can do nothing but fail to load.

    Examples
    --------
    >>> import tempfile, rnn
    >>> net = rnn.LSTM(2, 3, bidirectional=True, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(f"{folder}/net.safetensors")
    ...     rnn.load(f"{folder}/net.safetensors")
    LSTM(2, 3, 1, bidirectional=True, dtype='float64')
    """
    header, arrays = files.read(path)
    if header.get("format") == ESTIMATOR:
        from rnn.estimators.keeping import load as load_estimator

        return load_estimator(path, header, arrays)
    version = header.get("version", "")
    if header.get("format") != FORMAT or not (version.isascii() and version.isdigit()):
        raise DataError(
            f"{path} is a safetensors file, but not of a network; read a state dict with load_file(path) and "
            "give it to load_state_dict of a network of that architecture"
        )
    if int(version[:9]) > VERSION:
        raise DataError(
            f"{path} was written in version {version} of the format, and this release reads up to {VERSION}; "
            "upgrade msgpass"
        )
    try:
        document = json.loads(header.get("model", ""), parse_constant=files.no_constant)
        largest = max((array.size for array in arrays.values()), default=0)
        return _made(document, largest).load_state_dict(arrays)
    except MessagePassingError as problem:
        raise DataError(f"{path} does not hold a network that works: {problem}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as problem:
        raise DataError(f"{path} is damaged: {type(problem).__name__}: {problem}") from None


def _made(document: dict, largest: int) -> Any:
    """A network without weights: sizes that a file names are not to be allocated before its arrays fit."""
    import rnn

    name, given = document["class"], document["settings"]
    if name in rnn.__all__:
        getattr(rnn, name)  # which imports what is loaded late
    cls: Any = known().get(name) if isinstance(name, str) else None
    if cls is None:
        raise DataError(f"the network {name!r} is not known here; define or import its class before loading")
    free = getattr(cls, "counts", ())
    made = {key: value if key in free else _setting(value, largest) for key, value in given.items()}
    return cls(**made, random_state=UNDRAWN)


def _setting(value, largest: int) -> Any:
    if isinstance(value, int) and abs(value) > max(largest, 1):
        raise ValueError(f"the header holds the size {value}, but no array has as many numbers")
    if not isinstance(value, dict):
        return value
    return tuple(_setting(v, largest) for v in value["tuple"]) if "tuple" in value else _made(value, largest)


def save_file(state: Mapping, path) -> None:
    """Write a state dict to a safetensors file, for any library that reads them.

    Examples
    --------
    >>> import tempfile, rnn
    >>> net = rnn.GRU(2, 3, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_file(net.state_dict(), f"{folder}/weights.safetensors")
    ...     sorted(load_file(f"{folder}/weights.safetensors"))
    ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']
    """
    if not isinstance(state, Mapping):
        raise DataError(f"save_file takes a dict from keys to arrays, got {type(state).__name__}")
    try:
        arrays = {str(key): np.asarray(value) for key, value in state.items()}
    except ValueError as problem:
        raise DataError(f"save_file takes arrays, and one entry is none: {problem}") from None
    _write(path, arrays, {"format": "np"})


def load_file(path) -> dict[str, np.ndarray]:
    """The state dict in a safetensors file, also one that was written from torch.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict from key to ndarray
        For ``load_state_dict``, which converts to the network's dtype.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged.
    """
    return files.read(path)[1]


def _write(path, arrays: dict[str, np.ndarray], header: dict[str, str]) -> None:
    for key, array in arrays.items():
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise DataError(f"{key!r} holds {array.dtype}, which has no place in a file")
    try:
        files.write(path, arrays, header)
    except OSError as problem:
        raise DataError(f"cannot write {path}: {problem}") from None
