"""``grus check-onnx FILE``: what is probably wrong with the GRUs of an ONNX file, whoever wrote it."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from grus.cli.options import Config, Quiet


def check_onnx(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An ONNX file of any exporter.")],
    json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")] = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Look for GRU nodes in FILE that are probably wrong, and say what to do.

    It looks for a linear_before_reset that does not fit who wrote the file, for batch and time axes that are frozen,
    and for states that cannot be carried. Exit code 0: nothing found; 1: something; 2: FILE cannot be read.

    \b
    [bold]grus check-onnx model.onnx[/bold]
        one line a finding on stdout
    [bold]grus check-onnx model.onnx --json > findings.json[/bold]
    [bold]grus check-onnx model.onnx -q || echo "look at it"[/bold]
    """
    from grus.cli.people import People
    from grus.cli.tables import put
    from grus.export import check_onnx as check
    from grus.inspection.wording import count, to_json

    found = check(file)
    people = People(quiet)
    by = f", written by {found.producer}" if found.producer else ""
    findings = count(len(found.findings), "finding") if found.findings else "nothing found"
    people.say(f"{file}: {count(found.nodes, 'GRU node')}{by}: {findings}")
    if json:
        put(to_json({"file": str(file), **asdict(found)}))
    else:
        put("".join(f"{f.node}: {f.kind}: {f.message}\n" for f in found.findings))
        people.say(f"{f.node}: {f.kind}: what to do: {f.hint}" for f in found.findings)
    if found.findings:
        raise typer.Exit(1)
