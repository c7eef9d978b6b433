"""When a compiled sweep is worth loading.

NumPy's sweep needs nothing; the compiled one needs Numba's import and, the first time on a machine, a second
or two of compilation. Where both give the same bits, small work goes to NumPy until enough of it has come by.
"""

import os
from pathlib import Path

REFERENCE_SECONDS_PER_STEP = 30e-6
"""What one time step of the NumPy forward-backward costs, nearly whatever K is while K is small."""

PATIENCE_COMPILED, PATIENCE_CACHED = 0.05, 0.005
"""Seconds of reference work after which a kernel is loaded that must be compiled, or is on disk."""

_spent: dict[str, float] = {}
_loaded: set[str] = set()


def _on_disk(module: str) -> bool:
    """Whether Numba has left compiled code of a module of this package on disk; does not import Numba."""
    folders = [Path(__file__).parent / "__pycache__"]
    if "NUMBA_CACHE_DIR" in os.environ:
        folders = list(Path(os.environ["NUMBA_CACHE_DIR"]).glob("kernels_*"))
    return any(next(folder.glob(f"{module}.*.nbi"), None) is not None for folder in folders)


def prefer_kernel(steps: int, states: int, module: str = "table_chain_scalar") -> bool:
    """Whether work of this size should go to the kernels of a module rather than to the NumPy reference.

    Parameters
    ----------
    steps : int
        Time steps of the call.
    states : int
        States K of each.
    module : str
        Name of the kernels' module within this package.
    """
    if module in _loaded:
        return True
    spent = _spent.get(module, 0.0) + steps * (REFERENCE_SECONDS_PER_STEP + 1e-9 * states * states)
    _spent[module] = spent
    if spent > PATIENCE_COMPILED or (spent > PATIENCE_CACHED and _on_disk(module)):
        _loaded.add(module)
        return True
    return False


def loaded() -> frozenset[str]:
    """Modules of kernels that this process has chosen to load."""
    return frozenset(_loaded)
