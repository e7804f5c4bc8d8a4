"""Training on a folder of Parquet files larger than the memory that the process may have.

    scripts/bench out_of_core                            1 GB and 4 GB of columns under a limit of 1.2 GB
    scripts/bench out_of_core --gigabytes 2
    scripts/bench out_of_core --irregular decay          a fifth of the values missing, no column known ahead

Makes hourly series of several stores in a temporary folder, runs ``grus fit forecast`` on it in a process of its own
with few training steps, and samples what the kernel says of that process. *Own* memory (RssAnon) is what the limit
counts and what could only be swapped; *total* (VmRSS) adds the pages of mapped files that happen to lie in the page
cache, which the kernel drops when somebody needs the room. The limit is RLIMIT_DATA: what goes beyond it fails.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HOURS = 10_000
"""Rows a store; one more store is made for as long as the data are too small."""
STORES_PER_FILE = 50
COLUMNS = ("store", "ds", "y", "price", "promo")
FIT = (
    "--id", "store", "--target", "y", "--horizon", "24", "--lookback", "168",
    "--val-size", "48", "--hidden-size", "32", "--epochs", "2", "--windows-per-epoch", "6400", "--device", "cpu",
)  # fmt: skip


def write_stores(folder: Path, first: int, last: int, missing: float = 0.0) -> None:
    """One file of stores ``first`` to ``last - 1``: a daily and a weekly cycle, a price, a promotion, noise.

    Of sales and prices a share is missing.
    """
    hours = np.arange(HOURS)
    parts = []
    for store in range(first, last):
        rng = np.random.default_rng(store)
        promo = (rng.random(HOURS // 24 + 1) < 0.2).repeat(24)[:HOURS]
        price = np.round(rng.uniform(1, 9) * (1 - 0.3 * promo) + rng.normal(0, 0.1, HOURS), 2)
        wave = 3 + np.sin(hours * np.pi / 12 + store) + 0.5 * np.sin(hours * np.pi / 84)
        y = rng.lognormal(2, 1) * (wave + promo) + rng.normal(0, 1, HOURS)
        ds = np.datetime64("2023-01-01", "ns") + hours * np.timedelta64(1, "h")
        for values in (y, price) if missing else ():
            values[rng.random(HOURS) < missing] = np.nan
        parts.append(
            pa.table(dict(zip(COLUMNS, (np.full(HOURS, store), ds, y, price, promo.astype(np.int64)))))
        )
    pq.write_table(pa.concat_tables(parts), folder / f"stores-{first:06d}.parquet")


def make(folder: Path, gigabytes: float, missing: float = 0.0) -> dict[str, float]:
    """A folder of files whose columns of 8 bytes a value take so much memory."""
    stores = round(gigabytes * 1e9 / (8 * len(COLUMNS) * HOURS))
    folder.mkdir()
    for first in range(0, stores, STORES_PER_FILE):
        write_stores(folder, first, min(first + STORES_PER_FILE, stores), missing)
    files = sum(path.stat().st_size for path in folder.iterdir())
    return {
        "rows": stores * HOURS,
        "columns_gb": stores * HOURS * 8e-9 * len(COLUMNS),
        "files_gb": files / 1e9,
    }


def watch(process: subprocess.Popen[bytes], seconds: float = 0.01) -> dict[str, float]:
    """The greatest RssAnon and VmRSS (in GB) that were seen until the process ended, and how long that took."""
    status, begin = Path(f"/proc/{process.pid}/status"), time.perf_counter()
    peak = {"RssAnon": 0, "VmRSS": 0, "VmData": 0}
    while process.poll() is None:
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except ProcessLookupError:  # it ended since
            break
        for name in peak:
            peak[name] = max(peak[name], int(lines.get(name, "0 kB").split()[0]))
        time.sleep(seconds)
    process.wait()
    found = {"own_gb": peak["RssAnon"], "total_gb": peak["VmRSS"], "data_gb": peak["VmData"]}
    return {name: kilobytes * 1024e-9 for name, kilobytes in found.items()} | {
        "seconds": time.perf_counter() - begin
    }


def fit(data: Path, out: Path, limit: float, irregular: str | None) -> dict[str, Any]:
    """Run the command under the limit; its last lines are printed if it fails."""
    columns = (
        ("--future", "price,promo")
        if irregular is None
        else ("--past", "price,promo", "--irregular", irregular)
    )
    command = [sys.executable, "-m", "grus.cli", "fit", "forecast", str(data), *FIT, *columns, "-o", str(out)]
    most = int(limit * 1e9)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (most, most)),
            env={**os.environ, "TMPDIR": str(data.parent)},
        )
        found = watch(process)
        if process.returncode:
            log.seek(0)
            print(log.read().decode()[-3000:], file=sys.stderr)
    return {**found, "returncode": process.returncode}


def main() -> int:
    """Fit on the data and on so many times as much, print both, and fail if a fit did."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=1.0, help="of the smaller data, as columns")
    parser.add_argument("--times", type=int, default=4, help="how much larger the larger data are")
    parser.add_argument("--limit", type=float, default=1.2, help="gigabytes that the process may have")
    parser.add_argument("--irregular", metavar="FORM", help="what to do with values that are missing")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made (default: TMPDIR)")
    options = parser.parse_args()
    failed = 0
    for gigabytes in (options.gigabytes, options.gigabytes * options.times):
        with tempfile.TemporaryDirectory(prefix="grus-out-of-core-", dir=options.folder) as work:
            data = make(Path(work, "stores"), gigabytes, 0.2 if options.irregular else 0.0)
            result = {
                **data,
                "limit_gb": options.limit,
                **fit(Path(work, "stores"), Path(work, "model"), options.limit, options.irregular),
            }
        failed |= result["returncode"] != 0
        print(
            json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in result.items()}), flush=True
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
