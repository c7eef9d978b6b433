"""The command line: ``msgpass compare``, ``data``, ``identities``, ``uai``, ``bench``."""

from __future__ import annotations

import io
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from msgpass import __version__, data
from msgpass.errors import DataError, MessagePassingError

BAD_INPUT, INTERRUPTED, TERMINATED = 2, 130, 143
DEFAULT_SERIES = "earthquakes"


class Commands(TyperGroup):
    """Turns the library's own errors into one line on stderr and exit code 2."""

    def invoke(self, ctx):
        """Run the command."""
        try:
            return super().invoke(ctx)
        except MessagePassingError as problem:
            typer.echo(f"msgpass: {problem}", err=True)
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            typer.echo("msgpass: interrupted; nothing was written", err=True)
            raise typer.Exit(INTERRUPTED) from None

    def list_commands(self, ctx) -> list[str]:
        """In the order in which a newcomer needs them."""
        return list(self.commands)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="One message passing for hidden Markov models and recurrent nets: compare them on a real series, "
    "message by message.",
    epilog="Begin with:  msgpass compare --out report",
)


class Task(StrEnum):
    """What is asked of a .uai file."""

    PR = "PR"
    MAR = "MAR"
    MPE = "MPE"
    MAP = "MAP"
    MMAP = "MMAP"


class Method(StrEnum):
    """How it is answered."""

    exact = "exact"
    loopy = "loopy"


class Kind(StrEnum):
    """What the values of a column are."""

    counts = "counts"
    real = "real"
    categorical = "categorical"


def main() -> None:
    """Entry point of the command ``msgpass``."""
    # So that a folder that is being written is removed when a batch system ends the command, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # Greek letters on a terminal that has none
    app(prog_name="msgpass")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"msgpass {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


@app.command()
def compare(
    name: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME",
            help="A bundled series; `msgpass data` lists them.",
            show_default=DEFAULT_SERIES,
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Your own series instead: a CSV file whose first line names the columns."
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The column of --csv that holds the values; by default the only one, or the second of two.",
        ),
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(
            help="What the values of --csv are; by default counts if all are whole and not negative, "
            "else real."
        ),
    ] = None,
    states: Annotated[int, typer.Option(metavar="K", help="Hidden states of the HMM.")] = 2,
    hidden: Annotated[int, typer.Option(metavar="H", help="Hidden units of the recurrent net.")] = 8,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random starts.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write a report: index.html, numbers.json, figures."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --out if it exists.")] = False,
) -> None:
    """Fit an HMM and a recurrent net to one series and show them side by side.

    Baum-Welch and back-propagation through time run through the same engine. Shown are the fit, what the
    states stand for, forward and backward messages, how far each looks back, and both sides of ten
    identities of the theory with the measured gap. Missing values are allowed.
    """
    from rich.console import Console

    from msgpass.report import terminal
    from msgpass.report.folder import check_free
    from msgpass.report.study import check, study

    if seed < 0:
        raise DataError(f"--seed must not be negative, got {seed}")
    series = _series(name, csv, column, kind)
    check(series)
    if out is not None:
        _require_figures()
        check_free(out, force)
    with _progress() as stage:
        found = study(series, states, hidden, seed, stage)
        if out is not None:
            from msgpass.report.output import write

            write(found, out, force, stage)
    terminal.show(found, Console(soft_wrap=False))
    if out is not None:
        typer.echo(f"\nReport: {out / 'index.html'}")


@app.command(name="data")
def list_data() -> None:
    """List the bundled series, their sources and licences."""
    from rich.console import Console
    from rich.padding import Padding

    console = Console(highlight=False)
    for name in data.names():
        series = data.load(name)
        values = f"{series.kind}: {', '.join(series.categories)}" if series.categories else series.kind
        about = f"{len(series)} steps, {series.index[0]} to {series.index[-1]}; {values}"
        console.print(f"[bold]{name}[/bold]  {series.title}")
        for line in (about, f"Source: {series.source}", f"Licence: {series.licence}"):
            console.print(Padding(line, (0, 0, 0, 4)), style="dim", markup=False)


@app.command()
def identities(
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random models.")] = 0,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say how either side was computed, and the source.")
    ] = False,
) -> None:
    """Compute both sides of identities 1-9 and 11 on random models and print the measured gaps.

    Exits with 1 if one does not hold.
    """
    from msgpass import identities as theory

    if seed < 0:
        raise DataError(f"--seed must not be negative, got {seed}")
    with _progress() as stage:
        stage("identities")
        found = theory.all(seed)
    typer.echo("\n\n".join(map(repr, found)) if verbose else repr(found))
    if not found.holds:
        raise typer.Exit(1)


@app.command()
def uai(
    model: Annotated[Path, typer.Argument(metavar="MODEL.uai", help="A MARKOV or BAYES file.")],
    task: Annotated[
        Task,
        typer.Option(
            help="log₁₀ Z, marginals of all variables, the most probable states of all, or those of --query "
            "with all others summed out."
        ),
    ] = Task.MAR,
    evidence: Annotated[
        Path | None, typer.Option("--evid", metavar="FILE", help="Evidence, one sample or several.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write the result.", show_default="stdout")
    ] = None,
    query: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For MMAP: how many variables are asked for, and their numbers."),
    ] = None,
    method: Annotated[
        Method, typer.Option(help="Exact through cliques, or approximate by messages on the loops.")
    ] = Method.exact,
) -> None:
    """Solve a model of the UAI competition and write the result in its format."""
    from msgpass.algebra import MaxProduct, SumProduct
    from msgpass.interop.uai import read_uai
    from msgpass.interop.uai_evidence import read_evid
    from msgpass.interop.uai_results import result_text
    from msgpass.run import run
    from msgpass.schedule import Flooding, JunctionTree

    if (task is Task.MMAP) is (query is None):
        raise DataError("--task MMAP and --query FILE go together: the file says what is maximised")
    if task is Task.MMAP and method is Method.loopy:
        raise DataError("--task MMAP is solved exactly alone; leave --method loopy out")
    graph = read_uai(model)
    samples = [{}] if evidence is None else read_evid(evidence, graph)
    if query is not None:
        from msgpass.interop.uai_query import query_text, read_query
        from msgpass.marginal_map import marginal_map

        over = read_query(query, graph)
        text = query_text(graph, over, [marginal_map(graph, over, v).assignment for v in samples])
    else:
        algebra = MaxProduct() if task in (Task.MPE, Task.MAP) else SumProduct()
        schedule = JunctionTree() if method is Method.exact else Flooding()
        runs = [run(graph, algebra, schedule, values) for values in samples]
        text = result_text(task.value, runs if len(runs) > 1 else runs[0])
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")


@app.command(
    add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def bench(ctx: typer.Context) -> None:
    """Time the engine against its peers; takes the options of python -m benchmarks (needs a checkout)."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "benchmarks" / "__main__.py").is_file():
        raise DataError(
            "the benchmarks are part of a checkout, not of the installed package; in its root run: python -m "
            "benchmarks"
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    from benchmarks.__main__ import main as run_benchmarks

    raise typer.Exit(run_benchmarks(ctx.args))


def _series(name: str | None, csv: Path | None, column: str | None, kind: Kind | None) -> data.Series:
    if csv is not None:
        if name is not None:
            raise DataError("give a bundled series with --data or a file of your own with --csv, not both")
        return data.read_csv(csv, column, kind=kind.value if kind else None)
    given = next(
        (option for option, value in (("--column", column), ("--kind", kind)) if value is not None), None
    )
    if given:
        raise DataError(f"{given} says how to read a file of your own; give the file with --csv")
    return data.load(DEFAULT_SERIES if name is None else name)


def _require_figures() -> None:
    """Say that matplotlib is missing before any work is done."""
    from msgpass.optional import matplotlib

    matplotlib()


class _progress:
    """A spinner with the stage that is running; silent where the output is not a terminal."""

    def __enter__(self):
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.bar.start()
        task = self.bar.add_task("reading", total=None)
        return lambda text: self.bar.update(task, description=text)

    def __exit__(self, *problem) -> None:
        self.bar.stop()
