"""The README and the pages in docs/ are true: their Python runs, what they link to and name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ADDED_BY_THE_READER = {
    "msgpass/algebra/tempered.py",
    "msgpass/schedule/episodes.py",
    "hmm/emissions/geometric.py",
    "hmm/models/geometric.py",
    "rnn/cells/minimal_gated.py",
}
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def blocks(page):
    """(first line, code) of every Python block of a page."""
    text = page.read_text(encoding="utf-8")
    return [(text[: found.start(1)].count("\n"), found[1]) for found in BLOCK.finditer(text)]


def test_the_pages_are_there():
    how_to = {"add-a-cell", "add-a-schedule", "add-an-algebra", "add-an-emission"}
    assert {"index", "architecture", "formulas"} | how_to <= {page.stem for page in PAGES}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_code_runs(page, monkeypatch):
    names = {"__name__": f"docs.{page.stem}"}
    monkeypatch.setenv("MPLBACKEND", "agg")
    for line, code in blocks(page):
        exec(compile("\n" * line + code, str(page), "exec"), names)  # line numbers are those of the page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_paths_that_are_named_exist(page):
    """Files named in backticks with a folder of the repository in front."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for path in re.findall(r"`((?:msgpass|hmm|rnn|tests|docs|tutorials|benchmarks)/[\w./]*)`", text):
        assert (ROOT / path).exists() or path in ADDED_BY_THE_READER, path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tests_that_are_named_exist(page):
    for path, name in re.findall(r"`(tests/[\w./]+\.py)::(\w+)`", page.read_text(encoding="utf-8")):
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"


def test_every_feature_has_a_test():
    """Each row of the tables of features names one."""
    rows = (ROOT / "docs" / "hmm-features.md").read_text(encoding="utf-8").splitlines()
    features = [
        row for row in rows if row.startswith("| ") and not row.startswith(("| feature", "| emission |"))
    ]
    assert len(features) > 30
    for row in features:
        assert "`tests/" in row, row
