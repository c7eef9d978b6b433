"""The command line: what it prints, what it writes, and how it fails."""

import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from msgpass import __version__, data
from msgpass.cli import app

FIGURES = {"series", "forward", "backward", "look-back", "learning"}


def invoke(*arguments):
    """The result of one call, with a wide terminal so that no words are broken."""
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "160", "TERM": "dumb"})


def refuse(*arguments) -> str:
    """The one line that a failing call prints."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("msgpass: ")
    assert "Traceback" not in result.output
    return lines[0]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The default run, in a small size: (result, folder)."""
    folder = tmp_path_factory.mktemp("work") / "report"
    return invoke("compare", "--hidden", 3, "--out", folder), folder


def test_default_run_shows_both_models(report):
    result, folder = report
    assert result.exit_code == 0, result.output
    for words in (
        "Poisson, 2 states",
        "Poisson, 3 hidden units",
        "−341.88",
        "15.42",
        "26.02",
        "norm of λ_t",
        "β_t(i) = ∂Z/∂α_t(i)",
    ):
        assert words in result.stdout
    assert str(folder / "index.html") in result.stdout


def test_report_holds_page_numbers_and_figures(report):
    _, folder = report
    assert {p.name for p in folder.iterdir()} == {"index.html", "numbers.json", "figures"}
    files = {p.name for p in (folder / "figures").iterdir()}
    assert files == {f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}


def test_numbers_are_complete_and_finite(report):
    _, folder = report

    def forbid(text):
        raise AssertionError(f"{text} in numbers.json")

    found = json.loads((folder / "numbers.json").read_text(encoding="utf-8"), parse_constant=forbid)
    assert found["series"]["values"] == data.load("earthquakes").values.tolist()
    assert found["hmm"]["log_likelihood"] == pytest.approx(-341.878701012, abs=1e-5)
    assert found["hmm"]["emission"]["rate"] == pytest.approx([15.42076, 26.01823], abs=2e-3)
    assert np.diff(found["hmm"]["log_likelihoods"]).min() > -1e-9
    assert np.diff(found["rnn"]["losses"]).max() < 1e-9
    for name in ("filter", "posterior", "backward"):
        np.testing.assert_allclose(np.sum(found["hmm"][name], axis=1), 1.0)
    assert sum(found["hmm"]["log_density"]) == pytest.approx(found["hmm"]["log_likelihood"])
    assert np.shape(found["rnn"]["adjoint"]) == (107, 3)
    assert [one["number"] for one in found["identities"]] == list(range(1, 12))
    assert all(one["holds"] for one in found["identities"])
    assert found["held_out"]["hmm"]["log_density"] > found["held_out"]["independent"]["log_density"]


def test_page_is_whole_and_stands_alone(report):
    _, folder = report
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("<figure") == page.count("</figure>") == page.count("<svg") == len(FIGURES)
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert all(link.startswith(("#", "data:")) for link in links)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert {"nan", "inf"}.isdisjoint(
        re.findall(r"\b[a-z]+\b", re.sub(r"<svg.*?</svg>|<style.*?</style>", "", page, flags=re.S))
    )


def test_figures_are_well_formed(report):
    _, folder = report
    for path in (folder / "figures").glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    for path in (folder / "figures").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_full_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "mine.txt").write_text("keep")
    assert "--force" in refuse("compare", "--out", tmp_path / "report")
    assert (tmp_path / "report" / "mine.txt").read_text() == "keep"
    (tmp_path / "file").write_text("keep")
    assert "not a folder" in refuse("compare", "--out", tmp_path / "file", "--force")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "report"]


@pytest.fixture
def csv(tmp_path):
    """A function that writes a CSV file with one column ``y`` beside ``t``."""

    def write(cells, name="series.csv"):
        path = tmp_path / name
        path.write_text(
            "t,y\n" + "\n".join(f"{t},{cell}" for t, cell in enumerate(cells)) + "\n", encoding="utf-8"
        )
        return path

    return write


def test_own_series_with_gaps(csv, tmp_path, rng):
    levels = np.repeat([0.0, 3.0, 0.0], 14)
    cells = [f"{v:.3f}" for v in levels + rng.normal(size=42)]
    for t in (0, 5, 6, 7, 41):
        cells[t] = ""
    result = invoke("compare", "--csv", csv(cells), "--column", "y", "--hidden", 2, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "Gaussian, 2 states" in result.stdout
    assert "5 of 42 values are missing" in result.stdout
    found = json.loads((tmp_path / "out" / "numbers.json").read_text(encoding="utf-8"))
    assert [t for t, v in enumerate(found["series"]["values"]) if v is None] == [0, 5, 6, 7, 41]
    assert [t for t, v in enumerate(found["rnn"]["log_density"]) if v is None] == [0, 5, 6, 7, 41]
    assert None not in found["rnn"]["predicted"]


def test_own_categories(csv):
    result = invoke(
        "compare", "--csv", csv("abcabacbacbabcabcaab?abcbacbaca"), "--kind", "categorical", "--hidden", 2
    )
    assert result.exit_code == 0, result.output
    assert "softmax" in result.stdout and "share of wrong guesses" in result.stdout


def test_names_are_words_not_markup(tmp_path):
    path = tmp_path / "prices.csv"
    cells = ["[red]", "$x^$", "<b>&", "[/bold]"] * 8
    path.write_text(
        "$t_$,[/bold] $a^$_<i>\n" + "\n".join(f"[{k}],{c}" for k, c in enumerate(cells)), encoding="utf-8"
    )
    result = invoke(
        "compare", "--csv", path, "--kind", "categorical", "--hidden", 1, "--out", tmp_path / "out"
    )
    assert result.exit_code == 0, result.output
    assert "[/bold] $a^$_<i>" in result.stdout and "[red]" in result.stdout
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;" in page and "<b>&" not in page


def test_more_states_than_two(csv):
    result = invoke(
        "compare",
        "--csv",
        csv([1, 0, 5, 6, 12, 13, 0, 1, 6, 5, 12, 14, 0, 1, 5, 4]),
        "--states",
        3,
        "--hidden",
        2,
    )
    assert result.exit_code == 0, result.output
    assert "Poisson, 3 states" in result.stdout


def test_bad_series(csv, tmp_path):
    good = list(range(20))
    assert "no column 'z'" in refuse("compare", "--csv", csv(good), "--column", "z")
    assert "nowhere.csv" in refuse("compare", "--csv", tmp_path / "nowhere.csv")
    assert "not a finite number" in refuse("compare", "--csv", csv([*good, "abc"]), "--column", "y")
    assert "12 are the fewest" in refuse("compare", "--csv", csv(good[:11]), "--column", "y")
    assert "12 are the fewest" in refuse("compare", "--csv", csv([*good[:11], *[""] * 20]), "--column", "y")
    assert "all values of 'y' are 7" in refuse("compare", "--csv", csv([7] * 30), "--column", "y")
    assert "values" in refuse("compare", "--csv", csv([""] * 30), "--column", "y")
    assert "no bundled series 'quakes'" in refuse("compare", "--data", "quakes")
    assert "give the file with --csv" in refuse("compare", "--column", "y")


def test_two_sources_and_no_header(csv, tmp_path):
    file = csv([1, 2, 3])
    assert "not both" in refuse("compare", "--csv", file, "--data", "nile")
    bare = tmp_path / "bare.csv"
    bare.write_text("7\n8\n9\n")
    assert "must name the columns" in refuse("compare", "--csv", bare)


def test_bad_settings(csv, tmp_path):
    assert "--states must be at least 1" in refuse("compare", "--states", 0)
    assert "--hidden must be at least 1" in refuse("compare", "--hidden", 0)
    assert "--seed must not be negative" in refuse("compare", "--seed", -1)
    path = csv([0, 1] * 10)
    assert "cannot tell 3 states apart" in refuse(
        "compare", "--csv", path, "--states", 3, "--out", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()


def test_without_matplotlib_only_the_report_is_refused(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    line = refuse("compare", "--out", tmp_path / "out")
    assert "matplotlib" in line and "pip install matplotlib" in line
    assert not (tmp_path / "out").exists()


def test_data_lists_every_series_with_its_licence():
    result = invoke("data")
    assert result.exit_code == 0
    for name in data.names():
        assert name in result.stdout
    assert result.stdout.count("public domain") == len(data.names())


def test_identities_prints_eleven():
    result = invoke("identities", "--seed", 3)
    assert result.exit_code == 0
    numbers = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert numbers == [str(n) for n in range(1, 12)]
    assert "Darwiche 2003" in invoke("identities", "--verbose").stdout


def test_version_and_help():
    assert invoke("--version").stdout.strip() == f"msgpass {__version__}"
    overview = invoke("--help").stdout
    for command in ("compare", "data", "identities", "bench"):
        assert command in overview
    for option in ("--data", "--csv", "--column", "--states", "--hidden", "--seed", "--out", "--force"):
        assert option in invoke("compare", "--help").stdout
    assert invoke().exit_code == 2


def test_unknown_option_has_exit_code_2():
    assert invoke("compare", "--colour").exit_code == 2


def test_bench_hands_its_options_on(capsys):
    result = invoke("bench", "--list")
    assert result.exit_code == 0
    assert "estep" in result.stdout


# -- models of the UAI competition

UAI = "MARKOV\n2\n2 2\n1\n2 0 1\n4\n1 2\n3 4\n"


def test_uai_tasks(tmp_path):
    model, evid, out = (tmp_path / name for name in ("m.uai", "m.evid", "m.MAR"))
    model.write_text(UAI)
    evid.write_text("1 0 1")
    found = invoke("uai", model, "--task", "PR")
    assert found.exit_code == 0 and found.stdout.startswith("PR\n")
    assert float(found.stdout.split()[1]) == pytest.approx(1.0)
    assert invoke("uai", model, "--task", "MPE", "--evid", evid).stdout == "MPE\n2 1 1\n"
    assert invoke("uai", model, "--evid", evid, "--out", out).exit_code == 0
    words = out.read_text().split()
    assert words[:3] == ["MAR", "2", "2"]
    assert [float(w) for w in words[3:5] + words[6:]] == pytest.approx([0, 1, 3 / 7, 4 / 7])
    evid.write_text("2\n1 0 1\n0\n")
    assert invoke("uai", model, "--task", "MPE", "--evid", evid).stdout == "MPE\n2\n2 1 1\n2 1 1\n"


def test_uai_marginal_map(tmp_path):
    model, query, evid = (tmp_path / name for name in ("m.uai", "m.query", "m.evid"))
    # The best of all has x0 = 1, the best x0 by itself is 0: 5 + 5 against 6 + 1.
    model.write_text(UAI.replace("1 2\n3 4", "5 5\n6 1"))
    query.write_text("1 0\n")
    ask = "uai", model, "--task", "MMAP", "--query", query
    assert invoke("uai", model, "--task", "MPE").stdout == "MPE\n2 1 0\n"
    assert invoke(*ask).stdout == "MMAP\n1 0 0\n"
    evid.write_text("2\n1 1 0\n0\n")
    assert invoke(*ask, "--evid", evid).stdout == "MMAP\n2\n1 0 1\n1 0 0\n"
    assert "go together" in refuse("uai", model, "--task", "MMAP")
    assert "go together" in refuse("uai", model, "--query", query)
    assert "exactly alone" in refuse(*ask, "--method", "loopy")
    for text, problem in (
        ("1 2", "has 2 variables"),
        ("2 0 0", "queried twice"),
        ("2 0", "queried variable"),
    ):
        query.write_text(text)
        assert problem in refuse(*ask)


def test_uai_files_that_are_wrong(tmp_path):
    model = tmp_path / "m.uai"
    model.write_text(UAI.replace("3 4", "3 x"))
    assert "line 8: wanted a number, got 'x'" in refuse("uai", model)
    assert "cannot be read" in refuse("uai", tmp_path / "none.uai")
