"""The decorator's fall-back, alignment, the second thread, and what the user is told."""

import logging
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from msgpass.kernels import runtime


@pytest.mark.parametrize("shape", [0, 7, (3, 5), (2, 0, 4), ()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_arrays_are_aligned_and_of_the_shape_asked(shape, dtype):
    for make in (runtime.aligned_empty, runtime.aligned_zeros):
        a = make(shape, dtype)
        assert a.size == 0 or a.ctypes.data % 64 == 0
        assert a.shape == np.zeros(shape).shape
        assert a.dtype == dtype
        assert a.flags.c_contiguous
        assert a.flags.writeable
    assert not runtime.aligned_zeros(shape, dtype).any()


def test_pair_gives_both_results_in_order():
    assert runtime.run_pair(pow, (2, 5), max, (3, 9)) == (32, 9)


def test_pair_runs_one_after_the_other_on_one_processor(monkeypatch):
    monkeypatch.setattr(runtime, "processors", lambda: 1)
    names = runtime.run_pair(threading.current_thread, (), threading.current_thread, ())
    assert names == (threading.current_thread(),) * 2


def test_pair_within_a_pair_ends(monkeypatch):
    monkeypatch.setattr(runtime, "processors", lambda: 2)

    def inner():
        return runtime.run_pair(int, ("1",), int, ("2",))

    assert runtime.run_pair(inner, (), inner, ()) == ((1, 2), (1, 2))


@pytest.mark.parametrize("failing", [0, 1])
def test_pair_raises_what_either_raises(failing, monkeypatch):
    monkeypatch.setattr(runtime, "processors", lambda: 2)
    texts = ["1", "2"]
    texts[failing] = "no number"
    with pytest.raises(ValueError, match="no number"):
        runtime.run_pair(int, (texts[0],), int, (texts[1],))
    assert runtime.run_pair(int, ("3",), int, ("4",)) == (3, 4), "the second thread is still usable"


FORK = """
import os, sys
from msgpass.kernels import runtime
runtime.processors = lambda: 2
assert runtime.run_pair(int, ("1",), int, ("2",)) == (1, 2)
child = os.fork()
if child == 0:
    os._exit(0 if runtime.run_pair(int, ("3",), int, ("4",)) == (3, 4) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_pairs_from_many_threads_do_not_mix(monkeypatch):
    monkeypatch.setattr(runtime, "processors", lambda: 2)
    seen = {}

    def caller(k):
        seen[k] = [runtime.run_pair(pow, (k, 2), pow, (k, 3)) for _ in range(200)]

    threads = [threading.Thread(target=caller, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {k: [(k**2, k**3)] * 200 for k in range(4)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_pair_works_in_a_forked_child():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert done.returncode == 0


def test_jit_compiles_without_the_cache_where_numba_refuses_it(monkeypatch):
    real, asked = runtime.numba.njit, []

    def refusing(**settings):
        asked.append(settings["cache"])
        if settings["cache"]:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**settings)

    monkeypatch.setattr(runtime, "numba", SimpleNamespace(njit=refusing))

    @runtime.jit
    def half(x):
        return x / 2

    assert half(3.0) == 1.5
    assert asked == [True, False]


@pytest.mark.parametrize("processors", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_every_task_is_run_once(processors, n, monkeypatch):
    monkeypatch.setattr(runtime, "processors", lambda: processors)
    done = []
    runtime.run_all([(done.append, (k,)) for k in range(n)])
    assert sorted(done) == list(range(n))


@pytest.mark.parametrize("processors", [1, 2, 5])
def test_a_task_that_fails_is_told(processors, monkeypatch):
    monkeypatch.setattr(runtime, "processors", lambda: processors)
    with pytest.raises(ValueError, match="invalid literal"):
        runtime.run_all([(int, ("1",)), (int, ("no number",)), (int, ("3",))])


def test_jit_divides_as_c_does():
    @runtime.jit(cache=False)
    def divide(x, y):
        return x / y

    assert divide(1.0, 0.0) == np.inf


def test_compiling_is_said_once_and_only_if_needed(caplog):
    @runtime.jit(cache=False)
    def f(x):
        return x + 1

    with caplog.at_level(logging.INFO, logger="msgpass"):
        for _ in range(2):
            with runtime.compiling("a kernel of this test", f):
                f(1)
        with runtime.compiling("another name", f):
            f(1)
    assert [r.getMessage() for r in caplog.records] == [
        "compiling a kernel of this test; this takes some seconds, once for each machine"
    ]


def test_recycled_memory_comes_back_when_its_last_view_is_gone():
    shape = (runtime.SMALLEST_RECYCLED // 8 + 24,)
    first = runtime.recycled_empty(shape)
    place, view = first.ctypes.data, first[5:]
    del first
    second = runtime.recycled_empty(shape)
    assert not np.shares_memory(view, second)
    del view
    third = runtime.recycled_empty(shape)
    assert third.ctypes.data == place
    assert third.dtype == np.float64
    assert third.flags.carray


def test_the_pool_of_recycled_memory_is_bounded(monkeypatch):
    size = runtime.SMALLEST_RECYCLED
    monkeypatch.setattr(runtime, "MOST_KEPT", 3 * size)
    pool = runtime._Pool()
    monkeypatch.setattr(runtime, "_pool", pool)
    arrays = [runtime.recycled_empty(size, np.uint8) for _ in range(5)]
    del arrays
    assert pool.kept == 3 * size
    other = runtime.recycled_empty(2 * size, np.uint8)
    del other
    assert pool.kept == 2 * size
    assert list(pool.arrays) == [2 * size]


@pytest.mark.parametrize("size", [5, runtime.SMALLEST_RECYCLED // 4])
def test_copies_and_carved_pieces_share_nothing(size, rng):
    array = rng.normal(size=(size, 2)).astype(np.float32)[:, ::-1]
    copied = runtime.recycled_copy(array)
    np.testing.assert_array_equal(copied, array)
    assert copied.dtype == array.dtype
    assert not np.shares_memory(copied, array)
    pieces = runtime.carve(np.float32, 3, size, 0, 17)
    assert [len(p) for p in pieces] == [3, size, 0, 17]
    for k, piece in enumerate(pieces):
        assert piece.ctypes.data % runtime.ALIGNMENT == 0
        piece[:] = k
    assert all((piece == k).all() for k, piece in enumerate(pieces))
