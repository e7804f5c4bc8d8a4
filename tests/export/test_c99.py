"""Whole models in C99: raw rows in, answers in the user's units out, as the live model gives them."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

import c99_runs
import grus
from example_classifiers import KINDS, classifier
from example_detectors import detector
from example_graphs import GRAPHS, random_inputs, random_tensors
from example_series import COVARIATES, ROLES, hourly, random_model
from graph_oracle import run as oracle
from grus.artifact import save_model
from grus.errors import GrusError, ModelFolderError, SpecError, UnsupportedError, UsageError
from grus.export.c99 import export_c
from grus.export.c99 import program as program_module
from grus.export.c99.classifier import classifier_program
from grus.export.c99.compiler import STRICT, build, find_compiler, run
from grus.export.c99.detector import detector_program
from grus.export.c99.forecaster import forecaster_program
from grus.export.c99.program import graph_program
from grus.export.c99.proof import as_stored, compare
from grus.export.c99.trials import ClassifierTrial, DetectorTrial, ForecasterTrial
from grus.preprocess.panel import build_panel
from grus.spec import Graph, Model, Node, ops

TIMES = {"src": 24, "tgt": 8}
#: Kinds of classifiers and numbers of `forecasters` that are tested in each precision.
MODELS = {
    "float32": (tuple(kind for kind in KINDS if kind != "irregular"), range(16)),
    "int8": (("word", "series", "events"), (0, 1, 14)),
}
#: Options of detectors, which are tested in both precisions.
DETECTORS = {
    "detector": {},
    "detector of one series": {"ids": False, "gaps": 0.0},
    "detector of values": {"level": True, "joint": True, "layers": 2, "quiet": 0},
    "detector without time": {"time": False, "memory": 0, "quiet": 40, "columns": ("temp",)},
}
NAMES = [
    f"{what} {precision}"
    for precision, (kinds, numbers) in MODELS.items()
    for what in (*kinds, *(f"forecaster {number}" for number in numbers), *DETECTORS)
]


def one_way(kind: str, pool=None, **options):
    """A classifier whose GRU runs in one direction, so that it can run live."""
    model, tensors = classifier(kind, pool=pool, **options)
    graph = model.parts["main"]
    nodes = [Node(n.name, ops.GRU(6) if isinstance(n.op, ops.GRU) else n.op, n.inputs) for n in graph.nodes]
    graph = Graph(graph.inputs, tuple(nodes), graph.outputs)
    weights = {f"main.{name}": value for name, value in random_tensors(graph).items()}
    kept = {name: value for name, value in tensors.items() if not name.startswith("main.")}
    return Model(1, model.task, model.preprocess, {"main": graph}), kept | weights


def forecasters():
    """Models with every kind of covariate, both networks, points and quantiles, one series and several."""
    for name, covariates in COVARIATES.items():
        data = hourly()
        if name in ("past", "all"):
            data["load"][::7] = np.nan
        if name == "future":
            data["price"][::9] = np.nan
        panel = build_panel(data, replace(ROLES, **covariates))
        yield random_model(panel, non_negative=name == "static")
        yield random_model(panel, model="direct", layers=2, hidden_size=5)
        yield random_model(
            panel, quantiles=(0.1, 0.5, 0.9), horizon=7, calendar=() if name == "none" else None
        )
    alone = {name: values[:120] for name, values in hourly().items() if name != "unique_id"}
    yield random_model(build_panel(alone, replace(ROLES, id=None)))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Every model in both precisions, compiled strictly into one program with sanitizers, and its answers."""
    parts, every = [], list(forecasters())
    pools = {"series": ops.AttentionPool(5), "events": ops.Last(3), "char": ops.Pool("mean")}
    for precision in ("float32", "int8"):
        for kind in MODELS[precision][0]:
            model, tensors = one_way(kind, pools.get(kind), multi=kind == "events")
            made = classifier_program(model, tensors, f"c{len(parts)}", precision)
            parts.append((f"{kind} {precision}", made, ClassifierTrial(model, tensors, made), tensors))
        for number in MODELS[precision][1]:
            model, tensors = every[number]
            made = forecaster_program(model, tensors, f"f{len(parts)}", precision)
            parts.append(
                (f"forecaster {number} {precision}", made, ForecasterTrial(model, tensors, made), tensors)
            )
        for kind, options in DETECTORS.items():
            model, tensors = detector(**options)
            made = detector_program(model, tensors, f"d{len(parts)}", precision)
            parts.append((f"{kind} {precision}", made, DetectorTrial(model, tensors, made), tensors))
    programs = [made for _, made, _, _ in parts]
    folder = tmp_path_factory.mktemp("c99")
    target = build(programs, folder, c99_runs.compiler(), c99_runs.SANITIZED)
    first, calls = 0, []
    for _, made, trial, _ in parts:
        calls += [replace(call, number=call.number + first) for call in trial.calls]
        first += len(made.functions)
    answers = run(target, programs, calls)
    found, place = {}, 0
    for name, made, trial, tensors in parts:
        found[name] = (made, trial, tensors, answers[place : place + len(trial.calls)])
        place += len(trial.calls)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_the_live_model(compiled, name):
    program, trial, tensors, answers = compiled[name]
    precision = program.unit.precision
    proof = compare(program, trial, tensors, answers, "cc")
    assert proof.outputs == sum(np.size(value) for value in trial.expected(tensors)) > 0
    size = max(np.abs(value).max() for value in trial.expected(tensors))
    assert proof.error < (2e-6 if precision == "float32" else 1e-4) * size
    assert proof.quantisation < 0.02 * size
    assert (proof.quantisation > 0) == (precision == "int8")


@pytest.mark.parametrize("kind", DETECTORS)
def test_scores_and_alarms_are_those_of_the_live_detector(compiled, kind):
    """By themselves: what was expected is hundreds of times as large, and the comparison goes by the largest."""
    program, trial, tensors, answers = compiled[f"{kind} float32"]
    given = [outputs for outputs in answers if outputs]
    wanted = np.concatenate(trial.expected(tensors))
    width = (wanted.shape[1] - 2) // 2
    scores, alarms, severities = (np.stack([outputs[k] for outputs in given]) for k in range(3))
    np.testing.assert_allclose(scores[:, 0], wanted[:, 0], atol=1e-5)
    np.testing.assert_array_equal(alarms[:, 0], wanted[:, 1])
    np.testing.assert_allclose(severities, wanted[:, 2 : 2 + width], rtol=2e-4, atol=1e-4)
    assert 0 < alarms.sum() < len(alarms) / 2
    assert (scores == 0).any()  # the first rows, and those without any value
    assert program.unit.ram < 700


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_comparison_rejects_wrong_answers(compiled, precision):
    program, trial, tensors, answers = compiled[f"forecaster 0 {precision}"]
    place = next(i for i, outputs in enumerate(answers) if outputs)
    size = float(np.abs(answers[place][0]).max())
    for wrong in (
        answers[place][0] + np.float32(0.002 * size),
        answers[place][0] * np.nan,
        answers[place][0][::-1],
    ):
        spoiled = [*answers[:place], (wrong,), *answers[place + 1 :]]
        with pytest.raises(GrusError, match=r"must give what the runtime gives, .* nothing was written"):
            compare(program, trial, tensors, spoiled, "cc")


@pytest.mark.parametrize("name", [name for name in GRAPHS if "bidirectional" not in name])
def test_every_op_in_eight_bits_is_the_oracle_of_the_stored_weights(name):
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    program = c99_runs.program(name, 0, TIMES, "int8")
    assert program is not None
    stored = as_stored({f"main.{key}": value for key, value in tensors.items()}, program)
    inputs = random_inputs(graph, 2, TIMES)
    wanted = oracle(graph, {key.removeprefix("main."): value for key, value in stored.items()}, inputs)
    outputs = c99_runs.outputs(2, tuple(TIMES.items()), "int8")[name]
    for key, value in outputs.items():
        np.testing.assert_allclose(value, wanted[key], rtol=0, atol=2e-4)


def test_eight_bit_weights_take_a_quarter():
    graph = GRAPHS["GRU-2-layers"]
    sizes = [
        graph_program(graph, random_tensors(graph), "g", precision=p).unit.flash for p in ("float32", "int8")
    ]
    weights = 3 * 7 * (5 + 7 + 7 + 7)
    assert sizes[0] - sizes[1] == 3 * weights - 4 * 4 * 21  # beside a scale for each row of four matrices


def test_the_files_and_the_report(tmp_path):
    model, tensors = one_way("series")
    folder = tmp_path / "new" / "device"
    report = export_c(model, tensors, folder, name="valve")
    assert sorted(path.name for path in folder.iterdir()) == ["valve.c", "valve.h"]
    assert (report.header, report.source) == (folder / "valve.h", folder / "valve.c")
    assert report.proved
    assert "compared with the runtime on 144 random outputs of up to 0." in report.proof
    text = report.header.read_text()
    assert "double sums" not in text
    assert f"One stream, {report.ram_bytes} bytes." in text
    for words in (
        "  0: a\n",
        "  1: perhaps\n",
        "NaN where a value is missing",
        "extern const char *const valve_labels[3]",
    ):
        assert words in text
    # 3 gates x 6 units x (4 inputs + 6 units), and 3 labels x 6
    assert report.multiplies == {"valve_step": 198}
    assert report.flash_bytes == 4 * (18 * 4 + 18 * 6 + 2 * 18 + 18 + 3) + 3 * 16 + 3
    again = export_c(model, tensors, folder, name="valve", force=True)
    assert again == report
    assert report.source.read_text() == (folder / "valve.c").read_text()


def test_the_equations_are_the_kernels_own_file(tmp_path):
    model, tensors = one_way("series")
    source = export_c(model, tensors, tmp_path).source.read_text()
    cell = Path(__file__).parents[2] / "csrc" / "core" / "cell.h"
    assert cell.read_text().strip() in source


USER = """
#include "model.h"
#include <cstdio>
#include <cstring>
int main() {
  static model_state one, two;
  float row[3] = {4.0f, 1.0f, 1.0f}, some[3], same[3];
  model_init(&one);
  model_init(&two);
  for (int t = 0; t < 5; ++t) {
    row[0] += 1.0f;
    model_step(&one, row, some);
    model_step(&two, row, t < 4 ? nullptr : same);
  }
  if (std::memcmp(some, same, sizeof some) != 0) return 1;
  model_reset(&one);
  model_step(&one, row, some);
  model_init(&two);
  model_step(&two, row, same);
  if (std::memcmp(some, same, sizeof some) != 0) return 2;
  std::printf("%d %s", (int)sizeof one, model_labels[2]);
}
"""


@pytest.mark.parametrize("pool", [None, ops.AttentionPool(5), ops.Last(3), ops.Pool("mean")], ids=repr)
def test_from_cplusplus_with_an_output_that_is_not_wanted(tmp_path, pool):
    model, tensors = one_way("series", pool)
    model = Model(
        1,
        msgspec.structs.replace(model.task, labels=("a*/", "b\n??/", 'é "%s"')),
        model.preprocess,
        model.parts,
    )
    report = export_c(model, tensors, tmp_path)
    (tmp_path / "user.cpp").write_text(USER)
    for command in (
        ["cc", "-std=c99", *STRICT, "-c", "model.c"],
        ["c++", "-std=c++17", *STRICT, "user.cpp", "model.o", "-o", "user"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    said = subprocess.run([tmp_path / "user"], capture_output=True, check=True, timeout=60).stdout.decode()
    assert said == f'{report.ram_bytes} é "%s"'


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_compiler_complains(tmp_path, compiler):
    """Where a machine has only one of the two, that one is enough."""
    command = compiler if shutil.which(compiler) else "cc"
    model, tensors = next(forecasters())
    report = export_c(model, tensors, tmp_path, precision="int8")
    flags = ["-std=c99", *STRICT, "-Wshadow", "-Wundef", "-Wstrict-prototypes", "-c", "-o", "/dev/null"]
    done = subprocess.run(
        [command, *flags, report.source], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_header_of_another_export_does_not_compile(tmp_path):
    model, tensors = one_way("series")
    export_c(model, tensors, tmp_path / "a")
    tensors["main.logits.bias"] = tensors["main.logits.bias"] + 1
    report = export_c(model, tensors, tmp_path / "b")
    shutil.copy(tmp_path / "a" / "model.h", report.header)
    done = subprocess.run(
        ["cc", "-c", "model.c"], cwd=tmp_path / "b", capture_output=True, text=True, check=False
    )
    assert done.returncode
    assert "model.c and model.h are of two exports" in done.stderr


def refused(error, sentence, folder, *arguments, **options):
    before = sorted(folder.rglob("*"))
    with pytest.raises(error) as caught:
        export_c(*arguments, folder, **options)
    assert str(caught.value) == sentence
    assert sorted(folder.rglob("*")) == before
    return caught.value


def test_what_cannot_be_exported_is_one_sentence(tmp_path):
    both = classifier("series")
    said = refused(
        UnsupportedError, "node 'gru': GRU in both directions cannot run on back end 'c'", tmp_path, *both
    )
    assert "--no-bidirectional" in said.hint
    model, tensors = one_way("series")
    sentence = (
        "export: the constants must fit into 998 bytes, got 999 in float32; int8 weights take a quarter"
    )
    refused(UnsupportedError, sentence, tmp_path, model, tensors, limit_bytes=998)
    sentence = "export: the constants must fit into 560 bytes, got 561 in int8"
    refused(UnsupportedError, sentence, tmp_path, model, tensors, limit_bytes=560, precision="int8")
    sentence = (
        "export: the constants must fit into 100 bytes, got 948 in float32; int8 weights take a quarter"
    )
    refused(UnsupportedError, sentence, tmp_path, model, tensors, limit_bytes=100)  # before it is all spelled
    sentence = "export: precision must be float32 or int8, got 'int4'"
    refused(UsageError, sentence, tmp_path, model, tensors, precision="int4")
    spoiled = tensors | {"main.logits.bias": np.array([0, np.nan, 0], np.float32)}
    sentence = "model: tensor 'main.logits.bias' must be finite to be exported, got NaN or infinity"
    refused(SpecError, sentence, tmp_path, model, spoiled)
    (tmp_path / "model.c").write_text("mine")
    sentence = f"{tmp_path / 'model.c'}: already exists, and nothing is overwritten unasked"
    refused(ModelFolderError, sentence, tmp_path, model, tensors)
    sentence = f"{tmp_path / 'model.c'}: must be a folder, got a file"
    refused(ModelFolderError, sentence, tmp_path / "model.c", model, tensors)


def test_ops_that_need_blocks_of_steps_run_whole_only():
    graph = GRAPHS["Segment"]
    with pytest.raises(
        UnsupportedError, match="node 'segment_0': Segment cannot run step by step on back end 'c'"
    ):
        graph_program(graph, {}, "g")
    with pytest.raises(UnsupportedError, match="graph: 23 steps of clock 'src' must be whole segments of 4"):
        graph_program(graph, {}, "g", times={"src": 23})
    graph = GRAPHS["encoder-decoder"]
    with pytest.raises(UnsupportedError, match="must have one clock, got src, tgt"):
        graph_program(graph, random_tensors(graph), "g")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("y[i] = a[i] - b[i]", "y[i] = b[i] - a[i]"),
        ("return (1.0f - z) * n + z * h;", "return (1.0f - z) * h + z * n;"),
        ("next[j] = grus_blend", "next[j] = 1.01f * grus_blend"),
        ("if (bias)", "if (!bias)"),
    ],
)
def test_wrong_files_are_not_written(tmp_path, monkeypatch, ours, theirs):
    """The proof notices a fault in the equations, in either precision that has it."""
    real = program_module._part
    monkeypatch.setattr(program_module, "_part", lambda file: real(file).replace(ours, theirs))
    model, tensors = next(forecasters())
    precision = "int8" if ours.startswith("next") else "float32"
    with pytest.raises(GrusError, match=r"the C files as compiled by .* must give what the runtime gives"):
        export_c(model, tensors, tmp_path / "new", precision=precision)
    assert not (tmp_path / "new").exists()


def test_a_column_that_a_float_cannot_resolve_is_noted(tmp_path):
    model, tensors = one_way("series")
    (note,) = export_c(model, tensors, tmp_path / "coarse").notes
    assert note.startswith("column 'c': values near 1 that differ by 9.58e-07 lose digits in a float")
    tensors["preprocess.covariate_scale.center"] = np.zeros(3)
    assert export_c(model, tensors, tmp_path / "fine").notes == ()
    data = hourly()
    data["y"] += 1e8
    model, tensors = random_model(build_panel(data, ROLES))
    notes = export_c(model, tensors, tmp_path / "series").notes
    assert [note[:12] for note in notes] == ["series 'a': ", "series 'b': "]


def test_without_a_compiler_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compiler() is None
    model, tensors = one_way("word")
    report = export_c(model, tensors, tmp_path / "out")
    assert not report.proved
    assert report.proof.startswith("not proved: no C compiler (cc, gcc or clang) was found")
    assert report.source.exists()


def test_a_compiler_or_a_program_that_fails_is_an_error(tmp_path, monkeypatch):
    model, tensors = one_way("word")
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\necho 'fatal error: no disk' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    sentence = f"export: {broken} must compile the C files, but says: fatal error: no disk"
    refused(GrusError, sentence, tmp_path, model, tensors)
    real = program_module._part
    monkeypatch.delenv("CC")
    monkeypatch.setattr(
        program_module,
        "_part",
        lambda file: real(file).replace("sum += y[i] =", "sum = 1 / *(volatile int *)0; sum +="),
    )
    sentence = "export: the compiled C files must run, but end with status -11"
    refused(GrusError, sentence, tmp_path, model, tensors)


def test_a_saved_model_is_exported_as_it_was_loaded(tmp_path):
    model, tensors = one_way("series")
    save_model(tmp_path / "model", model, tensors)
    live = grus.load(tmp_path / "model")
    assert export_c(live.model, tensors, tmp_path / "c").proved
