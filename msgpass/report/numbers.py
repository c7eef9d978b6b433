"""Every number of a study as plain JSON: lists, numbers, texts. A missing value is null; any other NaN or
infinity is an error."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from msgpass import __version__
from msgpass.errors import NumericalError
from msgpass.report.study import Study


def numbers(study: Study) -> dict[str, Any]:
    """What the report shows and the series behind it."""
    series, hmm, net = study.series, study.hmm, study.net
    beta, adjoint = study.backward_sizes
    missing = series.missing
    found = {
        "version": __version__,
        "seed": study.seed,
        "series": {
            **{
                name: getattr(series, name)
                for name in ("name", "title", "unit", "kind", "categories", "source", "licence")
            },
            "index": series.index,
            "values": _with_gaps(series.values, missing),
            "missing": study.missing,
        },
        "hmm": {
            "log_likelihood": hmm.log_likelihoods[-1],
            "log_likelihoods": hmm.log_likelihoods,
            "free_parameters": hmm.free_parameters,
            "initial": hmm.init,
            "transition": hmm.transition,
            "emission": hmm.emission,
            "fitted": asdict(study.fitted["hmm"]),
            "predicted": study.forecasts["hmm"].mean,
            "log_density": _with_gaps(study.forecasts["hmm"].log_density, missing),
            "viterbi": study.viterbi,
            "filter": study.filtered,
            "posterior": study.posterior,
            "backward": study.backward,
            "backward_range_nats": beta,
        },
        "rnn": {
            "log_likelihood": float(np.nansum(study.forecasts["rnn"].log_density)),
            "losses": net.losses,
            "free_parameters": net.free_parameters,
            "weights": net.weights,
            "location": net.location,
            "spread": net.spread,
            "noise": net.noise,
            "fitted": asdict(study.fitted["rnn"]),
            "predicted": study.forecasts["rnn"].mean,
            "log_density": _with_gaps(study.forecasts["rnn"].log_density, missing),
            "hidden": study.net_messages.forward["h"],
            "adjoint": study.net_messages.gradient["h"],
            "backward": study.net_messages.backward["h"],
            "backward_norm": adjoint,
        },
        "held_out": {
            "first_step": study.held_out_from,
            **{name: _without_nan(asdict(errors)) for name, errors in study.held_out.items()},
        },
        "sizes_of_backward_messages": {"cosine": _or_none(study.comparison["backward", "z ~ h"].cosine)},
        "influence": {name: curve._asdict() for name, curve in study.influence.items()},
        "identities": [
            {
                **{
                    name: getattr(one, name)
                    for name in ("number", "name", "statement", "source", "left_is", "right_is")
                },
                "left": one.example[0],
                "right": one.example[1],
                "numbers_compared": one.left.size,
                "gap": one.gap,
                "relative": one.relative,
                "holds": one.holds,
            }
            for one in study.identities
        ],
        "seconds": study.seconds,
    }
    return plain(found)


def write(study: Study, path) -> None:
    """Numbers as a JSON file."""
    path.write_text(
        json.dumps(numbers(study), ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8"
    )


def plain(value: Any, where: str = "") -> Any:
    """Arrays and NumPy numbers as lists and numbers.

    Raises
    ------
    NumericalError
        At a number that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"a": np.arange(3), "b": (1.5, None)})
    {'a': [0, 1, 2], 'b': [1.5, None]}
    """
    if isinstance(value, dict):
        return {str(key): plain(item, f"{where}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, where) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise NumericalError(f"{where} holds a number that is not finite; it cannot go into the report")
        return value.tolist()
    if isinstance(value, float) and not np.isfinite(value):
        raise NumericalError(f"{where} is {value}; it cannot go into the report")
    return value


def _with_gaps(values, missing) -> list:
    return [None if gap else value for value, gap in zip(np.asarray(values).tolist(), missing, strict=True)]


def _without_nan(values: dict) -> dict:
    return {name: _or_none(value) for name, value in values.items()}


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
