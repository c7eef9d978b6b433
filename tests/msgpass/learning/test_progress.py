"""A bar is shown where someone looks, and only if it takes long."""

import io

import pytest

from msgpass.learning import progress as module
from msgpass.learning.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_a_bar_only_where_someone_looks(stream, shown, monkeypatch):
    monkeypatch.setattr(module, "SILENT_SECONDS", -1.0)
    monkeypatch.setattr("sys.stderr", stream())
    with Progress(3, "Baum-Welch") as progress:
        progress.advance("log-likelihood -1")
        assert (progress.bar is not None) is shown


def test_no_bar_for_what_is_soon_over(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with Progress(3, "Baum-Welch") as progress:
        progress.advance("")
        assert progress.bar is None
