"""Curves with jumps."""

from __future__ import annotations

import numpy as np

from msgpass.errors import UnsupportedError


def plot_curves(segments, events, ax, names, symbol: str):
    """One colour a number of the state; dotted lines at events."""
    from msgpass.drawing import style
    from msgpass.optional import matplotlib

    size = int(np.prod(segments[0][1].shape[1:]))
    if size > 12:
        raise UnsupportedError(f"a state of {size} numbers makes no figure; plot some of them")
    with style():
        if ax is None:
            matplotlib()
            from matplotlib.figure import Figure

            ax = Figure(figsize=(6, 3), layout="constrained").add_subplot()
        for t in events[:200]:
            ax.axvline(t, color="#d9d9d9", lw=0.8, zorder=0)
        for k in range(size):
            colour = None
            for i, (times, states) in enumerate(segments):
                label = (names[k] if names else f"{symbol}[{k}]") if i == 0 else None
                (line,) = ax.plot(times, states.reshape(len(states), -1)[:, k], color=colour, label=label)
                colour = line.get_color()
        ax.set_xlabel("t")
        ax.legend()
    return ax
