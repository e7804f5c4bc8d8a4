"""What went wrong, for people: one sentence and a hint on stderr, and the exit code that tells scripts its kind."""

import sys

from grus.errors import (
    DataError,
    GrusError,
    ModelFolderError,
    SpecError,
    TrainingInterrupted,
    UsageError,
)

EXIT_FAILURE, EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_PIPE = 1, 2, 130, 141


def exit_code(error: BaseException) -> int:
    """2 if the user can mend it in the command line or the input, 130 for Ctrl-C, 1 for anything else."""
    if isinstance(error, (TrainingInterrupted, KeyboardInterrupt)):
        return EXIT_INTERRUPTED
    if isinstance(error, ModelFolderError) and isinstance(error.__cause__, OSError):
        return EXIT_FAILURE  # the disk refused, not the folder's contents
    if isinstance(error, (UsageError, DataError, SpecError, ModelFolderError)):
        return EXIT_BAD_INPUT
    return EXIT_FAILURE


def show(error: BaseException) -> None:
    """Print ``error: <sentence>`` and, if there is one, ``hint: <advice>``."""
    print(f"error: {_sentence(error)}", file=sys.stderr)
    if isinstance(error, GrusError) and error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror.lower()
        return reason if error.filename is None else f"{error.filename}: {reason}"
    return str(error)
