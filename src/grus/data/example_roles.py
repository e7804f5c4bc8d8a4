"""What the columns of a table of labelled examples are: named, or inferred where obvious; and the plan in words."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from grus.data.roles import IDS, TIMES
from grus.errors import DataError, UsageError
from grus.preprocess.build_examples import ExampleRoles
from grus.preprocess.columns import Columns, is_text, is_time, listed, missing_column
from grus.preprocess.examples import Examples
from grus.preprocess.labels import looks_like_several
from grus.preprocess.times import looks_like_times, time_parts
from grus.spec import ClassifyKind

TEXTS = ("text", "sentence", "review", "question", "message", "comment", "content", "body", "document")
LABELS = ("label", "labels", "class", "target", "category")
CODES = ("code", "codes", "event", "events", "item", "product", "activity", "diagnosis", "concept", "action")
PEOPLE = ("patient", "patient_id", "subject", "subject_id", "user", "user_id", "customer", "customer_id", "case",
          "case_id", "session", "session_id", "sequence", "sample", "recording")  # fmt: skip
STEPS = ("step", "t", "frame", "index", "visit", "day", "order", "position")


def infer_example_roles(
    columns: Columns,
    *,
    kind: ClassifyKind | None = None,
    text: str | None = None,
    label: str | None = None,
    id: str | None = None,
    time: str | None = None,
    inputs: Sequence[str] = (),
    multi: bool | None = None,
    labelled: bool = True,
    source: str = "data",
) -> ExampleRoles:
    """Complete the columns that were named with those that are obvious.

    label: a column called label, class, target ..., or the only one left. id: unique_id, id, patient ..., in which
    some value comes twice. Without an id a row is a text: text, sentence, review ..., or the only column of text.
    With one, rows are series (all numeric columns left) or events (a column called code, event, item ..., or the
    only column of text left), and time is ds, date, step ..., or the only column of dates.

    Args:
        columns: the table.
        kind, text, label, id, time, inputs, multi: as given by the user.
        labelled: whether a label column is needed.
        source: the table's name, for messages.

    Raises:
        DataError: a named column is not there, or what is needed is not obvious.
        UsageError: a column is given two roles, or a role that its kind does not have.
    """
    times = time_parts(time, columns) if time is not None else ()
    given = tuple(inputs) if text is None else (text, *inputs)
    if text is not None and (kind not in (None, "text") or inputs):
        got = f"kind {kind!r}" if kind not in (None, "text") else f"columns {listed(inputs)}"
        raise UsageError(f"text: expected no other kind and no other columns, got {got}")
    if kind in ("images", "audio"):
        what = "images or an array" if kind == "images" else "recordings, or their paths"
        raise UsageError(f"{source}: expected a folder of {what}, got a table")
    table = _Inference(columns, source)
    table.take([name for name in (*given, label, id, *times) if name is not None])
    if label is None and labelled:
        label = table.named(LABELS)
    if text is not None or (kind is None and not given and table.has_text()):
        kind = "text"
    if id is None and kind != "text":
        id = table.named((*IDS, *PEOPLE), _repeats)
    if time is None and id is not None and kind != "text":
        time = table.time()
    kind = kind or table.kind(id, given)
    if id is None and kind != "text":
        raise DataError(
            f"{source}: expected an id column that says which rows belong together, got {listed(columns)}",
            "name it with id",
        )
    if id is None:
        id = table.named(IDS[:2])
    found = given or table.inputs(kind)
    if label is None and labelled:
        label = table.label()
    several = label is not None and looks_like_several(columns[label]) if multi is None else multi
    return ExampleRoles(kind, found, label, id, time, several)


class _Inference:
    """The columns of a table, and those of them that have no role yet."""

    def __init__(self, columns: Columns, source: str) -> None:
        self.columns, self.source = columns, source
        self.free = dict(columns)

    def take(self, names: Sequence[str]) -> None:
        """Give roles to the columns that the user named."""
        for name in names:
            if name not in self.columns:
                raise missing_column(name, self.columns, self.source)
            if names.count(name) > 1:
                raise UsageError(f"column {name!r}: expected one role, got {names.count(name)}")
            del self.free[name]

    def named(self, names: tuple[str, ...], fits: Callable[[np.ndarray], bool] | None = None) -> str | None:
        """The first free column with one of these names whose values fit; it is free no longer."""
        lower = {name.strip().lower(): name for name in reversed(self.free)}
        for name in names:
            found = lower.get(name)
            if found is not None and (fits is None or fits(self.free[found])):
                del self.free[found]
                return found
        return None

    def only(self, fits: Callable[[np.ndarray], bool], most: int = 1) -> tuple[str, ...]:
        """The free columns whose values fit, if they are not too many; they are free no longer."""
        found = tuple(name for name, values in self.free.items() if fits(values))
        if len(found) > most:
            return ()
        for name in found:
            del self.free[name]
        return found

    def has_text(self) -> bool:
        """Whether a free column of text has the name of one."""
        return any(name.strip().lower() in TEXTS and is_text(values) for name, values in self.free.items())

    def time(self) -> str | None:
        """The column that orders the rows of one id."""
        found = self.named((*TIMES, *STEPS), lambda v: v.dtype.kind == "i" or looks_like_times(v))
        return found or next(iter(self.only(looks_like_times)), None)

    def kind(self, id: str | None, inputs: tuple[str, ...]) -> ClassifyKind:
        """Text where no column says which rows belong together; with one, numbers are series and words are events."""
        if id is None:
            return "text"
        lower = {name.strip().lower() for name in self.free}
        values = [self.columns[name] for name in inputs] or list(self.free.values())
        numbers = any(map(_is_number, values)) and not (lower & set(CODES) and not inputs)
        return "series" if numbers else "events"

    def inputs(self, kind: ClassifyKind) -> tuple[str, ...]:
        """The column of text or of codes, or all numeric ones."""
        if kind == "series":
            found, must = (
                self.only(_is_number, len(self.free)),
                "columns of numbers as the channels of the series",
            )
        else:
            names, what = (TEXTS, "text") if kind == "text" else (CODES, "code")
            one = self.named(names, is_text if kind == "text" else None)
            found = (one,) if one else self.only(is_text)
            must = f"a column named {names[0]!r}, or a single one of text, to read the {what}s from"
        if not found:
            raise DataError(
                f"{self.source}: expected {must}, got {listed(self.free) or 'no other column'}",
                {"text": "name it with text", "series": "name them with columns"}.get(
                    kind, "name it with columns"
                ),
            )
        return found

    def label(self) -> str:
        """The only column that is left."""
        found = self.only(lambda v: not is_time(v), 1) if len(self.free) == 1 else ()
        if not found:
            got = listed(self.free) or "no other column"
            must = "a column named 'label', 'class' or 'target', or a single one left, as the label"
            raise DataError(f"{self.source}: expected {must}, got {got}", "name it with label")
        return found[0]


def _is_number(values: np.ndarray) -> bool:
    return values.dtype.kind in "fib"


def _repeats(values: np.ndarray) -> bool:
    """Whether some value comes twice, as the name of an example of many rows does."""
    return not is_text(values) or len(set(values.tolist())) < len(values) or len(values) == 1


def plan_examples(examples: Examples, roles: ExampleRoles, columns: Iterable[str] = ()) -> list[str]:
    """The plan in words: what is read and how much of it, which labels there are, what is not used.

    Args:
        examples: the data.
        roles: what its columns are.
        columns: every column of the table, to list those that play no part.
    """
    rows = [(roles.kind, _extent(examples, roles))]
    if roles.time is not None:
        rows.append(("time", repr(roles.time)))
    if examples.labels is not None:
        rows.append(("label", _label_words(examples.labels, roles)))
    used = {part for name in roles.names() for part in time_parts(name, {})} | set(roles.names())
    unused = [name for name in columns if name not in used]
    if unused:
        rows.append(("not used", listed(unused).replace("'", "")))
    return [f"{name:<9} {text}" for name, text in rows]


def _extent(examples: Examples, roles: ExampleRoles) -> str:
    """``5,452 texts from 'text', of 10 to 262 characters (half of them up to 54)``."""
    by = f" by {roles.id!r}" if roles.id else ""
    if examples.texts is not None:
        return (
            f"{examples.rows:,} from {roles.inputs[0]!r}, {_spread([*map(len, examples.texts)])} characters"
        )
    if examples.images is not None:
        _, height, width, channels = examples.images.shape
        return f"{examples.rows:,} of {width} x {height} pixels, {'grey' if channels == 1 else 'in colour'}"
    assert examples.offsets is not None
    lengths = np.diff(examples.offsets)
    if examples.rate is not None:
        low, middle, high = (np.quantile(lengths, q) / examples.rate for q in (0, 0.5, 1))
        spread = f"{low:.2f} to {high:.2f} s (median {middle:.2f} s), {lengths.sum() / examples.rate / 60:.1f} minutes"
        return f"{examples.rows:,} recordings of {spread} at {examples.rate:,} Hz"
    if examples.series is not None:
        names = listed(roles.inputs).replace("'", "")
        return f"{examples.rows:,}{by}, {_spread(lengths)} steps of {names}"
    assert examples.words is not None
    return (
        f"{examples.rows:,}{by}, {_spread(lengths)} visits with {len(examples.words):,} different codes "
        f"from {roles.inputs[0]!r}"
    )


def _spread(lengths: Sequence[int] | np.ndarray) -> str:
    low, middle, high = (int(np.quantile(lengths, q, method="lower")) for q in (0, 0.5, 1))
    return f"of {high:,}" if low == high else f"of {low:,} to {high:,} (median {middle:,})"


def _label_words(labels: Sequence[tuple[str, ...]], roles: ExampleRoles) -> str:
    """``'label', 2 classes: 1 (3,610), 0 (3,310)``."""
    counts = Counter(name for given in labels for name in given)
    some = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(10))
    more = f" and {len(counts) - 10:,} more" if len(counts) > 10 else ""
    where = f"{roles.label!r}, " if roles.label else ""
    several = f", {sum(counts.values()) / len(labels):.2g} a row" if roles.multi else ""
    return f"{where}{len(counts):,} classes{several}: {some}{more}"
