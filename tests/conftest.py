"""Settings for all tests: reproducible Hypothesis, no display, and an environment that cannot change results.

Warnings are errors by ``pyproject.toml``, so NumPy's overflow, invalid and divide warnings fail a test too.
"""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

os.environ["MPLBACKEND"] = "Agg"  # before anything imports matplotlib

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
