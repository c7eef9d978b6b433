"""An output folder that is complete or absent: written beside its place, then renamed into it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgpass.errors import DataError


def check_free(folder: Path, force: bool) -> None:
    """Refuse a place that holds something, unless it may be replaced.

    Raises
    ------
    DataError
        If ``folder`` is a file, or a folder that is not empty and ``force`` is not given.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise DataError(f"{folder} exists and is not a folder; choose another place for the report")
    if folder.exists() and any(folder.iterdir()) and not force:
        raise DataError(
            f"{folder} exists and is not empty; choose another folder, or replace it with --force"
        )
    if folder.resolve() in (Path.cwd().resolve(), *Path.cwd().resolve().parents):
        raise DataError(
            f"{folder} is the folder you are in, or holds it; choose another place for the report"
        )


@contextmanager
def complete_or_absent(folder: Path, force: bool = False) -> Iterator[Path]:
    """A fresh folder to write into, which takes the place of ``folder`` when the block ends without an error.

    Raises
    ------
    DataError
        As :func:`check_free`, or if nothing can be written there.
    """
    check_free(folder, force)
    made: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        made.chmod(0o755)
        yield made
        _put(made, folder)
    except OSError as problem:
        raise DataError(f"cannot write {folder}: {problem.strerror or problem}") from problem
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _put(made: Path, folder: Path) -> None:
    """Rename ``made`` to ``folder``; what was there is moved aside first and put back if the renaming
    fails."""
    if not folder.exists():
        made.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    try:
        old = folder.rename(aside / folder.name)
        try:
            made.rename(folder)
        except OSError:
            old.rename(folder)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
