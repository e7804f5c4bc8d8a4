"""Open a model folder without torch."""

from pathlib import Path

from grus.artifact import load_model
from grus.decode import LiveForecaster


def open_model(folder: Path) -> LiveForecaster:
    """The model of a folder, ready to predict; raises ModelFolderError for anything else."""
    return LiveForecaster(*load_model(folder))
