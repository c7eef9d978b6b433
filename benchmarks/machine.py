"""What the machine can do at most, measured in the same run as the timings.

Arithmetic: chains of fused multiply-adds in registers, and OpenBLAS on a large product; the higher one
counts. Memory: the triad a = b + s·c over arrays far larger than the caches, 24 bytes an element.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

from benchmarks.environment import cores
from msgpass.kernels.simd import LANES, fma, horizontal_sum, load, splat_like

CHAINS = 12  # independent accumulators in `_chains`: 4 cycles of latency × 2 units, with room to spare
TRIALS = 7


@dataclass(frozen=True)
class Limits:
    """GFLOP/s by number type and threads, and GB/s by threads."""

    float32: dict[int, float]
    float64: dict[int, float]
    bandwidth: dict[int, float]

    def seconds(self, flops: float, traffic: float, dtype: str) -> float:
        """Least time that all cores need for this much arithmetic and traffic."""
        arithmetic = max(getattr(self, dtype).values()) * 1e9
        return max(flops / arithmetic, traffic / (max(self.bandwidth.values()) * 1e9))

    def best(self, other: Limits) -> Limits:
        """The higher of two measurements, number by number: a disturbance only lowers."""
        mine, theirs = asdict(self), asdict(other)
        return Limits(**{kind: {n: max(v, theirs[kind][n]) for n, v in mine[kind].items()} for kind in mine})

    def as_dict(self) -> dict[str, dict[str, float]]:
        """As JSON has it, where keys are text."""
        return {kind: {str(n): value for n, value in limits.items()} for kind, limits in asdict(self).items()}


def measure() -> Limits:
    """Measure on one core and on all of them, in about two seconds; the best of several trials counts."""
    threads = sorted({1, cores()})
    return Limits(
        float32={n: round(max(_registers(np.float32, n), _blas(np.float32, n)), 1) for n in threads},
        float64={n: round(max(_registers(np.float64, n), _blas(np.float64, n)), 1) for n in threads},
        bandwidth={n: round(_triad(n), 1) for n in threads},
    )


@njit(nogil=True)
def _chains(rounds, x):
    v = load(x, 0)
    # Distinct starts, else the compiler would be free to merge the chains
    a, b, c = splat_like(v, 0.1), splat_like(v, 0.2), splat_like(v, 0.3)
    d, e, f = splat_like(v, 0.4), splat_like(v, 0.5), splat_like(v, 0.6)
    g, h, i = splat_like(v, 0.7), splat_like(v, 0.8), splat_like(v, 0.9)
    j, k, m = splat_like(v, 1.1), splat_like(v, 1.2), splat_like(v, 1.3)
    for _ in range(rounds):
        a, b, c = fma(a, v, v), fma(b, v, v), fma(c, v, v)
        d, e, f = fma(d, v, v), fma(e, v, v), fma(f, v, v)
        g, h, i = fma(g, v, v), fma(h, v, v), fma(i, v, v)
        j, k, m = fma(j, v, v), fma(k, v, v), fma(m, v, v)
    return horizontal_sum(a + b + c + d + e + f + g + h + i + j + k + m)


def _registers(dtype: type, threads: int) -> float:
    rounds, lanes = 1_000_000, LANES[np.dtype(dtype)]
    x = np.full(lanes, 0.5, dtype)
    _chains(1, x)
    return 2.0 * CHAINS * lanes * rounds * threads / _best(lambda _: _chains(rounds, x), threads) / 1e9


def _blas(dtype: type, threads: int, size: int = 1024) -> float:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size)).astype(dtype) for _ in range(2))
    out = np.empty_like(a)
    with threadpool_limits(limits=threads, user_api="blas"):
        return 2.0 * size**3 / _best(lambda _: np.matmul(a, b, out=out), 1) / 1e9


@njit(nogil=True, fastmath={"contract"})
def _triad_kernel(a, b, c, s):
    for i in range(a.size):
        a[i] = b[i] + s * c[i]


def _triad(threads: int, size: int = 8_000_000) -> float:
    shares = [tuple(np.ones(size) for _ in range(3)) for _ in range(threads)]
    _triad_kernel(*(np.ones(1) for _ in range(3)), 3.0)
    return 24.0 * size * threads / _best(lambda k: _triad_kernel(*shares[k], 3.0), threads) / 1e9


def _best(call: Callable[[int], object], threads: int) -> float:
    """Shortest wall time of simultaneous calls, one a thread; a call is told its number."""
    with ThreadPoolExecutor(threads) as pool:

        def trial() -> float:
            start = time.perf_counter()
            for job in [pool.submit(call, k) for k in range(threads)]:
                job.result()
            return time.perf_counter() - start

        return min(trial() for _ in range(TRIALS))
