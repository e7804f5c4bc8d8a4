"""Generated models on a Cortex-M4F under QEMU, and on 64-bit ARM: compared with the runtime, sizes and steps measured.

Run by scripts/test-microcontroller; arguments are further flags of the compiler, e.g. -funroll-loops -ffp-contract=fast.
Prints one JSON line a model and machine. Instructions are counted by a timer of the
emulated board, which QEMU's -icount lets run by instructions (2^6 ns each).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from example_classifiers import classifier, series
from example_detectors import detector
from example_graphs import random_tensors
from example_series import hourly, random_model
from grus.export.c99.classifier import classifier_program
from grus.export.c99.compiler import STRICT, write_sources
from grus.export.c99.detector import detector_program
from grus.export.c99.driver import decode, driver, encode
from grus.export.c99.forecaster import forecaster_program
from grus.export.c99.program import Program
from grus.export.c99.proof import compare
from grus.export.c99.trials import ClassifierTrial, DetectorTrial, ForecasterTrial
from grus.preprocess.classify import fit_classify_steps
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles
from grus.spec import Graph, Model, Node, ops

HERE = Path(__file__).parent
CORTEX = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
QEMU = [
    "qemu-system-arm", "-machine", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none",
    "-semihosting-config", "enable=on,target=native", "-icount", "shift=6", "-kernel",
]  # fmt: skip
#: Two instructions a turn and one before, in the loop that calibrates the ticks.
LOOP = 2_000_001
TOLERANCE = 0.02
#: The driver and the start-up code need not be free of extensions.
OWN = ["-std=gnu99", "-O2", "-Wall", "-Wextra", "-Werror"]


def gru_classifier(hidden: int):
    """Six channels with gaps, a GRU, the last state, three labels: random weights."""
    examples = series()
    steps, arrays = fit_classify_steps(examples)
    base, tensors = classifier("series")
    port = base.parts["main"].inputs[0]
    nodes = (Node("gru", ops.GRU(hidden), (port.name,)), Node("logits", ops.Linear(3), ("gru.h",)))
    graph = Graph((port,), nodes, {"logits": "logits"})
    weights = {f"main.{name}": value for name, value in random_tensors(graph).items()}
    task = {name: value for name, value in tensors.items() if name.startswith("task.")}
    return Model(1, base.task, steps, {"main": graph}), arrays | weights | task


def cases():
    """Name, program, trial and tensors of each model."""
    for precision in ("float32", "int8"):
        for hidden in (16, 32, 64):
            model, tensors = gru_classifier(hidden)
            program = classifier_program(model, tensors, f"classify{hidden}", precision)
            yield (
                f"classifier GRU-{hidden} {precision}",
                program,
                ClassifierTrial(model, tensors, program),
                tensors,
            )
        panel = build_panel(hourly((400,)), Roles("y", "unique_id", "ds"))
        sizes = {
            "lookback": 168,
            "horizon": 24,
            "segment": 24,
            "anchor": 24,
            "hidden_size": 32,
            "head_size": 16,
        }
        model, tensors = random_model(panel, **sizes)
        program = forecaster_program(model, tensors, "forecaster", precision)
        yield (
            f"forecaster 168 to 24, GRU-32 {precision}",
            program,
            ForecasterTrial(model, tensors, program),
            tensors,
        )
        model, tensors = detector(hidden=32)
        program = detector_program(model, tensors, "detector", precision)
        trial = DetectorTrial(model, tensors, program)
        yield f"detector of 2 columns, GRU-32 {precision}", program, trial, tensors


def shell(command: list[str], folder: Path) -> str:
    """Run a command that must succeed; returns its output."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def compile_for(
    prefix: str, flags: list[str], program: Program, folder: Path, transport: str | None
) -> dict[str, int]:
    """Build ``model`` in the folder; returns the sizes of the model's own object and of all that is linked."""
    write_sources([program], folder)
    text = driver([program]) if transport is None else driver([program], transport)
    (folder / "driver.c").write_text(text)
    gcc = f"{prefix}gcc"
    shell(
        [gcc, *flags, "-std=c99", "-O2", *sys.argv[1:], *STRICT, "-c", f"{program.name}.c", "-o", "object.o"],
        folder,
    )
    if transport is None:
        link = ["-static"]
    else:
        link = ["-nostartfiles", "-Wl,--gc-sections", "-T", str(HERE / "link.ld"), str(HERE / "start.c")]
    shell([gcc, *flags, *OWN, "driver.c", "object.o", *link, "-o", "model", "-lm"], folder)
    rows = [shell([f"{prefix}size", name], folder).splitlines()[1].split() for name in ("object.o", "model")]
    return {
        "object_bytes": int(rows[0][0]) + int(rows[0][1]),
        "binary_bytes": int(rows[1][0]) + int(rows[1][1]),
    }


def on_cortex(program: Program, trial, tensors, folder: Path) -> dict[str, object]:
    sizes = compile_for("arm-none-eabi-", CORTEX, program, folder, (HERE / "transport.h").read_text())
    (folder / "calls").write_bytes(encode(trial.calls, [program]))
    shell([*QEMU, "model"], folder)
    answers = decode((folder / "answers").read_bytes(), trial.calls, [program])
    proof = compare(program, trial, tensors, answers, "arm-none-eabi-gcc")
    *ticks, stack = np.fromfile(folder / "ticks", np.uint32)
    counts = instructions(program, trial.calls, np.array(ticks, np.float64))
    return {"machine": "Cortex-M4F", "difference": proof.error, "stack_bytes": int(stack), **sizes, **counts}


def instructions(program: Program, calls, ticks: np.ndarray) -> dict[str, int]:
    """Median instructions of a call by function; ticks are laps between any two transfers."""
    each = LOOP / ticks[0]
    expected = 0.625  # 40 ns a tick, 64 ns an instruction
    if abs(each / expected - 1) > TOLERANCE:
        sys.exit(f"a tick must be {expected} instructions, the loop says {each:.4f}")
    found: dict[str, list[float]] = {}
    place = 1  # the calibration
    for call in calls:
        function = program.functions[call.number]
        place += 1 + len(function.inputs)  # laps that end where `which` and each input are read
        found.setdefault(function.verb, []).append(ticks[place] * each)
        place += bool(function.outputs)
    return {f"{verb}_instructions": int(np.median(values)) for verb, values in found.items()}


def on_arm64(program: Program, trial, tensors, folder: Path) -> dict[str, object]:
    sizes = compile_for("aarch64-linux-gnu-", [], program, folder, None)
    given = encode(trial.calls, [program])
    done = subprocess.run(
        ["qemu-aarch64", folder / "model"], input=given, capture_output=True, check=True, timeout=300
    )
    proof = compare(
        program, trial, tensors, decode(done.stdout, trial.calls, [program]), "aarch64-linux-gnu-gcc"
    )
    return {"machine": "ARM64", "difference": proof.error, **sizes}


def main() -> None:
    """Every model on both machines."""
    for name, program, trial, tensors in cases():
        unit = program.unit
        multiplies = {f.verb: f.multiplies for f in program.functions if f.multiplies}
        for machine in (on_cortex, on_arm64):
            with tempfile.TemporaryDirectory() as folder:
                measured = machine(program, trial, tensors, Path(folder))
            row = {
                "model": name,
                "constants": unit.flash,
                "state_bytes": unit.ram,
                "multiplies": multiplies,
                **measured,
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
