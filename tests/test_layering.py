"""Imports only go down the floors of the house, type-only imports included; below the torch floor there is no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "grus"
FLOORS = [
    "errors", "kernels", "spec", "preprocess", "artifact", "runtime", "decode", "export",
    "nn", "benchmark", "models", "data", "training", "inspection", "tasks", "cli",
]  # fmt: skip
TORCH_FREE = FLOORS[: FLOORS.index("nn")]
FILES = sorted(ROOT.rglob("*.py"))


def imports_of(text: str, package: list[str]):
    """Absolute dotted names that a module imports, wherever in it they stand."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def faults(path: Path, text: str) -> list[str]:
    parts = path.relative_to(ROOT).parts
    here = parts[0].removesuffix(".py")
    if here == "__init__":
        return []
    found = []
    for name in imports_of(text, ["grus", *parts[:-1]]):
        head, _, rest = name.partition(".")
        if head == "torch" and here in TORCH_FREE:
            found.append(f"{path.name} imports {name} below the torch floor")
        room = rest.split(".")[0]
        if head == "grus" and room in FLOORS and FLOORS.index(room) > FLOORS.index(here):
            found.append(f"{path.name} imports {name}, a floor above its own")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path):
    assert faults(path, path.read_text(encoding="utf-8")) == []


def test_every_room_is_known():
    rooms = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in FILES} - {"__init__"}
    assert rooms <= set(FLOORS)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("kernels/x.py", "from grus.spec import Graph"),
        ("kernels/x.py", "def f():\n    from grus.nn import GRU"),
        ("spec/x.py", "from ..tasks import forecast"),
        ("runtime/x.py", "import torch.nn"),
        (
            "decode/x.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from grus.models import GraphModule",
        ),
    ],
)
def test_the_check_rejects(file, text):
    assert faults(ROOT / file, text)


def test_lower_floors_and_grus_itself_import_without_torch_and_the_extras():
    rooms = ", ".join(f"grus.{room}" for room in TORCH_FREE if (ROOT / room).with_suffix(".py").is_file()
                      or (ROOT / room / "__init__.py").is_file())  # fmt: skip
    blocked = [
        "torch",
        "lightning_fabric",
        "pyarrow",
        "narwhals",
        "tokenizers",
        "mido",
        "pandas",
        "matplotlib",
        "jinja2",
        "typer",
        "rich",
    ]
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {blocked!r}: raise ImportError('blocked: ' + name)\n"
        "sys.meta_path.insert(0, Block())\n"
        f"import grus, {rooms}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
