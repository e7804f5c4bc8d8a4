"""A million rows of ten thousand keys through ``grus stream``, killed and restarted at random moments.

    scripts/bench soak                                      1,000,000 rows, 10,000 keys, 20 kills
    scripts/bench soak --rows 50000 --keys 500 --kills 5
    scripts/bench soak --model models/demand --level 80     a model of your own: columns unique_id, ds, y

First an unbroken run: its rows a second, and its memory (VmRSS) along the way. Then the same rows again, with SIGKILL
after random numbers of answers; each time the stream is started again with the same ``--state``, and rows are sent
again from the number that it says it goes on after. Every answer must be, byte for byte, that of the unbroken run, also
those that are given twice; every row must be answered.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_GOES_ON = re.compile(rb"goes on after row (\d+)")
#: Bytes written to the stream at once.
_PIECE = 1 << 16


def write_rows(path: Path, rows: int, keys: int, seed: int = 0) -> np.ndarray:
    """JSON lines of hourly series with gaps and a few bad rows, in the order they might arrive.

    Returns:
        Where each row begins in the file, and where the last ends: int64 [rows + 1].
    """
    rng = np.random.default_rng(seed)
    key = rng.integers(keys, size=rows)
    order = np.argsort(key, kind="stable")
    step = 1 + (rng.random(rows) < 0.01) * rng.integers(1, 50, rows)
    total = np.cumsum(step[order])
    first = np.searchsorted(key[order], np.arange(keys))
    hour = np.empty(rows, np.int64)
    hour[order] = total - total[np.minimum(first, rows - 1)][key[order]]
    y = np.round(10 + key % 7 + 3 * np.sin(hour * np.pi / 12 + key) + rng.normal(0, 1, rows), 3)
    stamps = np.datetime_as_string(np.datetime64("2024-01-01T00", "s") + hour * np.timedelta64(3600, "s"))
    bad = rng.random(rows) < 0.001
    offsets = np.zeros(rows + 1, np.int64)
    with path.open("wb") as file:
        for i in range(rows):
            value = '"oops"' if bad[i] else f"{y[i]:g}"
            line = f'{{"n":{i + 1},"unique_id":"k{key[i]}","ds":"{stamps[i]}","y":{value}}}\n'
            offsets[i + 1] = offsets[i] + file.write(line.encode())
    return offsets


def make_model(folder: Path) -> Path:
    """A small forecaster of a few of the series, trained for a moment."""
    from grus import Forecaster

    hours = np.datetime64("2024-01-01", "ns") + np.arange(600) * np.timedelta64(1, "h")
    parts = [10 + k % 7 + 3 * np.sin(np.arange(600) * np.pi / 12 + k) for k in range(20)]
    table = {
        "unique_id": np.repeat(np.array([f"k{k}" for k in range(20)], object), 600),
        "ds": np.tile(hours, 20),
        "y": np.concatenate(parts) + np.random.default_rng(0).normal(0, 1, 12_000),
    }
    model = Forecaster(horizon=6, lookback=24, hidden_size=16, epochs=2, windows_per_epoch=2048, device="cpu")
    model.fit(table).save(folder / "model")
    return folder / "model"


@dataclass
class Stream:
    """One process of ``grus stream``, fed by a thread of its own."""

    arguments: Sequence[str]
    rows: Path
    offsets: np.ndarray
    process: subprocess.Popen[bytes] = field(init=False)
    begun: int = field(init=False, default=0)
    _feeder: threading.Thread = field(init=False)

    def start(self, state: Path) -> None:
        """Start it, wait for the number that it goes on after, and feed it from there."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "grus.cli", "stream", *self.arguments, "--state", str(state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.begun = 0
        if state.exists():
            assert self.process.stderr is not None
            said = _GOES_ON.search(self.process.stderr.readline())
            assert said is not None, "the stream did not say where it goes on"
            self.begun = int(said[1])
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def finish(self) -> int:
        """Close what is open, and return the exit code."""
        self._feeder.join()
        code = self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code

    def _feed(self) -> None:
        assert self.process.stdin is not None
        try:
            with self.rows.open("rb") as file, self.process.stdin as pipe:
                file.seek(int(self.offsets[self.begun]))
                while piece := file.read(_PIECE):
                    pipe.write(piece)
        except OSError:  # it was killed
            return

    def answers(self) -> Iterator[tuple[int, int]]:
        """Number of the row, and 63 bits of a digest, of every whole answer."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                number = int(line[7 : line.index(b",")])
                yield number, int.from_bytes(hashlib.blake2b(line, digest_size=8).digest(), "big") >> 1

    def memory(self) -> float:
        """VmRSS in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def unbroken(stream: Stream, state: Path) -> tuple[np.ndarray, dict[str, float | list[float]]]:
    """Digests of all answers int64 [rows + 1], and what the run took."""
    rows = len(stream.offsets) - 1
    found = np.full(rows + 1, -1)
    memory: list[float] = []
    begin = time.perf_counter()
    stream.start(state)
    for number, digest in stream.answers():
        found[number] = digest
        if number % max(rows // 10, 1) == 0 and number < rows:
            memory.append(stream.memory())
    assert stream.finish() == 0
    seconds = time.perf_counter() - begin
    assert (found[1:] >= 0).all(), "a row was not answered"
    return found, {"seconds": seconds, "rows_per_second": rows / seconds, "memory_mb": memory}


def broken(stream: Stream, state: Path, wanted: np.ndarray, kills: int, seed: int) -> dict[str, int]:
    """Kill and restart; raise AssertionError unless every answer is the wanted one."""
    rng = np.random.default_rng(seed)
    rows = len(wanted) - 1
    when = np.sort(rng.integers(1, rows, kills)).tolist()
    answered = np.zeros(rows + 1, np.int64)
    killed = 0
    while True:
        stream.start(state)
        at = when.pop(0) if when else None
        for number, digest in stream.answers():
            if digest != wanted[number]:
                stream.process.kill()
                stream.finish()
                raise AssertionError(f"row {number} was answered differently after {killed} kills")
            answered[number] += 1
            if at is not None and number >= at:
                time.sleep(float(rng.uniform(0, 0.05)))
                stream.process.kill()
                killed, at = killed + 1, None
        code = stream.finish()
        if code == 0:
            break
        assert code == -9, f"the stream ended with code {code}"
    assert (answered[1:] > 0).all(), "a row was not answered"
    return {"kills": killed, "answered_again": int((answered[1:] - 1).sum())}


def soak(
    model: Path,
    folder: Path,
    rows: int,
    keys: int,
    kills: int,
    *,
    save_every: str = "2s",
    level: str = "",
    seed: int = 0,
) -> dict[str, float | int | list[float]]:
    """Both runs; see the module. Returns what is printed."""
    offsets = write_rows(folder / "rows.jsonl", rows, keys, seed)
    arguments = [str(model), "--seq", "n", "--save-every", save_every, *(["--level", level] if level else [])]
    stream = Stream(arguments, folder / "rows.jsonl", offsets)
    wanted, told = unbroken(stream, folder / "unbroken.grus")
    stream = Stream(arguments, folder / "rows.jsonl", offsets)
    again = broken(stream, folder / "broken.grus", wanted, kills, seed)
    same = (folder / "unbroken.grus").read_bytes() == (folder / "broken.grus").read_bytes()
    assert same, "the states at the end differ"
    size = (folder / "broken.grus").stat().st_size / 1e6
    return {"rows": rows, "keys": keys, **told, **again, "state_mb": size}


def main() -> None:
    """Run as the options say, and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every", default="2s")
    parser.add_argument("--level", default="")
    parser.add_argument("--model", type=Path, help="a forecaster of hourly y by unique_id and ds")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model or make_model(folder)
        found = soak(
            model, folder, options.rows, options.keys, options.kills,
            save_every=options.save_every, level=options.level, seed=options.seed,
        )  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
