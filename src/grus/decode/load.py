"""From a model folder to a live model."""

from pathlib import Path

from grus.artifact import load_model
from grus.decode.classifier import LiveClassifier
from grus.decode.forecaster import LiveForecaster
from grus.errors import ModelFolderError, SpecError
from grus.spec import Classify


def load(folder: str | Path) -> LiveForecaster | LiveClassifier:
    """Load a model folder without torch, ready to predict.

    Args:
        folder: what ``grus fit`` or an estimator's ``save`` wrote.

    Returns:
        The live model of the folder's task.

    Raises:
        ModelFolderError: if the folder is missing, damaged, foreign or newer than this Grus.
    """
    model, tensors = load_model(folder)
    try:
        return (LiveClassifier if isinstance(model.task, Classify) else LiveForecaster)(model, tensors)
    except SpecError as error:
        raise ModelFolderError(f"{folder}: {error}") from None
