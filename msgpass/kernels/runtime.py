"""What every compiled sweep needs: a decorator, aligned memory, a second thread, a word to the user.

Compiled code is kept on disk, so that it is compiled once for each machine and not once for each process.
Numba looks at the file of the function itself when it decides whether that copy is still good, and not at the
files of the functions it calls: after editing a helper, remove the ``__pycache__`` of its callers.
"""

import logging
import math
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numba
import numpy as np
from numpy.typing import DTypeLike

ALIGNMENT = 64
"""Bytes in a cache line and in a 512-bit vector; NumPy itself guarantees only 16."""

logger = logging.getLogger("msgpass")


def jit(function: Callable | None = None, /, **options: Any) -> Any:
    """`numba.njit` as all kernels want it: no GIL, C's division by zero, and compiled once for each machine.

    Where neither the package's folder nor the user's cache folder can be written, Numba refuses
    ``cache=True`` as soon as the function is decorated; the function is then compiled anew in each process
    instead.

    Parameters
    ----------
    function
        The function to compile; left out when options are given.
    **options
        Passed on to `numba.njit`, over the defaults ``nogil=True, error_model="numpy", cache=True``.
    """
    settings = {"nogil": True, "error_model": "numpy", "cache": True, **options}

    def decorate(python_function):
        try:
            return numba.njit(**settings)(python_function)
        except RuntimeError:
            if not settings["cache"]:
                raise
            return numba.njit(**{**settings, "cache": False})(python_function)

    return decorate if function is None else decorate(function)


def lean_jit(function: Callable | None = None, /, **options: Any) -> Any:
    """`jit` for functions that make no arrays and return none: they do not count references.

    Whoever calls the kernel holds its arrays. Counting what is passed on from loop to loop are locked
    instructions that LLVM cannot remove: without them the backward sweep of an LSTM of 16 units took 10 µs in
    place of 29.
    """
    return jit(function, _nrt=False, **options)


def aligned_empty(shape: int | Sequence[int], dtype: DTypeLike = np.float64) -> np.ndarray:
    """Uninitialised C-contiguous array that starts at a multiple of 64 bytes.

    >>> aligned_empty((3, 5)).ctypes.data % 64
    0
    """
    return _aligned(shape, dtype, np.empty)


def aligned_zeros(shape: int | Sequence[int], dtype: DTypeLike = np.float64) -> np.ndarray:
    """As `aligned_empty`, filled with zeros."""
    return _aligned(shape, dtype, np.zeros)


def _aligned(shape, dtype, allocate):
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    memory = allocate(math.prod(shape) * np.dtype(dtype).itemsize + ALIGNMENT, np.uint8)
    address = memory.__array_interface__["data"][0]  # in a third of the time that ``ctypes`` takes
    return np.ndarray(shape, dtype, memory, -address % ALIGNMENT)


MOST_KEPT = 256 << 20
"""Bytes of work memory that stay with the process; more is given back at once."""

_kept: list[np.ndarray] = []


@contextmanager
def work_memory(*sizes: int) -> Iterator[list[np.ndarray]]:
    """Aligned flat float64 arrays of these sizes, not initialised, from memory that is kept for later calls.

    Fresh pages have to be found and zeroed by the kernel of the system, which for arrays beyond what the
    allocator keeps took as long as the sweep over them, and several times as long where it had to make room
    for huge pages first.

    Examples
    --------
    >>> with work_memory(3, 5) as (a, b):
    ...     a.shape, b.shape, b.ctypes.data % 64
    ((3,), (5,), 0)
    """
    lanes = ALIGNMENT // 8
    ends = np.cumsum([-(-size // lanes) * lanes for size in sizes])
    try:
        memory = _kept.pop()
    except IndexError:
        memory = np.empty(0)
    if memory.size < ends[-1]:
        memory = aligned_empty(int(ends[-1]))
    try:
        starts = (0, *ends[:-1])
        yield [memory[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    finally:
        if memory.nbytes <= MOST_KEPT and not _kept:
            _kept.append(memory)


SMALLEST_RECYCLED = 1 << 18
"""Bytes below which fresh memory is as quick."""


class _Recycled:
    """Memory behind an array, which goes back to the pool when the last view of it is gone."""

    __slots__ = ("__array_interface__", "memory")

    def __init__(self, memory: np.ndarray):
        self.memory, self.__array_interface__ = memory, memory.__array_interface__

    def __del__(self):
        _pool.take_back(self.memory)


class _Pool:
    """Arrays that nobody looks at any more, by size."""

    def __init__(self):
        self.arrays: dict[int, list[np.ndarray]] = {}
        self.kept = 0

    def give(self, size: int) -> np.ndarray:
        """Aligned bytes, not initialised."""
        try:
            memory = self.arrays[size].pop()
            self.kept -= size
        except (KeyError, IndexError):
            memory = aligned_empty(size, np.uint8)
        return memory

    def take_back(self, memory: np.ndarray) -> None:
        """Keep these bytes for the next who wants as many; other sizes make room."""
        size = memory.nbytes
        if self.kept + size > MOST_KEPT:
            self.arrays = {size: self.arrays.get(size, [])}
            self.kept = size * len(self.arrays[size])
        if self.kept + size <= MOST_KEPT:
            self.arrays.setdefault(size, []).append(memory)
            self.kept += size


_pool = _Pool()


def recycled_empty(shape: int | Sequence[int], dtype: DTypeLike = np.float64) -> np.ndarray:
    """As `aligned_empty`, from memory that comes back when the array and all views of it are gone.

    For large results of which every run makes the same: a training step of an LSTM with 65 MB of gates took
    68 to 88 ms with fresh pages and half of that with old ones.

    >>> recycled_empty((300, 500)).ctypes.data % 64
    0
    """
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < SMALLEST_RECYCLED:
        return aligned_empty(shape, dtype)
    return np.asarray(_Recycled(_pool.give(size))).view(dtype).reshape(shape)


def forget_recycled() -> None:
    """Give the memory that `recycled_empty` keeps back to the system."""
    _pool.arrays, _pool.kept = {}, 0


def recycled_copy(array: np.ndarray) -> np.ndarray:
    """Contiguous copy, a large one in memory that comes back as that of `recycled_empty` does.

    >>> recycled_copy(np.arange(3.0))
    array([0., 1., 2.])
    """
    if array.nbytes < SMALLEST_RECYCLED:
        return array.copy()
    copied = recycled_empty(array.shape, array.dtype)
    copied[...] = array
    return copied


def carve(dtype: DTypeLike, *sizes: int) -> list[np.ndarray]:
    """Aligned flat arrays of these sizes in one piece of memory, not initialised; it comes back as that of
    `recycled_empty` does.

    A small sweep needs a dozen of them, which would take longer to make one by one than the sweep.

    >>> a, b = carve(np.float64, 3, 5)
    >>> a.shape, b.shape, b.ctypes.data % 64
    ((3,), (5,), 0)
    """
    lanes = ALIGNMENT // np.dtype(dtype).itemsize
    places, end = [], 0
    for size in sizes:
        places.append((end, end + size))
        end += -(-size // lanes) * lanes
    memory = recycled_empty(end, dtype)
    return [memory[start:stop] for start, stop in places]


# --- two threads


class _SecondThread:
    """One thread that waits for work, started at first use, and anew in a forked child, which does not
    inherit it.

    A queue costs 6 µs a hand-over where a `concurrent.futures` pool of one costs 60.
    """

    def __init__(self):
        self.reset()

    def reset(self):
        self._starting = threading.Lock()
        self._tasks = SimpleQueue()
        self.thread = None

    def submit(self, function, arguments) -> SimpleQueue:
        """Queue on which (result, exception) will arrive."""
        if self.thread is None:
            with self._starting:
                if self.thread is None:
                    thread = threading.Thread(target=self._work, name="msgpass", daemon=True)
                    thread.start()
                    self.thread = thread
        answer = SimpleQueue()
        self._tasks.put((function, arguments, answer))
        return answer

    def _work(self):
        while True:
            function, arguments, answer = self._tasks.get()
            try:
                outcome = function(*arguments), None
            except BaseException as error:
                outcome = None, error
            answer.put(outcome)
            del function, arguments, answer, outcome  # or their arrays would live until the next task


_second = _SecondThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_second.reset)


def processors() -> int:
    """Number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_pair(f: Callable, args_f: tuple, g: Callable, args_g: tuple) -> tuple[Any, Any]:
    """``(f(*args_f), g(*args_g))``, at the same time where there are two processors.

    Meant for kernels that release the GIL and write to different memory: they then give the same bits either
    way. The hand-over costs some 10 µs. Called from the second thread itself, it runs one after the other. An
    exception of either is raised when both have ended.

    Keep threaded BLAS calls away from it: OpenBLAS leaves its threads spinning on the other processor for a
    while, and a large float64 ``np.dot`` between two pairs made each take as long as on one thread.
    """
    if processors() == 1 or threading.current_thread() is _second.thread:
        return f(*args_f), g(*args_g)
    answer = _second.submit(g, args_g)
    try:
        mine = f(*args_f)
    finally:
        other, error = answer.get()
    if error is not None:
        raise error
    return mine, other


def run_all(tasks: Sequence[tuple[Callable, tuple]]) -> None:
    """Call ``f(*arguments)`` for every ``(f, arguments)``, on as many threads as there are processors.

    As for :func:`run_pair`, kernels that release the GIL and write to different memory. Whichever thread is
    free takes the next task, so put long ones first. With more than two processors, threads are started for
    the call, which costs some 50 µs each.

    Examples
    --------
    >>> squares = [0, 0, 0]
    >>> run_all([(squares.__setitem__, (k, k * k)) for k in range(3)])
    >>> squares
    [0, 1, 4]
    """
    waiting = deque(tasks)

    def work() -> None:
        while True:
            try:
                function, arguments = waiting.popleft()
            except IndexError:
                return
            function(*arguments)

    threads = min(processors(), len(tasks))
    if threads <= 1:
        work()
    elif threads == 2:
        run_pair(work, (), work, ())
    else:
        with ThreadPoolExecutor(threads - 1, "msgpass") as pool:
            others = [pool.submit(work) for _ in range(threads - 1)]
            work()
        for other in others:
            other.result()


# --- a word to the user while a kernel compiles

_announced: set[str] = set()
_NOTHING = nullcontext()


def announce(text: str) -> None:
    """Say ``text`` in the log, and on standard error if that is a terminal and the log has not said it."""
    logger.info(text)
    said = logger.isEnabledFor(logging.INFO) and logger.hasHandlers()
    if not said and sys.stderr is not None and sys.stderr.isatty():
        print(f"msgpass: {text}", file=sys.stderr, flush=True)


def is_compiled(kernel: Any) -> bool:
    """Whether a function made by `jit` has code already, in this process or on disk."""
    if kernel.signatures:
        return True
    folder = kernel.stats.cache_path
    return folder is not None and any(Path(folder).glob(f"*.{kernel.py_func.__name__}-*.nbi"))


def compiling(name: str, *kernels: Any) -> AbstractContextManager[None]:
    """Announce, once a process, that the kernels used inside have to be compiled first.

    Parameters
    ----------
    name
        What the user knows these kernels as, as in "the compiled sweep for Elman networks".
    *kernels
        Functions made by `jit`. If all of them have code already, nothing is said.

    Examples
    --------
    >>> @jit
    ... def twice(x):
    ...     return 2 * x
    >>> with compiling("doubling", twice):
    ...     twice(4)
    8
    """
    if name not in _announced:
        _announced.add(name)
        if not all(is_compiled(kernel) for kernel in kernels):
            announce(f"compiling {name}; this takes some seconds, once for each machine")
    return _NOTHING
