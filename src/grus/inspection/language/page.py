"""What stands on the page about a language model: sentences, tables, pictures and what it writes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from grus.decode import LanguageEvaluation, LiveGenerator
from grus.inspection.language.wording import counted
from grus.inspection.page import Picture, count_weights, describe_training, learning_curves, recurrent_of
from grus.inspection.wording import duration, figure
from grus.training import History

#: Tokens of a sample, and the temperatures of the samples.
_LENGTH = {"character": 600, "piece": 200, "word": 120}
_TEMPERATURES = (0.5, 0.8, 1.0)
#: What is no character of a page, which pieces of bytes may well be.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Sample:
    """A text that the model wrote, and how."""

    text: str
    how: str


@dataclass(frozen=True)
class LanguagePage:
    """Everything the template needs, ready to print; see `language_page`."""

    sentence: str
    headline: dict[str, str]
    facts: list[tuple[str, str]]
    tables: list[dict[str, object]]
    samples: list[Sample]
    learning: list[Picture]
    learning_sentence: str


def language_page(
    history: History, evaluations: Mapping[str, LanguageEvaluation], live: LiveGenerator, seed: int
) -> LanguagePage:
    """Gather the page of a language model; the first evaluation is the one of the headline."""
    part, e = next(iter(evaluations.items()), ("", None))
    unit = live.codec.unit
    return LanguagePage(
        sentence=describe_model(live),
        headline={} if e is None else headline(part, e, unit),
        facts=facts(e, history, live),
        tables=[score_table(name, found, live) for name, found in evaluations.items()],
        samples=samples(live, seed),
        learning=learning_curves(history, f"nats a {unit}"),
        learning_sentence=describe_training(history, f"{unit}s"),
    )


def describe_model(live: LiveGenerator) -> str:
    """One sentence: what reads what, and what it says."""
    layers, codec = recurrent_of(live.model), live.codec
    nodes = [node for node in live.model.parts["main"].nodes if type(node.op) is type(layers)]
    depth = sum(node.op.layers for node in nodes)  # type: ignore[union-attr]
    size = f"{layers.hidden} units, " + (f"{depth} layers, " if depth > 1 else "")
    return (
        f"A {layers.title} ({size}{count_weights(live.model):,} weights in all) reads a text {codec.unit} by "
        f"{codec.unit} and says how probable each of the {codec.size - 1:,} {codec.unit}s it knows is next."
    )


def headline(part: str, e: LanguageEvaluation, unit: str) -> dict[str, str]:
    """The one figure: bits a character where tokens are characters, else the perplexity."""
    where = f"{part}: {counted(e, unit)}"
    if unit == "character":
        return {"big": figure(e.bits_per_character), "small": "bits a character", "where": where}
    return {"big": figure(e.perplexity), "small": f"perplexity a {unit}", "where": where}


def facts(e: LanguageEvaluation | None, history: History, live: LiveGenerator) -> list[tuple[str, str]]:
    """Figures beside the headline."""
    found = [("weights", f"{count_weights(live.model):,}"), ("trained in", duration(history.seconds))]
    if e is None:
        return found
    return [(f"nats a {live.codec.unit}", figure(e.loss)), ("perplexity", figure(e.perplexity)), *found]


def score_table(part: str, e: LanguageEvaluation, live: LiveGenerator) -> dict[str, object]:
    """The model beside counting, as rows to print."""
    rows, name = e.rows(), recurrent_of(live.model).name
    worst = max(float(row["nats_per_token"]) for row in rows)
    return {
        "part": part,
        "caption": counted(e, live.codec.unit),
        "unit": live.codec.unit,
        "rows": [
            {
                "name": name if row["model"] == "model" else row["model"],
                "nats": figure(float(row["nats_per_token"])),
                "perplexity": figure(float(row["perplexity"])),
                "bits": figure(float(row["bits_per_character"])),
                "bar": round(100 * float(row["nats_per_token"]) / worst),
            }
            for row in rows
        ],
    }


def samples(live: LiveGenerator, seed: int) -> list[Sample]:
    """What the model writes from the beginning, at some temperatures."""
    length = _LENGTH[live.codec.unit]
    return [
        Sample(_CONTROL.sub("\ufffd", text), f"--temperature {temperature:g} --seed {seed}")
        for temperature in _TEMPERATURES
        for text in [live.generate(max_new_tokens=length, temperature=temperature, seed=seed).text]
    ]
