"""Tables and model folders that are not as they should be, through the real commands.

What is refused: the exact sentence and hint on stderr, nothing on stdout, exit code 2, and nothing written. What is
understood all the same: the answer of the plain table to the last bit, and a sentence on stderr of what was done.
"""

import hashlib
import json
import shlex
import shutil
import struct
from contextlib import contextmanager

import numpy as np
import pytest
import safetensors.numpy
from cli_runs import HORIZON, TINY, hourly, run, write

from grus.artifact import new_folder
from limits import largest_file

PLAIN = hourly().splitlines()
"""A header ``ds,y,promo`` and 480 hours; row 2 of the file is PLAIN[1]."""
AHEAD = "12 hours ahead for 1 series"


def cell(row, text, column=1):
    """The table with one cell of a row (as a spreadsheet counts) changed."""
    lines = list(PLAIN)
    cells = lines[row - 1].split(",")
    cells[column] = text
    lines[row - 1] = ",".join(cells)
    return lines


def columns(change):
    """The table with every row made anew from its stamp, target and covariate."""
    return ["ds,y,promo", *(change(i, *line.split(",")) for i, line in enumerate(PLAIN[1:]))]


def local_time():
    """The table from 20 October 2024 on, in a place where 02:00 to 03:00 of the 27th comes twice."""
    utc = np.datetime64("2024-10-19T22", "h") + np.arange(len(PLAIN) - 1)
    early = utc < np.datetime64("2024-10-27T01")
    return utc + np.where(early, 2, 1), np.where(early, "+02:00", "+01:00")


def stamped(times, zones=None):
    zones = [""] * len(times) if zones is None else zones
    stamps = [f"{time}:00:00{zone}" for time, zone in zip(times.astype(str), zones)]
    return columns(lambda i, ds, y, promo: f"{stamps[i]},{y},{promo}")


def uneven():
    rng = np.random.default_rng(0)
    times = np.datetime64("2024-03-01", "s") + np.cumsum(rng.integers(50, 50_000, len(PLAIN)))
    return columns(lambda i, ds, y, promo: f"{times[i]},{y},{promo}")


def refused(capsys, *arguments, error, hint=""):
    ran = run(capsys, *arguments)
    expected = f"error: {error}\n" + (f"hint: {hint}\n" if hint else "")
    assert (ran.err, ran.out, ran.code) == (expected, "", 2)


def fit(table, folder, *more):
    return ["fit", "forecast", table, "--horizon", HORIZON, "--target", "y", "-o", folder, "-q", *TINY, *more]


def save(path, lines, encoding="utf-8"):
    path.write_bytes(lines if isinstance(lines, bytes) else ("\n".join(lines) + "\n").encode(encoding))
    return path


# -- tables that are refused ---------------------------------------------------------------------------------

_UNKNOWN = "leave the cell empty if its value is not known"
_ONE_ROW = "bad.csv, row 31, column 'ds': expected one row per time stamp, got '2024-03-01 19:00:00' twice (first in row 21)"
_WHICH = "name the column that tells the series apart, if there are several; else keep one of the rows"

REFUSED = {
    "text in a number column": (cell(18, "n/k"), "bad.csv, row 18, column 'y': expected a number, got 'n/k'", ""),
    "infinity": (cell(6, "inf"), "bad.csv, row 6, column 'y': expected a finite number, got inf", _UNKNOWN),
    "minus infinity": (cell(6, "-Infinity"), "bad.csv, row 6, column 'y': expected a finite number, got -inf", _UNKNOWN),
    "a number beyond all": (cell(6, "1e999"), "bad.csv, row 6, column 'y': expected a finite number, got inf", _UNKNOWN),
    "an empty stamp": (cell(7, "", 0), "bad.csv, row 7, column 'ds': expected a time stamp, got an empty cell", ""),
    "a day that does not exist": (
        cell(7, "2024-02-30 00:00:00", 0),
        "bad.csv, row 7, column 'ds': expected a date and time that exist, got '2024-02-30 00:00:00'", "",
    ),
    "a row off the grid": (
        cell(101, "2024-03-05 03:17:00", 0),
        "bad.csv, row 101, column 'ds': expected steps of h, got '2024-03-05 03:17:00' after '2024-03-05 02:00:00' (row 100)",
        "name the frequency, or bring the rows to even steps first",
    ),
    "two rows for one stamp": ([*PLAIN[:30], PLAIN[20].replace(",1", ",2"), *PLAIN[30:]], _ONE_ROW, _WHICH),
    "an hour that comes twice": (
        stamped(local_time()[0]),
        "bad.csv, row 173, column 'ds': expected one row per time stamp, got '2024-10-27 02:00:00' twice (first in row 172)",
        "clocks seem to have been set back in that hour: give every time stamp its UTC offset, as in 02:00+01:00",
    ),
    "a zone here and there": (
        columns(lambda i, ds, y, promo: f"{ds}{'Z' * (i % 2)},{y},{promo}"),
        "bad.csv, column 'ds': expected every time stamp with a time zone or none, got 240 of 480 with one", "",
    ),
    "a target without values": (
        columns(lambda i, ds, y, promo: f"{ds},,{promo}"), "bad.csv, column 'y': expected numbers, got only empty cells", "",
    ),
    "a cell too many": (cell(9, "1,2"), "bad.csv, row 9: expected 3 cells as in the header, got 4 cells", ""),
    "a quote that is never closed": (
        cell(470, '"7'), "bad.csv, row 470: expected 3 cells as in the header, got 2 cells", "",
    ),
    "a comment above the header": (
        ["# made by hand", *PLAIN], "bad.csv, row 2: expected 1 cell as in the header, got 3 cells",
        "the first row must name the columns: remove what stands above it",
    ),
    "no header": (
        ["20240301,7.5,0", "20240302,7.5,1"],
        "bad.csv, row 1: expected the names of the columns, got '20240301,7.5,0'", "add a header as first row",
    ),
    "a name that comes twice": (
        ["ds,y,y", *PLAIN[1:]], "bad.csv, row 1: expected column names that differ, got 'y' twice", "",
    ),
    "bytes of no encoding": (
        "\n".join(PLAIN).encode() + b"\n2024-03-21 00:00:00,1,\x81\n",
        "{path}: expected text in UTF-8, UTF-16 or Windows-1252, got bytes of none", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_tables_that_are_refused(capsys, tmp_path, model, name):
    lines, error, hint = REFUSED[name]
    bad = save(tmp_path / "bad.csv", lines)
    error = error.format(path=bad)
    for arguments in (fit(bad, tmp_path / "m"), ["predict", model, bad], ["evaluate", model, bad]):
        refused(capsys, *arguments, error=error, hint=hint)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_a_table_on_stdin_is_refused_alike(capsys, monkeypatch, tmp_path, model):
    import io

    lines = ("\n".join(cell(18, "n/k")) + "\n").encode()
    for arguments in (fit("-", tmp_path / "m"), ["predict", model, "-"], ["evaluate", model, "-"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
        refused(capsys, *arguments, error="stdin.csv, row 18, column 'y': expected a number, got 'n/k'")
    assert not list(tmp_path.iterdir())


def test_rows_in_no_even_steps(capsys, tmp_path, model):
    bad = save(tmp_path / "bad.csv", uneven())
    refused(
        capsys, *fit(bad, tmp_path / "m"),
        error="bad.csv, column 'ds': expected rows in even steps, got uneven ones (the commonest, 7480s, is 0.4% of them)",
        hint="bring the rows to even steps first, such as the mean of each hour, or name irregular",
    )  # fmt: skip
    refused(
        capsys, "predict", model, bad,
        error="bad.csv, row 3, column 'ds': expected steps of h, got '2024-03-01 20:40:04' after '2024-03-01 11:48:58' (row 2)",
        hint="name the frequency, or bring the rows to even steps first",
    )  # fmt: skip


@pytest.mark.parametrize("role", ["--past", "--future", "--static"])
def test_a_covariate_without_values(capsys, tmp_path, role):
    bad = save(tmp_path / "bad.csv", columns(lambda i, ds, y, promo: f"{ds},{y},NA"))
    error = "bad.csv, column 'promo': expected values, got only empty cells"
    refused(capsys, *fit(bad, tmp_path / "m", role, "promo"), error=error, hint="leave it out")


@pytest.mark.parametrize(("text", "got"), [("inf", "a finite number, got inf"), ("tv", "a number, got 'tv'")])
def test_a_covariate_that_is_no_number(capsys, tmp_path, promo_model, text, got):
    bad = save(tmp_path / "bad.csv", cell(6, text, 2))
    error = f"bad.csv, row 6, column 'promo': expected {got}"
    hint = _UNKNOWN if text == "inf" else ""
    if text == "inf":
        refused(capsys, *fit(bad, tmp_path / "m", "--future", "promo"), error=error, hint=hint)
        refused(capsys, "evaluate", promo_model, bad, error=error, hint=hint)
    else:  # for a fit it would be a category; the model knows that it is a number
        refused(
            capsys,
            "evaluate",
            promo_model,
            bad,
            error="column 'promo': must be numbers as in training, got text",
        )


# -- the horizon's covariates --------------------------------------------------------------------------------


def horizon():
    """``ds,promo`` of the twelve hours after the table."""
    lines = [line.split(",") for line in hourly(24 * 20 + HORIZON).splitlines()[-HORIZON:]]
    return ["ds,promo", *(f"{ds},{promo}" for ds, _, promo in lines)]


def test_covariates_missing_for_the_horizon(capsys, tmp_path, table, promo_model):
    def fails(lines, error, hint=""):
        ahead = save(tmp_path / "ahead.csv", lines)
        refused(capsys, "predict", promo_model, table, "--future", ahead, error=error, hint=hint)

    refused(
        capsys, "predict", promo_model, table,
        error="future: expected 12 hours of 'promo' after the last row of each series, got none",
        hint="give rows from 2024-03-21 on with the columns that are known in advance",
    )  # fmt: skip
    fails(
        horizon()[:-2],
        "future, column 'promo': expected 12 hours from '2024-03-21 00:00:00' on, got no row for 2 of them "
        "('2024-03-21 10:00:00' to '2024-03-21 11:00:00')",
    )
    fails(["ds,price", *horizon()[1:]], "future: no column 'promo'; the columns are 'ds', 'price'")
    blank = [line[: line.index(",") + 1] for line in horizon()[1:]]
    fails(["ds,promo", *blank], "future, column 'promo': expected 12 hours of values, got only empty cells")


def test_a_gap_in_the_horizon_is_noted(capsys, tmp_path, table, promo_model):
    lines = horizon()
    lines[3] = lines[3][:-1]
    ran = run(capsys, "predict", promo_model, table, "--future", save(tmp_path / "ahead.csv", lines))
    assert (ran.code, ran.out.count("\n")) == (0, 1 + HORIZON)
    gap = "column 'promo': 1 of 12 values of the horizon are missing; the last ones known stand in for them"
    assert ran.err.splitlines() == [gap, AHEAD]


# -- tables that are understood all the same ------------------------------------------------------------------

_COMMA = [line.replace(",", ";").replace(".", ",") for line in PLAIN]

UNDERSTOOD = {
    "as it should be": (PLAIN, "utf-8", ()),
    "a byte-order mark": (PLAIN, "utf-8-sig", ()),
    "UTF-16": (PLAIN, "utf-16", ("odd.csv: read as a file with UTF-16",)),
    "UTF-16 without a mark": (PLAIN, "utf-16-be", ("odd.csv: read as a file with UTF-16",)),
    "Windows-1252": (
        [line + tail for line, tail in zip(PLAIN, [",café", *[",ö"] * 480])], "cp1252",
        ("odd.csv: read as a file with Windows-1252",),
    ),
    "semicolons and decimal commas": (
        _COMMA, "utf-8", ("odd.csv: read as a file with semicolons between cells, decimal commas",),
    ),
    "semicolons": ([line.replace(",", ";") for line in PLAIN], "utf-8", ("odd.csv: read as a file with semicolons between cells",)),
    "all of it": (
        _COMMA, "utf-16", ("odd.csv: read as a file with UTF-16, semicolons between cells, decimal commas",),
    ),
    "line breaks in cells": ([PLAIN[0] + ",note", *(line + ',"one\ntwo"' for line in PLAIN[1:])], "utf-8", ()),
    "carriage returns": ([line + "\r" for line in PLAIN], "utf-8", ()),
    "empty rows below": ([*PLAIN, ",,", ",,"], "utf-8", ("odd.csv: 2 empty rows at the end left out",)),
    "unsorted rows": (
        [PLAIN[0], *PLAIN[:0:-1]], "utf-8",
        ("rows were not in the order of time (first at row 3) and have been sorted",),
    ),
    "rows that come twice": (
        [*PLAIN[:31], PLAIN[20], *PLAIN[31:]], "utf-8",
        (
            "rows were not in the order of time (first at row 32) and have been sorted",
            "1 row that repeats an earlier one in every cell left out (row 32)",
        ),
    ),
    "a file twice over": (
        [*PLAIN, *PLAIN[1:]], "utf-8",
        (
            "rows were not in the order of time (first at row 482) and have been sorted",
            "480 rows that repeat earlier ones in every cell left out (first at row 482)",
        ),
    ),
    "UTC": (
        columns(lambda i, ds, y, promo: f"{ds}Z,{y},{promo}"), "utf-8",
        ("column 'ds': time stamps carry a time zone and were read as UTC",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_tables_that_are_understood(capsys, tmp_path, table, model, name):
    lines, encoding, notes = UNDERSTOOD[name]
    odd = save(tmp_path / "odd.csv", lines, encoding)
    ran, plain = run(capsys, "predict", model, odd), run(capsys, "predict", model, table)
    assert (ran.code, ran.err.splitlines()) == (0, [*notes, AHEAD])
    assert ran.out == plain.out
    ran, plain = (run(capsys, "evaluate", model, path, "--last", 96) for path in (odd, table))
    assert (ran.code, ran.err.splitlines()[: len(notes)]) == (0, list(notes))
    assert ran.out == plain.out
    assert run(capsys, "predict", model, odd, "-q").err == ""


def test_what_is_understood_is_said_in_the_plan(capsys, tmp_path):
    lines = [PLAIN[0], *PLAIN[:0:-1]]
    lines[30:33] = [line.split(",")[0] + ",-9999,0" for line in lines[30:33]]
    arguments = fit(save(tmp_path / "odd.csv", lines), tmp_path / "m", "--past", "promo")
    ran = run(capsys, *(a for a in arguments if a != "-q"))
    assert ran.code == 0
    said = ran.err.splitlines()
    assert "rows were not in the order of time (first at row 3) and have been sorted" in said
    assert (
        "column 'y': -9999 comes 3 times (first in row 31), far from every other value; if it stands for a missing "
        "one, leave those cells empty"
    ) in said


def test_a_series_that_never_changes(capsys, tmp_path):
    odd = save(tmp_path / "odd.csv", columns(lambda i, ds, y, promo: f"{ds},5,0"))
    ran = run(capsys, *(a for a in fit(odd, tmp_path / "m", "--past", "promo") if a != "-q"))
    assert ran.code == 0
    said = ran.err.splitlines()
    assert "column 'y': 5 in every row, so that there is nothing to learn" in said
    assert "column 'promo': 0 in every row, so that it tells nothing" in said
    ran = run(capsys, "predict", tmp_path / "m", odd, "-q")
    values = [float(line.split(",")[1]) for line in ran.out.splitlines()[1:]]
    assert len(values) == HORIZON
    assert np.isfinite(values).all()


def test_the_hour_that_comes_twice_with_its_offsets(capsys, tmp_path, model):
    odd = save(tmp_path / "odd.csv", stamped(*local_time()))
    ran = run(capsys, "predict", model, odd)
    note = "column 'ds': time stamps carry a time zone and were read as UTC"
    assert (ran.code, ran.err.splitlines()) == (0, [note, AHEAD])
    assert ran.out.splitlines()[1].startswith("2024-11-08 22:00:00,")


def test_rows_of_another_frequency(capsys, tmp_path, model):
    days = [f"{np.datetime64('2022-03-01') + i},{100 + i % 7},0" for i in range(60)]
    ran = run(capsys, "predict", model, save(tmp_path / "odd.csv", ["ds,y,promo", *days]))
    assert (ran.code, ran.err.splitlines()) == (0, [
        "rows come every day, not every hour: what lies between counts as missing",
        "1,357 missing hours filled and masked", AHEAD,
    ])  # fmt: skip


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Three stores called 007, 7 and 12, and a model of the first and the last with their weather."""
    folder = tmp_path_factory.mktemp("stores")

    def rows(store, weather="sun,rain"):
        words = weather.split(",")
        return [
            f"{store},{a},{b},{words[i // 24 % len(words)]}"
            for i, (a, b, _) in enumerate(map(_cells, PLAIN[1:]))
        ]

    header = "id,ds,y,weather"
    save(folder / "all.csv", [header, *rows("007"), *rows("12")])
    save(folder / "new.csv", [header, *rows("7"), *rows("12", "sun,hail,fog")])
    save(folder / "whole.csv", [header, *rows("7"), *rows("12")])
    save(folder / "floats.csv", [header, *rows("7.0"), *rows("12.0")])
    return folder


def _cells(line):
    return line.split(",")


def test_ids_keep_their_zeros_and_what_training_never_saw_is_named(capsys, tmp_path, stores):
    ran = run(capsys, *fit(stores / "all.csv", tmp_path / "m", "--past", "weather"))
    assert (ran.code, ran.err) == (0, "")
    ran = run(capsys, "predict", tmp_path / "m", stores / "all.csv")
    assert (ran.code, ran.err) == (0, "12 hours ahead for 2 series\n")
    assert [line.split(",")[0] for line in ran.out.splitlines()[1::HORIZON]] == ["007", "12"]
    ran = run(capsys, "predict", tmp_path / "m", stores / "new.csv")
    assert (ran.code, ran.err.splitlines()) == (0, [
        "column 'weather': not seen in training, so unknown to the model: 'hail', 'fog'",
        "1 of 2 series not seen in training, so scaled by their own rows: '7'",
        "12 hours ahead for 2 series",
    ])  # fmt: skip


def test_ids_read_as_floats_are_those_of_training(capsys, tmp_path, stores):
    """As a spreadsheet writes them, or a column of whole numbers that has a gap somewhere."""
    assert run(capsys, *fit(stores / "whole.csv", tmp_path / "m")).code == 0
    whole, floats = (run(capsys, "predict", tmp_path / "m", stores / f) for f in ("whole.csv", "floats.csv"))
    assert whole.err == floats.err == "12 hours ahead for 2 series\n"
    assert floats.out.replace(".0,2024", ",2024") == whole.out


# -- model folders ---------------------------------------------------------------------------------------------


def edit(change):
    """Damage to the config, as parsed JSON."""

    def damage(folder):
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))

    return damage


def text(old, new):
    """Damage to the config, as text."""

    def damage(folder):
        file = folder / "config.json"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new, 1))

    return damage


def tensors(change, signed=True):
    """Damage to the tensors; ``signed``: with a checksum that fits, as an attacker would write."""

    def damage(folder):
        arrays = safetensors.numpy.load_file(folder / "model.safetensors")
        change(arrays)
        raw(safetensors.numpy.save(arrays), signed)(folder)

    return damage


def raw(data, signed=True):
    def damage(folder):
        (folder / "model.safetensors").write_bytes(data)
        if signed:
            edit(lambda config: config.update(weights_sha256=hashlib.sha256(data).hexdigest()))(folder)

    return damage


def header_of(length, size):
    """A tensor file of ``size`` bytes (sparse) that says that its header has ``length``."""

    def damage(folder):
        with (folder / "model.safetensors").open("wb") as file:
            file.write(struct.pack("<Q", length))
            file.truncate(size)

    return damage


def twice(folder):
    """A tensor that stands twice in the header."""
    file = folder / "model.safetensors"
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    name, entry = next(iter(json.loads(data[8 : 8 + length]).items()))
    header = data[8 : 8 + length].rstrip()[:-1] + f",{json.dumps(name)}:{json.dumps(entry)}}}".encode()
    raw(struct.pack("<Q", len(header)) + header + data[8 + length :])(folder)


def swap(arrays, first="main.encoder.bias_ih_l0", second="main.encoder.bias_hh_l0"):
    arrays[first], arrays[second] = arrays[second], arrays[first]


def set_to(name, make):
    return lambda arrays: arrays.update({name: make(arrays[name])})


_BIAS = "main.encoder.bias_ih_l0"
_AGAIN = "copy the whole folder again, or save the model again"
_DAMAGED = "the file is damaged or truncated"

FOLDERS = {
    "swapped tensors": (
        tensors(swap, signed=False),
        "{weights}: does not belong to the config.json beside it (checksums differ)", _AGAIN,
    ),
    "a tensor too short": (
        tensors(set_to(_BIAS, lambda v: v[:-1])),
        f"{{weights}}: tensor '{_BIAS}' must be float32 [24], got float32 [23]", "",
    ),
    "a tensor of another type": (
        tensors(set_to(_BIAS, lambda v: v.astype(np.float64))),
        f"{{weights}}: tensor '{_BIAS}' must be float32 [24], got float64 [24]", "",
    ),
    "a tensor that is not a number": (
        tensors(set_to(_BIAS, lambda v: v * np.nan)),
        f"{{weights}}: tensor '{_BIAS}' must be finite, got NaN or infinity in it", "",
    ),
    "a tensor missing": (tensors(lambda arrays: arrays.pop(_BIAS)), f"{{weights}}: tensor '{_BIAS}' is missing", ""),
    "a tensor of another model": (
        tensors(lambda arrays: arrays.update(extra=np.zeros(3, np.float32))),
        "{weights}: tensor 'extra' does not belong to this model", "",
    ),
    "a tensor twice": (twice, "{weights}: its header is not that of a Grus model", ""),
    "a header of 10 GB": (
        header_of(10 << 30, 1000), "{weights}: truncated or foreign (a header of 10737418240 bytes in a file of 1000)", "",
    ),
    "a header of 10 GB that is there": (
        header_of(10 << 30, (10 << 30) + 8),
        "{weights}: truncated or foreign (a header of 10737418240 bytes in a file of 10737418248)", "",
    ),
    "no tensors": (
        lambda folder: (folder / "model.safetensors").unlink(), "{folder}: model.safetensors is missing",
        "the folder was copied or written incompletely",
    ),
    "an unknown field": (
        edit(lambda config: config.update(code="import os")), "{config}: unknown field 'code'", "",
    ),
    "an unknown field of the task": (
        edit(lambda config: config["model"]["task"].update(code="import os")),
        "{config}: Object contains unknown field `code` - at `$.task`", "",
    ),
    "a newer schema": (
        edit(lambda config: config.update(schema=2)),
        "{config}: written by a newer Grus (schema 2; this one reads up to 1)", "pip install --upgrade grus",
    ),
    "a key twice": (
        text('"schema": 1', '"schema": 1, "schema": 1'), "{config}: not readable as JSON: key 'schema' stands twice", _DAMAGED,
    ),
    "a key of the task twice": (
        text('"horizon": 12', '"horizon": 12, "horizon": 12'),
        "{config}: not readable as JSON: key 'horizon' stands twice", _DAMAGED,
    ),
    "NaN": (text('"horizon": 12', '"horizon": NaN'), "{config}: not readable as JSON: NaN is not a number of JSON", _DAMAGED),
    "a config of 10 GB": (
        lambda folder: _sparse(folder / "config.json", 10 << 30),
        "{config}: must be at most 67108864 bytes, got 10737418240", "",
    ),
}  # fmt: skip


def _sparse(path, size):
    with path.open("wb") as file:
        file.truncate(size)


@pytest.mark.parametrize("name", FOLDERS)
def test_model_folders_that_are_refused(capsys, tmp_path, table, model, name):
    damage, error, hint = FOLDERS[name]
    folder = tmp_path / "m"
    shutil.copytree(model, folder)
    damage(folder)
    error = error.format(folder=folder, config=folder / "config.json", weights=folder / "model.safetensors")
    for command in ("predict", "evaluate"):
        refused(capsys, command, folder, table, error=error, hint=hint)


def test_an_undamaged_copy_is_not_refused(capsys, tmp_path, table, model):
    shutil.copytree(model, tmp_path / "m")
    tensors(lambda arrays: None)(tmp_path / "m")
    ran = run(capsys, "predict", tmp_path / "m", table)
    assert (ran.code, ran.out) == (0, run(capsys, "predict", model, table).out)


# -- answers that cannot be written ----------------------------------------------------------------------------


def test_an_answer_for_which_there_is_no_room(capsys, tmp_path, table, model):
    answer = write(tmp_path / "answer.csv", "old\n")
    with largest_file(100):
        ran = run(capsys, "predict", model, table, "-q", "-o", answer, "--force")
    assert (ran.code, ran.out, ran.err) == (1, "", f"error: {answer}: file too large\n")
    assert (answer.read_text(), [path.name for path in tmp_path.iterdir()]) == ("old\n", ["answer.csv"])


@contextmanager
def _without_room(saving):
    with saving as work, largest_file(100):
        yield work


def test_a_model_for_which_there_is_no_room(capsys, tmp_path, table, model, monkeypatch):
    """Hours of training are not lost: the checkpoint stays, and the same command with --resume saves the model."""
    folder = tmp_path / "m"
    shutil.copytree(model, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    really = new_folder
    with monkeypatch.context() as patch:
        patch.setattr("grus.artifact.folder.new_folder", lambda *a: _without_room(really(*a)))
        ran = run(capsys, *fit(table, folder, "--force", "--seed", 1))
    assert (ran.code, ran.out) == (1, "")
    again = shlex.join(["grus", *map(str, fit(table, folder, "--force", "--seed", 1)), "--resume"])
    assert ran.err == (
        f"error: {folder}: cannot be written: File too large\n"
        f"hint: nothing was changed there; to save the model once it can be: {again}\n"
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "m.run"]
    ran = run(capsys, *fit(table, folder, "--force", "--seed", 1, "--resume"))
    assert (ran.code, ran.out, ran.err) == (0, f"{folder}\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert (folder / "model.safetensors").read_bytes() != before["model.safetensors"]


def test_memory_that_is_not_there_is_a_sentence(capsys, monkeypatch):
    def greedy(arguments):
        np.empty(1 << 58)

    monkeypatch.setattr("grus.cli._run", greedy)
    ran = run(capsys, "predict", "m", "d")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert ran.err.startswith("error: not enough memory: Unable to allocate ")
