"""Files of arrays come back to the bit, are replaced whole, and can do nothing but fail to load."""

import numpy as np
import pytest

from msgpass import files
from msgpass.errors import DataError

ARRAYS = {
    "reals": np.array([[1.5, -np.inf], [np.nan, 0.1]]),
    "singles": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "count": np.array(7),
    "empty": np.zeros((0, 3)),
    "flags": np.array([True, False]),
}


def test_arrays_and_header_come_back(tmp_path):
    path = tmp_path / "arrays.safetensors"
    files.write(path, ARRAYS, {"format": "test"})
    header, arrays = files.read(path)
    assert header == {"format": "test"} and set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "arrays.safetensors"
    files.write(path, ARRAYS, {"format": "first"})

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        files.write(path, ARRAYS, {"format": "second"})
    assert files.read(path)[0] == {"format": "first"}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0[[[[[[[["])
def test_other_files_fail_to_load(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        files.read(path)
    with pytest.raises(DataError, match="cannot read"):
        files.read(tmp_path / "absent")
