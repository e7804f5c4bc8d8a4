"""From a table on disk to the batches of training: memory goes with the pieces, not with the rows."""

import subprocess
import sys
import textwrap

import pytest

_SCRIPT = textwrap.dedent("""
    import resource, sys
    import numpy as np
    from grus.data import windows
    from grus.data.windows import epoch_order, window_index
    from grus.preprocess import storage
    from grus.preprocess.features import Preprocessor
    from grus.preprocess.forecast_steps import fit_steps
    from grus.preprocess.panel import build_panel
    from grus.preprocess.roles import Roles
    from grus.spec import Forecast

    stores, hours, disk = 300, 10_000, sys.argv[2] == "disk"
    storage.CHUNK = windows.MOST_SORTED = 1 << 16

    def column(kind, make):
        out = storage.empty(stores * hours, kind, disk)
        for store in range(stores):
            out[store * hours : (store + 1) * hours] = make(store)
        return out

    def train(stores):
        ds = np.datetime64("2024-01-01", "ns") + np.arange(hours) * np.timedelta64(1, "h")
        table = {
            "id": column(np.int64, lambda store: store), "ds": column("M8[ns]", lambda store: ds),
            "y": column(np.float64, lambda store: np.sin(np.arange(hours) + store)),
            "price": column(np.float64, lambda store: np.where(np.arange(hours) % 7 == 0, np.nan, store)),
        }
        panel = build_panel(table, Roles("y", "id", "ds", future=("price",)))
        del table
        steps, arrays = fit_steps(panel.cut(0, panel.lengths - 24))
        task = Forecast(24, 168, "y", "id", "ds", (), ("price",), (), "h", 24)
        preprocessor = Preprocessor(task, steps, arrays)
        features = preprocessor.features(panel)
        series, origins = window_index(panel.offsets, 0, hours, 168, 24, observed=panel.observed)
        chosen = epoch_order(len(origins), 0, 0, 512)
        inputs = preprocessor.windows(features, series[chosen], origins[chosen], 24)
        assert inputs["past"].shape == (512, 168, 2 + 15)
        assert features.target.shape == (stores * hours,)

    _all, stores = stores, 1
    train(stores)  # what is loaded once is loaded now
    stores = _all
    used = int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) * 1024
    most = used + (int(sys.argv[1]) << 20)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    train(stores)
""")


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts mapped files elsewhere")
def test_memory_stays_flat_from_table_to_batch():
    """3 million rows: 96 MB of columns and 84 MB of features pass through 50 MB; in memory they do not."""

    def run(megabytes, where):
        words = [sys.executable, "-c", _SCRIPT, str(megabytes), where]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    flat = run(50, "disk")
    assert flat.returncode == 0, flat.stderr[-2000:]
    assert "MemoryError" in run(50, "memory").stderr
