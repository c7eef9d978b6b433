"""Bad input is refused, with which customer or slot."""

import numpy as np
import pytest
from scipy import stats

from msgpass.errors import ConvergenceWarning, DataError, ShapeError
from rnn.systems.queueing import Queue, SlottedQueue, Tandem, formulas


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: Queue(0.5, 1.0), DataError, "number of customers"),
        (lambda: Queue(None, 1.0, 5), DataError, "needs its rate"),
        (lambda: Queue(0.5, -1.0, 5), DataError, "rate of service times"),
        (lambda: Queue(0.5, 1.0, 5, services="X"), DataError, '"M", "D", "E2"'),
        (lambda: Queue(0.5, 1.0, 5, services="E"), DataError, '"M", "D", "E2"'),
        (lambda: Queue(0.5, 1.0, 5, services=stats.cauchy()), DataError, "finite mean"),
        (
            lambda: Queue(0.5, 1.0, 50, services=stats.norm(1, 2)),
            DataError,
            r"service times: the time of customer \d+ is -",
        ),
        (lambda: Queue(arrivals=[1.0, 1.0], services=[1.0, -2.0]), DataError, "customer 1 is -2"),
        (
            lambda: Queue(arrivals=[1.0, 1.0], services=[1.0, 2.0, 3.0]),
            ShapeError,
            "2 interarrival times but 3",
        ),
        (lambda: Queue(arrivals=np.ones((2, 3)), services=np.ones((4, 3))), ShapeError, "samples"),
        (lambda: Queue(arrivals=[0.0, 0.0], services=[1.0, 1.0]), DataError, "all 0"),
        (lambda: Queue(0.5, 1.0, 5, servers=0), ShapeError, "servers"),
        (lambda: Queue(0.5, 1.0, 5, warm_up=5), ShapeError, "at least one must count"),
        (lambda: Queue(0.5, 1.0, 5, measure="length"), DataError, "sojourn"),
        (lambda: Queue(0.5, 1.0, 5, start=-1.0), DataError, "work ≥ 0"),
        (lambda: Queue(0.5, 1.0, 5, seed="a"), DataError, "random_state"),
        (lambda: Tandem(0.5, []), ShapeError, "one rate a station"),
        (lambda: Tandem(0.5, [1.0, 1.0], 5, buffers=[None]), ShapeError, "one of each"),
        (lambda: Tandem(0.5, [1.0, 1.0], 5, buffers=[1, None]), ShapeError, "first station"),
        (lambda: Tandem(0.5, [1.0, 1.0], 5, buffers=[None, -1]), ShapeError, "buffer 1"),
        (lambda: Queue(0.5, 1.0, 5).cost(0.0), DataError, "service_rate"),
        (lambda: Queue(0.5, 1.0, 5).cost([1.0, 2.0]), ShapeError, "service_rate"),
        (lambda: Queue(0.5, 1.0, 5).messages(weight=np.ones(4)), ShapeError, "one a customer"),
        (lambda: Queue(customers=3, arrivals=[1.0], services=[1.0]), ShapeError, "times are given for 1"),
        (lambda: Queue(0.5, 1.0, 2).messages(weight=[1.0, np.nan]), DataError, "nan for customer 1"),
        (lambda: Queue(0.5, 1.0, 5).messages(price=np.nan), DataError, "price"),
        (lambda: Queue(0.5, 1.0, 5).messages(price=[1.0, 2.0]), ShapeError, "price"),
        (lambda: Queue(0.5, 1.0, 50).long_run(level="x"), DataError, "level"),
        (lambda: Queue(0.5, 1.0, 5).tune(1.0, lower="x"), DataError, "lower"),
        (lambda: Queue(0.5, 1.0, 5).tune(1.0, lower=3.0, upper=2.0), DataError, "got 3 and 2"),
        (lambda: Tandem(0.5, 1.0, 5), ShapeError, "one rate a station"),
        (lambda: Tandem(0.5, [1.0], 5, buffers=2), ShapeError, "places a station"),
        (lambda: formulas.tandem(0.5, []), ShapeError, "one rate a station"),
        (lambda: SlottedQueue([1.0], 1.0).cost(price=np.nan), DataError, "price"),
        (lambda: Queue(0.5, 1.0, 5).long_run(), ShapeError, "30 batches"),
        (lambda: Queue(0.5, 1.0, 50).long_run(level=2.0), DataError, "level"),
        (lambda: Queue(0.5, 1.0, 5).tune(-1.0), DataError, "price"),
        (lambda: Queue(0.5, 1.0, 5).tune(1.0, lower=0.0), DataError, "serves nobody"),
        (lambda: Tandem(0.5, [1.0, 1.0], 5).gradient().service_rate, ShapeError, r"service_rates\[k\]"),
        (lambda: SlottedQueue([1.0, -1.0], 1.0), DataError, "slot 1"),
        (lambda: SlottedQueue([1.0, 1.0], [1.0]), ShapeError, "rate"),
        (lambda: SlottedQueue([1.0, 1.0], [1.0, -1.0]), DataError, "slot 1"),
        (lambda: SlottedQueue([1.0], 1.0, start=-1.0), DataError, "start"),
        (lambda: formulas.mmc(1.0, 1.0), DataError, "ρ = 1 ≥ 1"),
        (lambda: formulas.mmc(4.0, 1.0, 3), DataError, "above 4.0 / 3"),
    ],
)
def test_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_it_says_when_it_does_not_converge():
    with pytest.warns(ConvergenceWarning, match="raise n_iter"):
        Queue(0.5, 1.0, 200).tune(0.25, n_iter=1)


def test_a_given_path_may_have_no_gap_or_no_service():
    path = Queue(arrivals=[1.0, 0.0, 0.0], services=[1.0, 0.0, 2.0]).simulate()
    assert path.waiting.tolist() == [0, 1, 1]


def test_tuning_of_slots():
    """A unit of rate in a slot costs as much as three units of work that wait one slot."""
    arrivals = np.random.default_rng(0).poisson(2.0, (200, 12)).astype(float) + np.random.default_rng(
        1
    ).random((200, 12))
    queue = SlottedQueue(arrivals, 2.0)
    rate, cost = queue.tune(3.0, tol=1e-3)
    for step in (-0.2, 0.2):
        assert cost < queue.cost(rate + step, price=3.0)
    plan, less = SlottedQueue(arrivals, np.full(12, 2.0)).tune(3.0, tol=1e-3)
    assert less < cost and plan.shape == (12,)


def test_figures_and_words():
    queue = Queue(0.8, 1.0, 30, samples=2)
    tuned = queue.tune(0.25)
    for drawn in (queue.simulate(), Queue(0.8, 1.0, 30).simulate(), tuned):
        assert len(drawn.plot().axes) == 1
    for said in (queue, tuned, queue.simulate(), queue.gradient(), SlottedQueue([1.0], 1.0)):
        assert repr(said).startswith("<")
    assert "±" in str(queue.long_run().value) and repr(queue.long_run()).startswith("<LongRun: mean sojourn")
