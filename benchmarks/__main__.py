"""The command line: ``python -m benchmarks [case …]``, from the root of a checkout."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import cases


def main(argv: Sequence[str] | None = None) -> int:
    """Run cases, or write the documentation's page from kept results; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", help=f"{', '.join(cases.NAMES)}; all by default")
    parser.add_argument("--list", action="store_true", help="list the cases and stop")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--quick", action="store_const", const="quick", dest="effort", help="small sizes, seconds"
    )
    effort.add_argument(
        "--full", action="store_const", const="full", dest="effort", help="also what takes minutes"
    )
    parser.add_argument("--seconds", type=float, help="time for each problem after the warm-up")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="time only this contender (repeatable)"
    )
    parser.add_argument(
        "--problem", default="", metavar="TEXT", help="only problems with this in their label"
    )
    parser.add_argument("--json", type=Path, metavar="DIR", help="keep the results here, one file a case")
    parser.add_argument(
        "--render", type=Path, metavar="PAGE", help="write the page from the kept results and stop"
    )
    parser.set_defaults(effort="normal")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.case) - set(cases.NAMES):
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(cases.NAMES)}")
    if arguments.list:
        for name in cases.NAMES:
            print(f"{name:12} {cases.get(name).TITLE}")
        return 0
    if arguments.render:
        return _render(arguments.render, arguments.json)
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from benchmarks import environment, machine, report
    from benchmarks.harness import measure

    seconds = arguments.seconds or {"quick": 0.3, "normal": 1.5, "full": 3.0}[arguments.effort]
    only = frozenset(arguments.only)
    for name in arguments.case or cases.NAMES:
        case = cases.get(name)
        columns = (TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, transient=True) as progress:
            task = progress.add_task(f"{name}: limits of the machine", total=None)
            limits = machine.measure()
            found = []
            for problem in case.problems(arguments.effort):
                if arguments.problem not in problem.label:
                    continue
                progress.update(task, description=f"{name}: {problem.label}")
                found.append(measure(problem, seconds=seconds, only=only))
            progress.update(task, description=f"{name}: limits of the machine")
            limits = limits.best(machine.measure())
        result = report.as_json(
            name, case.TITLE, case.ABOUT, _command(name, arguments), found, limits, environment.record()
        )
        report.show(result)
        if arguments.json:
            report.write(result, arguments.json)
    return 0


def _command(name: str, arguments: argparse.Namespace) -> str:
    """The command that repeats one case with these settings, from the root of a checkout."""
    words = ["python", "-m", "benchmarks", name]
    words += [] if arguments.effort == "normal" else [f"--{arguments.effort}"]
    words += [] if arguments.seconds is None else [f"--seconds={arguments.seconds:g}"]
    words += [] if not arguments.problem else ["--problem", arguments.problem]
    words += [word for contender in arguments.only for word in ("--only", contender)]
    return shlex.join([*words, "--json", "benchmarks/results"])


def _render(page: Path, folder: Path | None) -> int:
    from benchmarks import report

    kept = [(folder or report.RESULTS) / f"{name}.json" for name in cases.NAMES]
    results = [json.loads(path.read_text(encoding="utf-8")) for path in kept if path.exists()]
    if not results:
        print(f"No results in {folder or report.RESULTS}; run with --json first.", file=sys.stderr)
        return 1
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(report.page(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
