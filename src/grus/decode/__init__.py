"""From network outputs to answers, NumPy only, on the training side and live."""

from grus.decode.class_scores import ClassEvaluation
from grus.decode.classifier import LiveClassifier
from grus.decode.forecaster import LiveForecaster
from grus.decode.load import load
from grus.decode.scores import Evaluation, Score
from grus.decode.windows import Forecasts

__all__ = ["ClassEvaluation", "Evaluation", "Forecasts", "LiveClassifier", "LiveForecaster", "Score", "load"]
