import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru_cases import Shape, make_case, random_weights
from grus.errors import UsageError
from grus.kernels.layout import (
    LSTM_ONNX_ORDER,
    LSTM_ORDER,
    GRUWeights,
    fold_biases,
    join_matrices,
    negate_update_gate,
    reorder_blocks,
    reorder_gates,
    reorder_weights,
    split_matrices,
)
from grus.kernels.reference import Options, gru_direction, normalise
from numerics import assert_bitwise_equal

BOTH_RESETS = pytest.mark.parametrize("reset_after", [True, False])
BOTH_NORMS = pytest.mark.parametrize("layer_norm", [False, True])


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def one_direction(**options: bool) -> tuple[np.ndarray, np.ndarray, GRUWeights]:
    case = make_case(Shape(T=6, B=2, I=3, H=4, **options), seed=11)
    return case.x, case.h_0[0], case.weights[0]


def test_reorder_gates_moves_blocks_and_returns_a_copy() -> None:
    a = np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]])
    assert reorder_gates(a, "rzn", "zrn")[:, 0].tolist() == [3, 4, 1, 2, 5, 6]
    assert reorder_gates(a, "zrh")[:, 0].tolist() == [3, 4, 1, 2, 5, 6]
    assert reorder_gates(a, "uro")[:, 0].tolist() == [3, 4, 1, 2, 5, 6]
    assert reorder_gates(a, "nzr")[:, 0].tolist() == [5, 6, 3, 4, 1, 2]
    same = reorder_gates(a, "rzn")
    same[0] = 99
    assert a[0] == 1


@given(st.permutations("rzn"), st.permutations("rzn"), st.integers(0, 3))
@settings(derandomize=True, max_examples=40, deadline=None)
def test_reordering_there_and_back_is_the_identity(source: list, target: list, hidden: int) -> None:
    a = np.arange(3.0 * hidden * 2).reshape(3 * hidden, 2)
    there = reorder_gates(a, "".join(source), "".join(target))
    assert_bitwise_equal(reorder_gates(there, "".join(target), "".join(source)), a)


@pytest.mark.parametrize("order", ["", "rz", "rzz", "rznn", "rzu", "rzx", "RZN"])
def test_bad_gate_orders_are_refused(order: str) -> None:
    with pytest.raises(UsageError, match="once each, got"):
        reorder_gates(np.zeros(6), order)


@pytest.mark.parametrize("array", [np.zeros(()), np.zeros(4), np.zeros((5, 3))])
def test_a_first_axis_that_is_not_three_blocks_is_refused(array: np.ndarray) -> None:
    with pytest.raises(UsageError, match="three equal gate blocks"):
        reorder_gates(array, "zrn")


@BOTH_NORMS
def test_weights_in_keras_order_give_the_oracles_result(layer_norm: bool) -> None:
    """A cell written with z, r, h blocks, fed with reordered weights, against the oracle."""
    x, h, weights = one_direction(layer_norm=layer_norm)
    keras = reorder_weights(weights, "rzn", "zrh")
    expected = gru_direction(x, h, weights).output

    def product(v: np.ndarray, suffix: str) -> list[np.ndarray]:
        a = v @ getattr(keras, f"weight_{suffix}").T
        if layer_norm:
            joint = [normalise(part)[0] for part in np.split(a, [8], axis=1)]
            a = np.concatenate(joint, axis=1) * getattr(keras, f"gain_{suffix}")
        return np.split(a + getattr(keras, f"bias_{suffix}"), 3, axis=1)

    for t in range(len(x)):
        (xz, xr, xh), (hz, hr, hh) = product(x[t], "ih"), product(h, "hh")
        z = sigmoid(xz + hz)
        h = (1 - z) * np.tanh(xh + sigmoid(xr + hr) * hh) + z * h
        np.testing.assert_allclose(h, expected[t], rtol=0, atol=1e-12)


@BOTH_RESETS
@BOTH_NORMS
def test_negating_the_update_gate_gives_the_other_notation(reset_after: bool, layer_norm: bool) -> None:
    x, h_0, weights = one_direction(layer_norm=layer_norm)
    options = Options(reset_after=reset_after)
    expected = gru_direction(x, h_0, weights, options)
    other = negate_update_gate(weights)
    h = h_0
    for t in range(len(x)):
        step = gru_direction(x[t : t + 1], h, other, options)
        z, n = step.gates.z[0], step.gates.n[0]
        h = (1 - z) * h + z * n  # Chung et al. 2014
        np.testing.assert_allclose(h, expected.output[t], rtol=0, atol=1e-12)
    for (_, there), (_, back) in zip(weights.items(), negate_update_gate(other).items()):
        assert_bitwise_equal(back, there)


@BOTH_NORMS
def test_negating_alone_changes_the_function(layer_norm: bool) -> None:
    x, h_0, weights = one_direction(layer_norm=layer_norm)
    changed = gru_direction(x, h_0, negate_update_gate(weights)).output
    assert np.abs(changed - gru_direction(x, h_0, weights).output).max() > 0.1


@pytest.mark.parametrize("state_first", [True, False])
def test_the_textbook_form_gives_the_oracles_result(state_first: bool) -> None:
    """W [h, x] with one bias and reset_after=False, as written in textbooks, against the oracle."""
    x, h_0, weights = one_direction()
    weights = fold_biases(weights, reset_after=False)
    joined, bias = join_matrices(weights, state_first=state_first), weights.bias_ih
    assert bias is not None
    w_r, w_z, w_n = np.split(joined, 3)
    b_r, b_z, b_n = np.split(bias, 3)
    h = h_0

    def pair(state: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        return np.concatenate([state, inputs] if state_first else [inputs, state], axis=1)

    for x_t in x:
        r = sigmoid(pair(h, x_t) @ w_r.T + b_r)
        z = sigmoid(pair(h, x_t) @ w_z.T + b_z)
        h = (1 - z) * np.tanh(pair(r * h, x_t) @ w_n.T + b_n) + z * h
    split = split_matrices(joined, bias, state_first=state_first)
    result = gru_direction(x, h_0, split, Options(reset_after=False))
    np.testing.assert_allclose(h, result.h_n, rtol=0, atol=1e-12)


@pytest.mark.parametrize("state_first", [True, False])
@pytest.mark.parametrize("source", ["rzn", "zrh"])
def test_split_undoes_join(state_first: bool, source: str) -> None:
    _, _, weights = one_direction()
    joined = reorder_gates(join_matrices(weights, state_first=state_first), "rzn", source)
    assert weights.bias_ih is not None
    back = split_matrices(
        joined, reorder_gates(weights.bias_ih, "rzn", source), state_first=state_first, source=source
    )
    assert_bitwise_equal(back.weight_ih, weights.weight_ih)
    assert_bitwise_equal(back.weight_hh, weights.weight_hh)
    assert_bitwise_equal(back.bias_ih, weights.bias_ih)
    assert back.bias_hh is None
    assert split_matrices(joined, source=source).bias_ih is None


@pytest.mark.parametrize("shape", [(9,), (8, 5), (9, 2)])
def test_split_refuses_shapes_that_cannot_be_joined_matrices(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"must have shape \(3\*H, H \+ I\), got"):
        split_matrices(np.zeros(shape))


@BOTH_RESETS
@BOTH_NORMS
@pytest.mark.parametrize("absent", [(), ("bias_ih",), ("bias_hh",), ("bias_ih", "bias_hh")])
def test_folding_keeps_the_function(reset_after: bool, layer_norm: bool, absent: tuple[str, ...]) -> None:
    x, h_0, weights = one_direction(layer_norm=layer_norm)
    weights = GRUWeights(**{name: a for name, a in weights.items() if name not in absent})
    folded = fold_biases(weights, reset_after=reset_after)
    assert folded.bias_hh is not None
    stays = slice(0, 8) if reset_after else slice(0, 12)
    assert (folded.bias_hh[stays] == 0).all()
    options = Options(reset_after=reset_after)
    expected = gru_direction(x, h_0, weights, options).output
    np.testing.assert_allclose(gru_direction(x, h_0, folded, options).output, expected, rtol=0, atol=1e-12)


def test_folding_the_candidate_under_reset_after_would_be_wrong() -> None:
    x, h_0, weights = one_direction()
    folded = fold_biases(weights, reset_after=False)
    difference = gru_direction(x, h_0, folded).output - gru_direction(x, h_0, weights).output
    assert np.abs(difference).max() > 1e-3


def test_weights_report_their_sizes_and_convert() -> None:
    weights = random_weights(np.random.default_rng(0), 5, Shape(H=4, layer_norm=True))
    assert (weights.input_size, weights.hidden_size, weights.layer_norm) == (5, 4, True)
    low = weights.astype(np.float32)
    assert low.dtype == np.float32
    assert [name for name, _ in low.items()] == [
        "weight_ih",
        "weight_hh",
        "bias_ih",
        "bias_hh",
        "gain_ih",
        "gain_hh",
    ]
    assert not random_weights(np.random.default_rng(0), 5, Shape()).layer_norm


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_hh": np.zeros((12, 5))}, r"weight_hh must have shape \(3\*H, H\), got \(12, 5\)"),
        ({"weight_hh": np.zeros(12)}, "weight_hh must have shape"),
        ({"weight_ih": np.zeros((9, 3))}, r"weight_ih must have shape \(12, I\), got \(9, 3\)"),
        ({"bias_ih": np.zeros(4)}, r"bias_ih must have shape \(12,\), got \(4,\)"),
        ({"bias_hh": np.zeros((12, 1))}, "bias_hh must have shape"),
        ({"gain_ih": np.zeros(12)}, "both be given or both be None"),
        ({"bias_ih": np.zeros(12, np.float32)}, "floating dtype of weight_ih"),
        (
            {"weight_ih": np.zeros((12, 3), int), "weight_hh": np.zeros((12, 4), int)},
            "floating dtype of weight_ih",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: dict, message: str) -> None:
    arrays = {"weight_ih": np.zeros((12, 3)), "weight_hh": np.zeros((12, 4)), **change}
    with pytest.raises(UsageError, match=message):
        GRUWeights(**arrays)


def test_lstm_gates_go_to_onnx_order_and_back() -> None:
    blocks = np.repeat(np.arange(4.0), 2)[:, None] * np.ones((1, 3))  # i, f, g, o
    onnx = reorder_blocks(blocks, LSTM_ORDER, LSTM_ONNX_ORDER)
    np.testing.assert_array_equal(onnx[:, 0], [0, 0, 3, 3, 1, 1, 2, 2])
    np.testing.assert_array_equal(reorder_blocks(onnx, LSTM_ONNX_ORDER, LSTM_ORDER), blocks)
