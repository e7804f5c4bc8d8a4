"""From a model folder to a live model."""

from pathlib import Path

from grus.artifact import load_model
from grus.decode.forecaster import LiveForecaster


def load(folder: str | Path) -> LiveForecaster:
    """Load a model folder without torch, ready to predict.

    Args:
        folder: what ``grus fit`` or ``Forecaster.save`` wrote.

    Returns:
        The live model of the folder's task.

    Raises:
        ModelFolderError: if the folder is missing, damaged, foreign or newer than this Grus.
    """
    return LiveForecaster(*load_model(folder))
