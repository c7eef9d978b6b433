"""Bundled series are what their catalogue says; a CSV comes back as written, or as one clear error."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.data import FOLDER, Series, load, names, read_csv
from msgpass.errors import DataError

numbers = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
counts = st.one_of(st.none(), st.integers(0, 2**53 - 1))
words = st.text("abcxyz é,;\"'", min_size=1).filter(lambda word: word == word.strip())


def written(path, rows, delimiter=",", header=("step", "value")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("data") / "series.csv"


@pytest.mark.parametrize("name", names())
def test_bundled_series_are_complete_and_documented(name):
    series = load(name)
    assert series.name == name
    assert len(series) == len(series.index) >= 100
    assert series.missing.sum() == (5 if name == "co2" else 0)
    assert series.values.dtype == (np.float64 if series.kind == "real" else np.int64)
    assert series.title and series.unit and series.source and "public domain" in series.licence
    assert f"| `{name}` |" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_every_bundled_file_is_in_the_catalogue():
    assert {path.stem for path in FOLDER.glob("*.csv")} == set(names())


@pytest.mark.parametrize(
    ("name", "length", "first", "last", "total"),
    [
        ("earthquakes", 107, "1900", "2006", 2072),
        ("nile", 100, "1871", "1970", 91935),
        ("sunspots", 309, "1700", "2008", 15373.4),
        ("elnino", 732, "1950-01", "2010-12", None),
        ("inflation", 202, "1959Q2", "2009Q3", None),
        ("letters", 1420, "1", "1420", None),
        ("fedfunds", 226, "1954Q3", "2010Q4", None),
        ("gnp", 135, "1951Q2", "1984Q4", None),
        ("co2", 526, "1958-03", "2001-12", None),
    ],
)
def test_bundled_series_hold_the_published_numbers(name, length, first, last, total):
    series = load(name)
    assert (len(series), str(series.index[0]), str(series.index[-1])) == (length, first, last)
    if total is not None:
        assert series.values.sum() == pytest.approx(total)


def test_letters_spell_the_address():
    letters = load("letters")
    text = "".join(letters.categories[k] for k in letters.values)
    assert text.startswith("four_score_and_seven_years_ago")
    assert text.endswith("shall_not_perish_from_the_earth")


def test_series_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        load("nile").values[0] = 0


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError, match=r"no bundled series 'niles'; bundled are earthquakes, nile, "):
        load("niles")


def test_loading_needs_no_heavy_package():
    heavy = "{'pandas', 'scipy', 'numba', 'matplotlib'}"
    code = f"import sys, msgpass.data as d; d.load('nile'); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(st.lists(numbers, min_size=1), st.sampled_from(",;\t"))
def test_real_numbers_come_back_to_the_bit(file, values, delimiter):
    rows = [(f"s{t}", "" if value is None else repr(value)) for t, value in enumerate(values)]
    written(file, [*rows, ("last", "-0.5"), ("end", "0.5")], delimiter)
    series = read_csv(file, "value")
    expected = np.array([np.nan if value is None else value for value in values] + [-0.5, 0.5])
    np.testing.assert_array_equal(series.values, expected)
    assert series.kind == "real" and series.index[-1] == "end"


@given(st.lists(counts, min_size=1))
def test_non_negative_whole_numbers_are_counts(file, values):
    rows = [(t, "NA" if value is None else value) for t, value in enumerate([*values, 0, 7])]
    series = read_csv(written(file, rows))
    known = np.array([value for value in (*values, 0, 7) if value is not None], dtype=float)
    scattered = known.var() > 1000 * max(known.mean(), 1)
    assert series.kind == ("real" if scattered else "counts")
    assert series.values.dtype == (np.float64 if None in values or scattered else np.int64)
    np.testing.assert_array_equal(series.missing, [value is None for value in values] + [False, False])
    np.testing.assert_array_equal(
        series.values[~series.missing], [v for v in values if v is not None] + [0, 7]
    )


@given(st.lists(words, min_size=2))
def test_categories_come_back_in_sorted_order(file, values):
    rows = [*enumerate(values), (len(values), "")]
    series = read_csv(written(file, rows), "value", kind="categorical")
    assert list(series.categories) == sorted(set(values))
    assert [series.categories[k] for k in series.values[:-1]] == values
    assert series.values[-1] == -1 and series.missing[-1]


def test_one_column_is_numbered_from_zero(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("\ufeffx\n1.5\n\n2.5\n", encoding="utf-8")
    series = read_csv(path)
    np.testing.assert_array_equal(series.index, [0, 1])
    np.testing.assert_array_equal(series.values, [1.5, 2.5])
    assert isinstance(series, Series) and repr(series) == "Series('x', 2 steps 0-1, real)"


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", {}, "is empty"),
        ("a,b,c\n1,2,3\n", {}, "several columns; name one of 'a', 'b', 'c'"),
        ("year,sales\n1,2\n", {"column": "sale"}, "no column 'sale'; its columns are 'year', 'sales'"),
        ("year,sales\n1,2\n", {"column": "sales", "index": "month"}, "no column 'month'"),
        ("a,a\n1,2\n", {}, "two columns of one name"),
        ("a,b\n1,2\n3\n", {}, "Line 3 of .* has 1 cells, but the header has 2"),
        ("a,b\n1,2\n\n3,ten\n", {}, "Line 4, column 'b' of .*'ten' is not a finite number"),
        ("a,b\n1,2\n3,inf\n", {}, "Line 3, .*'inf' is not a finite number"),
        ("a,b\n1,2\n3,1_000\n", {}, "Line 3, .*'1_000' is not a finite number"),
        ("a,b\n1,2\n3,2.5\n", {"kind": "counts"}, "Line 3, .*'2.5' is not a count"),
        ("a,b\n1,2\n3,-2\n", {"kind": "counts"}, "Line 3, .*'-2' is not a count"),
        ("a,b\n", {}, "too few values: 0 of 0"),
        ("a,b\n1,2\n2,NA\n", {}, "too few values: 1 of 2 cells hold one, and at least 2"),
        ("a,b\n1,2\n2,3\n", {"minimum": 5}, "at least 5"),
        ('a,b\n1,"2\n', {}, "not a CSV file"),
        ("a\0,b\n1,2\n", {}, "not a CSV file"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path, text, arguments, message):
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_csv(path, **arguments)


def test_what_is_not_a_text_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        read_csv(tmp_path / "none.csv", "x")
    with pytest.raises(DataError, match="cannot be read"):
        read_csv(tmp_path, "x")
    (tmp_path / "latin.csv").write_bytes(b"a,b\n1,\xe9\n")
    with pytest.raises(DataError, match="not a CSV file in UTF-8"):
        read_csv(tmp_path / "latin.csv", "b")
