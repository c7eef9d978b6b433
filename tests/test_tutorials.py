"""The tutorials run from end to end; what they state is asserted in them."""

import runpy
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[1] / "tutorials").glob("[0-9]*.py"))


def test_there_are_four():
    assert [path.name[:2] for path in TUTORIALS] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial(path, tmp_path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr("sys.argv", [str(path), str(tmp_path)])
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        pyplot.close("all")
    (figure,) = tmp_path.iterdir()
    assert figure.stat().st_size > 10_000


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_reads_as_a_page(path):
    """Percent format: markdown cells are comments only, the first one is the title."""
    cells = path.read_text(encoding="utf-8").split("# %%")[1:]
    prose = [cell.removeprefix(" [markdown]\n") for cell in cells if cell.startswith(" [markdown]\n")]
    assert prose[0].startswith("# # ")
    for cell in prose:
        assert all(line.startswith("#") for line in cell.rstrip().splitlines()), cell
