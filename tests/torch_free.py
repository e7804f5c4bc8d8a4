"""Predictions of saved models in a process that can import neither torch nor any frame library."""

import json
import subprocess
import sys
import textwrap

import numpy as np

BLOCKED = ("torch", "lightning_fabric", "pyarrow", "narwhals", "pandas", "polars", "matplotlib", "typer")
_SCRIPT = textwrap.dedent(
    """
    import json, sys
    blocked, rows, *folders = sys.argv[1:]
    for name in blocked.split(","):
        sys.modules[name] = None
    import numpy as np, grus
    file = np.load(rows, allow_pickle=False)
    table = {name.removeprefix("r."): file[name] for name in file if name.startswith("r.")}
    future = {name.removeprefix("f."): file[name] for name in file if name.startswith("f.")}
    out = {}
    for folder in folders:
        found = grus.load(folder).predict(table, future or None, level=[50, 95])
        out[folder] = {k: v.tobytes().hex() for k, v in found.items() if v.dtype.kind == "f"}
    print(json.dumps(out))
    """
)

_CLASS_SCRIPT = textwrap.dedent(
    """
    import json, sys
    blocked, file, folder = sys.argv[1:]
    for name in blocked.split(","):
        sys.modules[name] = None
    import grus
    with open(file) as handle:
        found = grus.load(folder).predict(json.load(handle), proba=True)
    numbers = {k: v.tobytes().hex() for k, v in found.items() if v.dtype.kind == "f"}
    labels = found["kind" if "kind" in found else "label"].tolist()
    print(json.dumps({"labels": labels, "numbers": numbers}))
    """
)


_DETECT_SCRIPT = textwrap.dedent(
    """
    import json, sys
    blocked, file, folder = sys.argv[1:]
    for name in blocked.split(","):
        sys.modules[name] = None
    import grus
    with open(file) as handle:
        rows = json.load(handle)
    live = grus.load(folder)
    answer, state = live.step(rows[0], live.init_state(1))
    found = live.predict(rows)
    live.events(rows)
    print(json.dumps({k: v.tobytes().hex() for k, v in found.items() if v.dtype.kind == "f"}))
    """
)


def as_bytes(columns):
    """The numbers among columns as hexadecimal text."""
    arrays = {name: np.asarray(columns[name]) for name in columns}
    return {name: values.tobytes().hex() for name, values in arrays.items() if values.dtype.kind == "f"}


def predictions(folders, table, future, tmp_path):
    """``as_bytes`` of ``predict(table, future, level=[50, 95])`` of each model folder, without torch."""
    arrays = {f"r.{name}": values for name, values in table.items()}
    arrays |= {f"f.{name}": values for name, values in (future or {}).items()}
    plain = {
        name: values.astype(str) if values.dtype == object else values for name, values in arrays.items()
    }
    np.savez(tmp_path / "rows.npz", **plain)
    arguments = [",".join(BLOCKED), tmp_path / "rows.npz", *folders]
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def class_predictions(folder, data, tmp_path):
    """Labels, and ``as_bytes`` of ``predict(data, proba=True)``, of a saved classifier, without torch.

    ``data`` is lists of texts or of arrays, or a table of them.
    """
    file = tmp_path / "data.json"
    file.write_text(json.dumps(data, default=lambda array: array.tolist()))
    arguments = [",".join(BLOCKED), file, folder]
    done = subprocess.run(
        [sys.executable, "-c", _CLASS_SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def detections(folder, rows, tmp_path):
    """``as_bytes`` of ``predict(rows)`` of a saved detector, without torch; ``rows`` are records of plain values."""
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(rows))
    arguments = [",".join(BLOCKED), file, folder]
    done = subprocess.run(
        [sys.executable, "-c", _DETECT_SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)
