"""From network outputs to answers, NumPy only, on the training side and live.

A name is imported when it is first used: a process that loads a forecaster pays nothing for classifiers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from grus.decode.load import load

if TYPE_CHECKING:
    from grus.decode.class_scores import ClassEvaluation
    from grus.decode.classifier import LiveClassifier
    from grus.decode.detect_scores import DetectEvaluation
    from grus.decode.detector import LiveDetector
    from grus.decode.forecaster import LiveForecaster
    from grus.decode.generator import Generation, LiveGenerator
    from grus.decode.language_scores import LanguageEvaluation
    from grus.decode.music.composer import Composition, LiveComposer
    from grus.decode.music.scores import MusicEvaluation
    from grus.decode.scores import Evaluation, Score
    from grus.decode.streaming.keyed import Streams
    from grus.decode.transcriber import LiveTranscriber, Transcript
    from grus.decode.transcription_scores import TranscriptionEvaluation
    from grus.decode.translation_scores import TranslationEvaluation
    from grus.decode.translator import LiveTranslator, Translation
    from grus.decode.windows import Forecasts

__all__ = [
    "ClassEvaluation",
    "Composition",
    "DetectEvaluation",
    "Evaluation",
    "Forecasts",
    "Generation",
    "LanguageEvaluation",
    "LiveClassifier",
    "LiveComposer",
    "LiveDetector",
    "LiveForecaster",
    "LiveGenerator",
    "LiveTranscriber",
    "LiveTranslator",
    "MusicEvaluation",
    "Score",
    "Streams",
    "Transcript",
    "TranscriptionEvaluation",
    "Translation",
    "TranslationEvaluation",
    "load",
]

_HOMES = {
    "ClassEvaluation": "class_scores",
    "Composition": "music.composer",
    "DetectEvaluation": "detect_scores",
    "Evaluation": "scores",
    "Forecasts": "windows",
    "Generation": "generator",
    "LanguageEvaluation": "language_scores",
    "LiveClassifier": "classifier",
    "LiveComposer": "music.composer",
    "LiveDetector": "detector",
    "LiveForecaster": "forecaster",
    "LiveGenerator": "generator",
    "LiveTranscriber": "transcriber",
    "LiveTranslator": "translator",
    "MusicEvaluation": "music.scores",
    "Score": "scores",
    "Streams": "streaming.keyed",
    "Transcript": "transcriber",
    "TranscriptionEvaluation": "transcription_scores",
    "Translation": "translator",
    "TranslationEvaluation": "translation_scores",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'grus.decode' has no attribute {name!r}")
    return getattr(import_module(f"grus.decode.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
