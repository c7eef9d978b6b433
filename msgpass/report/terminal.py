"""The study as tables in the terminal."""

from __future__ import annotations

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from msgpass.report import wording
from msgpass.report.study import Study


def show(study: Study, console: Console) -> None:
    """Print what both models found, what they say to each other, and the identities."""
    series = study.series
    console.print()
    console.print(series.title, style="bold", highlight=False, markup=False)
    about = f"{len(series)} steps, {series.index[0]} to {series.index[-1]}; {series.kind}"
    console.print(f"{about}. {series.source}".rstrip(". ") + ".", style="dim", highlight=False, markup=False)
    _pairs(console, "Side by side", wording.fit_rows(study))
    _states(console, study)
    _messages(console, study)
    _pairs(console, "How far each looks back", wording.reach(study))
    _identities(console, study)
    for note in wording.notes(study):
        console.print(Padding(Text(note), (0, 1)), style="dim", highlight=False)


def _table(title: str) -> Table:
    return Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=True)


def _pairs(console: Console, title: str, rows) -> None:
    table = _table(title)
    table.add_column("")
    table.add_column("hidden Markov model", justify="right")
    table.add_column("recurrent net", justify="right")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table, highlight=False)


def _states(console: Console, study: Study) -> None:
    table = _table("What the states stand for")
    table.add_column("state", justify="right")
    table.add_column("emits")
    table.add_column("share of steps", justify="right")
    share = study.posterior.mean(axis=0)
    for k, phrase in enumerate(wording.emissions(study)):
        table.add_row(str(k), Text(phrase), f"{share[k]:.0%}")
    console.print(table, highlight=False)


def _messages(console: Console, study: Study) -> None:
    """A few steps of every message, from the step where the future has most to say."""
    beta, adjoint = study.backward_sizes
    first = int(beta.argmax())
    first = max(0, min(first - 2, len(beta) - 5))
    table = _table("Messages, around the step where the HMM's future has most to say")
    for title in (
        "step",
        "filter α_t",
        "β_t, normalised",
        "posterior γ_t",
        "range of log β_t",
        "norm of λ_t",
    ):
        table.add_column(title, justify="right")
    for t in range(first, min(first + 5, len(beta))):
        rows = (study.filtered[t], study.backward[t], study.posterior[t])
        table.add_row(
            Text(str(study.series.index[t])),
            *(_shares(row) for row in rows),
            f"{beta[t]:.3f}",
            f"{adjoint[t]:.3f}",
        )
    console.print(table, highlight=False)
    cosine = study.comparison["backward", "z ~ h"].cosine
    if np.isfinite(cosine):  # with one state the HMM's messages have no size
        text = f"Over all steps the two sizes have a cosine of {cosine:.2f}."
        console.print(Padding(text, (0, 1)), style="dim", highlight=False)
    console.print()


def _shares(row) -> str:
    return " ".join(f"{p:.2f}"[1:] if p < 0.995 else "1.0" for p in row[:4]) + (" …" if len(row) > 4 else "")


def _identities(console: Console, study: Study) -> None:
    table = _table("The identities, on these models (5, 6 and 11 on random ones)")
    table.add_column("", justify="right")
    table.add_column("identity")
    table.add_column("left", justify="right")
    table.add_column("right", justify="right")
    table.add_column("gap", justify="right")
    for one in study.identities:
        left, right = one.example
        verdict = Text(wording.gap(one.gap), style="" if one.holds else "red")
        table.add_row(
            str(one.number), one.statement, wording.short(left, 6), wording.short(right, 6), verdict
        )
    console.print(table, highlight=False)
    console.print(
        Padding(
            "Left and right are one of the numbers compared; the gap is the largest over all of them.",
            (0, 1),
        ),
        style="dim",
        highlight=False,
    )
