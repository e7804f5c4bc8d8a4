"""Compiling and running C on this machine."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from grus.errors import GrusError
from grus.export.c99.driver import Call, decode, driver, encode
from grus.export.c99.program import Program

#: What the files are held to wherever they are tested; at a user's export a new compiler's warning is no error.
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
#: A comparison is a few hundred steps; this is for emulated and loaded machines.
_SECONDS = 300


def find_compiler() -> list[str] | None:
    """The C compiler: $CC, else cc, gcc or clang; None where there is none."""
    wanted = shlex.split(os.environ.get("CC", ""))
    if wanted and shutil.which(wanted[0]):
        return wanted
    found = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    return [found] if found else None


def write_sources(programs: Sequence[Program], folder: Path) -> list[Path]:
    """Write headers and sources; returns the sources."""
    sources = []
    for program in programs:
        (folder / f"{program.name}.h").write_text(program.header(), encoding="ascii")
        sources.append(folder / f"{program.name}.c")
        sources[-1].write_text(program.source(), encoding="ascii")
    return sources


def build(
    programs: Sequence[Program], folder: Path, compiler: Sequence[str], flags: Sequence[str] = ("-O1",)
) -> Path:
    """Write, compile and link programs with their driver in ``folder``; returns the executable.

    Raises:
        GrusError: the compiler refuses them.
    """
    sources = write_sources(programs, folder)
    main = folder / "grus_driver.c"
    main.write_text(driver(programs), encoding="ascii")
    target = folder / "grus_driver"
    command = [*compiler, "-std=c99", *flags, "-o", str(target), *map(str, [*sources, main]), "-lm"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, errors="replace", timeout=_SECONDS
    )
    if done.returncode:
        said = next(
            (line for line in done.stderr.splitlines() if "error" in line), done.stderr[-300:].strip()
        )
        raise GrusError(f"export: {compiler[0]} must compile the C files, but says: {said}")
    return target


def run(
    target: Path, programs: Sequence[Program], calls: Sequence[Call], emulator: Sequence[str] = ()
) -> list:
    """The outputs of calls, as the executable gives them.

    Raises:
        GrusError: it ends with an error.
    """
    done = _finished([*emulator, str(target)], encode(calls, programs))
    if done.returncode:
        raise GrusError(f"export: the compiled C files must run, but end with status {done.returncode}")
    return decode(done.stdout, calls, programs)


def _finished(command: Sequence[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, input=given, capture_output=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise GrusError(f"export: {command[0]} must end within {_SECONDS} seconds") from error
