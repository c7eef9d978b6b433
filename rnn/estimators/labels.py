"""Labels of any kind as classes from 0, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import compute_class_weight

from msgpass.errors import DataError


def required(y, estimator: Any) -> None:
    """Refuse a missing y."""
    if y is None:
        raise DataError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None; give fit(X, y)"
        )


def classes_of(labels: np.ndarray) -> np.ndarray:
    """The labels there are, sorted; NaN is none."""
    if labels.dtype.kind == "c":
        raise DataError("Unknown label type: complex numbers")
    if labels.dtype.kind == "f":
        labels = labels[~np.isnan(labels)]
        if np.isinf(labels).any():
            raise DataError("Input y contains infinity or a value too large for dtype('float64')")
        if (labels != np.floor(labels)).any():
            raise DataError(
                "Unknown label type: continuous. Labels are classes: whole numbers or strings, not fractions"
            )
    if labels.size == 0:
        raise DataError("y holds no label")
    try:
        return np.unique(labels)
    except TypeError as problem:
        raise DataError(f"Unknown label type: labels cannot be sorted: {problem}") from None


def encoded(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Places of labels among the classes; NaN as −1."""
    missing = np.isnan(labels) if labels.dtype.kind == "f" else np.zeros(labels.shape, bool)
    place = np.searchsorted(classes, np.where(missing, classes[0], labels) if missing.any() else labels)
    place = np.minimum(place, len(classes) - 1)
    unknown = (classes[place] != labels) & ~missing
    if unknown.any():
        known = ", ".join(map(repr, classes[:10].tolist()))
        raise DataError(f"y holds {labels[unknown].tolist()[0]!r}, which is none of the classes {known}")
    return np.where(missing, -1, place)


def weights_of(class_weight, classes: np.ndarray, places: np.ndarray) -> np.ndarray | None:
    """What a label of each class counts."""
    if class_weight is None:
        return None
    try:
        return compute_class_weight(class_weight, classes=classes, y=classes[places[places >= 0]])
    except ValueError as problem:
        raise DataError(f"class_weight: {problem}") from None


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, in float64."""
    z = logits.astype(np.float64)
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)
