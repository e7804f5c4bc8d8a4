"""Many keyed streams at once: each as if it were alone, however rows come together, and across a restart."""

import dataclasses
import time

import numpy as np
import pytest
from test_live_classifier import live as bidirectional
from test_live_classifier import table_of
from test_live_steps import causal
from test_live_streams import one, records, with_recent

from example_classifiers import events, series, texts
from example_series import COVARIATES, HOUR, ROLES, START, hourly, random_forecaster
from grus.decode.streaming.keyed import Eviction, Streams, Wanted
from grus.errors import GrusError, ModelFolderError, UnsupportedError, UsageError
from grus.preprocess.panel import build_panel
from grus.runtime.sealed import seal, unseal


def forecaster(which="none"):
    columns = hourly((60, 50, 40))
    roles = dataclasses.replace(ROLES, **COVARIATES[which])
    return with_recent(build_panel(columns, roles)), columns


def interleaved(columns, seed=0):
    """Rows of all series, shuffled, but those of each in their order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(columns["unique_id"])
    left = {name: iter(records(one(columns, name))) for name in set(order.tolist())}
    rows = [next(left[name]) for name in order.tolist()]
    return [{**row, "ds": str(row["ds"])[:19]} for row in rows]


def bad(row, column="y"):
    return {**row, column: "n/a-ish"}


def fed(streams, rows, sizes=(1000,), first=1):
    """Answers to rows that come in so many at a time."""
    out, done = [], 0
    sizes = list(sizes)
    while done < len(rows):
        size = sizes[done % len(sizes)] if len(sizes) > 1 else sizes[0]
        part = rows[done : done + size]
        out += streams.feed(range(first + done, first + done + len(part)), part)
        done += len(part)
    return out


WANTED = Wanted(level=(80,))


def make(kind, **options):
    """A model, and rows for it, some of them bad."""
    if kind == "word":
        return Streams(causal("word"), None, Wanted(proba=True), **options), [
            {"review": text} for text in texts().texts
        ]
    if kind in ("series", "events"):
        table = table_of(series() if kind == "series" else events())
        rows = records({name: values for name, values in table.items() if name != "kind"})
        rows = [{**row, "id": str(row["id"])} for row in rows]
        np.random.default_rng(0).shuffle(rows)
        if kind == "series":
            rows[7] = bad(rows[7], "a")
        return Streams(causal(kind), None, Wanted(proba=True), **options), rows
    live, columns = forecaster(kind)
    wanted = dataclasses.replace(WANTED, future=columns) if live.task.future else WANTED
    rows = interleaved(columns)
    rows[30:32] = [rows[31], rows[30]]  # late ones
    rows[60] = bad(rows[60])
    return Streams(live, None, wanted, **options), rows


KINDS = ("none", "past", "all", "series", "events", "word")


@pytest.mark.parametrize("kind", KINDS)
def test_how_rows_come_together_changes_nothing(kind):
    streams, rows = make(kind)
    together = fed(streams, rows)
    blob = streams.to_bytes()
    assert [record["seq"] for record in together] == list(range(1, len(rows) + 1))
    assert any("error" in record for record in together) == (kind not in ("events", "word"))
    for sizes in ((1,), (1, 2, 7, 3), (50,)):
        again, _ = make(kind)
        assert fed(again, rows, sizes) == together
        assert again.to_bytes() == blob


@pytest.mark.parametrize("kind", KINDS)
def test_a_restart_goes_on_exactly(kind):
    streams, rows = make(kind)
    whole = fed(streams, rows)
    for cut in (0, 1, len(rows) // 3, len(rows) - 1):
        first, _ = make(kind)
        before = fed(first, rows[:cut])
        second, _ = make(kind)
        second.restore(first.to_bytes())
        assert second.seq == cut
        assert before + fed(second, rows[cut:], (5,), cut + 1) == whole


def test_answers_are_those_of_predict():
    live, columns = forecaster()
    answers = fed(Streams(live, None, WANTED), interleaved(columns))
    for name in "abc":
        last = [record for record in answers if record["unique_id"] == name][-1]
        y = live.predict(one(columns, name), level=[80])
        assert last["GRU"] == y["GRU"].tolist()
        assert last["GRU-lo-80"] == y["GRU-lo-80"].tolist()
        assert last["ds"] == [str(t)[:19].replace("T", " ") for t in y["ds"]]
    assert list(last) == ["seq", "unique_id", "ds", "GRU", "GRU-lo-80", "GRU-hi-80"]


def test_labels_are_those_of_predict():
    live, table = causal("series"), table_of(series())
    streams = Streams(live, None, Wanted(proba=True))
    rows = records({name: values for name, values in table.items() if name != "kind"})
    last = {record["id"]: record for record in fed(streams, rows)}
    y = live.predict({name: values for name, values in table.items() if name != "kind"}, proba=True)
    assert list(last) == y["id"].tolist()
    for i, record in enumerate(last.values()):
        assert {k: v for k, v in record.items() if k != "seq"} == {k: v[i] for k, v in y.items()}


def test_every_so_many_rows():
    streams, rows = make("none")
    all_of_them = fed(streams, rows)
    live, _ = forecaster()
    some = fed(Streams(live, None, dataclasses.replace(WANTED, every=5)), rows)
    assert all(record in all_of_them for record in some)
    counted = dict.fromkeys("abc", 0)
    wanted = []
    for record in all_of_them:
        if "error" in record:
            wanted.append(record)
            continue
        counted[record["unique_id"]] += 1
        if counted[record["unique_id"]] % 5 == 0:
            wanted.append(record)
    assert some == wanted


def test_another_key_and_none():
    live = with_recent(
        build_panel(
            {"ds": START + np.arange(50) * HOUR, "y": np.arange(50.0)}, dataclasses.replace(ROLES, id=None)
        )
    )
    rows = [{"ds": str(START + i * HOUR)[:19], "y": float(i), "machine": m} for i in range(30) for m in "pq"]
    streams = Streams(live, "machine")
    answers = fed(streams, rows)
    y = live.predict([{"ds": row["ds"], "y": row["y"]} for row in rows[::2]])
    assert answers[-1]["GRU"] == answers[-2]["GRU"] == y["GRU"].tolist()
    assert answers[-1]["machine"] == "q"
    alone = fed(Streams(live), rows)
    assert "error" in alone[1]  # the same time twice
    with pytest.raises(UsageError, match="key: must not be called 'seq'"):
        Streams(live, "seq")
    with pytest.raises(UsageError, match="rows have no key"):
        Streams(causal("word"), "id")
    with pytest.raises(UsageError, match="every: a classifier of texts answers each row by itself"):
        Streams(causal("word"), wanted=Wanted(every=2))
    without = random_forecaster(build_panel(hourly((60,)), ROLES))
    with pytest.raises(UnsupportedError, match="no calibrated intervals"):
        Streams(without, wanted=WANTED)


def test_a_row_without_a_column_or_a_key():
    streams, rows = make("none")
    out = fed(streams, [{"ds": "2024-01-01", "unique_id": "a"}, {**rows[0], "unique_id": None}, rows[0]])
    assert out[0]["error"].startswith("row 1: no column 'y'; the columns are 'ds', 'unique_id'")
    assert (
        out[1]["error"]
        == "stdin, row 2, column 'unique_id': expected the name of a series, got an empty cell"
    )
    assert "error" not in out[2]
    assert len(streams) == 1


def test_what_cannot_stream():
    with pytest.raises(UnsupportedError, match="node 'gru': GRU needs the whole sequence"):
        Streams(bidirectional("series"))
    with pytest.raises(UnsupportedError, match="a classifier of images reads whole examples"):
        Streams(bidirectional("images"))
    assert len(fed(Streams(bidirectional("word")), [{"review": "good"}])) == 1


# -- eviction ------------------------------------------------------------------------------------------------


def hours(name, first, count):
    return [
        {"unique_id": name, "ds": str(START + (first + i) * HOUR)[:19], "y": float(i % 7)}
        for i in range(count)
    ]


@pytest.mark.parametrize("sizes", [(1,), (3,), (1000,)])
def test_a_key_is_forgotten_after_so_many_rows(sizes):
    live, _ = forecaster()
    rows = hours("a", 0, 20) + hours("b", 0, 10) + hours("a", 20, 5) + hours("b", 10, 11) + hours("a", 25, 5)
    kept = fed(Streams(live, eviction=Eviction(rows=11)), rows, sizes)
    cut = fed(Streams(live, eviction=Eviction(rows=10)), rows, sizes)
    assert kept[:30] == cut[:30]
    forever = fed(Streams(live), rows, sizes)
    assert kept[30:46] == forever[30:46]
    fresh = fed(Streams(live), hours("a", 20, 5), first=31)
    assert cut[30:35] == fresh
    assert kept[46:] == fed(Streams(live), hours("a", 25, 5), first=47)


def test_memory_stays_flat_with_eviction():
    live, _ = forecaster()
    streams = Streams(live, wanted=Wanted(every=1000), eviction=Eviction(rows=100))
    for i in range(60):
        streams.feed(range(1 + i * 100, 101 + i * 100), [hours(f"k{i}-{j}", 0, 1)[0] for j in range(100)])
    assert len(streams) < 1400
    assert len(streams._used) < 3000


def test_a_key_is_forgotten_after_so_many_seconds():
    live, _ = forecaster()
    streams = Streams(live, eviction=Eviction(seconds=60))
    rows = hours("a", 0, 3)
    streams.feed([1], rows[:1], now=1000.0)
    streams.feed([2], rows[1:2], now=1060.0)
    second = Streams(live, eviction=Eviction(seconds=60))
    second.restore(streams.to_bytes())
    (kept,) = streams.feed([3], rows[2:], now=1119.0)
    (cut,) = second.feed([3], rows[2:], now=1121.0)
    assert kept == fed(Streams(live), rows)[2]
    assert cut == fed(Streams(live), rows[2:], first=3)[0]


# -- hostile bytes -------------------------------------------------------------------------------------------


def test_bytes_of_another_model_or_key():
    streams, rows = make("none")
    fed(streams, rows[:10])
    other, _ = make("past")
    with pytest.raises(ModelFolderError, match=r"s\.grus: belongs to another model"):
        other.restore(streams.to_bytes(), "s.grus")
    with pytest.raises(ModelFolderError, match="its key is 'unique_id', not 'ds'"):
        Streams(streams.live, "ds").restore(streams.to_bytes())


@pytest.mark.parametrize(
    "change",
    [
        {"keys": ["a"]}, {"keys": ["a", "a", "b"]}, {"used": [1, 2]}, {"used": [1, 2, 99]}, {"used": [-1, 2, 3]},
        {"seq": -5}, {"seq": 1 << 63}, {"seen": []}, {"seen": None}, {"owner": 3}, {"extra": 1},
    ],
    ids=str,
)  # fmt: skip
def test_headers_that_do_not_fit(change):
    import json

    streams, rows = make("none")
    fed(streams, rows[:20])
    assert len(streams) == 3
    header, body = unseal(b"GRUKEYED", 1, streams.to_bytes(), "state")
    blob = seal(b"GRUKEYED", 1, json.dumps(json.loads(header) | change).encode(), [body])
    again, _ = make("none")
    with pytest.raises(ModelFolderError, match="state: damaged"):
        again.restore(blob)


def test_mutated_bytes_give_a_typed_error_or_streams_that_run():
    import hashlib

    rng = np.random.default_rng(0)
    started, accepted = time.perf_counter(), 0
    for kind in ("none", "all", "series", "events"):
        streams, rows = make(kind)
        fed(streams, rows[:25])
        blob = streams.to_bytes()
        again, _ = make(kind)
        for number in range(300):
            raw = bytearray(blob[:-32])
            for _ in range(rng.integers(1, 4)):
                raw[int(rng.integers(len(raw)))] ^= 1 << int(rng.integers(8))
            header, body = None, None
            spoilt = bytes(raw) + hashlib.sha256(raw).digest()
            if number % 2:  # under both checksums
                try:
                    header, body = unseal(b"GRUKEYED", 1, spoilt, "state")
                    spoilt = seal(b"GRUKEYED", 1, header, [body[:-32], hashlib.sha256(body[:-32]).digest()])
                except GrusError:
                    pass
            try:
                again.restore(spoilt)
            except GrusError:
                continue
            accepted += 1
            with np.errstate(all="ignore"):
                fed(again, rows[25:28], first=again.seq + 1)
    assert accepted
    assert time.perf_counter() - started < 10
