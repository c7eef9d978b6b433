"""The harness compares only what agrees, takes turns, notes what is absent; its page shows what was kept."""

import json
import os
import platform
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import cases, environment, harness, peers, report
from benchmarks.__main__ import main
from benchmarks.cases import estep, recurrent, score, viterbi
from benchmarks.harness import DisagreementError, Problem, measure
from benchmarks.machine import Limits

LIMITS = Limits(float32={1: 100.0, 2: 200.0}, float64={1: 50.0, 2: 100.0}, bandwidth={1: 10.0, 2: 20.0})


def problem(contenders, **settings):
    settings = {"tolerance": 1e-9, "unit": "µs", "per": 1e6} | settings
    return Problem("toy", {name: (lambda call=call: call) for name, call in contenders.items()}, **settings)


def returning(*values):
    return lambda: {"x": np.array(values)}


single_calls = partial(measure, seconds=0, turn=0)


def test_contenders_take_turns():
    calls = []

    def recorded(name):
        return lambda: calls.append(name) or {"x": 1.0}

    found = single_calls(problem({name: recorded(name) for name in "abc"}), rounds=4)
    assert len(calls) >= 3 * 4 and calls == list("abc") * (len(calls) // 3)
    assert {len(timing.rounds) for timing in found.timings.values()} == {4}
    np.testing.assert_array_equal(found.ratios("a"), 1.0)


def test_warm_calls_say_how_many_fill_a_turn(monkeypatch):
    """The first calls of a contender that compiles, or starts with a reference, are much longer."""
    clock, taken = [0.0], iter([3.0, 0.5, 0.01, *[0.001] * 10_000])
    monkeypatch.setattr(harness.time, "perf_counter", lambda: clock[0])

    def call():
        clock[0] += next(taken)
        return {"x": 1.0}

    call()
    assert harness._repeats(call, 3.0, 0.02) == 1  # the turn was over after one call of half a second
    assert harness._repeats(call, 3.0, 0.02) == 20
    assert harness._repeats(call, 11.0, 0.02) == 1


@settings(max_examples=25)
@given(st.floats(0.5, 2.0), st.floats(-1e-3, 1e-3))
def test_results_agree_within_the_tolerance_or_nothing_is_timed(value, difference):
    toy = problem({"a": returning(value, 3.0), "b": returning(value + difference, 3.0)}, tolerance=1e-4)
    gap = abs((value + difference) - value) / 3.0
    if gap <= 1e-4:
        assert single_calls(toy, rounds=1).gaps["b"] == pytest.approx(gap)
    else:
        with pytest.raises(DisagreementError, match="b and a differ by"):
            single_calls(toy, rounds=1)


@pytest.mark.parametrize(
    "wrong", [returning(np.nan), returning(1.0, 1.0), dict], ids=["NaN", "shape", "absent"]
)
def test_a_result_that_cannot_be_compared_disagrees(wrong):
    with pytest.raises(DisagreementError):
        single_calls(problem({"a": returning(1.0), "b": wrong}))


def test_an_absent_peer_is_a_note():
    def absent():
        return peers.require("no_such_package_anywhere")

    toy = Problem("toy", {"a": lambda: returning(1.0), "b": absent}, 0.0, "s", 1.0)
    found = single_calls(toy)
    assert list(found.timings) == ["a"]
    assert found.notes == ["no_such_package_anywhere is not installed: left out"]


def test_the_limit_is_the_slower_of_arithmetic_and_memory():
    assert LIMITS.seconds(flops=1e11, traffic=0, dtype="float64") == pytest.approx(1.0)
    assert LIMITS.seconds(flops=1e11, traffic=0, dtype="float32") == pytest.approx(0.5)
    assert LIMITS.seconds(flops=1e11, traffic=4e10, dtype="float32") == pytest.approx(2.0)


def test_the_better_of_two_measurements_counts():
    disturbed = Limits(float32={1: 101.0, 2: 90.0}, float64={1: 50.0, 2: 60.0}, bandwidth={1: 9.0, 2: 21.0})
    best = LIMITS.best(disturbed)
    assert (best.float32, best.float64) == ({1: 101.0, 2: 200.0}, {1: 50.0, 2: 100.0})
    assert best.bandwidth == {1: 10.0, 2: 21.0}


def test_the_page_shows_the_kept_numbers(tmp_path, capsys):
    toy = problem({"a": returning(1.0), "b": returning(1.0)}, flops=1e3)
    found = [single_calls(toy)]
    command = "python -m benchmarks estep --quick --json benchmarks/results"
    result = report.as_json("estep", "A toy", "About it.", command, found, LIMITS, environment.record())
    path = report.write(result, tmp_path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert main(["--render", str(tmp_path / "page.md"), "--json", str(tmp_path)]) == 0
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "## A toy" in page and command in page
    rows = list(report.rows(kept))
    assert [row[1] for row in rows] == ["a", "b"]
    assert all("| " + " | ".join(row) + " |" in page for row in rows)
    report.show(kept)
    assert "A toy" in capsys.readouterr().out


def test_what_is_kept_names_no_machine_and_no_folder():
    text = json.dumps(environment.record())
    assert os.getcwd() not in text
    assert not platform.node() or platform.node() not in text


def test_the_command_line_says_what_there_is(tmp_path, capsys):
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(cases.NAMES)
    with pytest.raises(SystemExit) as stop:
        main(["no_such_case"])
    assert stop.value.code == 2 and "no case no_such_case; there are estep" in capsys.readouterr().err
    assert main(["--render", str(tmp_path / "page.md"), "--json", str(tmp_path / "none")]) == 1
    assert not (tmp_path / "page.md").exists()


@pytest.mark.parametrize("effort", ["quick", "normal", "full"])
@pytest.mark.parametrize("name", cases.NAMES)
def test_every_problem_starts_with_msgpass_and_has_its_own_label(name, effort):
    problems = list(cases.get(name).problems(effort))
    assert len({each.label for each in problems}) == len(problems) > 0
    assert all(next(iter(each.contenders)) == "msgpass" for each in problems)


@pytest.mark.parametrize("sequences", [1, 3])
def test_expected_counts_add_up(sequences):
    data = estep.Data.random(states=4, sequences=sequences, length=5)
    results = estep.msgpass_estep(data)()
    assert np.sum(results["initial"]) == pytest.approx(sequences)
    assert np.sum(results["transition"]) == pytest.approx(sequences * 4)
    symbols = np.bincount(data.symbols.ravel(), minlength=estep.SYMBOLS)
    np.testing.assert_allclose(np.sum(results["emission"], axis=0), symbols, atol=1e-12)


def test_scores_and_paths_agree_with_the_expected_counts():
    data = estep.Data.random(states=3, sequences=2, length=6)
    total = estep.msgpass_estep(data)()["log_likelihood"]
    assert score.msgpass_score(data)()["log_likelihood"] == pytest.approx(total)
    best = viterbi.msgpass_viterbi(data)()
    path = best["path"].reshape(data.symbols.shape)
    along = np.log(data.initial[path[:, 0]]).sum() + np.log(data.emission[path, data.symbols]).sum()
    along += np.log(data.transition[path[:, :-1], path[:, 1:]]).sum()
    assert best["score"] == pytest.approx(along)
    assert best["score"] < total


def test_the_recurrent_step_is_a_gradient():
    rng = np.random.default_rng(0)
    shapes = dict(zip(recurrent.KEYS, ((3, 2), (3, 3), (3,), (3,)), strict=True))
    weights = {key: rng.normal(size=shape).astype(np.float32) / 2 for key, shape in shapes.items()}
    x, target = rng.normal(size=(4, 2, 2)).astype(np.float32), rng.normal(size=(4, 2, 3)).astype(np.float32)
    results = recurrent.msgpass_step("RNN", weights, x, target)()
    w, u, b = (weights[key].astype(float) for key in ("weight_hh_l0", "weight_ih_l0", "bias_ih_l0"))

    def loss(bias):
        h, total = np.zeros((2, 3)), 0.0
        for inputs, wanted in zip(x.astype(float), target, strict=True):
            h = np.tanh(h @ w.T + inputs @ u.T + bias + weights["bias_hh_l0"])
            total += 0.5 * np.sum((h - wanted) ** 2)
        return total

    assert results["loss"] == pytest.approx(loss(b), rel=1e-5)
    numeric = [(loss(b + 1e-5 * e) - loss(b - 1e-5 * e)) / 2e-5 for e in np.eye(3)]
    np.testing.assert_allclose(results["bias_ih_l0"], numeric, rtol=1e-4)
