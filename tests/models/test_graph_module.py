"""A graph as a torch module: weights in and out, ties, modes, gradients, and what it refuses."""

import copy

import numpy as np
import pytest
import torch

from example_graphs import GRAPHS, random_inputs, random_tensors
from grus.errors import DataError, UnsupportedError, UsageError
from grus.models import GraphModule
from grus.spec import CAPABILITIES, Graph, Node, Port, capability, chain, ops, weight_shapes
from numerics import assert_bitwise_equal

TIMES = {"src": 24, "tgt": 8}


def tensors_of(inputs):
    return {name: torch.from_numpy(values) for name, values in inputs.items()}


def run(module, inputs):
    with torch.no_grad():
        return module(tensors_of(inputs))


@pytest.mark.parametrize("name", GRAPHS)
def test_the_weights_of_a_module_are_those_of_the_spec(name):
    module = GraphModule(GRAPHS[name])
    found = module.tensors()
    assert {k: v.shape for k, v in found.items()} == weight_shapes(GRAPHS[name])
    assert all(values.dtype == np.float32 for values in found.values())
    # All that is learnt is in the file: nothing else has parameters or buffers.
    assert sum(p.numel() for p in module.parameters()) == sum(v.size for v in found.values())
    assert not list(module.buffers())


@pytest.mark.parametrize("name", GRAPHS)
def test_weights_go_out_and_into_another_module(name):
    one, two = GraphModule(GRAPHS[name]).eval(), GraphModule(GRAPHS[name]).eval()
    two.load_tensors(one.tensors())
    inputs = random_inputs(GRAPHS[name], 3, TIMES)
    for output, values in run(one, inputs).items():
        assert_bitwise_equal(run(two, inputs)[output], values, output)


def test_tensors_are_copies_both_ways():
    module = GraphModule(GRAPHS["GRU"]).eval()
    before = module.tensors()
    module.tensors()["gru_0.weight_ih_l0"][:] = 0
    given = random_tensors(GRAPHS["GRU"])
    module.load_tensors(given)
    given["gru_0.weight_ih_l0"][:] = 0
    found = module.tensors()["gru_0.weight_ih_l0"]
    assert np.abs(found).sum() > 0
    assert (found != before["gru_0.weight_ih_l0"]).any()
    frozen = random_tensors(GRAPHS["GRU"])
    for values in frozen.values():
        values.flags.writeable = False  # as a loaded model's are
    module.load_tensors(frozen)


@pytest.mark.parametrize("bad", ["missing", "shape"])
def test_load_tensors_names_what_does_not_fit(bad):
    module, tensors = GraphModule(GRAPHS["Linear"]), random_tensors(GRAPHS["Linear"])
    if bad == "missing":
        del tensors["linear_0.weight"]
    else:
        tensors["linear_0.weight"] = tensors["linear_0.weight"].T
    with pytest.raises(
        UsageError, match=r"GraphModule: tensor 'linear_0.weight' must be given with shape \[3, 5\]"
    ):
        module.load_tensors(tensors)


def test_tied_nodes_share_their_parameters_and_add_up_their_gradients():
    graph = GRAPHS["GRUStep-tied"]
    module = GraphModule(graph)
    assert module.nodes["b"].weight_hh_l0 is module.nodes["a"].weight_hh_l0
    inputs = tensors_of(random_inputs(graph, 3, TIMES))
    module(inputs)["b"].sum().backward()
    tied = module.nodes["a"].weight_hh_l0.grad.clone()
    free = GraphModule(
        Graph(graph.inputs, (*graph.nodes[:1], Node("b", ops.GRUStep(7), ("y", "a.h"))), graph.outputs)
    )
    weights = module.tensors()
    free.load_tensors(weights | {k.replace("a.", "b."): v for k, v in weights.items()})
    free(inputs)["b"].sum().backward()
    both = free.nodes["a"].weight_hh_l0.grad + free.nodes["b"].weight_hh_l0.grad
    torch.testing.assert_close(tied, both)
    other = copy.deepcopy(module)
    assert other.nodes["b"].weight_hh_l0 is other.nodes["a"].weight_hh_l0


def test_dropout_works_in_training_and_not_in_evaluation():
    module = GraphModule(GRAPHS["Dropout"])
    inputs = {"x": np.ones((50, 24, 5), np.float32)}
    torch.manual_seed(0)
    dropped = run(module, inputs)["out"]
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert float((dropped == 0).float().mean()) == pytest.approx(0.5, abs=0.03)
    assert (run(module.eval(), inputs)["out"] == 1).all()


@pytest.mark.parametrize("name", [n for n, g in GRAPHS.items() if weight_shapes(g)])
def test_every_weight_gets_a_gradient(name):
    module = GraphModule(GRAPHS[name]).eval()
    outputs = module(tensors_of(random_inputs(GRAPHS[name], 3, TIMES)))
    sum(
        (value * torch.linspace(1, 2, value.numel()).view_as(value)).sum() for value in outputs.values()
    ).backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert (parameter.grad != 0).any(), key


@pytest.mark.parametrize("name", ["GRU", "GRU-bidirectional", "Last", "Last-4"])
def test_padding_has_no_gradient(name):
    module = GraphModule(GRAPHS[name]).eval()
    inputs = tensors_of(random_inputs(GRAPHS[name], 4, TIMES))
    lengths = torch.tensor([24, 0, 5, 16])
    inputs["x"].requires_grad_(True)
    sum(value.sum() for value in module(inputs, {"src": lengths}).values()).backward()
    padding = torch.arange(24) >= lengths[:, None]
    assert (inputs["x"].grad[padding] == 0).all()
    assert (inputs["x"].grad[0] != 0).any()


def test_what_torch_refuses_is_what_the_runtime_refuses():
    module = GraphModule(GRAPHS["Segment"])
    with pytest.raises(DataError, match="Segment: the number of steps must be a multiple of 4, got 10"):
        run(module, random_inputs(GRAPHS["Segment"], 2, {"src": 10}))
    with pytest.raises(DataError, match="Position: has 40 steps, got a sequence of 41"):
        run(GraphModule(GRAPHS["Position"]), random_inputs(GRAPHS["Position"], 1, {"src": 41}))


def test_an_op_that_torch_lacks_is_named(monkeypatch):
    monkeypatch.setitem(CAPABILITIES, ops.GRU, capability.Row(ops.GRU, frozenset({"runtime"})))
    with pytest.raises(UnsupportedError, match="node 'gru_0': GRU cannot run on back end 'torch'"):
        GraphModule(GRAPHS["GRU"])


@pytest.mark.parametrize("name", GRAPHS)
def test_no_rows(name):
    module = GraphModule(GRAPHS[name]).eval()
    for output, value in run(module, random_inputs(GRAPHS[name], 0, TIMES)).items():
        assert value.shape[0] == 0, output


def test_an_output_may_be_an_input():
    graph = Graph((Port("x", "seq", 2, "src"),), (), {"same": "x"})
    x = torch.ones(1, 3, 2)
    assert GraphModule(graph)({"x": x})["same"] is x
    assert chain(Port("x", "seq", 2, "src"), []).outputs == {"out": "x"}


# -- states in training --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [ops.GRU(5, layers=2), ops.LSTM(5, layers=2), ops.RNN(5)])
def test_chunks_with_the_states_carried_are_the_whole(cell):
    module = GraphModule(
        chain(Port("t", "tokens", 9, "src"), [ops.Embedding(9, 4), cell, ops.Linear(3)])
    ).eval()
    tokens = torch.randint(0, 9, (3, 12))
    whole, final = module.run({"t": tokens})
    assert torch.equal(whole["out"], module({"t": tokens})["out"])
    state, parts = None, []
    for part in tokens.split([1, 7, 4], dim=1):
        outputs, state = module.run({"t": part}, state)
        parts.append(outputs["out"])
    torch.testing.assert_close(torch.cat(parts, dim=1), whole["out"])
    for name, states in final.items():
        torch.testing.assert_close(state[name], states)


def test_gradients_go_back_through_a_state_that_is_not_detached():
    module = GraphModule(chain(Port("x", "seq", 2, "src"), [ops.GRU(5)]))
    x = torch.randn(1, 4, 2, requires_grad=True)
    _, state = module.run({"x": x[:, :2]})
    module.run({"x": x[:, 2:]}, state)[0]["out"].sum().backward()
    assert x.grad is not None
    assert (x.grad[:, :2] != 0).all()


@pytest.mark.parametrize(
    "op",
    [ops.GRU(5, bidirectional=True), ops.Last(), ops.Position(9, 2), ops.Segment(2)],
    ids=lambda op: op.name,
)
def test_what_cannot_carry_a_state_in_training(op):
    with pytest.raises(UnsupportedError, match=rf"^node '.*_0': {op.name} cannot carry a state in training$"):
        GraphModule(chain(Port("x", "seq", 2, "src"), [op])).run({"x": torch.zeros(1, 4, 2)})


def test_an_initial_state_of_the_graph_and_a_carried_one_would_be_two():
    ports = (Port("x", "seq", 2, "src"), Port("h", "vec", 5))
    graph = Graph(ports, (Node("a", ops.GRU(5), ("x", "h")),), {"a": "a"})
    with pytest.raises(UnsupportedError, match="cannot carry a state in training"):
        GraphModule(graph).run({"x": torch.zeros(1, 4, 2), "h": torch.zeros(1, 5)})


def test_variational_dropout_has_one_mask_for_all_steps_of_a_row():
    def dropped(op, x):
        torch.manual_seed(0)
        return GraphModule(chain(Port("x", "seq", 50, "src"), [op])).train()({"x": x})["out"]

    x = torch.rand(4, 6, 50) + 0.5
    y = dropped(ops.Dropout(0.4, variational=True), x)
    kept = y != 0
    assert (kept == kept[:, :1]).all()
    assert (kept[0] != kept[1]).any()
    torch.testing.assert_close(y[kept], x[kept] / 0.6)
    plain = dropped(ops.Dropout(0.4), x) != 0
    assert (plain != plain[:, :1]).any()
    assert 0.45 < kept[:, 0].float().mean() < 0.75
    module = GraphModule(chain(Port("x", "seq", 50, "src"), [ops.Dropout(0.4, variational=True)])).eval()
    assert torch.equal(module({"x": x})["out"], x)


def test_a_tied_table_is_one_parameter():
    nodes = (
        Node("a", ops.Embedding(9, 4), ("t",)),
        Node("b", ops.Linear(9), ("a",), weights="a"),
    )
    module = GraphModule(Graph((Port("t", "tokens", 9, "src"),), nodes, {"out": "b"}))
    assert module.nodes["a"].weight is module.nodes["b"].weight
    assert sum(p.numel() for p in module.parameters()) == 9 * 4 + 9
    assert set(module.tensors()) == {"a.weight", "b.bias"}
