"""Weights of other libraries and books: what they compute there, the network computes here, biases and states included."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from grus.errors import UnsupportedError, UsageError
from grus.export import Network, from_concatenated, from_keras, from_torch
from grus.kernels.layout import (
    GRUWeights,
    from_keras_layout,
    from_onnx_layout,
    reorder_gates,
    to_onnx_layout,
)
from grus.kernels.reference import sigmoid
from grus.nn import GRU
from grus.runtime import Program
from grus.spec import Graph, Node, Port
from numerics import assert_bitwise_equal, assert_close_to_oracle

KERAS = json.loads(Path(__file__).with_name("keras_gru.json").read_text())["cases"]
I, H = 3, 4  # noqa: E741


def run(network, x, h_0):
    """The network's outputs from an initial state [B, L * D * H]."""
    graph = network.graph
    (node,) = graph.nodes
    started = Graph(
        (*graph.inputs, Port("h", "vec", h_0.shape[1])),
        (Node(node.name, node.op, ("x", "h")),),
        graph.outputs,
    )
    return Program(started, network.tensors)({"x": x, "h": h_0})


def case(seed=0, states=H, batch=3, time=6):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, time, I)).astype(np.float32)
    return rng, x, rng.uniform(-1, 1, (batch, states)).astype(np.float32)


def close(network, x, h_0, oracle):
    """``oracle(dtype)`` gives outputs [B, T, H] and the final state."""
    found = run(network, x, h_0)
    for name, wide, narrow in zip(("out", "state"), oracle(np.float64), oracle(np.float32), strict=True):
        assert_close_to_oracle(found[name], wide, narrow, name)


@pytest.mark.parametrize("number", range(len(KERAS)))
def test_a_keras_layer_by_what_keras_itself_computed(number):
    found = KERAS[number]
    x, h, y, state = (np.array(found[key], np.float32) for key in ("x", "h", "y", "state"))
    weights = [np.array(w, np.float32) for w in found["weights"]]

    class Layer:
        def get_weights(self):
            return weights

        def get_config(self):
            return found["config"]

    network = from_keras(Layer())
    assert network.graph.nodes[0].op.reset_after == found["config"]["reset_after"]
    outputs = run(network, x, h)
    np.testing.assert_allclose(outputs["out"], y, rtol=0, atol=1e-6)
    np.testing.assert_allclose(outputs["state"], state, rtol=0, atol=1e-6)
    if found["config"]["use_bias"]:
        again = from_keras(weights)
        assert again.graph == network.graph, "the bias says where the reset gate acts"
    other = from_keras(weights, reset_after=not found["config"]["reset_after"])
    assert np.abs(run(other, x, h)["out"] - y).max() > 1e-3, "the comparison tells the two forms apart"


def keras_oracle(x, h_0, kernel, recurrent, bias, reset_after, dtype):
    """Keras' equations as its source has them: blocks z, r, h; bias [2, 3H] or [3H] or none."""
    x, h, kernel, recurrent = (a.astype(dtype) for a in (x, h_0, kernel, recurrent))
    b_in, b_rec = np.zeros((2, 3 * H), dtype) if bias is None or bias.ndim == 1 else bias.astype(dtype)
    b_in = bias.astype(dtype) if bias is not None and bias.ndim == 1 else b_in
    outputs = []
    for t in range(x.shape[1]):
        x_z, x_r, x_h = np.split(x[:, t] @ kernel + b_in, 3, axis=1)
        if reset_after:
            r_z, r_r, r_h = np.split(h @ recurrent + b_rec, 3, axis=1)
            z, r = sigmoid(x_z + r_z), sigmoid(x_r + r_r)
            n = np.tanh(x_h + r * r_h)
        else:
            u_z, u_r, u_h = np.split(recurrent, 3, axis=1)
            z, r = sigmoid(x_z + h @ u_z + b_rec[:H]), sigmoid(x_r + h @ u_r + b_rec[H : 2 * H])
            n = np.tanh(x_h + (r * h) @ u_h + b_rec[2 * H :])
        h = z * h + (1 - z) * n
        outputs.append(h)
    return np.stack(outputs, axis=1), h


@pytest.mark.parametrize("order", ["zrh", "rzh"])
@pytest.mark.parametrize("shape", [None, (3 * H,), (2, 3 * H), (6 * H,)], ids=str)
@pytest.mark.parametrize("reset_after", [True, False])
def test_keras_in_both_reset_modes_and_gate_orders_with_every_bias(reset_after, shape, order):
    rng, x, h_0 = case()
    kernel, recurrent = (rng.uniform(-1, 1, (n, 3 * H)).astype(np.float32) for n in (I, H))
    bias = None if shape is None else rng.uniform(-1, 1, shape).astype(np.float32)
    doubled = bias.reshape(2, 3 * H) if bias is not None and bias.size == 6 * H else bias

    def stored(array):
        """As it lies in a file whose blocks stand in ``order``, along the last axis."""
        return reorder_gates(np.moveaxis(array, -1, 0), "zrh", order).swapaxes(0, -1)

    arrays = [stored(kernel), stored(recurrent)]
    if doubled is not None:
        arrays.append(stored(doubled).reshape(shape))
    network = from_keras(arrays, reset_after=reset_after, gate_order=order)
    close(network, x, h_0, lambda dtype: keras_oracle(x, h_0, kernel, recurrent, doubled, reset_after, dtype))


def test_keras_refuses_what_it_cannot_know():
    kernel, recurrent, bias = np.ones((I, 3 * H)), np.ones((H, 3 * H)), np.ones(3 * H)
    assert not from_keras([kernel, recurrent, bias]).graph.nodes[0].op.reset_after
    assert from_keras([kernel, recurrent, np.ones((2, 3 * H))]).graph.nodes[0].op.reset_after
    assert from_keras([kernel, recurrent, np.ones(6 * H)]).graph.nodes[0].op.reset_after
    for arrays, said in [
        ([kernel, recurrent], "reset_after must be given for weights without a bias"),
        (
            [kernel, recurrent, np.ones(5)],
            r"bias must have shape \(3\*H,\), \(2, 3\*H\) or \(6\*H,\), got \(5,\)",
        ),
        ([kernel], "two or three arrays, got 1"),
        (7, "a layer or its two or three arrays, got int"),
        ([kernel, np.ones(3)], "kernels must have two axes"),
        ([kernel.astype(int), recurrent, bias], "array 0: must be an array of floats, got int64"),
        ([np.ones((I, 6)), recurrent, bias], r"weight_ih must have shape \(12, I\)"),
    ]:
        with pytest.raises(UsageError, match=said):
            from_keras(arrays)
    with pytest.raises(UsageError, match="gate order"):
        from_keras([kernel, recurrent, bias], gate_order="zzr")


@pytest.mark.parametrize(
    ("key", "value"),
    [("activation", "relu"), ("recurrent_activation", "hard_sigmoid"), ("go_backwards", True)],
)
def test_keras_layers_of_another_kind_are_refused(key, value):
    class Layer:
        def get_weights(self):
            return []

        def get_config(self):
            return {key: value}

    with pytest.raises(UnsupportedError, match=f"the layer's {key} must be "):
        from_keras(Layer())


def textbook_oracle(x, h_0, matrices, biases, update, state_first, reset_after, dtype):
    """W [h, x] a gate, z, r and n, as books have it."""
    x, h = x.astype(dtype), h_0.astype(dtype)
    (w_z, w_r, w_n), (b_z, b_r, b_n) = ([a.astype(dtype) for a in group] for group in (matrices, biases))

    def joined(state, now):
        return np.concatenate([state, now] if state_first else [now, state], axis=1)

    outputs = []
    for t in range(x.shape[1]):
        z = sigmoid(joined(h, x[:, t]) @ w_z.T + b_z)
        r = sigmoid(joined(h, x[:, t]) @ w_r.T + b_r)
        if reset_after:
            inner = joined(h, 0 * x[:, t]) @ w_n.T
            n = np.tanh(joined(0 * h, x[:, t]) @ w_n.T + b_n + r * inner)
        else:
            n = np.tanh(joined(r * h, x[:, t]) @ w_n.T + b_n)
        h = z * h + (1 - z) * n if update == "keeps" else (1 - z) * h + z * n
        outputs.append(h)
    return np.stack(outputs, axis=1), h


@pytest.mark.parametrize("state_first", [True, False])
@pytest.mark.parametrize("update", ["keeps", "replaces"])
@pytest.mark.parametrize("reset_after", [False, True])
def test_the_joined_matrices_of_textbooks(update, state_first, reset_after):
    rng, x, h_0 = case(1)
    matrices = [rng.uniform(-1, 1, (H, H + I)).astype(np.float32) for _ in range(3)]
    biases = [rng.uniform(-1, 1, H).astype(np.float32) for _ in range(3)]
    options = {"update": update, "state_first": state_first, "reset_after": reset_after}

    def oracle(dtype):
        return textbook_oracle(x, h_0, matrices, biases, update, state_first, reset_after, dtype)

    close(from_concatenated(matrices, biases, **options), x, h_0, oracle)
    order = [1, 0, 2]
    rzn = np.concatenate([matrices[i] for i in order]), np.concatenate([biases[i] for i in order])
    close(from_concatenated(*rzn, gate_order="rzn", **options), x, h_0, oracle)
    wrong = from_concatenated(
        matrices, biases, **{**options, "update": {"keeps": "replaces", "replaces": "keeps"}[update]}
    )
    with pytest.raises(AssertionError, match="out: error"):
        close(wrong, x, h_0, oracle)


def test_textbooks_without_a_bias_and_with_what_does_not_fit():
    matrix = np.ones((3 * H, H + I))
    op = from_concatenated(matrix, update="keeps").graph.nodes[0].op
    assert (op.bias, op.reset_after, op.hidden) == (False, False, H)
    for arguments, said in [
        ((matrix, None, "both"), "update must be keeps or replaces, got 'both'"),
        (([matrix, matrix[:2], matrix], None, "keeps"), "weight must have 2 axes, every gate alike"),
        ((matrix, np.ones((3, H)), "keeps"), "bias must have 1 axes"),
        ((matrix[:, :2], None, "keeps"), r"weight must have shape \(3\*H, H \+ I\)"),
    ]:
        with pytest.raises(UsageError, match=said):
            from_concatenated(*arguments[:2], update=arguments[2])


@pytest.mark.parametrize("kind", [torch.nn.GRU, GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_torch_modules_and_state_dicts(kind, bidirectional, bias):
    torch.manual_seed(0)
    module = kind(I, H, 2, bias=bias, bidirectional=bidirectional, batch_first=True).double()
    parts = 4 if bidirectional else 2
    _, x, h_0 = case(2, parts * H)
    start = torch.from_numpy(h_0.reshape(3, parts, H).swapaxes(0, 1).copy())

    def oracle(dtype):
        wanted = torch.float64 if dtype == np.float64 else torch.float32
        with torch.no_grad():
            y, h = module.float().to(wanted)(torch.from_numpy(x).to(wanted), start.to(wanted))
        return y.numpy(), h.transpose(0, 1).flatten(1).numpy()

    nested = {f"model.encoder.{k}": v for k, v in module.state_dict().items()} | {
        "model.head.weight": torch.ones(2, 2)
    }
    arrays = {k: v.numpy() for k, v in module.state_dict().items()}
    networks = [from_torch(module), from_torch(arrays), from_torch(nested, prefix="model.encoder.")]
    for network in networks:
        close(network, x, h_0, oracle)
        for key, value in networks[0].tensors.items():
            assert_bitwise_equal(network.tensors[key], value, key)


def test_options_of_our_own_layer_come_along():
    op = from_torch(GRU(I, H, reset_after=False, layer_norm=True, zoneout=0.25)).graph.nodes[0].op
    assert (op.reset_after, op.layer_norm, op.zoneout) == (False, True, 0.25)
    assert not from_torch(torch.nn.GRU(I, H).state_dict(), reset_after=False).graph.nodes[0].op.reset_after


def test_torch_refuses_what_is_no_gru():
    state = torch.nn.GRU(I, H, 2).state_dict()
    for source, said in [
        (torch.nn.Linear(2, 2), "there must be a tensor 'weight_hh_l0', got none"),
        ({f"a.{k}": v for k, v in state.items()}, "got none"),
        ({k: v for k, v in state.items() if k != "bias_ih_l1"}, "tensor 'bias_ih_l1' must be"),
        (
            {**state, "weight_ih_l1": torch.ones(12, 5)},
            r"tensor 'weight_ih_l1' must be \(12, 4\), got \(12, 5\)",
        ),
        ({**state, "weight_hh_l0": torch.ones(4)}, "must be a tensor 'weight_hh_l0'"),
        (torch.nn.LSTM(I, H).state_dict(), "tensor 'weight_ih_l0' must be"),
        ([1], "source must be a module or a state_dict, got list"),
    ]:
        with pytest.raises(UsageError, match=said):
            from_torch(source)
    with pytest.raises(UsageError) as caught:
        from_torch({f"a.{k}": v for k, v in state.items()})
    assert caught.value.hint == "prefix may be one of ['a.']"


def test_layouts_go_both_ways():
    rng = np.random.default_rng(0)
    weights = GRUWeights(*(rng.standard_normal(s) for s in ((3 * H, I), (3 * H, H), (3 * H,), (3 * H,))))
    back = from_onnx_layout(*to_onnx_layout(weights))
    for (name, array), (_, wanted) in zip(back.items(), weights.items(), strict=True):
        assert_bitwise_equal(array, wanted, name)
    with pytest.raises(UsageError, match=r"B must have shape \(6\*H,\)"):
        from_onnx_layout(weights.weight_ih, weights.weight_hh, np.ones(3 * H))
    gains = GRUWeights(weights.weight_ih, weights.weight_hh, gain_ih=np.ones(3 * H), gain_hh=np.ones(3 * H))
    with pytest.raises(UsageError, match="must have no gains"):
        to_onnx_layout(gains)
    with pytest.raises(UsageError, match="bias must have shape"):
        from_keras_layout(weights.weight_ih.T, weights.weight_hh.T, np.ones(2))
    assert isinstance(from_torch(torch.nn.GRU(I, H)), Network)
