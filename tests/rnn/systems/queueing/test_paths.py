"""Paths against event lists and dates of departure; derivatives against busy periods and differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import check_gradients
from rnn.systems.queueing import Queue, SlottedQueue, Tandem
from tests.rnn.systems.queueing.reference import busy_since, departures, served

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60)
@given(seeds, st.integers(1, 5), st.integers(1, 40), st.floats(0.3, 3.0))
def test_servers_against_an_event_list(seed, servers, customers, load):
    rng = np.random.default_rng(seed)
    gaps, services = rng.exponential(1, customers), rng.exponential(load * servers, customers)
    start = rng.exponential(1, servers)
    path = Queue(arrivals=gaps, services=services, servers=servers, start=start).simulate()
    np.testing.assert_allclose(path.waiting, served(gaps, services, servers, start), atol=1e-9)
    np.testing.assert_allclose(path.sojourn, path.waiting + services, rtol=1e-12)
    np.testing.assert_allclose(path.service[:, 0], services, rtol=1e-12)


@settings(max_examples=60)
@given(seeds, st.lists(st.sampled_from([None, 0, 1, 3]), min_size=0, max_size=3), st.integers(1, 30))
def test_stations_against_dates_of_departure(seed, buffers, customers):
    rng, buffers = np.random.default_rng(seed), [None, *buffers]
    gaps, services = rng.exponential(1, customers), rng.exponential(0.9, (customers, len(buffers)))
    line = Tandem(None, [None] * len(buffers), arrivals=gaps, services=list(services.T), buffers=buffers)
    arrivals, D = departures(gaps, services, buffers)
    path = line.simulate()
    np.testing.assert_allclose(path.sojourn, D[:, -1] - arrivals, atol=1e-9)
    np.testing.assert_allclose(path.waiting, D[:, -1] - arrivals - services.sum(axis=1), atol=1e-9)


def test_small_cases_one_by_one():
    """All orders of small whole times, two servers and one: ties included."""
    for code in range(3**6):
        digits = [code // 3**k % 3 for k in range(6)]
        gaps, services = np.array([1.0, *digits[:2]]), np.array(digits[2:5], float) + 0.5
        for servers in (1, 2):
            path = Queue(arrivals=gaps, services=services, servers=servers).simulate()
            np.testing.assert_allclose(path.waiting, served(gaps, services, servers), atol=1e-12)


@settings(max_examples=40)
@given(seeds, st.integers(1, 30))
def test_the_busy_period_argument(seed, customers):
    """∂W_n/∂S_k = 1 for each customer k of the busy period before n: −(their service times)/μ by rate."""
    rng = np.random.default_rng(seed)
    queue = Queue(0.9, 1.0, customers, seed=rng, measure="waiting")
    path = queue.simulate()
    n = int(rng.integers(customers))
    found = queue.messages(weight=np.eye(customers)[n])
    first = busy_since(path.waiting)[n]
    by_service = np.zeros(customers)
    by_service[first:n] = 1.0
    by_gap = np.zeros(customers)
    by_gap[first + 1 : n + 1] = -1.0
    assert np.array_equal(found.gradient["service"][:, 0, 0], by_service)
    assert np.array_equal(found.gradient["gap"][:, 0], by_gap)
    wanted = -path.service[first:n, 0].sum() / queue.service_rates[0]
    np.testing.assert_allclose(found.parameters["service_rate"][0], wanted, rtol=1e-12, atol=1e-12)


def test_a_constant_service_counts_customers():
    """D: dW_n/dS = the number of customers since the busy period began, dW_n/dμ = −number/μ²."""
    queue = Queue(0.95, 1.25, 60, services="D", seed=5, measure="waiting")
    waits = queue.simulate().waiting
    first = busy_since(waits)
    assert max(n - k for n, k in enumerate(first)) > 5
    for n in range(60):
        slope = queue.messages(weight=np.eye(60)[n]).parameters["service_rate"][0]
        assert slope == pytest.approx(-(n - first[n]) / 1.25**2, rel=1e-12, abs=1e-15)


LINES = {
    "M/M/1": lambda: Queue(0.8, 1.0, 200, seed=1, warm_up=20),
    "M/E3/3": lambda: Queue(0.8, 0.4, 200, services="E3", servers=3, seed=2),
    "D/M/2": lambda: Queue(0.8, 0.5, 200, arrivals="D", servers=2, seed=3, measure="waiting"),
    "tandem": lambda: Tandem(0.8, [1.0, 1.1, 0.9], 200, seed=4, samples=2),
    "blocked": lambda: Tandem(0.6, [1.0, 1.1, 1.0], 200, seed=4, buffers=[None, 0, 2], measure="waiting"),
    "samples": lambda: Queue(0.8, 1.0, 50, samples=4, seed=5),
}


@pytest.mark.parametrize("name", LINES)
def test_rates_against_differences(name):
    line = LINES[name]()
    found, mu, rate, e = line.gradient(), line.service_rates, line.arrival_rate, 1e-7
    wanted = [(line.cost(mu + e * d) - line.cost(mu - e * d)) / (2 * e) for d in np.eye(len(mu))]
    np.testing.assert_allclose(found.service_rates, wanted, rtol=1e-5)
    wanted = (line.cost(None, rate + e) - line.cost(None, rate - e)) / (2 * e)
    np.testing.assert_allclose(found.arrival_rate, wanted, rtol=1e-5)
    path = line.simulate()
    mean = path.mean_waiting if line.measure == "waiting" else path.mean_sojourn
    np.testing.assert_allclose([found.value, line.cost()], mean, rtol=1e-12)


@pytest.mark.parametrize("name", ["M/E3/3", "blocked"])
def test_the_engines_own_check(name):
    line = LINES[name]()
    values = {"service_rate": line.service_rates, "arrival_rate": np.array(line.arrival_rate),
              "weight": np.random.default_rng(0).random(line.customers)}  # fmt: skip
    check_gradients(line.graph(), values=values)


def test_a_batch_is_a_loop_over_samples():
    line = LINES["samples"]()
    gaps, services = line.base_gaps.T / 0.8, line.base_services[..., 0].T
    both = line.gradient()
    each = [Queue(0.8, 1.0, arrivals=g, services=s).gradient() for g, s in zip(gaps, services, strict=True)]
    # A path that is given has its own rate.
    for n, (g, s) in enumerate(zip(gaps, services, strict=True)):
        one = Queue(arrivals=g, services=s)
        np.testing.assert_allclose(one.simulate().waiting, line.simulate().waiting[n], atol=1e-12)
        np.testing.assert_allclose(one.gradient().service / 4, both.service[n], atol=1e-12)
    assert len(each) == 4


@settings(max_examples=40)
@given(seeds, st.booleans())
def test_slots(seed, whole):
    """h = max(0, h + a − σ), and −(slots since it was last empty)."""
    rng = np.random.default_rng(seed)
    T = 25
    arrivals = rng.poisson(1.0, T).astype(float) if whole else rng.exponential(1.0, T)
    rate, start = 1.1, 0.7
    queue = SlottedQueue(arrivals, rate, start)
    h, lengths, slopes, slope, since = start, [start], [], 0.0, None
    reach = np.zeros(T)
    live: list[int] = []
    for t, a in enumerate(arrivals):
        live.append(t)
        h, slope = h + a - rate, slope - 1
        if h <= 0:
            h, slope, live = 0.0, 0.0, []
        for k in live:
            reach[k] += 1
        lengths.append(h)
        slopes.append(slope)
    assert since is None
    np.testing.assert_allclose(queue.simulate().length, lengths, atol=1e-12)
    found = queue.gradient()
    np.testing.assert_allclose(found.total, sum(lengths[1:]), rtol=1e-12)
    np.testing.assert_allclose(found.rate, sum(slopes), rtol=1e-12)
    np.testing.assert_allclose(found.arrivals, reach, rtol=1e-12)
    by_slot = queue.gradient(np.full(T, rate), price=2.0)
    np.testing.assert_allclose(by_slot.rate, 2.0 - reach, rtol=1e-12)
    np.testing.assert_allclose(by_slot.total, found.total + 2.0 * rate * T, rtol=1e-12)
    np.testing.assert_allclose(queue.gradient(price=2.0).rate, found.rate + 2.0 * T, rtol=1e-12)


def test_slots_in_samples():
    arrivals = np.random.default_rng(0).exponential(1.0, (3, 12))
    found = SlottedQueue(arrivals, 1.2).gradient()
    each = [SlottedQueue(a, 1.2).gradient() for a in arrivals]
    np.testing.assert_allclose(found.rate, np.mean([g.rate for g in each]), rtol=1e-12)
    np.testing.assert_allclose(found.arrivals, np.stack([g.arrivals for g in each]) / 3, rtol=1e-12)
    assert SlottedQueue(arrivals, 1.2).simulate().length.shape == (3, 13)


def test_at_a_tie_the_slope_is_that_of_nothing():
    """A customer who comes just when the server is free has not waited: slope 0, as of max(0, x) at 0."""
    queue = Queue(arrivals=[1.0, 2.0], services=[2.0, 1.0], measure="waiting")
    assert queue.gradient().service[:, 0].tolist() == [0.0, 0.0]
    assert SlottedQueue([1.0], 1.0).gradient().rate.item() == 0.0


def test_one_seed_the_same_bits():
    paths = [Queue(0.5, 1.0, 50, seed=s).simulate().waiting for s in (3, 3, 4)]
    assert np.array_equal(paths[0], paths[1]) and not np.array_equal(paths[0], paths[2])
