"""Settings for all tests: reproducible Hypothesis, no display, and an environment that cannot change results.

Warnings are errors by ``pyproject.toml``, so NumPy's overflow, invalid and divide warnings fail a test too.
"""

import os

os.environ["MPLBACKEND"] = "Agg"  # before anything imports matplotlib
WORKER = "PYTEST_XDIST_WORKER" in os.environ
if WORKER:  # each worker has a processor; before anything loads a BLAS
    os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "MKL", "OMP")}

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

if WORKER:
    import fcntl

    from numba.core.caching import IndexDataCacheFile

    save = IndexDataCacheFile.save

    def save_alone(self, key, data):
        """Numba picks a file's number and writes it without a lock: two workers could pick the same one."""
        folder = os.open(self._cache_path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            save(self, key, data)
        finally:
            os.close(folder)

    IndexDataCacheFile.save = save_alone

# No deadline: the first example of a test may compile a kernel. Derandomised: the same commit gives the same
# answer everywhere; `--hypothesis-profile=explore` draws new models.
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("repeatable", derandomize=True, **COMMON)
settings.register_profile("explore", max_examples=1000, print_blob=True, **COMMON)
settings.load_profile("repeatable")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed; tests draw from nothing else."""
    return np.random.default_rng(20_240_229)


@pytest.fixture(autouse=True)
def strict_numerics():
    """Overflow, division by zero and invalid operations warn, and warnings are errors; underflow passes."""
    with np.errstate(over="warn", divide="warn", invalid="warn", under="ignore"):
        yield
