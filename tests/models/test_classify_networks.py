"""The classification network: one logit a label, whatever the input, the pool and the direction."""

import numpy as np
import pytest
import torch

from grus.errors import UnsupportedError
from grus.models import GraphModule
from grus.runtime import Program
from grus.spec import Port, infer, require_streaming
from grus.tasks.cells import CELLS
from grus.tasks.classify_networks import EMBEDDING_SCALE, POOLS, NetworkConfig, build_network, start_small

TOKENS, SEQ = Port("tokens", "tokens", 9, "src"), Port("x", "seq", 3, "src")


def inputs(port, rows=4, steps=6):
    rng = np.random.default_rng(0)
    if port.kind == "tokens":
        return {"tokens": rng.integers(0, port.size, (rows, steps)).astype(np.int32)}
    return {"x": rng.normal(size=(rows, steps, port.size)).astype(np.float32)}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("port", [TOKENS, SEQ], ids=["tokens", "seq"])
def test_torch_and_runtime_agree_and_padding_is_never_read(port, pool, bidirectional, layers, cell):
    config = NetworkConfig(5, pool, bidirectional, cell, hidden_size=8, layers=layers, embedding_size=6)
    graph = build_network(config, port)
    assert infer(graph)["logits"].size == 5
    assert graph.outputs == {"logits": "logits"}
    torch.manual_seed(0)
    module = GraphModule(graph).eval()
    arrays, lengths = inputs(port), np.array([6, 2, 0, 1])
    program = Program(graph, module.tensors())
    found = program(arrays, {"src": lengths})["logits"]
    with torch.no_grad():
        tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
        theirs = module(tensors, {"src": torch.from_numpy(lengths)})["logits"].numpy()
    np.testing.assert_allclose(found, theirs, atol=2e-6)
    for values in arrays.values():
        values[1, 2:] = 0 if port.kind == "tokens" else np.nan
    np.testing.assert_array_equal(program(arrays, {"src": lengths})["logits"][1], found[1])


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("encoder", ["conv-gru", "gru-attention"])
def test_hybrids_agree_and_never_read_padding(encoder, pool, bidirectional):
    config = NetworkConfig(
        5, pool, bidirectional, hidden_size=8, layers=2, embedding_size=6, encoder=encoder, kernel_size=4
    )
    for port in (TOKENS, SEQ):
        graph = build_network(config, port)
        torch.manual_seed(0)
        module = GraphModule(graph).eval()
        arrays, lengths = inputs(port), np.array([6, 2, 0, 1])
        program = Program(graph, module.tensors())
        found = program(arrays, {"src": lengths})["logits"]
        with torch.no_grad():
            tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
            theirs = module(tensors, {"src": torch.from_numpy(lengths)})["logits"].numpy()
        np.testing.assert_allclose(found, theirs, atol=2e-6)
        for row, steps in enumerate(lengths):
            alone = {name: values[row : row + 1, :steps] for name, values in arrays.items()}
            np.testing.assert_array_equal(program(alone)["logits"][0], found[row])


def test_a_convolution_runs_live_and_self_attention_does_not():
    require_streaming(build_network(NetworkConfig(2, bidirectional=False, encoder="conv-gru"), SEQ))
    with pytest.raises(UnsupportedError, match="SelfAttention needs the whole sequence"):
        require_streaming(build_network(NetworkConfig(2, bidirectional=False, encoder="gru-attention"), SEQ))


@pytest.mark.parametrize("pool", POOLS)
def test_one_direction_runs_live_and_two_do_not(pool):
    require_streaming(build_network(NetworkConfig(2, pool, bidirectional=False), SEQ))
    with pytest.raises(UnsupportedError, match="GRU needs the whole sequence"):
        require_streaming(build_network(NetworkConfig(2, pool), SEQ))


def test_the_last_state_of_the_last_layer_in_both_directions():
    """``last`` is what the forward pass ends with and what the backward pass ends with, at the first step."""
    graph = build_network(NetworkConfig(3, "last", hidden_size=4, layers=2, dropout=0), SEQ)
    module = GraphModule(graph).eval()
    x = torch.randn(2, 5, 3)
    with torch.no_grad():
        h = module.nodes["encoder"]((x,), None)[""]
        expected = module.nodes["logits"]((torch.cat([h[:, -1, :4], h[:, 0, 4:]], 1),), None)[""]
        torch.testing.assert_close(module({"x": x})["logits"], expected)


def test_dropout_acts_in_training_only():
    graph = build_network(NetworkConfig(3, dropout=0.5), SEQ)
    module, x = GraphModule(graph), {"x": torch.ones(2, 5, 3)}
    torch.manual_seed(0)
    assert (module(x)["logits"] != module(x)["logits"]).any()
    module.eval()
    assert (module(x)["logits"] == module(x)["logits"]).all()
    without = build_network(NetworkConfig(3, dropout=0), SEQ)
    assert not any("dropout" in node.name for node in without.nodes)


@pytest.mark.parametrize("port", [TOKENS, SEQ], ids=["tokens", "seq"])
def test_inputs_can_be_left_whole(port):
    def names(whole):
        graph = build_network(NetworkConfig(3, dropout=0.5, input_dropout=not whole), port)
        return {node.name for node in graph.nodes if "dropout" in node.name}

    assert names(whole=False) == {"input_dropout", "state_dropout", "output_dropout"}
    assert names(whole=True) == {"state_dropout", "output_dropout"}


def test_new_embeddings_are_small_and_nothing_else_is():
    module = GraphModule(build_network(NetworkConfig(2, embedding_size=50), TOKENS))
    before = {name: values.clone() for name, values in module.state_dict().items()}
    start_small(module)
    for name, values in module.state_dict().items():
        factor = EMBEDDING_SCALE if "embedding" in name else 1.0
        torch.testing.assert_close(values, before[name] * factor)
