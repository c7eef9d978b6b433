"""Models in files: safetensors for the arrays, JSON in its header for everything else, and nothing that runs.

A file holds the class's name, the constructor's arguments, the fitted attributes (names that end in ``_``)
and the history of the fit. Arrays stand in the JSON as ``{"array": name}``, emissions as ``{"emission":
class, "fields": …}``, transitions, components and models within models likewise, sparse matrices by their
three arrays. Reading one creates numbers and strings, and a model only of a class that is already known."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, cast

import numpy as np
from scipy.sparse import csr_array, issparse

from hmm.emissions.base import Emission
from hmm.monitor import ConvergenceMonitor
from hmm.state_space.components.base import Component
from hmm.transitions.base import Transition
from msgpass.errors import DataError, MessagePassingError
from msgpass.files import no_constant, read, write

FORMAT, VERSION = "msgpass-hmm", 1

ATTRIBUTE = re.compile(r"_?[a-z][a-z0-9_]*_")
"""What a fitted attribute is called; the leading underscore is of arrays behind a property."""

KINDS: dict[str, tuple[type, str]] = {
    "emission": (Emission, "hmm.emissions"),
    "transition": (Transition, "hmm.transitions"),
    "component": (Component, "hmm.state_space.components"),
}
"""Values within models, by what they are called in a file: their base, and where its kinds are."""


def save(model, path) -> None:
    """Write a model with parameters to a file, in one step: a reader sees the old file or the new one.

    Parameters
    ----------
    model : any model of ``hmm``
        ``random_state`` is kept if it is a seed, not if it is a generator.
    path : str or path

    Raises
    ------
    NotFittedError
        If the model has no parameters yet.
    DataError
        If it holds something that is neither number, string, array, emission, model nor a list or dict of
        these.
    """
    model.check_complete()
    writer = Writer()
    document = writer.model(model, "")
    header = {"format": FORMAT, "version": str(VERSION), "model": json.dumps(document, allow_nan=False)}
    write(path, writer.arrays, header)


class Writer:
    """Values as JSON, with arrays set aside."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def model(self, model, prefix: str) -> dict[str, Any]:
        """Class, arguments, fitted attributes and history."""
        params = model.get_params(deep=False)
        if not isinstance(params.get("random_state"), int | np.integer | type(None)):
            params["random_state"] = None
        attributes = {name: value for name, value in vars(model).items() if ATTRIBUTE.fullmatch(name)}
        return {
            "class": type(model).__name__,
            "params": {name: self.plain(value, prefix + name) for name, value in params.items()},
            "attributes": {name: self.plain(value, prefix + name) for name, value in attributes.items()},
            "history": [float(value) for value in model.monitor_.history],
        }

    def plain(self, value, name: str) -> Any:
        """JSON for a value; ``name`` is for messages and for the arrays in it."""
        from hmm.estimator import Estimator

        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, np.generic):
            return self.plain(value.item(), name)
        if isinstance(value, int):
            return value
        if isinstance(value, float):
            return value if np.isfinite(value) else {"float": repr(value)}
        if isinstance(value, np.ndarray):
            return self._array(value, name)
        if issparse(value):
            A = csr_array(value)
            arrays = {part: getattr(A, part) for part in ("data", "indices", "indptr")}
            kept = {part: self._array(array, f"{name}.{part}") for part, array in arrays.items()}
            return {"sparse": [*map(int, A.shape)], **kept}
        kind = next((kind for kind, (base, _) in KINDS.items() if isinstance(value, base)), None)
        if kind is not None:
            parts = dataclasses.fields(cast(Any, value))
            fields = {f.name: getattr(value, f.name) for f in parts if f.init}
            plain = {k: self.plain(v, f"{name}.{k}") for k, v in fields.items()}
            return {kind: type(value).__name__, "fields": plain}
        if isinstance(value, Estimator):
            return {"model": self.model(value, f"{name}.")}
        if isinstance(value, list | tuple):
            items = [self.plain(v, f"{name}.{k}") for k, v in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if isinstance(value, dict) and all(isinstance(k, str) for k in value):
            return {"dict": {k: self.plain(v, f"{name}.{k}") for k, v in value.items()}}
        raise DataError(
            f"{name} is a {type(value).__name__}, which has no place in a file; models keep numbers, "
            "strings, arrays, emissions, models, and lists and dicts of these"
        )

    def _array(self, value: np.ndarray, name: str) -> Any:
        if value.dtype.kind in "OU":
            return {"strings": [self.plain(v, name) for v in value.tolist()]}
        if value.dtype.kind not in "fiub" or value.dtype.itemsize > 8:
            raise DataError(f"{name} holds {value.dtype}, which has no place in a file")
        kept = value if value.dtype.kind in "fb" else value.astype(np.int64)
        key = name
        while key in self.arrays:
            key += "'"
        self.arrays[key] = np.ascontiguousarray(kept, dtype=None if kept.dtype.kind == "b" else kept.dtype)
        return {"array": key}


def load(path):
    """Read a model that ``model.save(path)`` wrote.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    A model of the class that was saved, which scores and predicts to the bit as it did.

    Raises
    ------
    DataError
        If there is no such file, or it is not a model's; a file can do nothing but fail to load.

    Examples
    --------
    >>> import tempfile, hmm
    >>> model = hmm.PoissonHMM(n_components=1, random_state=0).fit([3, 4, 5])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/counts.safetensors")
    ...     load(f"{folder}/counts.safetensors").lambdas_
    array([[4.]])
    """
    header, arrays = read(path)
    version = header.get("version", "")
    if header.get("format") != FORMAT or not version.isdigit():
        raise DataError(f"{path} is a safetensors file, but not of a model; model.save(path) writes one")
    if int(version[:9]) > VERSION:
        raise DataError(
            f"{path} was written in version {version} of the format, and this release reads up to {VERSION}; "
            "upgrade msgpass"
        )
    try:
        document = json.loads(header.get("model", ""), parse_constant=no_constant)
        return _model(document, Reader(arrays))
    except MessagePassingError as problem:
        raise DataError(f"{path} does not hold a model that works: {problem}") from None
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as problem:
        raise DataError(f"{path} is damaged: {type(problem).__name__}: {problem}") from None


class Reader:
    """The inverse of :class:`Writer`."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.arrays = arrays

    def value(self, plain) -> Any:
        """A value from its JSON."""
        if isinstance(plain, list):
            return [self.value(v) for v in plain]
        if not isinstance(plain, dict):
            return plain
        kind = next((kind for kind in KINDS if set(plain) == {kind, "fields"}), None)
        if kind is not None:
            fields = {k: self.value(v) for k, v in plain["fields"].items()}
            return _value_class(*KINDS[kind], plain[kind])(**fields)
        if set(plain) == {"sparse", "data", "indices", "indptr"}:
            parts = tuple(self.value(plain[part]) for part in ("data", "indices", "indptr"))
            found = csr_array(parts, shape=tuple(int(n) for n in plain["sparse"]))
            found.check_format(full_check=True)
            return found
        ((kind, inside),) = plain.items()
        if kind == "model":
            return unchecked(inside, self)
        if kind == "array":
            return np.array(self.arrays[inside])
        if kind == "strings":
            return np.array([self.value(v) for v in inside], dtype=object)
        if kind == "tuple":
            return tuple(self.value(v) for v in inside)
        if kind == "float" and inside in ("inf", "-inf", "nan"):
            return float(inside)
        if kind == "dict":
            return {k: self.value(v) for k, v in inside.items()}
        raise ValueError(f"{kind!r} is not a kind of value")


def _model(document: dict, reader: Reader):
    """Make the model and let it check itself."""
    model = unchecked(document, reader)
    model.check_complete()
    return model


def unchecked(document: dict, reader: Reader):
    cls = _model_class(document["class"])
    model = cls(**{name: reader.value(value) for name, value in document["params"].items()})
    for name, value in document["attributes"].items():
        if not ATTRIBUTE.fullmatch(name) or "__" in name or hasattr(cls, name):
            raise ValueError(f"{name!r} is not the name of a fitted attribute")
        vars(model)[name] = reader.value(value)
    history = [float(value) for value in document["history"]]
    model._monitor = ConvergenceMonitor(model.tol, model.n_iter, model.verbose)
    model._monitor.history, model._monitor.iter = history, len(history)
    return model


def _model_class(name) -> type:
    """A model of ``hmm``, or one of the user's own that is defined by now."""
    import hmm
    from hmm.base import BaseHMM
    from hmm.dynamic.base import DynamicModel
    from hmm.state_space.model import LinearGaussianSSM
    from hmm.state_space.structural.model import StructuralTimeSeries
    from hmm.state_space.switching.model import SwitchingLinearGaussianSSM

    bases = (BaseHMM, DynamicModel, LinearGaussianSSM, StructuralTimeSeries, SwitchingLinearGaussianSSM)
    if isinstance(name, str) and name in hmm.__all__:
        found = getattr(hmm, name)
        if isinstance(found, type) and issubclass(found, bases):
            return found
    return _named(bases, name, "model")


def _value_class(base: type, package: str, name) -> Any:
    """A kind of emission or of transition by name."""
    from importlib import import_module
    from pkgutil import iter_modules

    for module in iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")  # a class is known once its module is loaded
    return _named((base,), name, base.__name__.lower())


def _named(bases: tuple[type, ...], name, what: str) -> Any:
    """A subclass that exists, by name."""
    waiting = list(bases)
    while waiting:
        cls = waiting.pop()
        if cls.__name__ == name and cls not in bases:
            return cls
        waiting += cls.__subclasses__()
    raise DataError(f"the {what} {name!r} is not known here; define or import its class before loading")
