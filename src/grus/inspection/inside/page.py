"""What stands on the page of ``grus inspect``: sentences, tables and pictures, section by section."""

from dataclasses import dataclass

import numpy as np

from grus.inspection.inside.findings import Findings
from grus.inspection.inside.gate_words import (
    describe_attribution,
    describe_gradient,
    describe_memory,
    moment_sentence,
    short,
    steps_word,
)
from grus.inspection.inside.pictures import course, gate_maps, gradient_pictures, horizon_pictures
from grus.inspection.inside.tables import Table, layer_table, moments_table, unit_table, units_caption
from grus.inspection.irregular.page import MeasurementsPage, measurements_page
from grus.inspection.page import Picture, count_weights
from grus.inspection.wording import count, figure, percent
from grus.spec import Model, ops

#: Words that are named at each end, and heat maps that are drawn.
_WORDS, _MAPS = 6, 4


@dataclass(frozen=True)
class Word:
    """A step by its name; ``shade`` from 0 to 60 is the strength of its colour, in percent."""

    text: str
    shade: int
    against: bool = False
    unknown: bool = False
    title: str = ""


@dataclass(frozen=True)
class InspectPage:
    """Everything the template needs, ready to print; see `inspect_page`."""

    sentence: str
    answer: str
    facts: list[tuple[str, str]]
    measured: MeasurementsPage | None
    words_written: list[Word]
    words_added: list[Word]
    words_sentence: str
    words_surprising: list[Word]
    surprise_sentence: str
    close: bool
    image: str
    course: Picture | None
    course_sentence: str
    moments: Table | None
    attribution_sentence: str
    maps: list[Picture]
    maps_sentence: str
    horizon: list[Picture]
    horizon_sentence: str
    layers: Table
    units: Table
    units_caption: str
    gradient: list[Picture]
    gradient_sentence: str
    gradient_caption: str


def inspect_page(found: Findings, model: Model) -> InspectPage:
    """Gather the page of one row."""
    case = found.case
    words = case.names and case.axis not in ("visit",)
    return InspectPage(
        sentence=describe_model(model),
        answer=case.answer,
        facts=facts(found),
        measured=None if found.measured is None else measurements_page(found),
        words_written=written_words(found) if words else [],
        words_added=added_words(found) if words else [],
        words_sentence=words_sentence(found) if words else "",
        words_surprising=surprising_words(found),
        surprise_sentence=surprise_sentence(found),
        close=case.within_words,
        image=image_uri(found),
        course=None if found.measured is not None else course(found),
        course_sentence=moment_sentence(found),
        moments=None if found.measured is not None else moments_table(found),
        attribution_sentence=describe_attribution(found),
        maps=gate_maps(found),
        maps_sentence=maps_sentence(found),
        horizon=horizon_pictures(found),
        horizon_sentence=describe_memory(found),
        layers=layer_table(found),
        units=unit_table(found),
        units_caption=units_caption(found),
        gradient=gradient_pictures(found),
        gradient_sentence=describe_gradient(found),
        gradient_caption=gradient_caption(found),
    )


def describe_model(model: Model) -> str:
    """What recurs in the model, and how many weights it has."""
    parts = []
    for node in model.parts["main"].nodes:
        if isinstance(node.op, ops.GRU):
            layers = f", {node.op.layers} layers" if node.op.layers > 1 else ""
            both = ", both directions" if node.op.bidirectional else ""
            parts.append(f"a GRU of {count(node.op.hidden, 'unit')}{layers}{both} ({node.name})")
        elif isinstance(node.op, ops.GRUD):
            parts.append(f"a GRU with decay (GRU-D) of {count(node.op.hidden, 'unit')} ({node.name})")
    said = f"{' and '.join(parts)}; {count_weights(model):,} weights in all."
    return said[0].upper() + said[1:]


def facts(found: Findings) -> list[tuple[str, str]]:
    """A few figures for the first glance: (name, value)."""
    units = found.units[found.main]
    horizon = found.horizons[found.main]
    lives = units.half_life
    word = steps_word(found)
    facts = [(f"{found.case.axis}s read", f"{found.case.steps:,}")]
    facts.append((f"median half-life, {word}", figure(float(np.median(lives)), 3)))
    if np.isfinite(horizon.steps).any():
        facts.append((f"the same measured, {word}", short(float(np.nanmedian(horizon.steps)))))
    facts.append(("overwritten at each step", percent(float(found.written[found.main].mean()))))
    if found.main in found.faded:
        facts.append(("faded before a step", percent(float(found.faded[found.main].mean()))))
    return [*facts, ("dead units", f"{int(units.dead.sum()):,} of {units.dead.size:,}")]


def _shades(values: np.ndarray) -> np.ndarray:
    """From 0 for the least to 60 for the most."""
    low, high = float(values.min()), float(values.max())
    return (
        np.zeros(len(values), int)
        if high <= low
        else (60 * (values - low) / (high - low)).round().astype(int)
    )


def written_words(found: Findings) -> list[Word]:
    """The words, the darker the more of the memory they overwrote."""
    case, share = found.case, found.written[found.main].mean(axis=(0, 1))
    unknown = case.unknown or (False,) * len(case.names)
    return [
        Word(text, int(shade), unknown=odd, title=f"overwrites {percent(float(value))}")
        for text, shade, odd, value in zip(case.names, _shades(share), unknown, share)
    ]


def added_words(found: Findings) -> list[Word]:
    """The words, the darker the more they add to the answer; those against it in grey."""
    parts = found.attribution
    most = float(np.abs(parts).max(initial=0.0)) or 1.0
    return [
        Word(text, round(60 * abs(part) / most), against=part < 0, title=f"{part:+.3g} {found.case.unit}")
        for text, part in zip(found.case.names, parts)
    ]


def surprising_words(found: Findings) -> list[Word]:
    """The words that a language model read, the darker the less it expected them; of other models none."""
    case = found.case
    if case.surprise is None:
        return []
    shades = _shades(case.surprise)
    return [
        Word(text, int(shade), title=f"{value:.3g} nats, {percent(float(np.exp(-value)))}" if n else "")
        for n, (text, shade, value) in enumerate(zip(case.names, shades, case.surprise))
    ]


def surprise_sentence(found: Findings) -> str:
    """What a language model expected least."""
    case = found.case
    if case.surprise is None or case.steps < 2:
        return ""
    worst = np.argsort(-case.surprise, kind="stable")[: min(_WORDS, case.steps - 1)]
    named = ", ".join(f"“{case.names[i]}” ({figure(float(case.surprise[i]), 3)})" for i in worst)
    half = np.sort(case.surprise[1:])[::-1].cumsum() >= case.surprise.sum() / 2
    few = int(half.argmax()) + 1
    return (
        f"Least expected, in nats: {named}. {count(few, case.axis)} of {case.steps - 1:,} "
        f"{'makes' if few == 1 else 'make'} up half of what the passage cost."
    )


def words_sentence(found: Findings) -> str:
    """Which words opened the gates, and which left them shut."""
    case, share = found.case, found.written[found.main].mean(axis=(0, 1))
    order = np.argsort(-share, kind="stable")
    name = [f"“{case.names[i]}” ({percent(float(share[i]))})" for i in order]
    few = min(_WORDS, len(name) // 2)
    if not few:
        return f"{name[0]} is all there is to read."
    odd = sum(case.unknown)
    strange = f" {count(odd, case.axis)} of {len(case.names):,} training did not know." if odd else ""
    return (
        f"Most of the memory was overwritten at {', '.join(name[:few])}; "
        f"least at {', '.join(reversed(name[-few:]))}.{strange}"
    )


def image_uri(found: Findings) -> str:
    """The image as the page shows it, or nothing."""
    if found.case.image is None:
        return ""
    from grus.inspection.classes.page import data_uri

    return data_uri(found.case.image)


def maps_sentence(found: Findings) -> str:
    """How to read the heat maps."""
    more = found.written[found.main].shape[0] * found.written[found.main].shape[1] - _MAPS
    left = f" {count(more, 'further layer')} or direction is left to --json." if more > 0 else ""
    return (
        "A row is a unit, those with the longest memory on top; a column is a step. Dark: the update gate is near 0 "
        "and the unit is overwritten. Light: it is near 1 and the unit keeps what it knew. A light reset gate lets "
        f"the old state into the candidate, a dark one shuts it out.{left}"
    )


def gradient_caption(found: Findings) -> str:
    """What the pictures of gradients show."""
    if not found.last_state:
        return "The gradient of the answer by each input (values, masks and gaps), over several rows."
    return (
        "Left: the gradient of the answer by each input, over several rows. Right: that of the last state by what the "
        "layer is given, beside layers of the same size that were never trained."
    )
