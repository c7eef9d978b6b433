"""Fitted estimators in files: safetensors for all arrays, JSON in the header for everything else.

A file holds the class's name, the constructor's arguments, what a fit took note of, its course, and the
weights under ``network.``, ``readout.`` and ``chain.``. Reading one makes numbers, strings and objects of
classes that are known here, and nothing runs.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

import msgpass
import rnn.learning_rates
import rnn.optimizers
from msgpass import files
from msgpass.errors import DataError, MessagePassingError, UnsupportedError
from msgpass.schedule.base import Schedule
from rnn.estimators.scaling import Scale
from rnn.learning_rates import LearningRate
from rnn.optimizers import LBFGS, Optimizer
from rnn.training import History

FORMAT, VERSION = "msgpass-rnn-estimator", 1

NOTED = ("n_features_in_", "n_tokens_", "_features", "_flat", "_seed", "_origin", "_unit", "_own")
"""What a fit takes note of: numbers."""

ARRAYS = ("classes_", "feature_names_in_", "_class_weight")

SCALES = ("x_scale_", "y_scale_")


def save(model, path) -> None:
    """Write a fitted estimator to a file, in one step.

    Raises
    ------
    NotFittedError
        If it has not been fitted.
    UnsupportedError
        If a setting has no place in a file. A generator as ``random_state`` is left out.
    DataError
        If the file cannot be written.
    """
    model._check_fitted()
    arrays: dict[str, np.ndarray] = {}
    params = model.get_params(deep=False)
    if isinstance(params["random_state"], np.random.Generator):
        params["random_state"] = None
    own = vars(model)
    document: dict[str, Any] = {
        "class": type(model).__name__,
        "params": {name: plain(value, name) for name, value in params.items()},
        "noted": {name: own[name] for name in NOTED if name in own},
        "strings": {},
    }
    for name in ARRAYS:
        value = own.get(name)
        if value is not None and value.dtype.kind in "OUS":
            document["strings"][name] = [str(v) for v in value]
        elif value is not None:
            arrays[name] = value
    for name in SCALES:
        if name in own:
            arrays |= {f"{name}.{part}": getattr(own[name], part) for part in ("mean", "deviation")}
    for prefix, part in parts(model).items():
        arrays |= {f"{prefix}.{key}": value for key, value in part.state_dict().items()}
    for field in dataclasses.fields(History):
        value = getattr(model.history_, field.name)
        if isinstance(value, list):
            arrays[f"history.{field.name}"] = np.array(value, np.float64)
        else:
            document.setdefault("history", {})[field.name] = plain(value, field.name)
    header = {"format": FORMAT, "version": str(VERSION), "model": json.dumps(document, allow_nan=False)}
    try:
        files.write(path, arrays, header)
    except OSError as problem:
        raise DataError(f"cannot write {path}: {problem}") from None


def load(path, header: dict[str, str] | None = None, arrays: dict[str, np.ndarray] | None = None):
    """Read an estimator that ``model.save(path)`` wrote; it answers to the bit as it did.

    Raises
    ------
    DataError
        If there is no such file, or it is not an estimator's; a file can do nothing but fail to load.
    """
    if header is None or arrays is None:
        header, arrays = files.read(path)
    if header.get("format") != FORMAT or not header.get("version", "").isdigit():
        raise DataError(f"{path} does not hold an estimator; model.save(path) writes one")
    if int(header["version"][:9]) > VERSION:
        raise DataError(
            f"{path} was written in version {header['version']} of the format, and this release reads up to "
            f"{VERSION}; upgrade msgpass"
        )
    try:
        return _made(json.loads(header["model"], parse_constant=files.no_constant), arrays)
    except MessagePassingError as problem:
        raise DataError(f"{path} does not hold an estimator that works: {problem}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as problem:
        raise DataError(f"{path} is damaged: {type(problem).__name__}: {problem}") from None


def _made(document: dict, arrays: dict[str, np.ndarray]) -> Any:
    if document["class"] in rnn.__all__:
        getattr(rnn, document["class"])  # which imports what is loaded late
    cls = known().get(document["class"])
    if cls is None:
        raise DataError(f"the estimator {document['class']!r} is not known here")
    model = cls(**{name: made(value) for name, value in document["params"].items()})
    model._check()
    own = vars(model)
    own |= {name: document["noted"][name] for name in NOTED if name in document["noted"]}
    own |= {name: np.array(arrays[name]) for name in ARRAYS if name in arrays}
    strings = document["strings"]
    own |= {n: np.array(strings[n], str if n == "classes_" else object) for n in ARRAYS if n in strings}
    if "classes_" in own:
        own.setdefault("_class_weight", None)
    for name in SCALES:
        if f"{name}.mean" in arrays:
            own[name] = Scale(arrays[f"{name}.mean"], arrays[f"{name}.deviation"])
    largest = max(array.size for array in arrays.values())
    sizes = model.hidden_size, model.num_layers, model._features, model.n_tokens_, model.embedding or 0
    if any(size > largest for size in sizes):
        raise ValueError(f"sizes {sizes} do not go with arrays of at most {largest} numbers")
    state, model.random_state = model.random_state, 0
    model._make()
    model.random_state, model._seed = state, document["noted"]["_seed"]
    for prefix, part in parts(model).items():
        start = f"{prefix}."
        part.load_state_dict({k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)})
    lists = {k.removeprefix("history."): v.tolist() for k, v in arrays.items() if k.startswith("history.")}
    numbers = {name: made(value) for name, value in document["history"].items()}
    model.history_ = History(**lists, **numbers)
    return model


def parts(model) -> dict[str, Any]:
    """What has weights, by prefix."""
    found = {"network": model.network_, "readout": model.readout_}
    tagger = vars(model).get("tagger_")
    return found if tagger is None else found | {"chain": tagger.chain}


def known() -> dict[str, type]:
    """The estimators there are, and the user's own that are defined by now."""
    from rnn.estimators.base import SequenceEstimator

    found: dict[str, type] = {}
    waiting: list[type] = [SequenceEstimator]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        found.setdefault(cls.__name__, cls)
    found.pop("SequenceEstimator")
    return found


def plain(value, what: str) -> Any:
    """JSON for a setting."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, np.generic):
        return plain(value.item(), what)
    if isinstance(value, float):
        return value if np.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [plain(v, what) for v in value]}
    if isinstance(value, dict):
        return {"pairs": [[plain(k, what), plain(v, what)] for k, v in value.items()]}
    if isinstance(value, Optimizer | LBFGS | LearningRate):
        names = [f.name for f in dataclasses.fields(value)]  # type: ignore[arg-type]
        fields = {name: plain(getattr(value, name), what) for name in names}
        return {"setting": type(value).__name__, "fields": fields}
    if isinstance(value, Schedule) and type(value).__name__ in msgpass.__all__:
        return {
            "schedule": type(value).__name__,
            "fields": {k: plain(v, what) for k, v in vars(value).items()},
        }
    try:
        return np.dtype(value).name
    except TypeError:
        raise UnsupportedError(f"{what} is {value!r}, which has no place in a file") from None


def made(value) -> Any:
    """A setting from its JSON."""
    if not isinstance(value, dict):
        return value
    if "float" in value:
        return float(value["float"])
    if "list" in value or "tuple" in value:
        (kind, parts), *_ = value.items()
        return tuple(map(made, parts)) if kind == "tuple" else [made(v) for v in parts]
    if "pairs" in value:
        return {k: made(v) for k, v in value["pairs"]}
    fields = {k: made(v) for k, v in value["fields"].items()}
    if "schedule" in value:
        cls = getattr(msgpass, value["schedule"])
        base: Any = Schedule
    else:
        name, base = value["setting"], (Optimizer, LBFGS, LearningRate)
        cls = getattr(rnn.optimizers, name, None) or getattr(rnn.learning_rates, name)
    if not isinstance(cls, type) or not issubclass(cls, base):
        raise ValueError(f"{cls!r} is no setting")
    return cls(**fields)
