"""Anomalies in the 58 series of the Numenta Anomaly Benchmark (NAB), scored by its rules, beside two simple detectors.

Every file is a stream: the detector is trained on the rows of probation (the first 15%, 750 at most), which are not
scored, and then sees row after row; its settings are the defaults, the same for all files. Labels serve to score, and
to choose the one threshold of the whole corpus that each profile allows every detector.

    scripts/bench nab                          the detector, one seed
    scripts/bench nab --seed 0 --seed 1 --seed 2
    scripts/bench nab --detector windowed-gaussian
    scripts/bench nab --tiny                   five short files, to see that it works
"""

import argparse
import csv
import gzip
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from shared_data import data_folder

#: Weights of true positives, false positives and false negatives.
PROFILES = {
    "standard": (1.0, 0.11, 1.0),
    "reward_low_FP_rate": (1.0, 0.22, 1.0),
    "reward_low_FN_rate": (1.0, 0.11, 2.0),
}
TINY = (
    "artificialWithAnomaly/art_daily_jumpsup.csv",
    "realAdExchange/exchange-3_cpc_results.csv",
    "realKnownCause/rogue_agent_key_hold.csv",
    "realTraffic/speed_7578.csv",
    "realAWSCloudwatch/iio_us-east-1_i-a2eb1cd9_NetworkIn.csv",
)


@dataclass(frozen=True)
class File:
    """A series: its name, stamps, values, first and last row of each labelled window, and rows of probation."""

    name: str
    times: np.ndarray
    values: np.ndarray
    windows: tuple[tuple[int, int], ...]
    probation: int


def load(names: tuple[str, ...] = ()) -> list[File]:
    """The files of the corpus, or some of them."""
    folder = data_folder("nab")
    windows = json.loads((folder / "labels" / "combined_windows.json").read_text())
    return [_file(folder, name, windows[name]) for name in sorted(names or windows)]


def _file(folder: Path, name: str, windows: list[tuple[str, str]]) -> File:
    with gzip.open(folder / "data" / f"{name}.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    times = np.array([row["timestamp"] for row in rows], "M8[s]")
    values = np.array([float(row["value"]) for row in rows])
    ends = tuple(
        tuple(int(np.flatnonzero(times == np.datetime64(end, "s"))[0]) for end in window)
        for window in windows
    )
    return File(name, times, values, ends, min(math.floor(0.15 * len(rows)), 750))  # type: ignore[arg-type]


def worth(file: File) -> tuple[np.ndarray, np.ndarray]:
    """What a detection in each row is worth before weights, float64 [R], and the window it lies in, -1 for none."""
    rows = np.arange(len(file.values))
    value, inside = np.full(len(rows), -1.0), np.full(len(rows), -1)
    ends = [first for first, _ in file.windows[1:]] + [len(rows)]
    for number, ((first, last), until) in enumerate(zip(file.windows, ends)):
        width, within, after = last - first + 1, slice(first, last + 1), slice(last + 1, until)
        inside[within] = number
        value[within] = _sigmoid(-(last - rows[within] + 1) / width) / _sigmoid(np.array(-1.0))
        value[after] = _sigmoid((rows[after] - last) / (width - 1))
    return value, inside


def _sigmoid(place: np.ndarray) -> np.ndarray:
    """From about 1 at the beginning of a window by 0 at its end to -1 far behind it."""
    return np.where(place >= 3, -1.0, 2 / (1 + np.exp(np.minimum(5 * place, 50))) - 1)


def sweep(files: list[File], scores: list[np.ndarray], profile: str) -> tuple[np.ndarray, np.ndarray]:
    """The normalised score of the corpus for every threshold, from the highest down."""
    right, wrong, lost = PROFILES[profile]
    changes, heights, windows = [], [], 0
    for file, score in zip(files, scores):
        value, inside = worth(file)
        scored = np.arange(len(value)) >= file.probation
        outside = scored & (inside < 0)
        changes.append(value[outside] * wrong)
        heights.append(score[outside])
        for number in range(len(file.windows)):
            windows += 1
            rows = np.flatnonzero(scored & (inside == number))
            rows = rows[np.argsort(-score[rows], kind="stable")]
            best = np.maximum.accumulate(np.maximum(value[rows] * right, -lost))
            changes.append(np.diff(best, prepend=-lost))
            heights.append(score[rows])
    height, change = np.concatenate(heights), np.concatenate(changes)
    order = np.argsort(-height, kind="stable")
    height, total = height[order], np.cumsum(change[order])
    last = np.append(height[1:] != height[:-1], True)  # rows of one score are detected together
    return height[last], 100 * total[last] / (right * windows + lost * windows)


def best(files: list[File], scores: list[np.ndarray], profile: str) -> tuple[float, float]:
    """The score at the best threshold, and the threshold."""
    thresholds, found = sweep(files, scores, profile)
    top = int(np.argmax(found))
    return float(found[top]), float(thresholds[top])


def numenta(files: list[File]) -> list[np.ndarray]:
    """The published scores of one detector, row by row."""
    found: dict[str, list[float]] = {}
    with gzip.open(data_folder("nab") / "reference_scores" / "numenta.csv.gz", "rt", newline="") as table:
        name = ""
        for row in csv.DictReader(table):
            name = row["file"] or name
            found.setdefault(name, []).append(float(row["anomaly_score"]))
    return [np.array(found[file.name]) for file in files]


def windowed_gaussian(file: File, window: int = 6400, step: int = 100) -> np.ndarray:
    """1 - P(normal > |z|) under the mean and spread of the last rows, to 12 digits as the published scores are."""
    mean, spread, out = 0.0, 1.0, np.zeros(len(file.values))
    for t, value in enumerate(file.values.tolist()):
        if t and (t <= window or (t - window) % step == 0):
            first = 0 if t <= window else (t - window) // step * step
            rows = file.values[first : first + window if t > window else t]
            mean, spread = float(rows.mean()), float(rows.std()) or 1e-6
        if t:
            # The published detector divides by 1.4142; its threshold of 1.0 notices.
            out[t] = float(f"{1 - 0.5 * math.erfc(abs(value - mean) / spread / 1.4142):.12g}")
    return out


def knn_cad(file: File, neighbours: int = 27, size: int = 19) -> np.ndarray:
    """KNN-CAD (Burnaev and Ishimtsev 2016, arXiv:1608.04585): conformal p-values of distances between windows."""
    values, probation = file.values, file.probation
    pieces, metric, out = sliding_window_view(values, size), np.eye(size), np.zeros(len(values))
    training: list[int] = []
    waiting: list[int] = []
    known: list[float] = []
    rest = 0

    def distance(piece: int, among: int = 0) -> float:
        apart = pieces[training] - pieces[piece]
        found = np.einsum("ij,jk,ik->i", apart, metric, apart, optimize=True)
        return float(np.partition(found, neighbours + among)[: neighbours + among].sum())

    for t in range(size - 1, len(values)):
        piece, count = t - size + 1, t + 1
        if count < probation:
            training.append(piece)
            continue
        if count % probation in (0, probation // 2):
            metric = (
                np.linalg.inv(pieces[training].T @ pieces[training])
                if _invertible(pieces[training])
                else metric
            )
        known = known or [distance(one, 1) for one in training]
        new = distance(piece)
        share = float(np.mean(np.array(known) < new))
        if count >= 2 * probation:
            training = [*training[1:], waiting.pop(0)]
        known = [*known[1:], new]
        waiting.append(piece)
        out[t] = 0.5 if rest > 0 else share
        rest = rest - 1 if rest > 0 else probation // 5 if share >= 0.9965 else rest
    return out


def _invertible(rows: np.ndarray) -> bool:
    try:
        np.linalg.inv(rows.T @ rows)
    except np.linalg.LinAlgError:
        return False
    return True


def new_extremes(file: File, share: float = 0.05) -> np.ndarray:
    """By how many times ``share`` of the range so far a value leaves it: a rule without any model."""
    high, low = np.maximum.accumulate(file.values)[:-1], np.minimum.accumulate(file.values)[:-1]
    past = np.maximum(np.maximum(file.values[1:] - high, low - file.values[1:]), 0.0)
    wide = high - low
    return np.append(0.0, np.where(wide > 0, past / np.where(wide > 0, wide, 1.0) / share, 0.0))


def grus_detector(file: File, seed: int) -> np.ndarray:
    """`grus.AnomalyDetector` with its defaults: trained on the probation, then row by row; the score of its peaks.

    A row counts if it is more severe than all of the ``quiet`` rows before it: what goes on is not raised again at any
    threshold. Stamps that come twice (an hour of October) are moved on by a second: a detector wants a clock that runs.
    """
    from grus import AnomalyDetector
    from grus.decode.likelihood import to_score

    times = np.maximum.accumulate(file.times).astype(np.int64)
    for t in np.flatnonzero(np.diff(times) <= 0).tolist():
        times[t + 1] = max(times[t + 1], times[t] + 1)
    stamps = times.astype("M8[s]").astype("M8[ns]")
    n = file.probation
    model = AnomalyDetector(seed=seed, device="cpu")
    model.fit({"timestamp": stamps[:n], "value": file.values[:n]}, progress="quiet")
    live = model.live_
    return to_score(live.score(live.records({"timestamp": stamps, "value": file.values})).peaks())


DETECTORS: dict[str, Callable[[File], np.ndarray]] = {
    "windowed-gaussian": windowed_gaussian,
    "knn-cad": knn_cad,
    "new-extremes": new_extremes,
}


def run(files: list[File], detector: str, seed: int) -> Iterator[np.ndarray]:
    """The scores of all files, with the time on stderr."""
    begin = time.process_time()
    for number, file in enumerate(files):
        yield DETECTORS[detector](file) if detector in DETECTORS else grus_detector(file, seed)
        seconds = time.process_time() - begin
        print(f"{number + 1}/{len(files)} {file.name}, {seconds:.0f} s of CPU", file=sys.stderr, flush=True)


def table(found: list[dict[str, float | str]]) -> str:
    """The rows as Markdown."""
    lines = [f"| detector | {' | '.join(PROFILES)} | threshold |", "|---|" + "---|" * (len(PROFILES) + 1)]
    for row in found:
        cells = " | ".join(f"{row[profile]:.2f}" for profile in PROFILES)
        lines.append(f"| {row['detector']} | {cells} | {row['threshold']:.6g} |")
    if len(found) > 1:
        means = [np.array([float(row[p]) for row in found]) for p in PROFILES]
        cells = " | ".join(f"{v.mean():.2f} ({v.min():.2f} to {v.max():.2f})" for v in means)
        lines.append(f"| mean (least to greatest) | {cells} | |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line; print the table, and with ``--save`` keep the scores of every row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--detector", choices=("grus", *DETECTORS, "numenta"), default="grus")
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--tiny", action="store_true", help="five short files")
    parser.add_argument("--save", type=Path, help="a folder for the scores of every row, as .npz")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    files, found = load(TINY if args.tiny else ()), []
    for seed in args.seed or [0] if args.detector == "grus" else [0]:
        scores = numenta(files) if args.detector == "numenta" else list(run(files, args.detector, seed))
        name = f"grus, seed {seed}" if args.detector == "grus" else args.detector
        if args.save:
            args.save.mkdir(parents=True, exist_ok=True)
            np.savez(args.save / f"{args.detector}-{seed}.npz", **{f.name: s for f, s in zip(files, scores)})
        row: dict[str, float | str] = {profile: best(files, scores, profile)[0] for profile in PROFILES}
        found.append({"detector": name, **row, "threshold": best(files, scores, "standard")[1]})
    print(table(found))


if __name__ == "__main__":
    main()
