"""A report in words: lines, rows, geometric means, Markdown."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from grus.benchmark.report import KINDS, OURS, SGEMM, Kind, Measurement, Report, Spread
from grus.benchmark.shapes import Size


def line(result: Measurement, labels: Mapping[str, str]) -> str:
    """One measurement for people: our time with quartiles, and how many times as long the others took."""
    others = ", ".join(f"{labels[name]} {result.speedup(name):.2f}x" for name in rivals([result]))
    rate = "" if result.kind == "step" else f"; {result.gflops:.0f} of {result.sgemm_gflops:.0f} GFLOP/s"
    return f"{result.kind:8} {result.size}, {threads_in_words(result.threads)}: {duration(result.ours)}; {others}{rate}"


def duration(times: Spread) -> str:
    """``1.24 ms [1.21, 1.30]``, microseconds below a tenth of a millisecond."""
    unit, scale = ("us", 1e3) if times.median < 0.1 else ("ms", 1.0)
    middle, low, high = (f"{scale * v:.3g}" for v in (times.median, times.q25, times.q75))
    return f"{middle} {unit} [{low}, {high}]"


def columns(report: Report) -> dict[str, np.ndarray]:
    """One flat row a measurement and competitor: milliseconds, and ``ratio``, its time over ours."""
    rows = [
        {
            "kind": result.kind,
            "threads": result.threads,
            **msgspec.to_builtins(result.size),
            "competitor": name,
            "ms": times.median,
            "ms_q25": times.q25,
            "ms_q75": times.q75,
            "ratio": result.speedup(name),
        }
        for result in report.measurements
        for name, times in result.times.items()
    ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def summary(report: Report, labels: Mapping[str, str]) -> list[str]:
    """Geometric means over sizes, a line a kind of call and number of threads."""
    lines = []
    for (kind, threads), results in groups(report).items():
        found = means(results)
        worst = min(results, key=lambda r: best_rival(r)[1])
        name, ratio = best_rival(worst)
        ratios = ", ".join(f"{labels.get(name, 'the best of others')} {v:.2f}x" for name, v in found.items())
        lines.append(f"geometric mean, {kind}, {threads_in_words(threads)}: {ratios}")
        lines.append(f"  at worst {ratio:.2f}x, {labels[name]} at {worst.size}")
    return lines


def threads_in_words(count: int) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count} thread{'s' * (count > 1)}"


def geometric_mean(values: Iterable[float]) -> float:
    """The mean of ratios."""
    return math.exp(statistics.fmean(math.log(v) for v in values))


def means(results: Sequence[Measurement]) -> dict[str, float]:
    """Geometric means over sizes of every rival's time over ours, and of the best rival's at each size."""
    names = [n for n in rivals(results) if all(n in r.times for r in results)]
    found = {name: geometric_mean(r.speedup(name) for r in results) for name in names}
    return found | {"best": geometric_mean(best_rival(r)[1] for r in results)}


def rivals(results: Iterable[Measurement]) -> list[str]:
    """Whoever was measured beside us, in the order of the registry."""
    return list(dict.fromkeys(n for r in results for n in r.times if n not in (OURS[r.kind], SGEMM)))


def best_rival(result: Measurement) -> tuple[str, float]:
    """The fastest that is not ours, and its time over ours."""
    names = [n for n in rivals([result]) if n not in OURS.values()]
    name = min(names, key=lambda n: result.times[n].median)
    return name, result.speedup(name)


def groups(report: Report) -> dict[tuple[Kind, int], list[Measurement]]:
    """Measurements by kind of call and number of threads, in the order of KINDS."""
    keys: list[tuple[Kind, int]] = [
        (kind, threads) for kind in KINDS for threads in sorted({r.threads for r in report.measurements})
    ]
    found = {key: [r for r in report.measurements if (r.kind, r.threads) == key] for key in keys}
    return {key: results for key, results in found.items() if results}


def markdown(report: Report, labels: Mapping[str, str], also: Sequence[Size] = ()) -> str:
    """A table a kind of call and number of threads: our time, and the ratios of all others to it.

    A line with the geometric means closes it; if only some sizes are in ``also``, one over those stands before it.
    """
    blocks = [_about(report)]
    for (kind, threads), results in groups(report).items():
        names = rivals(results)
        title = {"forward": "Forward", "training": "Training step", "step": "Single step"}[kind]
        lines = [
            f"**{title}, {threads_in_words(threads)}**\n",
            "| B T I H | grus | " + " | ".join(labels[n] for n in names) + " | of sgemm |",
            "|---" * (len(names) + 3) + "|",
        ]
        for r in results:
            cells = [_cell(r, n) for n in names]
            share = "" if kind == "step" else f"{r.gflops / r.sgemm_gflops:.0%}"
            s = r.size
            size = f"{s.B} {s.T} {s.I} {s.H}"
            lines.append(f"| {size} | {duration(r.ours)} | " + " | ".join([*cells, share]) + " |")
        some = [r for r in results if r.size in also]
        if some and len(some) < len(results):
            lines.append(_mean_line(f"geometric mean of the first {len(some)}", some, names))
        if len(results) > 1:
            lines.append(_mean_line("geometric mean", results, names))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _about(report: Report) -> str:
    m = report.machine
    versions = ", ".join(f"{name} {number}" for name, number in m.versions.items())
    return (
        f"{m.cpu}, {m.cores} cores, {m.isa}, load {m.load:g} at the start, {m.date}; medians of "
        f"{report.rounds} interleaved rounds with quartiles; {versions}."
    )


def _cell(result: Measurement, name: str) -> str:
    return f"{result.speedup(name):.2f}x" if name in result.times else ""


def _mean_line(title: str, results: Sequence[Measurement], names: Sequence[str]) -> str:
    found = means(results)
    cells = [f"{found[n]:.2f}x" if n in found else "" for n in names]
    return f"| {title} | best other {found['best']:.2f}x | " + " | ".join(cells) + " | |"
