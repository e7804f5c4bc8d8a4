"""``grus explain``: the page on stdout for cells and models, stdin, and what is refused."""

import json

import pytest
from cli_runs import hourly, run, spawn, write
from test_cli_errors import refused
from test_cli_processes import without

import grus
from example_classifiers import classifier, texts
from grus.artifact import save_model

CELL = '{"weight_ih": [[1], [0], [2]], "weight_hh": [[0], [0], [1]], "x": [0.5], "h": [0.8]}'
COMMAND = "grus explain"


@pytest.fixture
def reviews(tmp_path):
    """A classifier of texts, and a file of reviews."""
    folder = save_model(tmp_path / "words", *classifier("word"))
    rows = [json.dumps({"review": text}) for text in texts().texts]
    return folder, write(tmp_path / "reviews.jsonl", "\n".join(rows) + "\n")


def test_a_random_cell(capsys):
    ran = run(capsys, "explain")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == grus.explain().text()
    other = run(
        capsys, "explain", "--seed", 3, "--hidden-size", 3, "--notation", "chung", "--reset", "before"
    )
    assert other.out == grus.explain(seed=3, hidden_size=3, notation="chung", reset_after=False).text()


def test_forms(capsys):
    found = grus.explain(seed=1)
    assert run(capsys, "explain", "--seed", 1, "--latex", "--digits", 3).out == found.latex(3)
    ran = run(capsys, "explain", "--seed", 1, "--json")
    assert json.loads(ran.out) == json.loads(json.dumps(found.to_dict()))
    assert ran.out.endswith("}\n")
    assert run(capsys, "explain", "--seed", 1, "--mistakes").out == found.text(mistakes=True)


def test_a_cell_from_a_file_and_from_stdin(capsys, tmp_path):
    file = write(tmp_path / "cell.json", CELL)
    from_file = run(capsys, "explain", "--cell", file, "--x=-0.5,", "--h", "0.25")
    wanted = grus.explain(json.loads(CELL), x=[-0.5], h=[0.25]).text()
    assert from_file.out.splitlines()[1:] == wanted.splitlines()[1:]
    from_stdin = spawn("explain", "--cell", "-", input=CELL)
    assert from_stdin.out.startswith("stdin: 1 input, 1 unit\n")
    assert "h' = [0.8524], the state after" in from_stdin.out
    by_x = spawn("explain", "--cell", file, "--x", "-", input="-0.5\n")
    assert by_x.out.splitlines()[3] == "x = [-0.5], the input"


def test_a_classifier(capsys, reviews):
    folder, file = reviews
    ran = run(capsys, "explain", folder, file, "--row", 3, "--step", 1, "--unit", "0,2", "--unit", 1)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == grus.explain(folder, texts().texts, row=3, step=1, unit=[0, 2, 1]).text()
    piped = spawn("explain", folder, "-", "--row", 3, "--step", 1, "--unit", "0,2,1", input=file.read_text())
    assert (piped.out, piped.err) == (ran.out, "")
    backward = run(capsys, "explain", folder, "--reverse", "--x", "0.1,0.2,0.3,0.4,0.5")
    assert backward.out == grus.explain(folder, x=[0.1, 0.2, 0.3, 0.4, 0.5], reverse=True).text()


def test_a_forecaster(capsys, table, model, promo_model, tmp_path):
    ran = run(capsys, "explain", model, table, "--layer", 1, "--step", 0)
    assert ran.code == 0, ran.err
    assert f"{model}, layer 1 of 2 (node 'decoder'), step 0 of" in ran.out
    lines = hourly(24 * 20 + 12).splitlines()
    future = write(tmp_path / "future.csv", "\n".join([lines[0], *lines[-12:]]) + "\n")
    ran = run(capsys, "explain", promo_model, table, "--future", future)
    assert ran.code == 0, ran.err
    ran = run(capsys, "explain", promo_model, table)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: future: ")


def test_it_needs_no_torch(capsys, reviews):
    blocked = ["torch", "lightning_fabric", "matplotlib", "jinja2", "pandas"]
    for arguments in (["explain"], ["explain", *reviews, "--row", 1]):
        ran = without(blocked, *arguments)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == run(capsys, *arguments).out


def test_help_has_examples_that_run(capsys):
    ran = run(capsys, "explain", "--help")
    assert ran.code == 0
    assert "grus explain --notation chung --reset before --latex" in ran.out
    assert run(capsys, "explain", "--notation", "chung", "--reset", "before", "--latex").code == 0


# -- what is refused -----------------------------------------------------------------------------------------


REFUSED = [
    (["--latex", "--json"], "expected --latex or --json, got both"),
    (["--latex", "--mistakes"], "--mistakes is for text and JSON, not for --latex"),
    (["--layer", "1"], "--layer is for a MODEL or a cell of several layers"),
    (["--row", "1"], "--row is for a MODEL and DATA"),
    (["m", "--row", "1"], "--row is for a MODEL and DATA"),
    (["--cell", "c", "--step", "1"], "--step is for a MODEL and DATA"),
    (["m", "--cell", "c"], "--cell is a cell by itself, but a MODEL is named too"),
    (["m", "d", "--x", "1"], "--x is given by DATA; leave one of them out"),
    (["m", "d", "--h", "1"], "--h is given by DATA; leave one of them out"),
    (["m", "d", "--seed", "1"], "--seed is for a random cell"),
    (["--cell", "c", "--hidden-size", "3"], "--hidden-size is for a random cell"),
    (["m", "--reset", "after"], "--reset is for a cell by itself; a model says it of its own"),
    (["--unit", "0,b"], "--unit must be whole numbers such as 0,3, got 'b'"),
    (["m"], "expected DATA, or --x with the input of the layer, got neither"),
    (["--cell", "-", "--x", "-"], "stdin can be only one of DATA, --cell and --x"),
]


@pytest.mark.parametrize(("arguments", "error"), REFUSED, ids=[" ".join(a) for a, _ in REFUSED])
def test_options_that_do_not_go_together(capsys, arguments, error):
    refused(capsys, "explain", *arguments, error=f"{COMMAND}: {error}")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[1]", 'expected an object such as {"weight_ih": ...}, got list'),
        ("{", "expected a cell in JSON, got what cannot be read: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "expected a cell in JSON, got what cannot be read: "),
        ("{}", "expected weight_ih and weight_hh (or Keras' kernel and recurrent_kernel, or ONNX' W and R), got nothing"),
        (CELL.replace("[0.5]", "[0.5, 1]"), "x must have 1 number, one per input, got 2 numbers"),
        (CELL.replace("[0.5]", "null"), "expected the input x, 1 number, got none"),
    ],
)  # fmt: skip
def test_cells_that_cannot_be(capsys, tmp_path, text, error):
    file = write(tmp_path / "cell.json", text)
    ran = run(capsys, "explain", "--cell", file)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {file}: {error}")


def test_what_is_not_there(capsys, tmp_path, reviews):
    refused(
        capsys,
        "explain",
        "--cell",
        tmp_path / "c",
        error=f"{tmp_path / 'c'}: cannot be read: no such file or directory",
    )
    refused(capsys, "explain", "--unit", 2, error="random cell, seed 0: unit must be from 0 to 1, got 2")
    folder, file = reviews
    refused(
        capsys,
        "explain",
        folder,
        file,
        "--row",
        30,
        error="data: row must be from 0 to 29, the number of an example, got 30",
    )
    refused(
        capsys, "explain", folder, file, "--row", 0, error="data: row 0 must have at least one step, got none"
    )
    refused(
        capsys, "explain", folder, file, "--layer", 1, error=f"{folder}: layer must be from 0 to 0, got 1"
    )
    refused(capsys, "explain", "--digits", 18, error="digits: must be from 1 to 17, got 18")
    nothing = spawn("explain", "--cell", "-", input="")
    assert (nothing.code, nothing.err) == (2, "error: stdin: expected a cell in JSON, got nothing\n")
