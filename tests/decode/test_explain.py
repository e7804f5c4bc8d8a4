"""``grus.explain``: the printed numbers are the oracle's, the lines are true sums, and the state is the runtime's."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib import mathtext

import grus
from example_classifiers import classifier, texts
from example_series import ROLES, hourly, random_model
from grus.artifact import save_model
from grus.decode.explaining.cell import take_step
from grus.decode.explaining.expression import (
    LatexWriter,
    Number,
    Product,
    Sum,
    Symbol,
    Writer,
    dot,
    evaluate,
    fill,
)
from grus.decode.explaining.given import given_cell
from grus.decode.explaining.lines import Explanation
from grus.decode.explaining.model import model_cell, read_row
from grus.errors import DataError, UsageError
from grus.kernels.layout import GRUWeights, negate_update_gate, reorder_gates, to_onnx_layout
from grus.kernels.native import PackedGRU
from grus.kernels.reference import Options, gru_direction
from grus.preprocess.panel import build_panel
from grus.spec import Graph, Model, Node, Port, ops

NOTATIONS, PLACEMENTS = ("pytorch", "chung"), (True, False)
SCALAR = {"sigmoid": lambda a: 1 / (1 + np.exp(-a)), "tanh": np.tanh}


def random_values(inputs=3, hidden=2, seed=0, **more):
    rng = np.random.default_rng(seed)
    shapes = {
        "weight_ih": (3 * hidden, inputs),
        "weight_hh": (3 * hidden, hidden),
        "bias_ih": (3 * hidden,),
        "bias_hh": (3 * hidden,),
        "x": (inputs,),
        "h": (hidden,),
    }
    return {name: rng.normal(size=shape) for name, shape in shapes.items()} | more


def oracle(values, reset_after=True, keep=0.0, x=None):
    """State and gates [H] of one step from the reference, by no code of the explanation."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh")
    weights = GRUWeights(**{name: values[name] for name in names if name in values})
    x = values["x"] if x is None else x
    result = gru_direction(x[None, None], values["h"][None], weights, Options(reset_after, keep=keep))
    return result.h_n[0], {name: getattr(result.gates, name)[0, 0] for name in "rzn"}


def printed(text):
    """Of every unit, the lines of a page by name: the forms between the equals signs."""
    units = {}
    for line in text.splitlines():
        if found := re.fullmatch(r"unit (\d+)", line):
            lines = units.setdefault(int(found[1]), {})
        elif found := re.match(r"    (\S+) += (.*)", line):
            forms = lines.setdefault(found[1], found[2].split(" = "))
        elif line.startswith("         = "):
            forms += line.removeprefix("         = ").split(" = ")
    return units


def true_sums(lines, tolerance=1e-13):
    """Whether every form with numbers of every line, read by Python, has the value at the line's end."""
    return all(
        abs(eval(form, dict(SCALAR)) - float(forms[-1])) < tolerance
        for name, forms in lines.items()
        if name != "v"
        for form in forms[1:-1]
    )


@pytest.mark.parametrize("reset_after", PLACEMENTS)
@pytest.mark.parametrize("notation", NOTATIONS)
def test_the_printed_numbers_are_the_oracles_and_the_lines_are_true(notation, reset_after):
    values = random_values(reset_after=reset_after)
    found = grus.explain(values, notation=notation)
    state, gates = oracle(values, reset_after)
    np.testing.assert_array_equal(found.state, state)
    units = printed(found.text(17))
    assert list(units) == [0, 1]
    for unit, lines in units.items():
        assert true_sums(lines)
        z = gates["z"][unit] if notation == "pytorch" else 1 - gates["z"][unit]
        wanted = {"r": gates["r"][unit], "z": z, "n": gates["n"][unit], "h'": state[unit]}
        assert {name: float(lines[name][-1]) for name in wanted} == pytest.approx(wanted, abs=1e-15)
        formula = "(1 - z) * n + z * h" if notation == "pytorch" else "(1 - z) * h + z * n"
        assert lines["h'"][0] == formula
        assert lines["n"][0] == ("tanh(a_in + r * a_hn)" if reset_after else "tanh(a_in + a_hn)")
        assert lines["a_hn"][0] == f"W_hn {'h' if reset_after else 'v'} + b_hn"
        assert ("v" in lines) != reset_after


def test_the_check_of_lines_rejects_a_wrong_one():
    lines = {"r": ["sigmoid(a)", "sigmoid(0.5 + 0.25)", "sigmoid(0.75)", str(SCALAR["sigmoid"](0.75))]}
    assert true_sums(lines)
    for wrong in (["sigmoid(a)", "sigmoid(0.5 - 0.25)"], ["sigmoid(a)", "tanh(0.75)"]):
        assert not true_sums({"r": [*wrong, lines["r"][-1]]})


def test_layer_norm_and_no_bias():
    values = random_values(4, 3, 1)
    values |= {"gain_ih": values["bias_ih"][::-1] + 1, "gain_hh": values["bias_hh"][::-1] + 1}
    for notation in NOTATIONS:
        for reset_after in PLACEMENTS:
            found = grus.explain(values, reset_after=reset_after, notation=notation)
            np.testing.assert_array_equal(found.state, oracle(values, reset_after)[0])
            units = printed(found.text(17))
            assert all(map(true_sums, units.values()))
            assert units[2]["q_hz"][0] == "(p_hz - m_hz) * s_hz"
    bare = {name: values[name] for name in ("weight_ih", "weight_hh", "x", "h")}
    lines = printed(grus.explain(bare).text(17))[0]
    assert true_sums(lines)
    assert lines["a_ir"][0] == "W_ir x"


@pytest.mark.parametrize("reset_after", PLACEMENTS)
def test_weights_in_chungs_notation_give_the_state_of_his_equations(reset_after):
    values = random_values(notation="chung", reset_after=reset_after)
    found = grus.explain(values)
    lines = printed(found.text(17))
    state, gates = oracle(
        values, reset_after
    )  # h is of the other notation, but r, z and n are those of the weights
    mine = (1 - gates["z"]) * values["h"] + gates["z"] * gates["n"]
    np.testing.assert_allclose(found.state, mine, atol=1e-15)
    assert not np.allclose(found.state, state)
    assert lines[0]["h'"][0] == "(1 - z) * h + z * n"
    np.testing.assert_allclose(grus.explain(values, notation="pytorch").state, mine, atol=1e-15)


def test_layouts_of_other_libraries():
    values = random_values()
    weights = GRUWeights(*(values[name] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
    wanted = grus.explain(values).state
    w, r, b = to_onnx_layout(weights)
    around = {"x": values["x"], "h": values["h"]}
    np.testing.assert_array_equal(
        grus.explain({"W": w, "R": r, "B": b, "linear_before_reset": 1, **around}).state, wanted
    )
    assert not grus.explain({"W": w, "R": r, "B": b, **around}).step.cell.reset_after
    keras = {"kernel": w.T, "recurrent_kernel": r.T, "bias": b.reshape(2, -1), **around}
    np.testing.assert_array_equal(grus.explain(keras).state, wanted)
    stack = {f"{name}_l1_reverse": values[name] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    stack["weight_ih_l0"] = values["weight_ih"]
    found = grus.explain(stack, layer=1, reverse=True, **around)
    np.testing.assert_array_equal(found.state, wanted)


def test_a_torch_module_is_explained():
    gru = torch.nn.GRU(3, 2, num_layers=2).double()
    x, h = torch.randn(1, 3).double(), torch.randn(2, 2).double()
    y, _ = gru(x, h)
    first = grus.explain(gru.state_dict(), x=x[0], h=h[0])
    found = grus.explain(gru.state_dict(), x=first.state, h=h[1], layer=1)
    np.testing.assert_allclose(found.state, y[0].detach(), atol=1e-15)


def test_mistakes_are_what_the_wrong_cells_compute():
    values = random_values()
    found = grus.explain(values).mistakes()
    assert len(found) == 6
    swapped = {
        name: reorder_gates(values[name], "zrn") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    np.testing.assert_allclose(found["blocks of r and z swapped"], oracle(values | swapped)[0], atol=1e-15)
    np.testing.assert_allclose(found["reset gate before the product"], oracle(values, False)[0], atol=1e-15)
    text = grus.explain(values, unit=1).text(4, mistakes=True)
    assert f"h' = [{found['blocks of r and z swapped'][1]:.4g}]" in text
    cell = grus.explain(values).step.cell
    zoned = Explanation(take_step(replace(cell, keep=0.25), values["x"], values["h"]), (0,))
    kept = 0.25 * values["h"] + 0.75 * found["blocks of r and z swapped"]
    np.testing.assert_allclose(zoned.mistakes()["blocks of r and z swapped"], kept, atol=1e-15)
    bare = {name: values[name] for name in ("weight_ih", "weight_hh", "x", "h")}
    assert "recurrent bias b_h left out" not in grus.explain(bare).mistakes()


# -- models ------------------------------------------------------------------------------------------------


def custom(op, tmp_path, size=3, more=()):
    """A classifier of series whose one layer is ``op``, saved, with random weights."""
    model, tensors = classifier("series")
    (port,) = model.parts["main"].inputs
    nodes = [Node("gru", op, (port.name,)), Node("pool", ops.Last(), ("gru",))]
    nodes.append(Node("logits", ops.Linear(len(model.task.labels)), ("pool",)))
    graph = Graph((Port(port.name, "seq", port.size, "src"),), tuple(nodes), {"logits": "logits"})
    made = Model(1, model.task, model.preprocess, {"main": graph})
    rng = np.random.default_rng(5)
    drawn = {
        name: tensors[name] if name in tensors and not name.startswith("main.") else rng.normal(size=shape).astype(dtype)
        for name, (dtype, shape) in made.tensors().items()
    }  # fmt: skip
    return save_model(tmp_path / "m", made, drawn), made, drawn


SERIES = [np.random.default_rng(9).normal(size=(n, 3)) * [1, 1e6, 1e-6] + [5, 0, 1] for n in (5, 9)]


@pytest.mark.parametrize(
    "op",
    [
        ops.GRU(6, layers=2),
        ops.GRU(4, layers=2, bidirectional=True, reset_after=False),
        ops.GRU(3, zoneout=0.3, layer_norm=True),
        ops.GRU(3, bias=False),
    ],
    ids=["stack", "both directions", "norm and zoneout", "no bias"],
)
def test_states_are_those_of_the_runtime(op, tmp_path):
    folder, model, tensors = custom(op, tmp_path)
    x = np.ascontiguousarray(read_row(model, tensors, SERIES, 1).inputs["x"])
    steps = x.shape[1]
    for layer in range(op.layers):
        outputs = []
        for reverse in (False, True)[: op.directions]:
            ending = f"_l{layer}{'_reverse' * reverse}"
            own = {k.removesuffix(ending).split(".")[-1]: v for k, v in tensors.items() if k.endswith(ending)}
            gains = (own["gain_ih"], own["gain_hh"]) if op.layer_norm else None
            packed = PackedGRU(
                own["weight_ih"], own["weight_hh"], own.get("bias_ih"), own.get("bias_hh"),
                reset_after=op.reset_after, norm=gains, zoneout=op.zoneout,
            )  # fmt: skip
            y, _ = packed.run(x, np.zeros((1, op.hidden), np.float32), reverse=reverse)
            for step in (0, 3, -1):
                found = grus.explain(folder, SERIES, row=1, layer=layer, reverse=reverse, step=step)
                np.testing.assert_allclose(found.state, y[0, step], atol=2e-5)
                before = step % steps + (1 if reverse else -1)
                h = y[0, before] if 0 <= before < steps else np.zeros(op.hidden)
                np.testing.assert_allclose(found.step.h, h, atol=2e-5)
                assert true_sums(printed(found.text(17))[0])
                assert f"step {step % steps} of 9" in found.text()
            outputs.append(y)
        x = np.concatenate(outputs, axis=-1)


def test_a_forecasters_encoder_and_decoder_see_what_predict_gives_them(tmp_path):
    rows = {name: values for name, values in hourly((60, 50)).items() if name in ("unique_id", "ds", "y")}
    model, tensors = random_model(build_panel(rows, ROLES))
    folder = save_model(tmp_path / "m", model, tensors)
    (encoder,) = [node for node in model.parts["main"].nodes if isinstance(node.op, ops.GRU)]
    first = grus.explain(folder, rows, row=1, step=0)
    assert not first.step.h.any()
    last = grus.explain(folder, rows, row=1, step=-1)
    decoded = grus.explain(folder, rows, row=1, layer=1, step=0)
    np.testing.assert_allclose(
        decoded.step.h, last.state, atol=1e-6
    )  # the decoder starts from the encoder's state
    np.testing.assert_array_equal(
        decoded.step.cell.weights.weight_hh, last.step.cell.weights.weight_hh
    )  # tied
    assert f"(node {encoder.name!r})" in last.text()
    other = grus.explain(folder, rows, row=0, step=-1)
    assert not np.allclose(other.state, last.state)


def test_texts(tmp_path):
    model, tensors = classifier("word")
    folder = save_model(tmp_path / "m", model, tensors)
    found = grus.explain(folder, texts().texts, row=1, unit=[2, 0, 2])
    assert found.units == (2, 0)
    rows = [*texts().texts, "good zzz film"]
    pages = [grus.explain(folder, rows, row=30, step=step).text() for step in range(3)]
    said = [page.splitlines()[0].partition(" of 3, ")[2].partition(":")[0] for page in pages]
    assert said == ["'good'", "'(unknown)'", "'film'"]
    with pytest.raises(DataError, match="data: row 0 must have at least one step, got none"):
        grus.explain(folder, texts().texts, row=0)


def test_no_recurrent_layer_is_said(tmp_path):
    model, tensors = classifier("series")
    (port,) = model.parts["main"].inputs
    nodes = (
        Node("last", ops.Last(), (port.name,)),
        Node("logits", ops.Linear(len(model.task.labels)), ("last",)),
    )
    bare = Model(1, model.task, model.preprocess, {"main": Graph((port,), nodes, {"logits": "logits"})})
    with pytest.raises(UsageError, match="model: has no GRU layer to explain, only Last, Linear"):
        model_cell(bare, tensors, None)


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        ({}, {"unit": 2}, "cell: unit must be from 0 to 1, got 2"),
        ({}, {"unit": -1}, "cell: unit must be from 0 to 1, got -1"),
        ({}, {"h": [0.5]}, "cell: h must have 2 numbers, one per unit, got 1 number"),
        ({}, {"x": [[0.5, 1, 2]]}, r"cell: x must have 3 numbers, one per input, got shape \[1, 3\]"),
        ({}, {"x": "1,2,inf"}, "cell: x must be finite numbers"),
        ({}, {"x": "1,2,a"}, "x: must be numbers such as 0.5,-1, got '1 2 a'"),
        ({"x": None}, {}, "cell: expected the input x, 3 numbers, got none"),
        ({}, {"notation": "cho"}, "explain: notation must be pytorch or chung, got 'cho'"),
        ({}, {"layer": 1}, "cell: is one cell, without layers"),
        ({}, {"data": []}, "explain: data is for a model folder, but none was given"),
        ({"notation": "keras"}, {}, "cell: notation must be pytorch or chung, got 'keras'"),
        ({"reset_after": 2}, {}, "cell: reset_after must be true or false, got 2"),
        ({"weights": 1}, {}, "cell: no such entry 'weights', beside weight_ih and weight_hh there may be bias_ih"),
        ({"weight_hh": None}, {}, "cell: weight_hh is missing"),
        ({"weight_hh": np.zeros((6, 3))}, {}, r"cell: GRUWeights: weight_hh must have shape \(3\*H, H\), got \(6, 3\)"),
        ({"weight_ih": [[1, 2], [3]]}, {}, r"cell: weight_ih: must be numbers such as 0.5,-1, got '\[\[1, 2\], \[3\]\]'"),
        ({"x": [1e200] * 3, "weight_ih": [[1e200] * 3] * 6}, {}, "cell: the numbers are too large for float64"),
        ({"weight_ih": np.zeros((6, 0))}, {}, "cell: must have at least one input and one unit, got 0 and 2"),
        ({"x": [10**400] * 3}, {}, "x: must be numbers such as"),
        ({"bias_ih": [float("nan")] * 6}, {}, "cell: bias_ih must be finite numbers, got nan"),
    ],
)  # fmt: skip
def test_what_is_refused(change, more, message):
    with pytest.raises(UsageError, match=message):
        grus.explain(random_values() | change, **more)


def test_other_things_that_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"cell: expected weight_ih and weight_hh .*, got nothing"):
        grus.explain({})
    with pytest.raises(UsageError, match="cell: no layer 'l3', the layers are l0"):
        grus.explain({"weight_ih_l0": [[1.0]]}, layer=3)
    with pytest.raises(UsageError, match=r"cell: kernels must be matrices, got shapes \(1,\) and \(3,\)"):
        grus.explain({"kernel": [1.0], "recurrent_kernel": [1.0, 2.0, 3.0]}, x=[1.0])
    for name in ("input_size", "hidden_size"):
        with pytest.raises(UsageError, match=f"{name}: must be from 1 to 4096, got 0"):
            grus.explain(**{name: 0})
    with pytest.raises(UsageError, match="digits: must be from 1 to 17, got 0"):
        grus.explain().text(0)
    folder, _, _ = custom(ops.GRU(3), tmp_path)
    for more, message in (
        ({"layer": 1}, "layer must be from 0 to 0, got 1"),
        ({"reverse": True}, "layer 0 has no reverse direction"),
        ({"data": SERIES, "row": 2}, "data: row must be from 0 to 1, the number of an example, got 2"),
        ({"data": SERIES, "step": 5}, "step must be from -5 to 4 in this row, got 5"),
        ({"data": SERIES, "step": -6}, "step must be from -5 to 4 in this row, got -6"),
        ({"data": SERIES, "h": np.ones(3)}, "explain: expected data, or x and h by hand, got both"),
        ({"x": [1.0]}, "x must have 4 numbers, one per input, got 1 number"),
        ({"reset_after": True}, "a model says itself where its reset gate acts"),
    ):
        with pytest.raises(UsageError, match=message):
            grus.explain(folder, **more)


# -- the page ------------------------------------------------------------------------------------------------


def test_a_random_cell_is_the_same_for_the_same_seed_and_fit_for_paper():
    first, again, other = (grus.explain(seed=seed) for seed in (3, 3, 4))
    assert first.text() == again.text() == str(first) != other.text()
    for _, values in first.step.weights.items():
        assert (np.abs(values) >= 0.1).all()
        np.testing.assert_array_equal(values, values.round(1))


def test_large_cells_are_cut_short():
    found = grus.explain(input_size=20, hidden_size=9)
    text = found.text()
    assert text.endswith("\n8 other units not shown\n")
    lines = printed(text)
    assert list(lines) == [0]
    assert lines[0]["a_ir"][1].count("*") == 3
    assert "... 17 more" in lines[0]["a_ir"][1]
    assert "... 6 more]" in text
    numbers = found.to_dict()["units"][0]["lines"][0]
    assert numbers["value"] == found.step.a_i["r"][0]
    assert max(map(len, text.splitlines())) <= 110


def test_digits():
    lines = printed(grus.explain(random_values()).text(2))[0]
    assert all(len(re.sub(r"[^0-9]", "", forms[-1]).lstrip("0")) <= 2 for forms in lines.values())


def test_json_is_exact_and_plain():
    found = grus.explain(random_values(), unit=1)
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["h_after"] == found.state.tolist()
    assert [unit["unit"] for unit in plain["units"]] == [1]
    assert plain["units"][0]["lines"][-1]["value"] == found.state[1]
    assert set(plain["mistakes"]) == set(found.mistakes())
    state = gru_direction(np.array([[plain["x"]]]), np.array([plain["h"]]), found.step.weights).h_n[0]
    assert plain["new"] == state.tolist()


def test_every_line_of_latex_is_mathematics():
    parser = mathtext.MathTextParser("path")
    for notation in NOTATIONS:
        for reset_after in PLACEMENTS:
            found = grus.explain(
                random_values(hidden=9, inputs=12), notation=notation, reset_after=reset_after, unit=[0, 3]
            )
            latex = found.latex(3)
            assert latex.count(r"\begin{aligned}") == latex.count(r"\end{aligned}") == 2
            rows = [row for row in latex.splitlines() if " &= " in row]
            assert len(rows) == 2 * (10 + (not reset_after))
            for row in rows:
                shown = row.removesuffix(r" \\").replace("&", "")
                shown = re.sub(r".text{([^}]*)}", r"{\\rm \1}", shown)  # mathtext has no \text
                parser.parse(f"${shown}$")
    assert r"h_t &= (1 - z) \cdot h_{t-1} + z \cdot n = " in grus.explain(notation="chung").latex()


def test_expressions():
    write, latex = Writer(4), LatexWriter(3)
    e = Sum((Product((Number(-0.5), Symbol("a_ir"))), Product((Number(2), Number(-3)))))
    assert write(e) == "-0.5 * a_ir + 2 * (-3)"
    filled = fill(e, {"a_ir": Number(-1e-7)})
    assert write(filled) == "-0.5 * (-1e-07) + 2 * (-3)"
    assert latex(filled) == r"-0.5 \cdot (-1 \cdot 10^{-7}) + 2 \cdot (-3)"
    assert evaluate(filled) == pytest.approx(-6 + 5e-8, abs=1e-15)
    long = dot(np.arange(20.0), np.arange(20.0))
    assert evaluate(long) == np.arange(20.0) @ np.arange(20.0)
    assert write(Number(-0.0)) == "0"
    with pytest.raises(TypeError, match="has no single value"):
        evaluate(Symbol("x"))


def test_given_weights_are_not_changed():
    values = random_values(notation="chung")
    copies = {name: np.copy(value) for name, value in values.items()}
    given = given_cell(values)
    grus.explain(values)
    for name, copy in copies.items():
        np.testing.assert_array_equal(values[name], copy)
    np.testing.assert_array_equal(negate_update_gate(given.cell.weights).weight_ih, values["weight_ih"])
