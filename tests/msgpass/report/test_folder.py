"""A folder is complete or absent."""

import pytest

from msgpass.errors import DataError
from msgpass.report.folder import complete_or_absent


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_written_as_a_whole(tmp_path):
    with complete_or_absent(tmp_path / "a" / "out") as made:
        (made / "one").write_text("1")
        assert not (tmp_path / "a" / "out").exists()
    assert names(tmp_path / "a") == ["out"]
    assert (tmp_path / "a" / "out" / "one").read_text() == "1"


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), complete_or_absent(tmp_path / "out") as made:
        (made / "one").write_text("1")
        raise RuntimeError
    assert names(tmp_path) == []


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    with complete_or_absent(tmp_path / "out") as made:
        (made / "one").write_text("1")
    assert names(tmp_path / "out") == ["one"]


def test_replaced_only_by_force_and_only_by_a_whole_one(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("0")
    with pytest.raises(DataError, match="--force"), complete_or_absent(tmp_path / "out"):
        pass
    with pytest.raises(RuntimeError), complete_or_absent(tmp_path / "out", force=True):
        raise RuntimeError
    assert names(tmp_path / "out") == ["old"]
    with complete_or_absent(tmp_path / "out", force=True) as made:
        (made / "new").write_text("1")
    assert names(tmp_path / "out") == ["new"]
    assert names(tmp_path) == ["out"]


def test_neither_a_file_nor_the_working_folder_is_replaced(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("0")
    with pytest.raises(DataError, match="not a folder"), complete_or_absent(tmp_path / "file", force=True):
        pass
    (tmp_path / "file").unlink()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(DataError, match="the folder you are in"), complete_or_absent(tmp_path, force=True):
        pass


def test_a_place_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("0")
    with pytest.raises(DataError, match="cannot write"), complete_or_absent(tmp_path / "file" / "out"):
        pass
