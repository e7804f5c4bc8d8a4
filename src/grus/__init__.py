"""Grus: gated recurrent units that train fast, tell what they remember, and run anywhere, live.

``import grus`` is quick and torch-free; a name that needs torch loads it when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from grus.errors import GrusError

if TYPE_CHECKING:
    from grus.decode import (
        ClassEvaluation,
        DetectEvaluation,
        Evaluation,
        LanguageEvaluation,
        LiveClassifier,
        LiveComposer,
        LiveDetector,
        LiveForecaster,
        LiveGenerator,
        LiveTranscriber,
        LiveTranslator,
        MusicEvaluation,
        TranscriptionEvaluation,
        Translation,
        TranslationEvaluation,
        load,
    )
    from grus.decode.explaining.explain import explain
    from grus.nn import accelerate, decelerate
    from grus.tasks.classify import Classifier
    from grus.tasks.compare.api import compare
    from grus.tasks.compare.comparison import Comparison
    from grus.tasks.compose import MusicModel
    from grus.tasks.detect import AnomalyDetector
    from grus.tasks.forecast import Forecaster
    from grus.tasks.generate import LanguageModel
    from grus.tasks.transcribe import Transcriber
    from grus.tasks.translate import Translator

__version__ = "0.1.0"

_HOMES = {
    "AnomalyDetector": "grus.tasks.detect",
    "ClassEvaluation": "grus.decode",
    "Classifier": "grus.tasks.classify",
    "Comparison": "grus.tasks.compare.comparison",
    "DetectEvaluation": "grus.decode",
    "Evaluation": "grus.decode",
    "Forecaster": "grus.tasks.forecast",
    "LanguageEvaluation": "grus.decode",
    "LanguageModel": "grus.tasks.generate",
    "LiveClassifier": "grus.decode",
    "LiveComposer": "grus.decode",
    "LiveDetector": "grus.decode",
    "LiveForecaster": "grus.decode",
    "LiveGenerator": "grus.decode",
    "LiveTranscriber": "grus.decode",
    "LiveTranslator": "grus.decode",
    "MusicEvaluation": "grus.decode",
    "MusicModel": "grus.tasks.compose",
    "Transcriber": "grus.tasks.transcribe",
    "TranscriptionEvaluation": "grus.decode",
    "Translation": "grus.decode",
    "TranslationEvaluation": "grus.decode",
    "Translator": "grus.tasks.translate",
    "accelerate": "grus.nn",
    "compare": "grus.tasks.compare.api",
    "decelerate": "grus.nn",
    "explain": "grus.decode.explaining.explain",
    "load": "grus.decode",
}

__all__ = [
    "AnomalyDetector",
    "ClassEvaluation",
    "Classifier",
    "Comparison",
    "DetectEvaluation",
    "Evaluation",
    "Forecaster",
    "GrusError",
    "LanguageEvaluation",
    "LanguageModel",
    "LiveClassifier",
    "LiveComposer",
    "LiveDetector",
    "LiveForecaster",
    "LiveGenerator",
    "LiveTranscriber",
    "LiveTranslator",
    "MusicEvaluation",
    "MusicModel",
    "Transcriber",
    "TranscriptionEvaluation",
    "Translation",
    "TranslationEvaluation",
    "Translator",
    "__version__",
    "accelerate",
    "compare",
    "decelerate",
    "explain",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'grus' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("grus", ""):
            raise
        from grus.errors import MissingExtraError

        raise MissingExtraError(
            f"grus.{name} needs {error.name}, which is not installed", hint="pip install 'grus[train]'"
        ) from error


def __dir__() -> list[str]:
    return sorted(__all__)
