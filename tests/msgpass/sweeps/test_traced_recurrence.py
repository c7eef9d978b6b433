"""Step(kernel="auto" | "traced"): the compiled sweep gives every message of the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Checkpointed, FactorGraph, ForwardOnly, Loss, Sequential, Step, Tangent, Truncated, run
from msgpass.errors import GraphError, MessagePassingError, NumericalError, TracingError, UnsupportedError
from msgpass.sweeps import traced_recurrence
from msgpass.sweeps.recurrence import Sweep
from msgpass.sweeps.traced_recurrence import TracedSweep
from tests.msgpass import recurrence_models
from tests.msgpass.table_models import seeds

SCHEDULES = [Sequential(), Truncated(1, 2), Truncated(2, 3), Checkpointed(2)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The compiled sweep from the first run on."""
    monkeypatch.setattr(traced_recurrence, "PATIENCE", 0.0)


def sweeps(m):
    """Kinds of sweeps of a run."""
    return [type(s) for s in m._x.sweeps.values()]


def same_messages(m, wanted, rtol=1e-9, atol=1e-10):
    """Every reading of two runs agrees."""
    close = {"rtol": rtol, "atol": atol}
    np.testing.assert_allclose(m.total, wanted.total, **close)
    for reading in ("parameters", "gradient", "backward", "forward"):
        one, other = getattr(m, reading), getattr(wanted, reading)
        assert list(one) == list(other)
        for name in other:
            np.testing.assert_allclose(one[name], other[name], **close, err_msg=f"{reading} of {name}")


def model(kernel, seed, monkeypatch, **options):
    """A random recurrence whose steps have this kernel."""
    with monkeypatch.context() as patch:
        patch.setattr(recurrence_models, "Step", lambda f, **o: Step(f, kernel=kernel, **o))
        return recurrence_models.recurrence(np.random.default_rng(seed), **options)


@pytest.mark.parametrize("kind", recurrence_models.KINDS)
@settings(max_examples=4)
@given(seeds, recurrence_models.LENGTHS, st.booleans(), st.booleans(), st.sampled_from(SCHEDULES))
def test_every_message_is_that_of_the_reference(kind, seed, lengths, vectorized, own_starts, schedule):
    options = {"kind": kind, "lengths": lengths, "vectorized": vectorized, "own_starts": own_starts}
    with pytest.MonkeyPatch.context() as patch:
        fast, slow = (model(kernel, seed, patch, **options) for kernel in ("auto", None))
    try:
        wanted = run(slow, schedule=schedule)
    except MessagePassingError as problem:
        with pytest.raises(type(problem)):
            run(fast, schedule=schedule)
        return
    m = run(fast, schedule=schedule)
    if schedule == Sequential() and kind in ("lag one", "reverse", "two outputs", "encoder edge"):
        assert TracedSweep in sweeps(m), "the compiled sweep ran"
    readings = ("total", "parameters") if isinstance(schedule, Checkpointed) else None
    if readings:
        np.testing.assert_allclose(m.total, wanted.total, rtol=1e-10)
        for name in wanted.parameters:
            np.testing.assert_allclose(m.parameters[name], wanted.parameters[name], rtol=1e-8, atol=1e-10)
    else:
        same_messages(m, wanted, 1e-8, 1e-9)


def stock(kernel, rows=None, length=5, dtype=float, f=None, seed=0, own_starts=False):
    """An inventory of two goods, ``rows`` samples of it side by side, with a shared price a step."""
    rng = np.random.default_rng(seed)
    batch = () if rows is None else (rows,)
    g, total = FactorGraph(), int(np.sum(length))
    demand = g.observe("demand", rng.uniform(0, 2, (total, *batch, 2)).astype(dtype))
    price = g.observe("price", rng.uniform(1, 2, (total,)).astype(dtype))
    order = g.parameter("order", rng.uniform(0, 2, 2).astype(dtype))
    loss = g.parameter("loss", rng.uniform(0, 0.3, (2, 2)).astype(dtype))
    starts = (len(length),) if own_starts else ()
    start = g.parameter("start", rng.uniform(1, 2, (*starts, *batch, 2)).astype(dtype))
    h = g.sequence("h", length=length, shape=(*batch, 2))
    paid = g.sequence("paid", length=length, shape=batch)
    orders = g.sequence("orders", length=length, shape=(2,))
    ones = g.observe("ones", np.ones((total, 2), dtype))
    g.factor(Step(lambda o, w: o * w), ones[:], order, out=orders[:], name="ordering")

    def step(h, paid, demand, price, order, loss):
        new = np.maximum(h - h @ np.exp(-loss) * 0.1 + order - demand, 0.0)
        return new, paid + price * np.sum(np.tanh(new), axis=-1)

    g.factor(
        Step(f or step, kernel=kernel),
        h.after(start), paid.after(g.parameter("nothing", np.zeros(batch, dtype))), demand[:], price[:],
        orders[:], loss, out=(h[:], paid[:]), name="stock",
    )  # fmt: skip
    g.factor(Loss(lambda h, p: ((h**2).sum() + p.sum(), (2 * h, np.ones_like(p)))), h[:], paid[:])
    return g


@pytest.mark.parametrize("rows", [None, 2, 4, 7])
@pytest.mark.parametrize("length", [1, 5, [3, 1, 4]])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_batches_several_states_and_shared_rows(rows, length, dtype):
    options = {"rows": rows, "length": length, "dtype": dtype, "own_starts": np.iterable(length)}
    m, wanted = run(stock("traced", **options)), run(stock(None, **options))
    assert TracedSweep in sweeps(m)
    tolerance = 1e-10 if dtype == np.float64 else 2e-4
    same_messages(m, wanted, tolerance, tolerance)


def test_rows_of_a_batch_are_a_loop():
    g = stock("traced", rows=50)
    run(g)
    assert "50 rows" in repr(g.plan())


def test_rows_that_look_at_each_other_are_not():
    def crowd(h, paid, demand, price, order, loss):
        return np.tanh(h + demand - np.mean(h, axis=0)), paid + price

    m, wanted = run(stock("traced", 5, f=crowd)), run(stock(None, 5, f=crowd))
    assert "rows" not in repr(m._x.plan)
    same_messages(m, wanted)


def test_forward_alone():
    m, wanted = (run(stock(k), schedule=ForwardOnly()) for k in ("auto", None))
    assert m.total == pytest.approx(wanted.total, rel=1e-12)


def test_tangents_go_by_the_reference():
    direction = {"loss": np.ones((2, 2))}
    m, wanted = (run(stock(k), algebra=Tangent(direction)) for k in ("traced", None))
    np.testing.assert_allclose(m.total.tangent, wanted.total.tangent, rtol=1e-12)


def scalar(f, kernel="auto", length=4, start=1.0, **options):
    """h ← f(h, p)."""
    g = FactorGraph()
    h = g.sequence("h", length=length, shape=())
    g.factor(Step(f, kernel=kernel, **options), h.after(g.parameter("start", start)), g.parameter("p", 0.5),
             out=h[:], name="step")  # fmt: skip
    g.factor(Loss(lambda h: (float(h), (np.ones(()),))), h[:])
    return g


def test_the_users_own_rule_is_kept():
    rule = {"vjp": lambda inputs, c: (c * 10.0, c * inputs[0])}
    m, wanted = (run(scalar(lambda h, p: h * p, k, **rule)) for k in ("traced", None))
    assert TracedSweep in sweeps(m)
    same_messages(m, wanted)


def test_a_rule_that_cannot_be_traced_is_run():
    def vjp(inputs, c):
        return (c, None) if c > 0 else (2 * c, None)

    assert sweeps(run(scalar(lambda h, p: h, vjp=vjp))) == [Sweep]
    with pytest.raises(TracingError, match=r"np\.where"):
        run(scalar(lambda h, p: h, "traced", vjp=vjp))


def test_a_blow_up_names_the_first_step():
    for kernel in ("traced", None):
        with pytest.raises(NumericalError, match="'h' became NaN or infinite at step 2"):
            run(scalar(lambda h, p: np.where(h > 3, np.exp(1000 * h), h + 1), kernel, length=5, start=2.0))


def branches(h, p):
    return h * p if h > 0 else h


def test_auto_runs_what_cannot_be_traced_and_says_why():
    g = scalar(branches)
    m = run(g)
    assert sweeps(m) == [Sweep]
    assert "np.where" in repr(g.plan())
    same_messages(m, run(scalar(branches, None)))


def test_traced_refuses():
    with pytest.raises(TracingError, match=r"np\.where"):
        run(scalar(branches, "traced"))


def test_a_function_with_a_state_of_its_own():
    seen = []

    def f(h, p):
        seen.append(0)
        return h * p + len(seen)

    with pytest.raises(TracingError, match="depends on its arguments alone"):
        run(scalar(f, "traced"))
    assert sweeps(run(scalar(f))) == [Sweep]


@pytest.mark.parametrize("kernel", ["auto", "traced"])
def test_what_a_function_closes_over_may_change_between_runs(kernel):
    rates = np.array([0.5, 2.0])

    def f(h, p):
        return np.tanh(rates[0] * h + p) * np.where(h > rates[1], 3.0, 1.0)

    g = scalar(f, kernel)
    for change in (rates[:0], [0.75], [0.75, 0.1]):
        rates[: len(change)] = change
        m = run(g)
        assert sweeps(m) == [TracedSweep]
        same_messages(m, run(scalar(f, None)))


def assigns(h, p):
    new = np.zeros_like(h)
    new[0], new[1] = h[1] * p, np.heaviside(h[0], 0.5) * p * h[0]
    return new


def test_what_autograd_does_not_get_through_is_compiled_at_once(monkeypatch):
    monkeypatch.setattr(traced_recurrence, "PATIENCE", 10.0)

    def model(f, kernel):
        g = FactorGraph()
        h, start = g.sequence("h", length=4, shape=(2,)), g.parameter("start", np.array([1.0, 0.5]))
        g.factor(Step(f, kernel=kernel), h.after(start), g.parameter("p", 0.7), out=h[:])
        g.factor(Loss(lambda h: (float((h * h).sum()), (2 * h,))), h[:])
        return g

    with pytest.raises(UnsupportedError, match="in-place"):
        run(model(assigns, None))
    m = run(model(assigns, "auto"))
    assert sweeps(m) == [TracedSweep]
    plain = model(lambda h, p: np.stack([h[1] * p, np.where(h[0] > 0, 1.0, 0.0) * p * h[0]]), "auto")
    wanted = run(plain)
    assert sweeps(wanted) == [Sweep]
    same_messages(m, wanted)


def adds(h, p):
    h += p
    return h


@pytest.mark.parametrize("kernel", [None, "auto", "traced"])
@pytest.mark.parametrize("vectorized", [False, True])
def test_a_step_that_writes_into_its_inputs_is_refused(kernel, vectorized):
    g = FactorGraph()
    h, start = g.sequence("h", length=3, shape=(2,)), g.parameter("start", np.ones(2))
    g.factor(
        Step(adds, kernel=kernel, vectorized=vectorized), h.after(start), g.parameter("p", 1.0), out=h[:]
    )
    g.factor(Loss(lambda h: (float(h.sum()), (np.ones(2),))), h[:])
    with pytest.raises(TracingError if kernel == "traced" else GraphError, match=r"writes into its input"):
        run(g)
    np.testing.assert_array_equal(start.value, np.ones(2))


def test_a_change_waits_for_its_compilation_as_the_first_function_did(monkeypatch):
    monkeypatch.setattr(traced_recurrence, "PATIENCE", 1.5 * 4 * 2 * traced_recurrence.CALL)
    rates, calls = {"rate": 1.0}, []
    g = scalar(lambda h, p: (h * p * rates["rate"], calls.append(0))[0])
    kinds = []
    for k in range(4):
        rates["rate"] = 1.0 if k < 2 else 2.0
        kinds.append(sweeps(run(g))[0])
    assert kinds == [Sweep, TracedSweep, Sweep, TracedSweep]


def test_parameters_of_another_shape_are_traced_anew():
    g = FactorGraph()
    h, w = g.sequence("h", length=3, shape=()), g.parameter("w", np.ones(2))
    g.factor(
        Step(lambda h, w: h + np.sum(w), kernel="traced"), h.after(g.parameter("start", 0.0)), w, out=h[:]
    )
    g.factor(Loss(lambda h: (float(h), (np.ones(()),))), h[:])
    assert run(g).total == pytest.approx(12.0)
    np.testing.assert_allclose(run(g, values={"w": np.full(2, 2.0)}).parameters["w"], [6.0, 6.0])


def test_patience(monkeypatch):
    monkeypatch.setattr(traced_recurrence, "PATIENCE", 1.5 * 4 * 2 * traced_recurrence.CALL)
    g = scalar(lambda h, p: h * p)
    kinds = [sweeps(run(g))[0] for _ in range(3)]
    assert kinds == [Sweep, TracedSweep, TracedSweep]
    g = scalar(lambda h, p: h * p)
    g.plan().start_compiled()
    assert sweeps(run(g)) == [TracedSweep]


@pytest.mark.parametrize("kernel", ["auto", "traced"])
def test_a_large_step_runs_as_it_is(kernel):
    W = np.arange(10_000.0).reshape(100, 100) / 1e6
    g = FactorGraph()
    h = g.sequence("h", length=2, shape=(100,))
    g.factor(Step(lambda h, p: np.tanh(W @ h), kernel=kernel),
             h.after(g.parameter("start", np.ones(100))), g.parameter("p", 0.0), out=h[:])  # fmt: skip
    g.factor(Loss(lambda h: (float(h.sum()), (np.ones(100),))), h[:])
    if kernel == "auto":
        assert sweeps(run(g)) == [Sweep]
    else:
        with pytest.raises(TracingError, match="vectorized"):
            run(g)
