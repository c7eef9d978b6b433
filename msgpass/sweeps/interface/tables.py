"""The log tables of one run, end to end in one array."""

from __future__ import annotations

import numpy as np

from msgpass.kernels.interface_types import Tables

LN2 = float(np.log(2.0))


def gathered(layout, families, labels, values_of_labels) -> Tables:
    """Log tables of all families, and of the labels after them.

    Parameters
    ----------
    layout : InterfaceLayout
    families : list of TableInstances
    labels : tuple of str
        Labelled nodes, in the order of the layout.
    values_of_labels : callable (name) → (B, rows, states)
    """
    parts, base, step, stride, lies = [], [], [], [], 0
    everything = [logs_of(made, layout.shape) for made in families]
    everything += [values_of_labels(name) for name in labels]
    for f, logs in enumerate(everything):
        members, instances, size = logs.shape[0], logs.shape[1], layout.entries[f]
        shared = instances > 1 and logs.strides[1] == 0
        kept = np.ascontiguousarray(logs[:, :1] if shared else logs, np.float64).reshape(members, -1)
        base.append(lies)
        step.append(0 if shared else size)
        stride.append(kept.shape[1] if members > 1 else 0)
        parts.append(kept.ravel())
        lies += kept.size
    entries = np.concatenate(parts) if parts else np.zeros(0)
    scale = np.zeros((layout.batch, layout.sliced.rows))
    none = np.zeros(0, np.int64)
    where = (np.array(a, np.int64) for a in (base, step, stride))
    return Tables(entries, *where, scale, none, none)  # type: ignore[call-arg]


def logs_of(made, shape: tuple[int, ...]) -> np.ndarray:
    """Log tables of a family, (B, n, states…), or (1, n, states…) where members share them."""
    stacked = made.stacked()
    axes = len(made.states) - len(made.observed)
    states = stacked.shape[stacked.ndim - axes :]
    if stacked.ndim - 1 - axes < len(shape) or not shape:
        return stacked[None]
    return np.moveaxis(stacked.reshape(len(stacked), -1, *states), 1, 0)


def label_logs(labels: np.ndarray, states: int) -> np.ndarray:
    """0 at the label, −∞ elsewhere; zeros where there is none (−1)."""
    free = labels[..., None] < 0
    return np.where(free | (labels[..., None] == np.arange(states)), 0.0, -np.inf)


def exponentials(tables: Tables, layout) -> Tables:
    """The same tables for sums of products: each instance's largest entry becomes 1, and what was taken out
    goes to the scale of its slice."""
    entries = np.empty_like(tables.entries)
    scale, low, low_base = tables.scale.copy(), [np.zeros(0, np.int64)], []
    for f, size in enumerate(layout.entries):
        owner = layout.sliced.owner[f]
        members = layout.batch if tables.stride[f] else 1
        instances = len(owner) if tables.step[f] else min(len(owner), 1)
        begin = int(tables.base[f])
        at = slice(begin, begin + members * instances * size)
        low_base.append(sum(map(len, low)))
        if not instances:
            continue
        logs = tables.entries[at].reshape(members, instances, size)
        top = logs.max(axis=-1, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        shifted = logs - top
        with np.errstate(under="ignore"):
            np.exp(shifted, out=entries[at].reshape(shifted.shape))
        least = shifted.min(axis=-1)
        zeros = np.isneginf(least)
        if zeros.any():
            own = shifted[zeros]
            least[zeros] = np.where(np.isneginf(own), 0.0, own).min(axis=-1)
        low.append(np.floor(least / LN2).astype(np.int64).ravel())
        scale[:, owner] += top[..., 0]
    return tables._replace(
        entries=entries, scale=scale, low=np.concatenate(low), low_base=np.array(low_base, np.int64)
    )
