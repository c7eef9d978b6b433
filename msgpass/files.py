"""Files of arrays: safetensors, with strings in its header, written in one step and read without running
anything."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from msgpass.errors import DataError

DTYPES = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U8", "BOOL")


def write(path, arrays: dict[str, np.ndarray], header: dict[str, str]) -> None:
    """Arrays and a header to a safetensors file: a reader sees the old file or the new one."""
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    replace_file(Path(path), save(contiguous, metadata=header))


def read(path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """(header's strings, arrays) of a safetensors file.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as problem:
        raise DataError(f"cannot read {path}: {problem}") from None
    return unpack(content, path)


def replace_file(path: Path, content: bytes) -> None:
    """Write beside the target and rename over it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp's files are the owner's alone
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def unpack(content: bytes, path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """(header's strings, arrays) of a safetensors file, in memory so that it cannot change meanwhile."""
    from safetensors import SafetensorError, deserialize

    try:
        found = deserialize(content)
        metadata = (
            json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__") or {}
        )
    except (SafetensorError, ValueError, RecursionError) as problem:
        raise DataError(f"{path} is not a safetensors file, or it is damaged: {problem}") from None
    arrays = {}
    for name, entry in found:
        if entry["dtype"] == "BF16":  # the upper half of a single
            half = np.frombuffer(bytes(entry["data"]), "<u2").astype(np.uint32) << 16
            arrays[name] = half.view(np.float32).reshape(entry["shape"])
            continue
        if entry["dtype"] not in DTYPES:
            raise DataError(
                f"{path}: array {name!r} has dtype {entry['dtype']}; models keep {', '.join(DTYPES)}"
            )
        arrays[name] = np.frombuffer(bytes(entry["data"]), _numpy_dtype(entry["dtype"])).reshape(
            entry["shape"]
        )
    return metadata, arrays


def _numpy_dtype(name: str) -> np.dtype:
    if name == "BOOL":
        return np.dtype(bool)
    return np.dtype({"F": "<f", "I": "<i", "U": "<u"}[name[0]] + str(int(name[1:]) // 8))


def no_constant(name: str):
    raise ValueError(f"the header holds {name}")
