"""What the numbers that go into an exported network are called."""

from grus.preprocess.calendar import feature_names as feature_names_of
from grus.preprocess.detect import irregular_names
from grus.preprocess.forecast_steps import layout
from grus.spec import (
    Calendar,
    Classify,
    Codes,
    CovariateScale,
    Detect,
    Forecast,
    Generate,
    Images,
    Irregular,
    LogMel,
    Model,
    Translate,
)

Names = dict[str, list[str]]


def feature_names(model: Model) -> Names:
    """Names of the features of each input, in order; an input of codes has the name of the column it codes.

    ``observed`` is 1 where the target was there, ``name?`` is 1 where the value of ``name`` was there, ``name since``
    is the time since it was, ``gap`` that since the row before, ``lead`` is the place within the horizon, 0 to 1.
    """
    if isinstance(model.task, Forecast):
        return _of_forecast(model)
    if isinstance(model.task, Generate):
        return {"tokens": [model.task.kind]}
    if isinstance(model.task, Detect):
        return {"x": _of_detector(model)}
    names: Names = {}
    for step in model.preprocess:
        if isinstance(step, CovariateScale):
            masks = ((name, f"{name}?") if name in step.masked else (name,) for name in step.columns)
            names["x"] = [part for pair in masks for part in pair]
        elif isinstance(step, Irregular):
            names["x"] = [*step.features()]
        elif isinstance(step, Codes):
            names["x"] = [*step.codes, "gap"]
        elif isinstance(step, LogMel):
            bands = (
                f"frame {frame}, band {band}" for frame in range(step.stack) for band in range(step.bands)
            )
            names["x"] = list(bands)
        elif isinstance(step, Images):
            pixels = ((x, channel) for x in range(step.width) for channel in range(step.channels))
            names["x"] = [f"pixel {x}, channel {channel}" for x, channel in pixels]
        elif isinstance(model.task, Translate):
            names["tokens"] = [model.task.source]
        elif isinstance(model.task, Classify):  # a transcriber writes its vocabulary
            names["tokens"] = [model.task.inputs[0]]
    return names


def _of_detector(model: Model) -> list[str]:
    """The values of the row before, each with its mask if it has one, and the calendar of the row itself."""
    scale, irregular = model.step(CovariateScale), model.step(Irregular)
    masks = ((name, f"{name}?") if name in scale.masked else (name,) for name in scale.columns)
    calendar = feature_names_of(model.step(Calendar).features)
    if irregular is not None:
        return [*irregular_names(irregular), *calendar]
    return [*(f"{part} before" for pair in masks for part in pair), *calendar]


def _of_forecast(model: Model) -> Names:
    found = layout(model)
    names: Names = {"past": list(found.past), "future": list(found.future), "static": list(found.static)}
    for group in ("past", "future", "static"):
        for number, column in enumerate(getattr(found, f"{group}_tokens")):
            names[f"{group}_code_{number}"] = [column]
    return names
