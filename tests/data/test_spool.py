"""Columns collected on disk: types that widen, text that is too much, memory that stays flat."""

import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pytest

from grus.data import spool
from grus.data.spool import Spool, available_memory
from grus.errors import DataError


def collect(*parts):
    with Spool("t.csv") as found:
        found.extend(pa.record_batch({"x": part}) for part in parts)
        columns = found.finish()
    return columns.get("x"), found.notes


DAYS = pa.array([0, 1], pa.date32())


@pytest.mark.parametrize(
    ("parts", "kind", "values"),
    [
        (([1, 2], [3]), "i", [1, 2, 3]),
        (([1, 2], [3.5]), "f", [1, 2, 3.5]),
        (([1.5], [2]), "f", [1.5, 2]),
        (([1, 2], [None, 3]), "f", [1, 2, np.nan, 3]),
        (([True], [False]), "b", [True, False]),
        (([True], [None]), "f", [1, np.nan]),
        (([True], [2.5]), "f", [1, 2.5]),
        ((pa.nulls(2), [1]), "f", [np.nan, np.nan, 1]),
        (([1], pa.nulls(1), [2]), "f", [1, np.nan, 2]),
        ((pa.nulls(1), DAYS, pa.nulls(1)), "M", np.array(["NaT", 0, 1, "NaT"], "M8[D]").astype("M8[ns]")),
        (([], [1]), "i", [1]),
    ],
)
def test_types_widen(parts, kind, values):
    found, notes = collect(*(pa.array(part) if isinstance(part, list) else part for part in parts))
    assert found.dtype.kind == kind
    np.testing.assert_array_equal(found, values)
    assert notes == []


def test_text_and_what_is_missing():
    found, _ = collect(pa.nulls(2), pa.array(["b", None]), pa.nulls(1), pa.array(["longer", "b"]))
    assert isinstance(found, np.memmap)
    assert found.tolist() == ["", "", "b", "", "", "longer", "b"]


@pytest.mark.parametrize(
    ("parts", "got"),
    [(([1], ["a"]), "numbers and text"), ((["a"], [1]), "text and numbers"), (([1], DAYS), "numbers and dates"),
     ((DAYS, [1]), "numbers and dates")],
)  # fmt: skip
def test_types_that_do_not_mix(parts, got):
    with pytest.raises(DataError) as caught:
        collect(*(pa.array(part) for part in parts))
    assert str(caught.value) == f"t.csv, column 'x': expected one type throughout, got {got}"


@pytest.mark.parametrize(("most", "widest"), [(3, 100), (100, 3)])
def test_free_text_is_left_out_with_a_note(monkeypatch, most, widest):
    monkeypatch.setattr(spool, "MOST_WORDS", most)
    monkeypatch.setattr(spool, "WIDEST", widest)
    found, notes = collect(pa.array(["aaaa", "b"]), pa.array(["c", "d"]))
    assert found is None
    assert notes == [
        f"column 'x': left out, as it holds more than {most} different texts, or one of more than {widest} characters"
    ]


def test_available_memory_is_plausible():
    assert 1 << 26 < available_memory() < 1 << 46


def test_a_limit_on_data_is_heeded():
    if sys.platform != "linux":
        pytest.skip("only Linux says how much of the limit is used")
    script = (
        "import resource; from grus.data.spool import available_memory\n"
        "resource.setrlimit(resource.RLIMIT_DATA, {})\nprint(available_memory())"
    )
    most = 600 << 20
    done = subprocess.run(
        [sys.executable, "-c", script.format((most, most))], capture_output=True, text=True, check=True
    )
    assert most - (300 << 20) < int(done.stdout) < most - (10 << 20)


def test_memory_stays_flat(tmp_path):
    """A folder of 2 million rows (64 MB as columns) becomes a panel in a process held to 32 MB more than an idle one."""
    script = textwrap.dedent("""
        import resource, sys
        import numpy as np, pyarrow as pa, pyarrow.parquet as pq, pyarrow.dataset
        from grus.data.readers import read_columns
        from grus.preprocess import storage
        from grus.preprocess.panel import build_panel
        from grus.preprocess.roles import Roles
        pa.set_cpu_count(1); pa.set_io_thread_count(1); pa.set_memory_pool(pa.system_memory_pool())
        folder, rows, extra, limit = sys.argv[1], 250_000, int(sys.argv[2]), sys.argv[3]
        storage.CHUNK = 1 << 16
        def write(part):
            step = np.arange(rows) % 1000
            table = pa.table({
                "id": pa.array(part * 250 + np.arange(rows) // 1000).cast(pa.string()),
                "ds": np.datetime64("2024-01-01", "ns") + step * np.timedelta64(1, "h"),
                "y": step + 0.5, "f": step})
            pq.write_table(table, f"{folder}/p{part}.parquet", row_group_size=1 << 16)
        if limit == "write":
            for part in range(8):
                write(part)
            sys.exit()
        read_columns(f"{folder}/p0.parquet", ["y"], memory_limit=0)  # what is loaded once is loaded now
        used = int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (used + extra, used + extra))
        columns, source = read_columns(folder, memory_limit=int(limit))
        panel = build_panel(columns, Roles("y", "id", "ds", future=("f",)), source=source)
        assert panel.n_rows == 2_000_000 and panel.n_series == 2000 and panel.observed.all()
        assert panel.target[1001] == 1.5 and panel.future["f"][-1] == 999
    """)
    if sys.platform != "linux":
        pytest.skip("RLIMIT_DATA counts mapped files elsewhere")

    def run(*words):
        return subprocess.run(
            [sys.executable, "-c", script, str(tmp_path), *words], capture_output=True, text=True
        )

    assert run("0", "write").returncode == 0
    flat = run(str(32 << 20), "0")
    assert flat.returncode == 0, flat.stderr[-2000:]
    greedy = run(str(32 << 20), str(1 << 40))
    assert greedy.returncode != 0
