"""Where the data sets of the accuracy benchmarks lie: they are too large, or not free enough, to ship."""

import os
import sys
from pathlib import Path

DEFAULT = Path(__file__).parents[2] / "shared" / "data"


def data_folder(name: str) -> Path:
    """The folder of a data set, from GRUS_DATA or beside the repository; exits with a sentence if it is not there."""
    folder = Path(os.environ.get("GRUS_DATA", DEFAULT)) / name
    if not folder.is_dir():
        sys.exit(f"error: no data set at {folder}\nhint: set GRUS_DATA to the folder that holds '{name}'")
    return folder
