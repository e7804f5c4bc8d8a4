"""The forecasting networks as specs: over segments (the default), and step by step.

Both decode the whole horizon from the **final** state of the encoder, so the forecast for the first step sees the
newest value. (Heads applied to the last H encoder states, as some libraries do, forecast t+1 from the state at t-H+1.)
"""

from dataclasses import dataclass, field

from grus.errors import UsageError
from grus.preprocess.forecast_steps import Layout
from grus.spec import Graph, Node, Op, Port, infer, ops
from grus.tasks.cells import layers_of, step_of
from grus.tasks.encoders import KERNEL_SIZE, attended, convolved

#: Segments longer than this blur their steps into one vector; 24 is what Lin et al. 2023 use at hourly and finer data.
MAX_SEGMENT = 24
MIN_SEGMENT = 4


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a forecasting network.

    Attributes:
        model: ``segment`` or ``direct``.
        lookback, horizon: in steps.
        segment: steps a segment (``segment`` only).
        anchor: how many last steps of the target are averaged into the level that is subtracted before and added
            back after the network.
        cell: of the recurrent layers, one of `grus.tasks.cells.CELLS`.
        hidden_size, layers, dropout: of these layers.
        outputs: 1 for a point, else the number of quantiles.
        head_size: per-step features of the decoder, and half the width of the per-step head.
        encoder: what stands around the recurrent layers, one of `grus.tasks.encoders.ENCODERS`.
        kernel_size: steps that a convolution sees (``conv-gru`` only).
    """

    model: str
    lookback: int
    horizon: int
    segment: int
    anchor: int
    cell: str = "gru"
    hidden_size: int = 128
    layers: int = 1
    dropout: float = 0.1
    outputs: int = 1
    head_size: int = 32
    encoder: str = "gru"
    kernel_size: int = KERNEL_SIZE


def segment_length(horizon: int, season: int, lookback: int | None = None) -> int:
    """The segment that fits a horizon: its largest divisor from 4 to 24, else 24 or the season if that is shorter."""
    divisors = [k for k in range(MIN_SEGMENT, MAX_SEGMENT + 1) if horizon % k == 0]
    chosen = max(divisors, default=min(MAX_SEGMENT, max(horizon, season)))
    return chosen if lookback is None else max(1, min(chosen, lookback))


def default_lookback(horizon: int, season: int, segment: int, room: int) -> int:
    """Seven seasons (at most 168 steps unless two seasons are longer), at least two horizons, in whole segments.

    ``room`` bounds it, so that short series keep half of their rows to learn from.
    """
    wanted = max(2 * horizon, min(7 * season, max(2 * season, 168)))
    return max(1, min(wanted, room) // segment) * segment


def build_network(config: NetworkConfig, layout: Layout) -> Graph:
    """The graph of a forecaster whose inputs are those of `grus.preprocess.features.Preprocessor.windows`.

    Raises:
        UsageError: for an unknown model or a lookback that is not whole segments.
    """
    if config.model not in ("segment", "direct"):
        raise UsageError(f"model must be 'segment' or 'direct', got {config.model!r}")
    if config.model == "segment" and config.lookback % config.segment:
        raise UsageError(
            f"lookback must be a multiple of the segment of {config.segment}, got {config.lookback}"
        )
    build = _Builder(layout.ports())
    level = build("level", ops.Last(config.anchor), build("target", ops.Columns(0, 1), "past"))
    history: tuple[str, ...] = _decaying(build, layout, level) if decays(layout) else (
        build("history", ops.Concat(), *_history(build, layout, level)),
    )  # fmt: skip
    if config.encoder == "conv-gru":
        near = convolved(build, history[0], config.head_size, config.kernel_size)
        history = (build("history_and_near", ops.Concat(), history[0], near),)
    make = _segment if config.model == "segment" else _direct
    head = make(config, layout, build, history)
    anchor = level if config.outputs == 1 else build("levels", ops.Concat(), *[level] * config.outputs)
    build("forecast", ops.Add(), head, anchor)
    return build.graph({"forecast": "forecast"})


@dataclass
class _Builder:
    """Collects nodes; calling it adds one and returns its name."""

    ports: tuple[Port, ...]
    nodes: list[Node] = field(default_factory=list)

    def __call__(self, name: str, op: Op, *inputs: str, weights: str = "") -> str:
        self.nodes.append(Node(name, op, inputs, weights))  # type: ignore[arg-type]
        return name

    def size(self, name: str) -> int:
        return infer(self.graph({"out": name}))[name].size

    def graph(self, outputs: dict[str, str]) -> Graph:
        return Graph(self.ports, tuple(self.nodes), outputs)


def _history(build: _Builder, layout: Layout, level: str) -> list[str]:
    """Per-step history: the target relative to its level, the other features, embedded categories."""
    if layout.irregular is not None:
        measured = build("measured", ops.Columns(2, 3), "past")
        rest = [build("row", ops.Columns(1, 2), "past")]
        if len(layout.past) > 3:
            rest.append(build("others", ops.Columns(3, len(layout.past)), "past"))
        return [
            build("relative", ops.Subtract(), measured, level), *rest, *_embeddings(build, layout, "past"),
        ]  # fmt: skip
    parts = [
        build("relative", ops.Subtract(), "target", level),
        build("observed", ops.Columns(1, len(layout.past)), "past"),
    ]
    return parts + _embeddings(build, layout, "past")


def decays(layout: Layout) -> bool:
    """Whether the history is read by a GRU-D."""
    return layout.irregular is not None and layout.irregular.form == "decay"


def _decaying(build: _Builder, layout: Layout, level: str) -> tuple[str, str, str]:
    """The three inputs of a GRU-D: values, the target relative to its level; masks; the time since the row before.

    The calendar and categories of a row are values that are there whenever the row is.
    """
    assert layout.irregular is not None
    count, size = len(layout.irregular.columns), len(layout.past)
    mask, gap = 2 + count, 2 + 2 * count
    build("measured", ops.Columns(2, 3), "past")
    values = [build("relative", ops.Subtract(), "measured", level)]
    if count > 1:
        values.append(build("others", ops.Columns(3, mask), "past"))
    known = _embeddings(build, layout, "past")
    if layout.calendar:
        known.append(build("history_clock", ops.Columns(gap + 1, size), "past"))
    masks, width = [build("observed", ops.Columns(mask, gap), "past")], sum(map(build.size, known))
    if width:
        build("row", ops.Columns(1, 2), "past")
        masks.append(build("rows", ops.Concat(), *["row"] * width))
    return (
        build("history", ops.Concat(), *values, *known),
        build("masks", ops.Concat(), *masks),
        build("gap", ops.Columns(gap, gap + 1), "past"),
    )


def _embeddings(build: _Builder, layout: Layout, group: str) -> list[str]:
    names: list[str] = []
    for number, column in enumerate(getattr(layout, f"{group}_tokens")):
        count = layout.counts[column]
        op = ops.Embedding(count, min(32, 1 + int(count**0.5) * 2))
        names.append(build(f"{group}_embedding_{number}", op, f"{group}_code_{number}"))
    return names


def _context(build: _Builder, layout: Layout) -> list[str]:
    """What is known of a series as a whole."""
    return (["static"] if layout.static else []) + _embeddings(build, layout, "static")


def _per_step(build: _Builder, layout: Layout) -> list[str]:
    """What is known of each step of the horizon."""
    return ["future", *_embeddings(build, layout, "future")]


def _segment(config: NetworkConfig, layout: Layout, build: _Builder, history: tuple[str, ...]) -> str:
    """Recurrent layers over segments, after SegRNN (Lin et al. 2023), with covariates.

    History segments go through Linear + ReLU into the layers (a GRU-D reads the history step by step); every segment of
    the horizon is then decoded in parallel, one step of the cell each from the final state, fed its position, its
    calendar and what is known of the series.
    """
    width, length = config.hidden_size, config.segment
    encoder = layers_of(config.cell, width, config.layers, dropout=config.dropout)
    if decays(layout):
        build("encoder", ops.GRUD(width), *history)
    else:
        build("history_segments", ops.Segment(length), *history)
        build("projected", ops.Linear(width), "history_segments")
        build("encoder_input", ops.Activation("relu"), "projected")
        build("encoder", encoder, "encoder_input")
    states = [f"encoder{suffix}" for suffix in encoder.states]
    if config.layers > 1:  # those of the last layer
        last = ops.Columns((config.layers - 1) * width, config.layers * width)
        states = [build(name, last, state) for name, state in zip(("state", "state_c"), states)]
    if config.encoder == "gru-attention":
        states[0] = _attended_state(config, build)
    clock = build("clock", ops.Columns(0, 1 + layout.calendar), "future")
    build("clock_segments", ops.Segment(length), clock)
    build("clock_linear", ops.Linear(width), "clock_segments")
    build("clock_features", ops.Activation("relu"), "clock_linear")
    build("position", ops.Position(-(-config.horizon // length), width), "clock_segments")
    build("place", ops.Add(), "clock_features", "position")
    step_input = "place"
    context = _context(build, layout)
    if context:
        build("query", ops.Concat(), "place", *context)
        step_input = build("query_linear", ops.Linear(width), "query")
    tied = "encoder" if config.layers == 1 and not decays(layout) else ""
    build("decoder", step_of(config.cell, width), step_input, *states, weights=tied)
    build("decoded", ops.Dropout(config.dropout), "decoder")
    return _head(config, layout, build, "decoded", length)


def _head(config: NetworkConfig, layout: Layout, build: _Builder, decoded: str, length: int) -> str:
    """From decoded segments to steps; with covariates of the horizon, each step sees its own."""
    if not layout.calendar and len(layout.future) == 1 and not layout.future_tokens:
        build("head_segments", ops.Linear(length * config.outputs), decoded)
        return build("head", ops.Unsegment(length), "head_segments")
    build("step_segments", ops.Linear(length * config.head_size), decoded)
    build("step_features", ops.Unsegment(length), "step_segments")
    return _step_head(config, build, "step_features", _per_step(build, layout))


def _step_head(config: NetworkConfig, build: _Builder, decoded: str, known: list[str]) -> str:
    build("step", ops.Concat(), decoded, *known)
    build("step_linear", ops.Linear(2 * config.head_size), "step")
    build("step_relu", ops.Activation("relu"), "step_linear")
    return build("head", ops.Linear(config.outputs), "step_relu")


def _direct(config: NetworkConfig, layout: Layout, build: _Builder, history: tuple[str, ...]) -> str:
    """A step-by-step encoder, and a decoder over the horizon that starts from its final state."""
    width = config.hidden_size
    layers = layers_of(config.cell, width, config.layers, dropout=config.dropout)
    build("encoder", ops.GRUD(width) if decays(layout) else layers, *history)
    states = [f"encoder{suffix}" for suffix in layers.states]
    if config.encoder == "gru-attention":
        states[0] = _attended_state(config, build)
        if config.layers > 1:
            below = build("below", ops.Columns(0, (config.layers - 1) * width), "encoder.h")
            states[0] = build("state", ops.Concat(), below, states[0])
    known = _per_step(build, layout)
    build("position", ops.Position(config.horizon, width // 2 or 1), "future")
    build("query", ops.Concat(), "position", *known, *_context(build, layout))
    build("query_linear", ops.Linear(width), "query")
    build("decoder", layers, "query_linear", *states)
    build("decoded", ops.Dropout(config.dropout), "decoder")
    return _step_head(config, build, "decoded", known)


def _attended_state(config: NetworkConfig, build: _Builder) -> str:
    """The last layer's final state, which has looked back at all states before it."""
    return build("attended_state", ops.Last(), attended(build, "encoder", config.hidden_size))
