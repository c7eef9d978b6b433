"""The report folder: index.html, numbers.json and figures/, all of it or none."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

from msgpass.report import figures, numbers
from msgpass.report.folder import complete_or_absent
from msgpass.report.page import page
from msgpass.report.study import Study

DOTS_PER_INCH = 160


def write(
    study: Study, folder: Path, force: bool = False, stage: Callable[[str], None] = lambda _: None
) -> None:
    """Write the report.

    Parameters
    ----------
    study : Study
    folder : Path
        Must not exist, or be empty, unless ``force`` is given.
    stage : callable
        Told what is being done, for a progress bar.

    Raises
    ------
    DataError
        If the folder cannot be written, or holds something.
    MissingDependencyError
        Without matplotlib.
    """
    with complete_or_absent(folder, force) as made:
        (made / "figures").mkdir()
        embedded = []
        for captioned in figures.figures(study):
            stage(f"figure: {captioned.name}")
            embedded.append((captioned, _save(study, captioned, made / "figures")))
        numbers.write(study, made / "numbers.json")
        (made / "index.html").write_text(page(study, embedded), encoding="utf-8")


def _save(study: Study, captioned, folder: Path) -> str:
    """PNG and SVG of one figure; returns the SVG without its XML head, for the page."""
    from msgpass.drawing import style

    drawn, text = figures.draw(study, captioned), StringIO()
    with style():
        drawn.savefig(folder / f"{captioned.name}.png", dpi=DOTS_PER_INCH)
        drawn.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    (folder / f"{captioned.name}.svg").write_text(svg, encoding="utf-8")
    return _unique(svg[svg.index("<svg") :], captioned.name)


def _unique(svg: str, prefix: str) -> str:
    """The SVG with its ids made its own: several in one page would share clip paths and glyphs otherwise."""
    import re

    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    return re.sub(r'href="#', f'href="#{prefix}-', svg)
