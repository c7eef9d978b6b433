"""The long run: closed forms, with intervals that are stated."""

import numpy as np
import pytest
from scipy import stats

from rnn.systems.queueing import Queue, Tandem, UnstableQueueWarning, formulas
from rnn.systems.queueing.estimates import batch_means

N, WARM = 100_000, 2_000
WIDE = 0.999
"""Level of the intervals: with fixed seeds each covers or does not, and a bias would show."""


def test_m_m_1():
    """W = 1/(μ − λ), dW/dμ = −W², dW/dλ = W²."""
    found = Queue(0.5, 1.0, N, seed=0, warm_up=WARM).long_run(WIDE)
    assert found.value.covers(2.0) and found.value.half_width < 0.12
    assert found.service_rate.covers(-4.0) and found.service_rate.half_width < 0.6
    assert found.arrival_rate.covers(4.0) and found.arrival_rate.half_width < 0.8
    whole = Queue(0.5, 1.0, N, seed=0, warm_up=WARM).gradient()
    assert whole.service_rate == pytest.approx(found.service_rate.value, rel=0.02)


@pytest.mark.parametrize(
    "law, scv",
    [("D", 0.0), ("E3", 1 / 3), (stats.lognorm(0.8), np.expm1(0.64)), (stats.uniform(0, 2), 1 / 3)],
)
def test_m_g_1(law, scv):
    """Pollaczek and Khinchine; dW_q/dμ by differentiating it."""
    found = Queue(0.6, 1.0, N // 2, services=law, seed=1, warm_up=WARM, measure="waiting").long_run(WIDE)
    assert found.value.covers(formulas.mg1(0.6, 1.0, scv).waiting)
    e = 1e-5
    slope = (formulas.mg1(0.6, 1 + e, scv).waiting - formulas.mg1(0.6, 1 - e, scv).waiting) / (2 * e)
    assert found.service_rate.covers(slope)


def test_m_m_c():
    """Erlang's C."""
    found = Queue(2.0, 1.0, N, servers=3, seed=2, warm_up=WARM, measure="waiting").long_run(WIDE)
    assert found.value.covers(formulas.mmc(2.0, 1.0, 3).waiting)
    e = 1e-5
    slope = (formulas.mmc(2.0, 1 + e, 3).waiting - formulas.mmc(2.0, 1 - e, 3).waiting) / (2 * e)
    assert found.service_rate.covers(slope)


def test_tandem():
    """Burke: each station is M/M/1, so that ∂W/∂μ_k = −1/(μ_k − λ)²."""
    found = Tandem(0.5, [1.0, 0.9], N // 2, seed=3, warm_up=WARM).long_run(WIDE)
    assert found.value.covers(formulas.tandem(0.5, [1.0, 0.9]).sojourn)
    for k, rate in enumerate((1.0, 0.9)):
        assert found.service_rates[k].covers(-1 / (rate - 0.5) ** 2)


def test_tuning_finds_the_square_root_rule():
    """min w/(μ − λ) + c μ: μ = λ + √(w/c)."""
    found = Queue(0.5, 1.0, N // 10, seed=4, warm_up=500).tune(price=0.25)
    assert found.converged
    assert found.service_rates[0] == pytest.approx(2.5, rel=0.04)
    assert found.cost == pytest.approx(1 / 2 + 0.25 * 2.5, rel=0.03)
    assert found.gradient.service_rate == pytest.approx(-0.25, abs=1e-5)
    heavier = Queue(0.5, 1.0, N // 10, seed=4, warm_up=500).tune(price=0.25, delay=4.0)
    assert heavier.service_rates[0] == pytest.approx(4.5, rel=0.03)


def test_tuning_shares_out_a_tandem():
    """Station k of price c_k: μ_k = λ + √(1/c_k); bounds hold."""
    line = Tandem(0.5, [1.0, 1.0], N // 20, seed=5, warm_up=500)
    found = line.tune([0.25, 1.0])
    np.testing.assert_allclose(found.service_rates, [2.5, 1.5], rtol=0.06)
    assert line.tune([0.25, 1.0], upper=[2.0, 9.0]).service_rates[0] == 2.0


def test_closed_forms_agree_where_they_meet():
    assert formulas.mmc(0.5, 1.0).sojourn == pytest.approx(2.0)
    assert formulas.mg1(0.5, 1.0, 1.0).waiting == pytest.approx(formulas.mmc(0.5, 1.0).waiting)
    assert formulas.erlang_c(1, 0.3) == pytest.approx(0.3)
    terms = [2.5**k / np.prod(np.arange(1, k + 1)) for k in range(4)]
    last = 2.5**4 / 24 * 4 / (4 - 2.5)
    assert formulas.erlang_c(4, 2.5) == pytest.approx(last / (sum(terms) + last))


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = [batch_means(rng.exponential(1, (400, 2)), 20, 0.9).covers(1.0) for _ in range(400)]
    assert 0.86 < np.mean(hits) < 0.94


def test_samples_are_batches():
    found = Queue(0.5, 1.0, 2000, samples=40, seed=6, warm_up=200).long_run(WIDE)
    assert found.value.batches == 40 and found.value.covers(2.0) and found.service_rate.covers(-4.0)


def test_no_long_run():
    with pytest.warns(UnstableQueueWarning, match=r"ρ = 1.2"):
        Queue(1.2, 1.0, 1000, seed=0).long_run()
    with pytest.warns(UnstableQueueWarning, match=r"ρ = 1 "):
        Queue(3.0, 1.0, 1000, servers=3, seed=0).long_run()
    assert Queue(1.2, 1.0, 1000, seed=0).gradient().service_rate < 0  # of this path, which is finite
