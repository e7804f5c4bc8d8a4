"""A classifier in C: raw steps in, the probability of each label so far out."""

from collections.abc import Mapping

import numpy as np

from grus.errors import UnsupportedError
from grus.export.c99.builder import Argument, Body, Precision, Unit, Value
from grus.export.c99.builder import Function as CFunction
from grus.export.c99.lower import lower
from grus.export.c99.program import Program, clearing, finish
from grus.export.c99.text import number, plain, string
from grus.spec import Classify, Codes, CovariateScale, Images, Irregular, Model

Tensors = Mapping[str, np.ndarray]


def classifier_program(model: Model, tensors: Tensors, name: str, precision: Precision) -> Program:
    """The program of a classifier: init, reset, and step, which takes one step and puts out probabilities.

    Raises:
        UnsupportedError: the network cannot run step by step, or its series are irregular.
    """
    refuse_irregular(model)
    task = model.task_as(Classify)
    unit = Unit(precision)
    body = Body(unit, carried=True)
    argument, x = _input(body, model, tensors)
    port = model.parts["main"].inputs[0]
    weights = {key.removeprefix("main."): value for key, value in tensors.items() if key.startswith("main.")}
    logits = lower(body, model.parts["main"], weights, {port.name: x}, {"src": 1})["logits"]
    probabilities = body.scratch(logits.size)
    function = "grus_sigmoids" if task.multi else "grus_softmax"
    temperature = number(float(tensors["task.temperature"][0]))
    body.line(f"{function}({probabilities}, {logits.at}, {logits.size}, {temperature});")
    note = "probability of each label so far, in the order of the labels above; or NULL, which saves their computation"
    out = Argument("float", "probabilities", logits.size, note)
    text = finish(body, [(out, probabilities)])
    step = CFunction("step", "Take in one step.", (argument,), (out,), text, body.multiplies)
    return Program(name, unit, (*clearing(), step), _about(task, name), _labels(task, name))


def refuse_irregular(model: Model) -> None:
    """Raise UnsupportedError for a model that reads missing values and uneven times as C code does not."""
    if model.step(Irregular) is not None:
        raise UnsupportedError(
            "model: C code does not prepare irregular series yet (irregular was given to fit)",
            hint="export to onnx, or fit without irregular",
        )


def _about(task: Classify, name: str) -> tuple[str, ...]:
    labels = "\n".join(f"  {i}: {plain(label)}" for i, label in enumerate(task.labels))
    each = "each by itself (sigmoid)" if task.multi else "which add up to 1 (softmax)"
    kept = "first" if task.kind == "text" else "last"
    return (
        "A classifier written by Grus: C99, no allocation, no library but libm; floats are IEEE 754.",
        f"Use: declare one {name}_state a stream, {name}_init it once, {name}_step it with every step, {name}_reset it "
        f"where a new sequence begins. Calibrated probabilities of {len(task.labels)} labels, {each}:\n{labels}",
        f"Training looked at the {kept} {task.max_length} steps of an example; a stream may be longer.",
    )


def _labels(task: Classify, name: str) -> tuple[tuple[str, str], ...]:
    declared = f"extern const char *const {name}_labels[{len(task.labels)}]"
    cells = ", ".join(string(label) for label in task.labels)
    comment = "/* The labels in UTF-8, in the order of the probabilities. */\n"
    return ((f"{comment}{declared};", f"{declared.removeprefix('extern ')} = {{{cells}}};"),)


def _input(body: Body, model: Model, tensors: Tensors) -> tuple[Argument, Value]:
    """What a step takes, and the network's input made of it."""
    (step,) = model.preprocess
    port = model.parts["main"].inputs[0]
    if port.kind == "tokens":
        note = (
            f"the code of the next token, 0 to {port.size - 1}, 0 for one that is not known; the vocabulary, in code "
            "order from 1, stands in the model's config.json"
        )
        return Argument("int32_t", "token", 0, note), Value("&token", 1, 1)
    x = body.value(port.size, 1)
    if isinstance(step, Codes):
        codes = len(step.codes)
        note = (
            "1 for each code that the visit has, else 0, then the time since the visit before in the unit of training "
            f"(0 for the first); codes: {', '.join(f'{i} {plain(code)}' for i, code in enumerate(step.codes))}"
        )
        gap = number(float(tensors["preprocess.codes.gap_scale"][0]))
        body.line(
            f"memcpy({x.at}, row, {codes} * sizeof(float));\n*({x.at} + {codes}) = log1pf(row[{codes}] / {gap});"
        )
        return Argument("float", "row", codes + 1, note), x
    if isinstance(step, Images):
        note = (
            f"one row of {step.width} pixels, 0 to 255, the {step.channels} channels of a pixel side by side"
        )
        key, repeat, masked = "images", step.width, [0] * port.size
    else:
        assert isinstance(step, CovariateScale)
        names = "\n".join(f"  {i}: {plain(column)}" for i, column in enumerate(step.columns))
        note = f"the channels as they came in training, not scaled; NaN where a value is missing\n{names}"
        key, repeat, masked = "covariate_scale", 1, [int(column in step.masked) for column in step.columns]
    center, scale = (np.tile(tensors[f"preprocess.{key}.{part}"], repeat) for part in ("center", "scale"))
    body.line(scaling(body, "row", "row", x.at, (center, scale), masked))
    return Argument("float", "row", len(masked), note), x


def scaling(
    body: Body, name: str, row: str, into: str, fitted: tuple[np.ndarray, np.ndarray], masked: list[int]
) -> str:
    """The line that scales a row of channels; gaps are filled with what the state (or the call) remembers.

    Args:
        body: of the function.
        name: of the constants.
        row, into: C pointers.
        fitted: center and scale of each channel.
        masked: 1 for a channel that is followed by its mask.
    """
    parts = [body.unit.doubles(f"{name}.{part}", values) for part, values in zip(("center", "scale"), fitted)]
    flags = body.unit.flags(f"{name}.masked", masked)
    return f"grus_scale({into}, {row}, {len(masked)}, {', '.join(parts)}, {flags}, {body.remembered(len(masked))});"
