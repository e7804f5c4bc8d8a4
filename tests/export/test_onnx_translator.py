"""Both parts of a translator as ONNX: proved on export, and a greedy search in ONNX Runtime is that of the runtime."""

import numpy as np

import onnx_runs
from example_translators import a_translator
from grus.decode import LiveTranslator
from grus.export import Network, onnx


def test_both_parts_translate_in_onnx_runtime(tmp_path):
    model, tensors = a_translator(scale=3.0)
    sessions = {}
    for part in ("encode", "decode"):
        made = onnx(Network(model.parts[part], model.part_tensors(part, tensors)), tmp_path / f"{part}.onnx")
        assert made.cases > 0
        sessions[part] = onnx_runs.session_of(made.path)
    assert [state["input"] for state in onnx_runs.metadata(sessions["decode"])["grus.states"]] == [
        "decoder.h", "decoder.begun",
    ]  # fmt: skip
    live = LiveTranslator(model, tensors)
    sentences = ["eins zwei drei", "acht neun eins zwei"]
    for sentence in sentences:
        codes = np.append(live.source.codes(live.source.tokens([sentence])[0]), live.source.end)[None]
        memory, _ = onnx_runs.run(sessions["encode"], {"source": codes})
        found, last, states = [], live.target.end, None
        while len(found) < 8:
            given = {"target": np.array([[last]]), **memory}
            outputs, states = onnx_runs.run(sessions["decode"], given, states)
            last = int(outputs["logits"][0, -1].argmax())
            if last == live.target.end:
                break
            found.append(last)
        (best,) = live.translate([sentence], n_best=1, beam=1, max_length=8)[0]
        assert tuple(live.target.spell(found)) == best.tokens
