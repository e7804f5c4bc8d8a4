"""The work of ``grus stream``: read what is waiting, answer it, save now and then."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from grus.cli.answers import check_options
from grus.cli.options import as_numbers
from grus.cli.people import People
from grus.cli.stream_rows import CsvAnswers, JsonAnswers, Lines, RowReader
from grus.cli.stream_saved import Interrupts, Saver, amount
from grus.decode import (
    LiveClassifier,
    LiveComposer,
    LiveForecaster,
    LiveGenerator,
    LiveTranscriber,
    LiveTranslator,
    load,
)
from grus.decode.rows import to_columns
from grus.decode.streaming.keyed import Eviction, Record, Streams, Wanted
from grus.errors import DataError, UnsupportedError, UsageError
from grus.inspection.wording import count
from grus.preprocess.columns import missing_column

#: Rows answered at once: more of them wait for no one longer than it takes to answer these.
_TOGETHER = 512


def run(ctx: typer.Context, model: Path) -> None:
    """Stream until stdin ends, or a signal comes.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after all was saved. SystemExit: 143 on SIGTERM, likewise.
    """
    options, people = ctx.params, People(ctx.params["quiet"])
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("stdin: expected rows in CSV or JSON lines, got a terminal", hint="pipe them in")
    loaded = load(model)
    check_options(ctx, loaded.model, model)
    live = _of_rows(ctx.command_path, loaded, model)
    for name in ("rate", "wake"):
        if options[name] is not None:
            raise UsageError(f"{ctx.command_path}: --{name} is for sound, which is read with --audio")
    wanted = Wanted(
        as_numbers(options["level"]),
        options["proba"],
        options["every"] or 1,
        _future(options["future"]),
        options["detail"],
    )
    if isinstance(live, LiveForecaster) and live.task.future and wanted.future is None:
        names = ", ".join(map(repr, live.task.future))
        raise UsageError(f"{ctx.command_path}: --future must name rows with {names}, which the model needs")
    streams = Streams(live, options["key"], wanted, Eviction(*amount(ctx, "evict_after")))
    saver = Saver(streams, options["state"], *amount(ctx, "save_every"))
    if saver.restore():
        people.say(f"{saver.path}: {len(streams):,} streams; goes on after row {streams.seq}")
    if options["out_format"] not in ("json", "csv"):
        raise UsageError(f"{ctx.command_path}: --format must be json or csv, got {options['out_format']!r}")
    answers = CsvAnswers(_columns(streams)) if options["out_format"] == "csv" else JsonAnswers()
    session = Session(streams, saver, answers, options["seq"])
    session.run(Lines(sys.stdin.fileno()))
    people.say(session.summary())


def _of_rows(command: str, live: Any, model: Path) -> LiveForecaster | LiveClassifier:
    """The live model; raises UnsupportedError for one that has no answer for rows."""
    if isinstance(live, LiveGenerator):
        hint = "grus generate --state FILE goes on with a text"
        raise UnsupportedError(f"{model}: a language model has no answer for rows", hint)
    if isinstance(live, LiveComposer):
        hint = "grus generate --prime FILE goes on with a tune"
        raise UnsupportedError(f"{model}: a model of music has no answer for rows", hint)
    if isinstance(live, LiveTranscriber):
        raise UnsupportedError(
            f"{model}: a transcriber reads samples, not rows", hint="grus stream MODEL --audio"
        )
    if isinstance(live, LiveTranslator):
        raise UnsupportedError(
            f"{command}: {model} is a translator, which reads whole sentences",
            hint=f"grus translate {model} answers line by line",
        )
    return live


def _future(path: str | None) -> Any:
    if path is None:
        return None
    from grus.cli.tables import table_file
    from grus.data.readers import read_columns

    with table_file(path) as file:
        return to_columns(read_columns(file)[0], "future")


def _columns(streams: Streams) -> tuple[str, ...]:
    """The header of answers in CSV."""
    key = (streams.engine.key,) if streams.engine.key is not None else ()
    return ("seq", *key, *streams.columns, "error")


class Session:
    """Rows in, answers out."""

    def __init__(
        self, streams: Streams, saver: Saver, answers: CsvAnswers | JsonAnswers, seq: str | None
    ) -> None:
        self.streams, self._saver, self._answers, self._seq = streams, saver, answers, seq
        self._reader = RowReader()
        self._passed = self._wrong = self._rows = 0

    def run(self, lines: Lines) -> None:
        """Answer all rows; a signal ends it after those at hand, with everything saved."""
        with Interrupts() as interrupts:
            while (found := interrupts.read(lines, self._saver)) is not None:
                for first in range(0, len(found), _TOGETHER):
                    self._answer(found[first : first + _TOGETHER])
                    self._saver.save_if_due()
                    if interrupts.stopped is not None:
                        break
            self._saver.save()
        interrupts.end()

    def _answer(self, lines: list[bytes | None]) -> None:
        numbers: list[int] = []
        rows: list[Mapping[str, Any]] = []
        wrong: list[Record] = []
        newest = self.streams.seq
        is_first = self._reader.is_json is None
        for row in self._reader.rows(lines):
            if is_first and self._reader.header is not None:
                self._check_header(self._reader.header)
                is_first = False
            number = newest + 1 if self._seq is None else self._number(row)
            if isinstance(number, int) and number <= newest:
                self._passed += 1
                continue
            if isinstance(number, DataError):
                wrong.append({"seq": None, "error": str(number)})
                continue
            newest = number
            if isinstance(row, DataError):
                wrong.append({"seq": number, "error": str(row)})
            else:
                numbers.append(number)
                rows.append(row)
        records = self.streams.feed(numbers, rows, time.time())
        self.streams.seq = newest
        self._rows += len(numbers) + len(wrong)
        self._wrong += len(wrong) + sum("error" in record for record in records)
        records = _merged(records, wrong)
        if records:
            sys.stdout.buffer.write(self._answers.encode(records))
            sys.stdout.buffer.flush()

    def _number(self, row: Mapping[str, Any] | DataError) -> int | DataError:
        """The number that a row bears."""
        if isinstance(row, DataError):
            return row
        found = row.get(self._seq or "")
        if isinstance(found, str) and found.isascii() and found.strip().isdecimal():
            found = int(found[:20])
        if not isinstance(found, int) or isinstance(found, bool) or not 0 < found < 1 << 62:
            return DataError(f"column {self._seq!r}: expected the number of the row, got {found!r:.60}")
        return found

    def _check_header(self, header: list[str]) -> None:
        fields = dict.fromkeys(header)
        for name in (*self.streams.engine.needs(fields), *((self._seq,) if self._seq else ())):
            if name not in fields:
                raise missing_column(name, header, "stdin")

    def summary(self) -> str:
        """What was done, in a sentence."""
        passed = f", {self._passed:,} passed over" if self._passed else ""
        numbers = {"row": self._rows, "stream": len(self.streams), "error": self._wrong}
        return ", ".join(count(n, noun) for noun, n in numbers.items()) + passed


def _merged(records: list[Record], wrong: list[Record]) -> list[Record]:
    """Answers and errors in the order of their rows."""
    if not wrong:
        return records
    if any(record["seq"] is None for record in wrong):
        return records + wrong
    return sorted(records + wrong, key=lambda record: record["seq"])
