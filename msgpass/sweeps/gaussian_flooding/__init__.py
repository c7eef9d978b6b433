"""Loopy belief propagation over Gaussian variables.

Where it settles, means are exact and variances are not (Weiss and Freeman 2001): a belief counts what comes
back around a loop as news. ``total`` is Bethe's log Z, and what arrives at a parameter is its gradient.
"""

from msgpass.sweeps.gaussian_flooding.run import GaussianFloodingRun, run_gaussian_flooding

__all__ = ["GaussianFloodingRun", "run_gaussian_flooding"]
