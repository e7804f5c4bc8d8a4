"""The command line: ``grus fit | predict | evaluate``, see ``grus --help``.

The answer goes to stdout, everything for people to stderr. Exit codes: 0 done, 2 bad usage or input, 1 any other
failure (and findings of check-onnx), 130 Ctrl-C, 141 when whoever read stdout went away (128 + SIGPIPE, as a shell
would say).
"""

import sys

from grus.cli.failure import EXIT_PIPE, exit_code, show
from grus.errors import GrusError, MissingExtraError

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run one command line (default: that of the process) and return its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        code = _run(arguments or ["--help"])
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_PIPE
    except (GrusError, OSError, MemoryError, KeyboardInterrupt) as error:
        show(error)
        return exit_code(error)
    return code


def _run(arguments: list[str]) -> int:
    try:
        from grus.cli.app import invoke
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        raise MissingExtraError(
            f"the command line needs the package {error.name}, which is not installed",
            hint="pip install 'grus[cli]'",
        ) from None
    return invoke(arguments)


def _silence_stdout() -> None:
    """Send what is still buffered to nowhere, or the interpreter would complain about it on its way out."""
    import os

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
