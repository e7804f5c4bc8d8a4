"""``grus stream``: every row answered as it comes, errors answered too, and restarts that go on exactly."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import msgspec
import numpy as np
import pytest
from cli_runs import command, environment, run, spawn, write

from example_classifiers import classifier, texts
from example_series import ROLES, hourly, random_model
from grus import load
from grus.artifact import save_model
from grus.cli.stream_rows import Lines
from grus.preprocess.panel import build_panel

NAMES = ("unique_id", "ds", "y")


@pytest.fixture(scope="module")
def columns():
    return {name: values for name, values in hourly((40, 35, 30)).items() if name in NAMES}


@pytest.fixture(scope="module")
def folder(columns, tmp_path_factory):
    """A forecaster of hourly series, not trained."""
    margins = np.linspace(0.01, 2.0, 99)[:, None]
    model, tensors = random_model(build_panel(columns, ROLES), margins=margins)
    model = msgspec.structs.replace(model, task=msgspec.structs.replace(model.task, recent=2))
    tensors["task.recent"] = np.array([0.7])
    return save_model(tmp_path_factory.mktemp("model") / "m", model, tensors)


@pytest.fixture(scope="module")
def rows(columns):
    """Rows of all series by time, with two bad ones."""
    order = np.argsort(columns["ds"], kind="stable")
    found = [
        {"unique_id": columns["unique_id"][i], "ds": str(columns["ds"][i])[:19], "y": columns["y"][i].item()}
        for i in order
    ]
    found[20] = {**found[20], "y": "n/a-ish"}
    found[30], found[40] = found[40], found[30]
    return found


def as_json(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_csv(rows):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.fixture
def feed(capsys, monkeypatch, tmp_path):
    """Run ``grus stream`` in this process on some text."""

    def call(text, *arguments):
        path = tmp_path / "stdin"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with path.open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            return run(capsys, "stream", *arguments)

    return call


@pytest.fixture(scope="module")
def whole(folder, rows):
    """The answers of an unbroken run."""
    ran = spawn("stream", folder, "--level", "80", input=as_json(rows))
    assert ran.code == 0, ran.err
    return ran.out


def records(text):
    return [json.loads(line) for line in text.splitlines()]


def test_every_row_is_answered_in_its_order(whole, folder, columns, rows):
    answers = records(whole)
    assert [answer["seq"] for answer in answers] == list(range(1, len(rows) + 1))
    wrong = {answer["seq"]: answer["error"] for answer in answers if "error" in answer}
    assert wrong[21] == "stdin, row 21, column 'y': expected a number, got 'n/a-ish'"
    assert "expected a later time than" in wrong[41]
    assert len(wrong) < 6
    last = [answer for answer in answers if answer["unique_id"] == "c"][-1]
    kept = [row for row, answer in zip(rows, answers) if row["unique_id"] == "c" and "error" not in answer]
    y = load(folder).predict(kept, level=[80])
    for name in ("GRU", "GRU-lo-80", "GRU-hi-80"):
        assert last[name] == y[name].tolist()


def test_csv_in_says_the_same(feed, whole, folder, rows):
    assert feed(as_csv(rows), folder, "--level", "80").out == whole
    assert feed(as_csv(rows).replace(",", ";"), folder, "--level", "80").out == whole
    assert feed("\ufeff" + as_csv(rows).replace("\n", "\r\n\r\n")[:-4], folder, "--level", "80").out == whole


def test_csv_out_has_a_line_a_step(feed, whole, folder, rows):
    ran = feed(as_csv(rows), folder, "--level", "80", "--format", "csv")
    found = list(csv.DictReader(io.StringIO(ran.out)))
    assert list(found[0]) == ["seq", "unique_id", "ds", "GRU", "GRU-lo-80", "GRU-hi-80", "error"]
    for answer in records(whole):
        own = [row for row in found if int(row["seq"]) == answer["seq"]]
        assert len(own) == (1 if "error" in answer else 6)
        if "error" in answer:
            assert own[0]["error"] == answer["error"]
        else:
            assert [float(row["GRU"]) for row in own] == answer["GRU"]
            assert [row["ds"] for row in own] == answer["ds"]


def test_lines_that_are_no_rows(feed, folder, rows):
    good = as_json(rows[:1])
    lines = (
        good
        + '{"y": \n[1]\n\n'
        + '{"y": NaN}\n'
        + "{" * 5000
        + "\n"
        + good.replace("2024-01-01", "2024-01-02")
    )
    answers = records(feed(lines, folder).out)
    assert [answer["seq"] for answer in answers] == [1, 2, 3, 4, 5, 6]
    assert all("expected an object in JSON" in answer["error"] for answer in answers[1:5])
    assert "GRU" in answers[5]
    text = as_csv(rows[:2]).encode().splitlines()
    text = b"\n".join([*text, b'a,"b', b"a,b", b"\xff,2024-01-01,3"]) + b"\n" + b"x" * 17_000_000 + b"\n"
    wrong = [answer["error"] for answer in records(feed(text, folder).out)[2:]]
    assert wrong == [
        "expected a row in CSV on one line: unexpected end of data",
        "expected 3 cells as in the header, got 2",
        "expected a row in UTF-8, got other bytes",
        "expected a row of at most 16,777,216 bytes",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ds,y\n1,2\n", "stdin: no column 'unique_id'; the columns are 'ds', 'y'"),
        ("ds,y,y,unique_id\n", "stdin: expected a header of names that differ, got 'y' twice"),
        (b"\xff\n", "stdin: expected a header in UTF-8, got other bytes"),
    ],
)
def test_headers_that_do_not_fit(feed, folder, text, sentence):
    ran = feed(text, folder)
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err


def test_nothing_in_is_nothing_out(feed, folder):
    assert feed("", folder).out == feed("unique_id,ds,y\n", folder).out == ""


# -- states --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", ["1", "7", "10s"])
def test_a_restart_goes_on_exactly(feed, whole, folder, rows, tmp_path, every):
    state, out = tmp_path / "streams.grus", ""
    for first, last in ((0, 1), (1, 20), (20, 21), (21, 70), (70, len(rows))):
        ran = feed(
            as_json(rows[first:last]), folder, "--level", "80", "--state", state, "--save-every", every
        )
        out += ran.out
        assert (f"{state}: " in ran.err) == (first > 0)
    assert out == whole
    assert [path.name for path in tmp_path.iterdir() if "grus" in path.name] == ["streams.grus"]


def test_numbered_rows_may_be_sent_again(feed, whole, folder, rows, tmp_path):
    state = tmp_path / "streams.grus"
    numbered = [{**row, "offset": i} for i, row in enumerate(rows, 1)]
    options = (folder, "--level", "80", "--state", state, "--seq", "offset")
    out = feed(as_json(numbered[:50]), *options).out
    ran = feed(as_csv(numbered), *options)
    assert out + ran.out == whole
    assert "50 passed over" in ran.err
    odd = [{**rows[-1], "offset": offset} for offset in ("x", None, -1, True)]
    for answer in records(feed(as_json(odd), *options).out):
        assert answer["seq"] is None
        assert "column 'offset': expected the number of the row" in answer["error"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_ends(whole, folder, rows, tmp_path, number, code):
    state = tmp_path / "streams.grus"
    arguments = command("stream", folder, "--level", "80", "--state", state, "--save-every", "3600s")
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        out = b""
        for row in rows[:30]:  # each is answered before the next one comes
            process.stdin.write(as_json([row]).encode())
            process.stdin.flush()
            out += process.stdout.readline()
        assert len(records(out.decode())) == 30
        process.send_signal(number)
        assert process.wait(10) == code
    rest = spawn("stream", folder, "--level", "80", "--state", state, input=as_json(rows[30:]))
    assert out.decode() + rest.out == whole


def test_time_alone_saves(folder, rows, tmp_path):
    state = tmp_path / "streams.grus"
    arguments = command("stream", folder, "--state", state, "--save-every", "1s", "-q")
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment()
    ) as process:
        assert process.stdin is not None
        process.stdin.write(as_json(rows[:5]).encode())
        process.stdin.flush()
        until = time.monotonic() + 20
        while not state.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert state.exists()
        process.kill()


def test_who_stops_reading_ends_it(folder, rows):
    text = as_json(rows) * 200
    done = subprocess.run(
        ["/bin/bash", "-c", '"$@" | head -1; exit ${PIPESTATUS[0]}', "sh", *command("stream", folder, "-q")],
        input=text.encode(), capture_output=True, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 141
    assert done.stderr == b""


def test_states_that_are_none(feed, folder, tmp_path):
    bad = write(tmp_path / "s.grus", "GRUS")
    ran = feed("", folder, "--state", bad)
    assert (ran.code, ran.err.splitlines()[0]) == (2, f"error: {bad}: is not one that Grus wrote")
    ran = feed("", folder, "--state", tmp_path / "no" / "s.grus")
    assert (ran.code, ran.err.splitlines()[0]) == (
        2,
        f"error: {tmp_path}/no/s.grus: no such folder: {tmp_path}/no",
    )


# -- options and models --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--save-every", "0"],
            "grus stream: --save-every must be rows such as 5000 or seconds such as 10s, got '0'",
        ),
        (
            ["--evict-after", "1h"],
            "grus stream: --evict-after must be rows such as 5000 or seconds such as 10s",
        ),
        (["--every", "0"], "grus stream: --every must be at least 1, got '0'"),
        (["--format", "xml"], "grus stream: --format must be json or csv, got 'xml'"),
        (["--level", "0"], "grus stream: --level must be numbers from 1 to 99 such as 80,95, got '0'"),
        (["--proba"], "grus stream: --proba is for a classifier"),
    ],
)
def test_options_that_do_not_fit(feed, folder, arguments, sentence):
    ran = feed("", folder, *arguments)
    assert ran.code == 2
    assert sentence in ran.err


def test_a_terminal_is_no_stream(capsys, monkeypatch, folder):
    monkeypatch.setattr(sys, "stdin", None)
    ran = run(capsys, "stream", folder)
    assert (ran.code, "error: stdin: expected rows" in ran.err) == (2, True)


def test_fewer_answers(feed, whole, folder, rows):
    ran = feed(as_json(rows), folder, "--level", "80", "--every", "10")
    assert set(ran.out.splitlines()) < set(whole.splitlines())


def test_a_key_that_is_forgotten_begins_again(feed, whole, folder, rows):
    assert feed(as_json(rows), folder, "--level", "80", "--evict-after", "200").out == whole
    assert feed(as_json(rows), folder, "--level", "80", "--evict-after", "3600s").out == whole
    assert feed(as_json(rows), folder, "--level", "80", "--evict-after", "1").out != whole


def test_labels_of_texts(feed, tmp_path):
    folder = save_model(tmp_path / "m", *classifier("word"))
    lines = as_json([{"review": text} for text in texts().texts])
    answers = records(feed(lines, folder, "--proba").out)
    y = load(folder).predict(texts(), proba=True)
    assert [answer["kind"] for answer in answers] == y["kind"].tolist()
    assert [answer["p_yes"] for answer in answers] == y["p_yes"].tolist()
    ran = feed(lines, folder, "--level", "80")
    assert "--level is for a forecaster" in ran.err


def test_a_model_that_cannot_stream_says_so(feed, tmp_path):
    folder = save_model(tmp_path / "m", *classifier("series"))
    ran = feed("", folder)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: node 'gru': GRU needs the whole sequence, so it cannot run in chunks")


def test_covariates_of_the_future(feed, tmp_path):
    from grus.preprocess.roles import Roles

    table = {name: values for name, values in hourly((60,)).items() if name in ("ds", "y", "price")}
    folder = save_model(
        tmp_path / "m", *random_model(build_panel(table, Roles("y", None, "ds", future=("price",))))
    )
    lines = [{"ds": str(t)[:19], "y": float(y), "price": float(p)} for t, y, p in zip(*table.values())]
    future = write(tmp_path / "future.csv", as_csv(lines))
    answers = records(feed(as_json(lines), folder, "--future", future).out)
    y = load(folder).predict(lines[:50], lines)
    assert answers[49]["GRU"] == y["GRU"].tolist()
    assert answers[-1]["error"].startswith("future, column 'price': expected 6 hours from")
    ran = feed("", folder)
    assert "grus stream: --future must name rows with 'price', which the model needs" in ran.err


def test_it_needs_neither_torch_nor_tables(whole, folder, rows):
    script = (
        "import sys\n"
        "for name in ('torch', 'pyarrow', 'narwhals', 'pandas', 'polars', 'matplotlib'): sys.modules[name] = None\n"
        "from grus.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "stream", str(folder), "--level", "80"],
        input=as_json(rows), capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == whole


def test_help_shows_how_it_is_used(capsys):
    ran = run(capsys, "stream", "--help")
    for text in ("tail -f", "--state", "--seq", "--evict-after", "5000"):
        assert text in ran.out


# -- lines ---------------------------------------------------------------------------------------------------


def test_lines_come_whole_and_none_waits_for_another():
    read, written = os.pipe()
    lines = Lines(read)
    assert not lines.wait(0.0)
    os.write(written, b"one\ntw")
    assert lines.wait(None)
    assert lines.read() == [b"one"]
    os.write(written, b"o\r\n\nthree")
    assert lines.read() == [b"two", b""]
    os.write(written, b"!")
    assert lines.read() == []
    os.close(written)
    assert lines.wait(0.0)
    assert lines.read() == [b"three!"]
    assert lines.read() is None
    os.close(read)


def hostile_lines(count, seed=0):
    """Rows whose cells are anything JSON knows, and rows with bytes changed."""
    rng = np.random.default_rng(seed)
    odd = [
        "null", "true", '"x"', "[]", "{}", "[[1]]", "1e999", "-1e308", "1" * 400, '"\\ud800"', '"\\u0000"', '""', '"NaN"',
        '"1_0"', '"2024-02-31"', '"1/2/2024"', "20240101", '"2024-01-01T00:00:00Z"', '"9999-01-01"', '"0001-01-01"',
        "99999999999999999", '{"a":{"b":[1]}}',
    ]  # fmt: skip
    for number in range(count):
        cells = ['"a"', f'"2024-01-01 {number % 24:02d}:00"', "1.5"]
        if number % 2:
            cells[rng.integers(3)] = odd[rng.integers(len(odd))]
        line = bytearray('{{"unique_id":{},"ds":{},"y":{}}}'.format(*cells).encode())
        if number % 3 == 0:
            line[rng.integers(len(line))] = rng.integers(32, 256)
        yield bytes(line)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_hostile_rows_are_answered_each(feed, folder, form):
    lines = list(hostile_lines(2000))
    if form == "csv":
        lines = [b"unique_id,ds,y", *(line[1:-1].replace(b'"', b"").replace(b":", b",", 1) for line in lines)]
    ran = feed(b"\n".join(lines) + b"\n", folder, "--level", "80", "-q")
    assert ran.code == 0, ran.err
    assert [answer["seq"] for answer in records(ran.out)] == list(range(1, 2001))
