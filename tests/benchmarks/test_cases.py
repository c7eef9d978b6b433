"""What the cases about whole models compute, seen from msgpass alone."""

import numpy as np
import pytest

from benchmarks.cases import fit, gaussian, gaussian_score, gaussian_viterbi
from benchmarks.cases.normal_data import NormalData


def test_a_fit_climbs_and_starts_anew_at_every_call():
    data = fit.symbols_from_a_chain(states=2, sequences=3)
    call = fit.msgpass_symbols(data)
    first, second = call(), call()
    assert len(first["history"]) == fit.ITERATIONS and (np.diff(first["history"]) > -1e-9).all()
    for key, value in first.items():
        np.testing.assert_array_equal(second[key], value)
    np.testing.assert_allclose(first["emission"].sum(axis=1), 1)


@pytest.mark.parametrize("covariance_type", ["diag", "full"])
def test_the_gaussian_cases_are_about_one_model(covariance_type):
    data = NormalData.random(3, 2, 4, 10, covariance_type)
    total = gaussian_score.msgpass(data)()["log_likelihood"]
    history = fit.msgpass_vectors(data, iterations=2)()["history"]
    assert history[0] == pytest.approx(total) and history[1] > total
    assert gaussian_viterbi.msgpass(data)()["path"].shape == (40,)


def test_data_come_from_near_the_start():
    data = NormalData.random(4, 2, 50, 100)
    nearest = np.abs(data.rows[:, None] - data.means).max(axis=2).min(axis=1)
    assert np.median(nearest) < 2 and data.rows.shape == (5000, 2) and sum(data.lengths) == 5000


def test_contenders_share_data_that_are_drawn_once(monkeypatch):
    drawn, random = [], NormalData.random
    monkeypatch.setattr(NormalData, "random", lambda *a: drawn.append(a) or random(*a))
    problem = next(gaussian.problems("quick"))
    assert not drawn
    for _ in range(2):
        problem.contenders["msgpass"]()
    assert len(drawn) == 1
