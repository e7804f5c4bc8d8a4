"""The layers beside torch and other libraries: forward, training step, single step; and whether they got slower.

    scripts/bench kernels [options of grus bench]     measure, as grus bench does
    scripts/bench kernels --markdown RUN.json         the tables of a run that --json printed
    scripts/bench kernels --save                      make this machine's baseline, benchmarks/baselines/ISA.json
    scripts/bench --check                             fail if a ratio is worse than the baseline's

How one call is timed stands in grus/benchmark/timing.py, what counts as slower in regression.py.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from grus import benchmark, cli
from grus.benchmark import tables
from grus.benchmark.report import Contest
from grus.cli.failure import exit_code, show
from grus.errors import GrusError, UsageError
from grus.kernels import native

BASELINES = Path(__file__).parent / "baselines"
THREADS, CHECK_ROUNDS, SAVE_ROUNDS, BLURRED = 2, 7, 25, 1.25


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in ("--check", "--save", "--markdown"):
        return cli.main(["bench", *arguments])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--check", action="store_true")
    group.add_argument("--save", action="store_true")
    group.add_argument("--markdown", type=Path, metavar="RUN.json")
    options = parser.parse_args(arguments)
    try:
        if options.markdown is not None:
            print(tables.markdown(benchmark.read_report(options.markdown), benchmark.LABELS, benchmark.SEVEN))
        elif options.save:
            save()
        else:
            return check()
    except (GrusError, OSError) as error:
        show(error)
        return exit_code(error)
    return 0


def measure(contests: Sequence[Contest], rounds: int) -> benchmark.Report:
    return benchmark.run(contests, [THREADS], rounds, benchmark.FEW, tell)


def tell(result: benchmark.Measurement) -> None:
    print(tables.line(result, benchmark.LABELS), file=sys.stderr, flush=True)


def save() -> None:
    file = BASELINES / f"{native.isa()}.json"
    file.write_text(benchmark.to_json(measure(benchmark.contests_of("seven"), SAVE_ROUNDS)), encoding="utf-8")
    print(file)


def check() -> int:
    file = BASELINES / f"{native.isa()}.json"
    if not file.is_file():
        raise UsageError(f"{file}: no baseline for {native.isa()} yet", hint="scripts/bench kernels --save")
    baseline = benchmark.read_report(file)
    found = benchmark.compare_twice(
        partial(measure, rounds=CHECK_ROUNDS), benchmark.contests_of("seven"), baseline
    )
    blurred = sum(c.visible > BLURRED for c in found)
    if blurred:
        print(
            f"note: {blurred} of {len(found)} measurements scatter so much that {BLURRED:g} times as long would "
            "not show; keep the machine quiet",
            file=sys.stderr,
        )
    slower = [c for c in found if c.is_regression]
    if slower:
        print(f"error: {file.name}: {'; '.join(map(str, slower))}", file=sys.stderr)
        print(f"hint: the baseline is of {baseline.machine.cpu}, {baseline.machine.date}", file=sys.stderr)
        return 1
    print("kernels: nothing is slower than the baseline beyond what the runs scatter")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
