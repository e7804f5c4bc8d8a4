"""``grus bench``: how fast the layers are on this machine, beside those of other libraries."""

from typing import Annotated, Any, Literal

import typer

from grus.cli.options import Config, Json, Quiet, names
from grus.errors import UsageError


def _counts(ctx: typer.Context, param: typer.CallbackParam, value: list[str] | None) -> tuple[int, ...]:
    """Numbers of threads, given one by one or joined by commas."""
    found = names(ctx, value)
    for text in found:
        if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 1024):
            raise UsageError(
                f"{ctx.command_path}: {param.opts[0]} must be whole numbers from 1 to 1024 such as 1,2, got {text!r}"
            )
    return tuple(dict.fromkeys(map(int, found)))


def bench(
    shapes: Annotated[
        Literal["seven", "grid", "all"],
        typer.Option(help="Seven usual shapes, a grid of others (odd sizes, one row, one step), or all."),
    ] = "seven",
    size: Annotated[
        list[str] | None,
        typer.Option(metavar="B,T,I,H", help="Your own: batch, time, inputs, hidden; may be repeated."),
    ] = None,
    threads: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            callback=_counts,
            help="Numbers of threads: 1,2 or repeated (default: all processors).",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(metavar="N", min=5, help="Turns that everyone takes.")] = 15,
    json: Json = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Time forward, training step and single step of Grus, torch, JAX, ONNX Runtime and OpenVINO.

    Everyone computes the same layer and is checked against float64 before any speed is told; they take turns.
    Ratios are the other's time over ours: above 1, we are faster. Keep the machine quiet meanwhile.

    \b
    [bold]grus bench[/bold]
        seven shapes
    [bold]grus bench --size 64,168,8,128 --threads 1,2[/bold]
        the shape of your own network
    [bold]grus bench --shapes all --json > bench.json[/bold]
        everything, with every sample
    """
    from grus.cli.people import People
    from grus.cli.tables import put, require, to_csv

    require("torch", "measuring")
    from grus import benchmark
    from grus.benchmark import tables
    from grus.kernels import native

    sizes = [benchmark.parse_size(text) for text in size or ()]
    contests = benchmark.contests_at(sizes) if sizes else benchmark.contests_of(shapes)
    counts: Any = threads or (native.num_threads(),)
    people, total, done = People(quiet), len(contests) * len(counts), 0
    for name, why in benchmark.available(benchmark.COMPETITORS)[1].items():
        people.say(f"left out: {benchmark.LABELS[name]}, because {why} (pip install 'grus[bench]')")

    def tell(result: benchmark.Measurement) -> None:
        nonlocal done
        done += 1
        people.say(f"{done}/{total} {tables.line(result, benchmark.LABELS)}")

    report = benchmark.run(contests, counts, rounds, benchmark.COMPETITORS, tell)
    for line in tables.summary(report, benchmark.LABELS):
        people.say(line)
    put(benchmark.to_json(report) if json else to_csv(tables.columns(report)))
