"""What a case gave, as JSON, as a table on the terminal and as a page of the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Measurement
from benchmarks.machine import Limits

RESULTS = Path(__file__).parent / "results"
HEADER = ("problem", "contender", "time", "quartiles", "ratio", "spread", "share", "gap")
TERMINAL = (0, 1, 2, 4, 5, 6)  # the columns that fit in 80 characters


def as_json(
    case: str,
    title: str,
    about: str,
    command: str,
    found: list[Measurement],
    machine: Limits,
    environment: dict,
) -> dict[str, Any]:
    """Everything that was measured, in plain types."""
    return {
        "case": case,
        "title": title,
        "about": about,
        "command": command,
        "environment": environment,
        "machine": machine.as_dict(),
        "notes": sorted({note for measurement in found for note in measurement.notes}),
        "problems": [_problem(measurement, machine) for measurement in found],
    }


def write(result: dict[str, Any], folder: Path) -> Path:
    """Keep a result as ``folder/<case>.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['case']}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def rows(result: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    """One row a contender, by the names in `HEADER`."""
    for problem in result["problems"]:
        for name, timing in problem["contenders"].items():
            low, middle, high = timing["time"]
            ratio = timing.get("ratio")
            share = timing.get("share")
            gap = timing.get("gap")
            extra = "".join(f", {_digits(value)} {key}" for key, value in timing.get("extra", {}).items())
            yield (
                problem["label"],
                name,
                f"{_digits(middle)} {problem['unit']}{extra}",
                f"{_digits(low)}-{_digits(high)}",
                f"{_digits(ratio[1])}×" if ratio else "1×",
                f"{_digits(ratio[0])}-{_digits(ratio[2])}" if ratio else "",
                f"{100 * share:.2g} %" if share else "",
                f"{gap:.0e}" if gap is not None else "",
            )


def show(result: dict[str, Any]) -> None:
    """Print a result as a table."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=result["title"], caption=caption(result))
    for k in TERMINAL:
        table.add_column(HEADER[k], justify="left" if k < 2 else "right")
    label = None
    for row in rows(result):
        if row[0] == label:
            row = ("", *row[1:])
        else:
            label = row[0]
            table.add_section()
        table.add_row(*(row[k] for k in TERMINAL))
    console.print(table)
    for note in result["notes"]:
        console.print(note)


def caption(result: dict[str, Any]) -> str:
    """The machine and its limits in one line."""
    environment, machine = result["environment"], result["machine"]

    def listed(limits: dict) -> str:
        return "/".join(f"{value:.0f}" for value in limits.values())

    threads = "/".join(machine["bandwidth"])
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    return (
        f"{environment['processor']} ({environment['vectors']}), {environment['cores']} cores, "
        f"Python {environment['python']}, {versions}; {environment['day']}. Limits on {threads} threads: "
        f"{listed(machine['float32'])} GFLOP/s float32, {listed(machine['float64'])} float64, "
        f"{listed(machine['bandwidth'])} GB/s."
    )


def page(results: Iterable[dict[str, Any]]) -> str:
    """The page of the documentation, in Markdown."""
    parts = [
        "# Benchmarks",
        "This page is written by `python -m benchmarks --render docs/benchmarks.md` from the numbers kept "
        "in `benchmarks/results/`. Before anything is timed the results are checked to agree; *gap* is the "
        "largest difference from the first contender's, relative to the largest entry. All contenders of a "
        "problem are timed in one run, interleaved, each in its default settings: *time* is the median over "
        "rounds, *ratio* the median over rounds of a contender's time over that of the first one in the same "
        "round, with the quartiles of both. *Share* is the least time that the arithmetic and the memory "
        "traffic need at the limits of the machine, measured in the same run, over the time taken.",
    ]
    for result in results:
        lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
        lines += ["| " + " | ".join(row) + " |" for row in rows(result)]
        parts += [
            f"## {result['title']}",
            result["about"],
            f"```sh\n{result['command']}\n```",
            "\n".join(lines),
            caption(result),
            *([" ".join(f"{note}." for note in result["notes"])] if result["notes"] else []),
        ]
    return "\n\n".join(parts) + "\n"


def _problem(measurement: Measurement, machine: Limits) -> dict[str, Any]:
    problem = measurement.problem
    least = machine.seconds(problem.flops, problem.traffic, problem.dtype)
    contenders = {}
    for k, (name, timing) in enumerate(measurement.timings.items()):
        entry: dict[str, Any] = {
            "time": _quartiles(timing.rounds * problem.per),
            "first_call_seconds": round(timing.first, 4),
            "rounds": len(timing.rounds),
        }
        if least:
            entry["share"] = _short(least / float(np.median(timing.rounds)))
        if k == 0:
            entry["extra"] = {key: _short(value) for key, value in measurement.extra.items()}
        else:
            entry["ratio"] = _quartiles(measurement.ratios(name))
            entry["gap"] = _short(measurement.gaps[name])
        contenders[name] = entry
    return {"label": problem.label, "unit": problem.unit, "contenders": contenders}


def _digits(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _quartiles(values: np.ndarray) -> list[float]:
    return [_short(value) for value in np.quantile(values, (0.25, 0.5, 0.75))]


def _short(value: float) -> float:
    return float(f"{value:.4g}")
