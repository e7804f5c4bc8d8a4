"""``grus export`` and ``grus check-onnx``: files and findings on stdout, sentences on stderr, exit codes for scripts."""

import json

import onnx
import pytest
from cli_runs import run, spawn

import onnx_runs
from example_classifiers import classifier
from grus.artifact import save_model
from grus.export.network import Network
from grus.export.onnx_format.graph import to_onnx


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A classifier of series with random weights."""
    path = tmp_path_factory.mktemp("models") / "motion"
    save_model(path, *classifier("series"))
    return path


@pytest.mark.parametrize("command", ["export", "check-onnx"])
def test_help_with_examples(capsys, command):
    ran = run(capsys, command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count(f"grus {command} ") >= 3
    assert "--config" in ran.out


def test_export_to_onnx(capsys, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = run(capsys, "export", folder, "--to", "onnx")
    assert (ran.code, ran.out) == (0, "motion.onnx\n")
    lines = ran.err.splitlines()
    assert lines[0].startswith("wrote motion.onnx: ")
    assert lines[1:4] == ["inputs    x, src.lengths", "outputs   logits", "states    gru.h"]
    assert lines[4].startswith("proved    6 random cases in ONNX Runtime: greatest difference ")
    session = onnx_runs.session_of(tmp_path / "motion.onnx")
    assert onnx_runs.metadata(session)["grus.task"]["kind"] == "series"
    checked = run(capsys, "check-onnx", "motion.onnx")
    assert (checked.code, checked.out) == (0, "")
    assert checked.err == "motion.onnx: 1 GRU node, written by grus: nothing found\n".replace(
        "2 GRU nodes", "1 GRU node"
    )


def test_nothing_is_overwritten_unasked(capsys, folder, tmp_path):
    target = tmp_path / "m.onnx"
    target.write_text("mine")
    ran = run(capsys, "export", folder, "--to", "onnx", "-o", target)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == f"error: {target}: already exists, and nothing is overwritten unasked"
    assert target.read_text() == "mine"
    ran = run(capsys, "export", folder, "--to", "onnx", "-o", target, "--force", "--json", "-q")
    assert (ran.code, ran.err) == (0, "")
    answer = json.loads(ran.out)
    assert answer["files"] == [str(target)]
    assert answer["bytes"] == target.stat().st_size
    assert (answer["inputs"], answer["states"]) == (["x", "src.lengths"], ["gru.h"])
    assert answer["largest_difference"] < 1e-5


def test_a_file_that_does_not_hold_is_not_written(capsys, folder, tmp_path, monkeypatch):
    def wrong(network, metadata=None):
        tensors = {name: array * 1.01 for name, array in network.tensors.items()}
        return to_onnx(Network(network.graph, tensors), metadata)

    monkeypatch.setattr("grus.export.onnx_format.graph.to_onnx", wrong)
    ran = run(capsys, "export", folder, "--to", "onnx", "-o", tmp_path / "m.onnx")
    assert (ran.code, ran.out) == (1, "")
    assert "error: export: in ONNX Runtime output 'logits' must be within" in ran.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--to", "onnx", "--precision", "int8"],
            "grus export: --precision is for --to c, but this is --to onnx",
        ),
        (["--to", "onnx", "--name", "x"], "grus export: --name is for --to c, but this is --to onnx"),
        (["--to", "tflite"], "grus export: --to must be one of onnx, c, got 'tflite'"),
        ([], "grus export: option --to is missing"),
        (["--to", "onnx", "-o", "none/m.onnx"], "none/m.onnx: no such folder: none"),
    ],
    ids=str,
)
def test_bad_usage(capsys, folder, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    ran = run(capsys, "export", folder, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == f"error: {said}"
    assert not list(tmp_path.iterdir())


def test_export_to_c(capsys, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "live", *live_classifier())
    ran = run(capsys, "export", "live", "--to", "c", "--name", "motion")
    assert (ran.code, ran.out) == (0, "live-c/motion.h\nlive-c/motion.c\n")
    assert any(line.startswith("flash ") for line in ran.err.splitlines())
    ran = run(capsys, "export", "live", "--to", "c", "-o", "small", "--precision", "int8", "--json", "-q")
    answer = json.loads(ran.out)
    assert (answer["precision"], answer["files"]) == ("int8", ["small/model.h", "small/model.c"])
    assert run(capsys, "export", "live", "--to", "c", "-o", "small").code == 2, "there is something"
    ran = run(capsys, "export", "live", "--to", "c", "-o", "none", "--limit", "100")
    assert (
        ran.code,
        ran.err.splitlines()[0].startswith("error: export: the constants must fit into 100"),
    ) == (1, True)


def live_classifier():
    """One that reads forwards only, so that it can run step by step."""
    from example_graphs import random_tensors
    from grus.spec import Graph, Node, ops

    model, tensors = classifier("series", pool=ops.Pool("mean"))
    graph = model.parts["main"]
    nodes = [Node(n.name, ops.GRU(6) if n.name == "gru" else n.op, n.inputs) for n in graph.nodes]
    graph = Graph(graph.inputs, tuple(nodes), graph.outputs)
    kept = {k: v for k, v in tensors.items() if not k.startswith("main.")}
    weights = {f"main.{k}": v for k, v in random_tensors(graph).items()}
    return type(model)(1, model.task, model.preprocess, {"main": graph}), kept | weights


def test_check_onnx_finds(capsys, folder, tmp_path):
    assert run(capsys, "export", folder, "--to", "onnx", "-o", tmp_path / "m.onnx", "-q").code == 0
    model = onnx.load(tmp_path / "m.onnx")
    model.producer_name = "pytorch"
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "linear_before_reset":
                attribute.i = 0
    onnx.save(model, tmp_path / "bad.onnx")
    ran = run(capsys, "check-onnx", tmp_path / "bad.onnx")
    assert ran.code == 1
    assert ": reset: linear_before_reset is 0, but PyTorch's GRU" in ran.out
    assert ran.out.count("\n") == 1
    assert ran.err.startswith(f"{tmp_path / 'bad.onnx'}: 1 GRU node, written by pytorch: 1 finding\n")
    assert "what to do: compare outputs with the original" in ran.err
    ran = run(capsys, "check-onnx", tmp_path / "bad.onnx", "--json", "-q")
    assert (ran.code, ran.err) == (1, "")
    answer = json.loads(ran.out)
    assert (answer["nodes"], answer["producer"]) == (1, "pytorch")
    assert [(f["kind"], bool(f["hint"])) for f in answer["findings"]] == [("reset", True)]


def test_check_onnx_of_what_is_none(capsys, tmp_path):
    ran = run(capsys, "check-onnx", tmp_path / "none.onnx")
    assert (ran.code, ran.out) == (2, "")
    assert (
        ran.err
        == f"error: {tmp_path / 'none.onnx'}: cannot be read as an ONNX file: no such file or directory\n"
    )
    (tmp_path / "text.onnx").write_text("hello")
    ran = run(capsys, "check-onnx", tmp_path / "text.onnx")
    assert (ran.code, ran.out) == (2, "")
    assert "must be an ONNX file" in ran.err


def test_as_a_process_the_exit_code_is_that_of_the_findings(folder, tmp_path):
    target = tmp_path / "m.onnx"
    assert spawn("export", folder, "--to", "onnx", "-o", target, "-q").code == 0
    assert spawn("check-onnx", target, "-q").code == 0
    model = onnx.load(target)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, target)
    ran = spawn("check-onnx", target, "-q")
    assert (ran.code, ran.err) == (1, "")
    assert ": batch: the batch axis is frozen: input 'x' has a fixed size of 1" in ran.out
