"""docs/gru.md: its formulas run, and give what torch, ONNX Runtime and Keras give."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime as runtime
import pytest
import torch

import grus
from grus.kernels.layout import from_keras_layout
from grus.nn import MinGRU

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "gru.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL)
SYMBOLS = ("W_ir", "W_iz", "W_in", "W_hr", "W_hz", "W_hn", "b_ir", "b_iz", "b_in", "b_hr", "b_hz", "b_hn")


def block(text):
    """The one block that contains a text."""
    (found,) = [code for code in BLOCKS if text in code]
    return found


def run(code, names):
    exec(compile(code, "docs/gru.md", "exec"), names)
    return names


@pytest.fixture(scope="module")
def names():
    """What the page has defined at its end."""
    found = {}
    for code in BLOCKS:
        run(code, found)
    return found


def test_every_block_runs(names):
    assert len(BLOCKS) >= 12
    assert PAGE.count("assert ") == sum(code.count("assert ") for code in BLOCKS) >= 35
    assert names["after"].state.shape == (2,)
    assert max(len(line) for code in BLOCKS for line in code.splitlines()) <= 80  # or the page would scroll


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("h_new = (1 - z) * n + z * h\nassert np.allclose(h_new, after", "h_new = (1 - z) * h + z * n\nassert np.allclose(h_new, after"),
        ("n = tanh(W_in @ x + b_in + r * (W_hn @ h + b_hn))", "n = tanh(W_in @ x + b_in + W_hn @ (r * h) + b_hn)"),
        ("U_iz, U_hz, c_iz, c_hz = -W_iz, -W_hz, -b_iz, -b_hz", "U_iz, U_hz, c_iz, c_hz = W_iz, W_hz, b_iz, b_hz"),
        ("kernel = concatenate([W_iz, W_ir, W_in]).T", "kernel = concatenate([W_ir, W_iz, W_in]).T"),
        ("296_448", "296_449"),
        ("assert np.allclose((1 - z) * h + z * n, h_new)", "assert np.allclose((1 - z) * n + z * h, h_new)"),
        ("np.prod(z[t + 1 :], axis=0)", "np.prod(z[t:], axis=0)"),
        ("66_048", "66_049"),
    ],
)  # fmt: skip
def test_a_misprint_would_be_noticed(right, wrong, names):
    code = block(right)
    with pytest.raises(AssertionError):
        run(code.replace(right, wrong), dict(names))


def flat(names, kind):
    """A GRU's weights as torch stacks them."""
    return np.concatenate([names[f"{kind}{gate}"] for gate in "rzn"])


def test_cells_of_torch(names):
    I, H, x, h = (names[name] for name in ("I", "H", "x", "h"))  # noqa: E741
    rng = np.random.default_rng(1)

    def cell(kind, blocks):
        made = getattr(torch.nn, kind)(I, H).double()
        drawn = [rng.normal(size=tuple(p.shape)) for p in made.parameters()]
        for parameter, value in zip(made.parameters(), drawn, strict=True):
            parameter.data = torch.from_numpy(value)
        assert sum(p.numel() for p in made.parameters()) == names["parameters"](blocks, I, H)
        return made, drawn

    row, state = torch.from_numpy(x)[None], torch.from_numpy(h)[None]
    made, _ = cell("GRUCell", names["GRU"])
    for parameter, kind in zip(made.parameters(), ("W_i", "W_h", "b_i", "b_h"), strict=True):
        parameter.data = torch.from_numpy(flat(names, kind))
    np.testing.assert_allclose(made(row, state)[0].detach(), names["after"].state, atol=1e-14)
    made, drawn = cell("RNNCell", names["RNN"])
    np.testing.assert_allclose(made(row, state)[0].detach(), names["rnn"](x, h, *drawn), atol=1e-14)
    made, drawn = cell("LSTMCell", names["LSTM"])
    c = rng.normal(size=H)
    ours = names["lstm"](x, h, c, *drawn)
    for their, our in zip(made(row, (state, torch.from_numpy(c)[None])), ours, strict=True):
        np.testing.assert_allclose(their[0].detach(), our, atol=1e-14)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_parameters_of_stacks(names, kind):
    made = getattr(torch.nn, kind)(5, 4, num_layers=2, bidirectional=True)
    count = names["parameters"]
    expected = 2 * (count(names[kind], 5, 4) + count(names[kind], 8, 4))
    assert sum(p.numel() for p in made.parameters()) == expected


def test_the_mingru_of_grus(names):
    made = MinGRU(3, 2, dtype=torch.float64)
    W_z, W_n, b_z, b_n = names["minimal"]
    weights = [np.concatenate([W_z, W_n]), np.concatenate([b_z, b_n])]
    made.load_state_dict(dict(zip(("weight_ih_l0", "bias_ih_l0"), map(torch.from_numpy, weights), strict=True)))
    xs, h = (torch.from_numpy(names[name]) for name in ("xs", "h"))
    _, state = made(xs, h[None])
    np.testing.assert_allclose(state[0].detach(), names["step_by_step"], atol=1e-14)
    assert sum(p.numel() for p in MinGRU(5, 4).parameters()) == names["parameters_of_mingru"](5, 4)


@pytest.mark.parametrize("linear_before_reset", [0, 1])
def test_onnx_runtime(names, linear_before_reset):
    inputs = {name: names[name].astype(np.float32)[None] for name in "WRB"}
    inputs |= {"X": names["x"].astype(np.float32)[None, None], "H": names["h"].astype(np.float32)[None, None]}
    node = onnx.helper.make_node(
        "GRU",
        ["X", "W", "R", "B", "", "H"],
        ["", "Y"],
        hidden_size=2,
        linear_before_reset=linear_before_reset,
    )
    ports = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, value.shape)
        for name, value in inputs.items()
    ]
    out = onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, (1, 1, 2))
    graph = onnx.helper.make_graph([node], "cell", ports, [out])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(
        session.run(None, inputs)[0][0, 0], names["h_onnx"][linear_before_reset], atol=1e-6
    )


def keras_cases():
    cases = json.loads((ROOT / "tests" / "export" / "keras_gru.json").read_text())["cases"]
    return [
        case
        for case in cases
        if case["config"]["use_bias"]
        and (case["config"]["activation"], case["config"]["recurrent_activation"]) == ("tanh", "sigmoid")
        and not case["config"]["go_backwards"]
    ]


@pytest.mark.parametrize(
    "case", keras_cases(), ids=lambda case: f"reset_after={case['config']['reset_after']}"
)
def test_keras(names, case):
    kernel, recurrent, bias = (np.array(values) for values in case["weights"])
    reset_after = case["config"]["reset_after"]
    x, h, y = (np.array(case[name]) for name in ("x", "h", "y"))
    weights = from_keras_layout(kernel, recurrent, bias)
    arrays = [weights.weight_ih, weights.weight_hh, weights.bias_ih, weights.bias_hh]
    arrays[3] = np.zeros_like(arrays[2]) if arrays[3] is None else arrays[3]
    mine = dict(names) | dict(zip(SYMBOLS, [part for array in arrays for part in np.split(array, 3)]))
    cell = {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}
    state = h[0]
    for step, theirs in zip(x[0], y[0], strict=True):
        found = [grus.explain(cell, x=step, h=state, reset_after=after) for after in (True, False)]
        np.testing.assert_allclose(found[not reset_after].state, theirs, atol=2e-6)
        golden = [SimpleNamespace(state=value.state) for value in found]
        given = {"x": step, "h": state, "H": len(state), "after": golden[0], "before": golden[1]}
        run(block("np.split(x @ kernel + bias[0], 3)"), mine | given)
        state = theirs


def test_the_checks_are_of_sentences_in_the_table():
    rows = [int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)]
    assert rows == list(range(1, len(rows) + 1))
    checks = [int(number) for number in re.findall(r"^# (\d+): ", PAGE, re.MULTILINE)]
    assert checks
    assert set(checks) <= set(rows)
