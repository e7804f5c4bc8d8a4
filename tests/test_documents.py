"""The Python in the documents and docstrings runs as it stands (trained for a moment only)."""

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from grus import Forecaster

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    )
]
MODULES = sorted(
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "src").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.fixture
def names():
    """What the examples take for granted: a user's own table, the day to come, a batch."""
    hours = pd.date_range("2024-01-01", periods=24 * 40, freq="h")
    known = {"holiday": 0.0, "workingday": 1.0}
    table = pd.DataFrame({"ds": hours, "y": 10 + np.sin(np.arange(len(hours)) * np.pi / 12), **known})
    ahead = pd.DataFrame({"ds": pd.date_range(hours[-1], periods=25, freq="h")[1:], **known})
    return {
        "df": table,
        "rows": table,
        "tomorrow": ahead,
        "x": torch.randn(3, 20, 16),
        "episode_starts": torch.zeros(3, 20, dtype=torch.bool),
    }


@pytest.mark.parametrize("block", BLOCKS)
def test_the_code_in_a_document_runs(block, names, tmp_path, monkeypatch):
    monkeypatch.setitem(Forecaster.__init__.__kwdefaults__, "epochs", 1)
    monkeypatch.setitem(Forecaster.__init__.__kwdefaults__, "windows_per_epoch", 256)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    exec(compile(block, "document", "exec"), names)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted
    assert not result.failed
