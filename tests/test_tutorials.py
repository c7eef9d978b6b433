"""The tutorials run from end to end; what they state is asserted in them."""

import re
import runpy
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[1] / "tutorials").glob("[0-9]*.py"))
LONG = ("11_a_seasonal_forecast", "15_a_character_model", "19_tagging_with_a_bilstm_crf")


def test_they_are_numbered_and_all_on_the_index_page():
    assert [int(path.name[:2]) for path in TUTORIALS] == list(range(1, len(TUTORIALS) + 1))
    index = (TUTORIALS[0].parents[1] / "docs" / "index.md").read_text(encoding="utf-8")
    assert [path.name for path in TUTORIALS] == re.findall(
        r"^\d+\. .*/tutorials/(\w+\.py)\)", index, re.MULTILINE
    )


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=[pytest.mark.slow] * (p.stem in LONG), id=p.stem) for p in TUTORIALS]
)
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
