"""Figures of tasks: cosines by group of weights, shares of the steps, cosines over training."""

from __future__ import annotations

import numpy as np

from msgpass import drawing, optional

COLOURS = (drawing.FIRST, drawing.SECOND, drawing.THIRD, "#cc79a7", "#e69f00", "#56b4e9")


def plot_report(report, figure=None):
    """Left: a row a group of weights, a column a pair. Right: shares of the steps, overall."""
    found = report.gradients
    groups = ["all", *found.groups]
    overall = [p for p in report.pairs if p.group == "all"]
    overall.sort(key=lambda p: (found.tasks.index(p.task), found.tasks.index(p.other)))
    values = np.array([[report[p.task, p.other, group].cosine for p in overall] for group in groups])
    with drawing.style():
        if figure is None:
            size = (7.4, max(2.6, 0.26 * len(groups) + 1.2))
            figure = optional.figure(figsize=size, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
        drawn = left.imshow(values, cmap=drawing.SIGNED, vmin=-1, vmax=1, aspect="auto")
        left.set_xticks(
            range(len(overall)),
            [f"{p.task} × {p.other}" for p in overall],
            rotation=20 if len(overall) > 2 else 0,
        )
        left.set_yticks(range(len(groups)), groups)
        left.set(title="cosine between tasks")
        left.spines[["left", "bottom"]].set_visible(False)
        figure.colorbar(drawn, ax=left, ticks=(-1, 0, 1))
        for pair, colour in zip(overall, np.resize(COLOURS, len(overall)), strict=True):
            right.plot(pair.by_step, color=colour, label=f"{pair.task} × {pair.other}")
        right.axhline(0, color=drawing.GREY, lw=0.6)
        right.set(xlabel="step", title="share of each step in g_a · g_b")
        right.legend()
    return figure


def plot_recorder(recorder, groups, figure=None):
    """Cosines over epochs, a colour a pair, a line style a group."""
    with drawing.style():
        figure = figure or optional.figure(figsize=(5.6, 3.2), layout="constrained")
        axes = figure.subplots()
        draw_recorder(axes, recorder, groups)
    return figure


def draw_recorder(axes, recorder, groups) -> None:
    """The same on given axes."""
    pairs = [(i, j) for i in range(len(recorder.tasks)) for j in range(i + 1, len(recorder.tasks))]
    for g, group in enumerate(groups):
        cosines = recorder.cosines(group)
        for k, (i, j) in enumerate(pairs):
            label = f"{recorder.tasks[i]} × {recorder.tasks[j]}" + ("" if len(groups) == 1 else f", {group}")
            by_pair = len(pairs) > 1 or len(groups) == 1
            colour = COLOURS[(k if by_pair else g) % len(COLOURS)]
            style = ("-", "--", ":", "-.")[g % 4] if by_pair else "-"
            axes.plot(recorder.epochs, cosines[:, i, j], color=colour, ls=style, label=label)
    axes.axhline(0, color=drawing.GREY, lw=0.6)
    axes.set(xlabel="epoch", ylabel="cosine between tasks", ylim=(-1.05, 1.05))
    axes.legend()
