"""The house rules that a reader relies on: sizes, versions, links, and scripts that exist."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import grus

ROOT = Path(__file__).parents[1]
PYTHON = sorted((ROOT / "src").rglob("*.py"))
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
MAX_FILE, MAX_FUNCTION = 400, 50


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's statements: without its signature (a command line has many options) and docstring."""
    first = node.body[0]
    is_doc = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    begin = node.body[1].lineno if is_doc and len(node.body) > 1 else first.lineno
    return node.end_lineno - begin + 1


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT / "src" / "grus")))
def test_files_and_functions_stay_readable(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert body_lines(node) <= MAX_FUNCTION, f"{node.name}, line {node.lineno}"


def test_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == grus.__version__
    assert f"## {grus.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_documents_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_exist(path):
    for script in re.findall(r"(?<![\w/.-])(scripts/[\w-]+)", path.read_text(encoding="utf-8")):
        assert (ROOT / script).is_file(), script


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = [item for group in groups for item in group]
    names = {re.split(r"[\[<>=~! ]", item)[0].lower().replace("_", "-") for item in wanted} - {"grus"}
    pins = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")
    assert not [name for name in names if f"\n{name}==" not in pins]


def test_no_path_of_one_machine():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    own = Path(__file__).relative_to(ROOT).as_posix()
    for name in files:
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".toml", ".txt", ".cpp", ".h", ".yaml", ""}
            and path.is_file()
            and name != own
        ):
            assert "/work/" not in path.read_text(encoding="utf-8", errors="replace"), name
