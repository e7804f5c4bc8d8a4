"""From a model folder to a live model."""

from pathlib import Path
from typing import TYPE_CHECKING

from grus.artifact import load_model
from grus.errors import ModelFolderError, SpecError
from grus.spec import Classify, Detect, Generate, Transcribe, Translate

if TYPE_CHECKING:
    from grus.decode.classifier import LiveClassifier
    from grus.decode.detector import LiveDetector
    from grus.decode.forecaster import LiveForecaster
    from grus.decode.generator import LiveGenerator
    from grus.decode.music.composer import LiveComposer
    from grus.decode.transcriber import LiveTranscriber
    from grus.decode.translator import LiveTranslator


def load(
    folder: str | Path, *, precision: str = "float32"
) -> "LiveForecaster | LiveClassifier | LiveDetector | LiveGenerator | LiveComposer | LiveTranslator | LiveTranscriber":
    """Load a model folder without torch, ready to answer.

    Args:
        folder: what ``grus fit`` or an estimator's ``save`` wrote.
        precision: ``"bf16"`` rounds the network's matrices to 16 bits, at most 2^-8 (0.4 %) of each weight: half the
            memory, and less time a step where the network does not fit the first cache. ``"int8"`` keeps 8 bits and a
            scale an output, at most 1/254 of its largest weight: a quarter of the memory, and from 128 units on about
            half the time of a step or less. What that does to the answers depends on the model: ``evaluate`` both.
            Intervals and temperature are those of ``"float32"``.

    Returns:
        The live model of the folder's task.

    Raises:
        ModelFolderError: if the folder is missing, damaged, foreign or newer than this Grus.
        UsageError: for another precision.
    """
    model, tensors = load_model(folder)
    try:
        if isinstance(model.task, Classify):
            from grus.decode.classifier import LiveClassifier

            return LiveClassifier(model, tensors, precision)
        if isinstance(model.task, Generate) and model.task.kind == "midi":
            from grus.decode.music.composer import LiveComposer

            return LiveComposer(model, tensors, precision)
        if isinstance(model.task, Generate):
            from grus.decode.generator import LiveGenerator

            return LiveGenerator(model, tensors, precision)
        if isinstance(model.task, Translate):
            from grus.decode.translator import LiveTranslator

            return LiveTranslator(model, tensors, precision)
        if isinstance(model.task, Transcribe):
            from grus.decode.transcriber import LiveTranscriber

            return LiveTranscriber(model, tensors, precision)
        if isinstance(model.task, Detect):
            from grus.decode.detector import LiveDetector

            return LiveDetector(model, tensors, precision)
        from grus.decode.forecaster import LiveForecaster

        return LiveForecaster(model, tensors, precision)
    except SpecError as error:
        raise ModelFolderError(f"{folder}: {error}") from None
