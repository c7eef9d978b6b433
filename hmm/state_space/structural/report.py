"""A fitted model on a screen of text."""

from __future__ import annotations

import numpy as np

from msgpass.errors import MessagePassingError


def summary(model, y, exog, level: float) -> str:
    """See :meth:`hmm.StructuralTimeSeries.summary`."""
    likelihood = model._likelihood(y, exog)
    values, seen = model.parameters_, int(np.isfinite(likelihood.y).sum())
    criteria = {
        "log-likelihood": model.score(y, exog),
        "AIC": model.aic(y, exog),
        "BIC": model.bic(y, exog),
    }
    head = ", ".join(own.label for own in likelihood.assembly.components)
    lines = [f"StructuralTimeSeries: {head}; {seen} observed of {len(likelihood.y)} steps"]
    lines.append("  ".join(f"{name} {value:.3f}" for name, value in criteria.items()))
    errors, intervals, note = None, None, ""
    try:
        intervals = model.confidence_intervals(y, exog, level)
        errors = model.standard_errors(y, exog)
    except MessagePassingError as problem:
        note = f"no standard errors: {problem}"
    rows = [("parameter", "estimate", "std. error", f"{level:.0%} interval")]
    for name, p in likelihood.assembly.parameters.items():
        for index in np.ndindex(values[name].shape):
            label = name + (f"[{', '.join(map(str, index))}]" if index else "")
            shown = [label, f"{values[name][index]:.6g}"]
            if p.fixed is not None:
                shown += ["held", ""]
            elif errors is None or intervals is None or np.isnan(errors[name][index]):
                shown += ["", ""]
            else:
                low, high = (end[index] for end in intervals[name])
                shown += [f"{errors[name][index]:.3g}", f"[{low:.4g}, {high:.4g}]"]
            rows.append(tuple(shown))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    try:
        lines.append(repr(model.diagnostics(y, exog)))
    except MessagePassingError as problem:
        lines.append(f"no diagnostics: {problem}")
    return "\n".join([*lines, note] if note else lines)
