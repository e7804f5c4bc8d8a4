"""Prepare ``hourly.csv`` from the UCI bike sharing data: ``python prepare.py path/to/hour.csv[.gz]``.

Joins the date and the hour into one ISO time stamp, keeps the target and the covariates known for every hour,
and leaves the hours that are missing from the source missing. Needs only the standard library.
"""

import csv
import gzip
import sys
from datetime import datetime
from pathlib import Path

COVARIATES = ("holiday", "workingday", "weathersit", "temp", "atemp", "hum", "windspeed")


def parse_day(text: str) -> datetime:
    """Read ``dteday``: UCI writes 2011-01-31, some copies 1/31/2011."""
    return datetime.strptime(text, "%m/%d/%Y" if "/" in text else "%Y-%m-%d")


def prepare(source: Path, target: Path) -> int:
    """Write the prepared copy of ``source`` to ``target``; return its number of rows."""
    opener = gzip.open if source.suffix == ".gz" else open
    with opener(source, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ds", "y", *COVARIATES))
        for row in rows:
            stamp = parse_day(row["dteday"]).replace(hour=int(row["hr"]))
            writer.writerow((stamp.isoformat(sep=" "), row["cnt"], *(row[name] for name in COVARIATES)))
    return len(rows)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python prepare.py path/to/hour.csv[.gz]")
    output = Path(__file__).with_name("hourly.csv")
    print(f"{output}: {prepare(Path(sys.argv[1]), output)} rows")
