"""What stands on the page about a model of music: sentences, tables, pictures, and pieces that it wrote."""

from collections.abc import Mapping
from dataclasses import dataclass

from grus.decode import Composition, LiveComposer, MusicEvaluation
from grus.inspection.music.plots import draw_roll
from grus.inspection.music.wording import counted
from grus.inspection.page import Picture, count_weights, describe_training, learning_curves, recurrent_of
from grus.inspection.svg import to_svg
from grus.inspection.wording import count, duration, figure
from grus.training import History

#: Beats of a sample, and the temperatures of the samples.
_BEATS = 32
_TEMPERATURES = (0.7, 0.9, 1.0)
#: Per cent of the width that the worst score takes.
_WIDE = 100


@dataclass(frozen=True)
class Sample:
    """A piece that the model wrote, how, and the file it is written to."""

    composition: Composition
    picture: Picture
    how: str
    file: str


@dataclass(frozen=True)
class MusicPage:
    """Everything the template needs, ready to print; see `music_page`."""

    sentence: str
    headline: dict[str, str]
    facts: list[tuple[str, str]]
    tables: list[dict[str, object]]
    samples: list[Sample]
    learning: list[Picture]
    learning_sentence: str


def music_page(
    history: History, evaluations: Mapping[str, MusicEvaluation], live: LiveComposer, seed: int
) -> MusicPage:
    """Gather the page of a model of music; the first evaluation is the one of the headline."""
    part, e = next(iter(evaluations.items()), ("", None))
    return MusicPage(
        sentence=describe_model(live),
        headline={}
        if e is None
        else {
            "big": figure(e.nats_per_step),
            "small": "nats a step, all parts together",
            "where": f"{part}: {counted(e)}",
        },
        facts=_facts(e, history, live),
        tables=[_score_table(name, found, live) for name, found in evaluations.items()],
        samples=samples(live, seed),
        learning=learning_curves(history, "nats a token"),
        learning_sentence=describe_training(history, "tokens"),
    )


def describe_model(live: LiveComposer) -> str:
    """One sentence: what reads what, and what it says."""
    layers, step = recurrent_of(live.model), live.step
    size = f"{layers.hidden} units, " + (f"{layers.layers} layers, " if layers.layers > 1 else "")
    what = f"{count(len(step.parts), 'voice')} of music" if step.layout == "voices" else "polyphonic music"
    return (
        f"A {layers.title} ({size}{count_weights(live.model):,} weights in all) reads {what}, "
        f"{step.steps_per_beat} steps a beat, and says how probable each of {live.task.size - 1:,} tokens is next."
    )


def _facts(e: MusicEvaluation | None, history: History, live: LiveComposer) -> list[tuple[str, str]]:
    found = [("weights", f"{count_weights(live.model):,}"), ("trained in", duration(history.seconds))]
    return found if e is None else [("nats a note", figure(e.nats_per_note)), *found]


def _score_table(part: str, e: MusicEvaluation, live: LiveComposer) -> dict[str, object]:
    """The model beside counting, as rows to print."""
    rows, name = e.rows(), recurrent_of(live.model).name
    worst = max(float(row["nats_per_step"]) for row in rows)
    return {
        "part": part,
        "caption": counted(e),
        "rows": [
            {
                "name": name if row["model"] == "model" else row["model"],
                "step": figure(float(row["nats_per_step"])),
                "note": figure(float(row["nats_per_note"])),
                "bar": round(_WIDE * float(row["nats_per_step"]) / worst),
            }
            for row in rows
        ],
    }


def samples(live: LiveComposer, seed: int) -> list[Sample]:
    """What the model writes from the beginning, at some temperatures."""
    found: list[Sample] = []
    for number, temperature in enumerate(_TEMPERATURES):
        (made,) = live.generate(max_beats=_BEATS, temperature=temperature, seed=seed)
        how = f"--temperature {temperature:g} --max-beats {_BEATS} --seed {seed}"
        svg = to_svg(
            draw_roll(made.piece), f"sample-{number}", f"A piano roll of what was written with {how}"
        )
        found.append(Sample(made, Picture(svg), how, f"sample-{number + 1}.mid"))
    return found
