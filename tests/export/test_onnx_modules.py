"""Torch modules as ONNX files that give what the module gives, whatever mode it is in."""

import numpy as np
import pytest
import torch
from torch import nn

import onnx_runs
from grus import accelerate
from grus.errors import GrusError, UnsupportedError, UsageError
from grus.export import check_onnx, onnx
from grus.nn import GRU, GRUCell


def close(found, wanted):
    np.testing.assert_allclose(found, wanted.detach().numpy(), rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", [nn.GRU, GRU])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"bidirectional": True, "num_layers": 2}], ids=str)
def test_a_gru_whole_and_in_chunks_from_any_state(kind, batch_first, options, tmp_path):
    torch.manual_seed(0)
    module = kind(3, 4, batch_first=batch_first, **options)
    made = onnx(module, tmp_path / "m.onnx")
    assert (made.outputs, made.states) == (("out", "state"), ("gru.h",))
    assert check_onnx(made.path).findings == ()
    session = onnx_runs.session_of(made.path)
    parts = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    x, h = torch.randn(5, 7, 3), torch.randn(parts, 5, 4)
    y, h_n = module(x if batch_first else x.transpose(0, 1), h)
    y = y if batch_first else y.transpose(0, 1)
    state = {"gru.h": h.transpose(0, 1).flatten(1).numpy()}
    outputs, _ = onnx_runs.run(session, {"x": x.numpy()}, state)
    close(outputs["out"], y)
    close(outputs["state"], h_n.transpose(0, 1).flatten(1))
    if parts == 1:
        pieces = []
        for begin, end in [(0, 3), (3, 3), (3, 4), (4, 7)]:
            outputs, state = onnx_runs.run(session, {"x": x[:, begin:end].numpy()}, state)
            pieces.append(outputs["out"])
        close(np.concatenate(pieces, axis=1), y)


def test_options_of_our_own_layer(tmp_path):
    torch.manual_seed(0)
    for number, options in enumerate(
        [
            {"reset_after": False},
            {"layer_norm": True, "bidirectional": True},
            {"zoneout": 0.3, "recurrent_dropout": 0.5},
        ]
    ):
        module = GRU(3, 4, 2, dropout=0.5, **options)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.uniform_(-1, 1)
        session = onnx_runs.session_of(onnx(module, tmp_path / f"{number}.onnx").path)
        assert module.training, "left as it was"
        x = torch.randn(6, 2, 3)
        lengths = [6, 3]
        wanted, h_n = module.eval()(x, lengths=lengths)
        outputs, _ = onnx_runs.run(
            session, {"x": x.transpose(0, 1).numpy()}, lengths={"src": np.array(lengths)}
        )
        close(outputs["out"], wanted.transpose(0, 1))
        close(outputs["state"], h_n.transpose(0, 1).flatten(1))


class Tagger(nn.Module):
    """Every step, from tokens, with a state that may be given."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 5)
        self.Encoder = nn.GRU(5, 4, 2, batch_first=True, dropout=0.5)
        self.head = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 2), nn.Sigmoid())

    def forward(self, tokens, h=None):
        y, h = self.Encoder(self.embedding(tokens), h)
        return {"tags": self.head(y), "state": h}


class Classifier(nn.Module):
    """One answer a row, of several summaries."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(3, 4)
        self.gru = GRU(4, 4, bidirectional=True, batch_first=True)
        self.second = GRU(8, 8, batch_first=True)
        self.head = nn.Linear(32, 3)

    def forward(self, x):
        x = torch.tanh(self.project(x))
        y, _ = self.gru(x)
        z, h = self.second(y)
        z = torch.relu(z) * y - y.sigmoid() + z
        summary = [z[:, -1], h[-1], z.mean(dim=1), z.amax(1)]
        return self.head(nn.functional.dropout(torch.cat(summary, dim=-1), 0.5, self.training)), h


def test_a_module_with_tokens_and_a_given_state(tmp_path):
    torch.manual_seed(0)
    module = Tagger()
    made = onnx(module, tmp_path / "m.onnx")
    assert made.inputs == ("tokens", "src.lengths")
    assert (made.outputs, made.states) == (("tags", "state"), ("encoder.h",))
    assert module.training
    session = onnx_runs.session_of(made.path)
    tokens, h = torch.randint(0, 11, (3, 6)), torch.randn(2, 3, 4)
    wanted = module.eval()(tokens, h)
    state = {"encoder.h": h.transpose(0, 1).flatten(1).numpy()}
    outputs, after = onnx_runs.run(session, {"tokens": tokens.numpy()}, state)
    close(outputs["tags"], wanted["tags"])
    close(after["encoder.h"], wanted["state"].transpose(0, 1).flatten(1))


def test_a_module_of_summaries_in_double_precision_and_accelerated(tmp_path):
    torch.manual_seed(0)
    module = Classifier()
    x = torch.randn(4, 9, 3)
    wanted, h = module.eval()(x)
    for number, change in enumerate((lambda: None, lambda: accelerate(module), module.double)):
        change()
        made = onnx(module, tmp_path / f"{number}.onnx")
        assert made.outputs == ("out_0", "out_1")
        outputs, _ = onnx_runs.run(onnx_runs.session_of(made.path), {"x": x.numpy()})
        close(outputs["out_0"], wanted)
        close(outputs["out_1"], h[0])


def test_leaves_and_sequences_of_them(tmp_path):
    torch.manual_seed(0)
    for number, module in enumerate(
        [
            nn.Linear(3, 2),
            nn.Linear(3, 2, bias=False),
            nn.Sequential(nn.Linear(3, 4), nn.Identity(), nn.Tanh()),
            nn.Embedding(7, 3),
        ]
    ):
        made = onnx(module, tmp_path / f"{number}.onnx")
        tokens = isinstance(module, nn.Embedding)
        x = torch.randint(0, 7, (2, 5)) if tokens else torch.randn(2, 5, 3)
        outputs, _ = onnx_runs.run(onnx_runs.session_of(made.path), {made.inputs[0]: x.numpy()})
        close(outputs["out"], module(x))


class Wrong(nn.Module):
    """A forward of the caller's."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)
        self.head = nn.Linear(4, 2)
        for name, part in parts.items():
            setattr(self, name, part)
        self._forward = forward

    def forward(self, x):
        return self._forward(self, x)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.LSTM(3, 4), "module LSTM cannot be exported"),
        (GRUCell(3, 4), "module GRUCell cannot be exported"),
        (nn.Embedding(3, 4, max_norm=1.0), "module Embedding cannot be exported"),
        (nn.Sequential(nn.Linear(3, 4), nn.GELU()), "module GELU cannot be exported"),
        (nn.Sequential(nn.GRU(3, 4), nn.Linear(4, 2)), "GRU 0 with batch_first=False inside another module"),
        (nn.Sequential(nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)), "what 1 reads cannot be exported"),
        (Wrong(lambda self, x: self.gru(x)[0].flip(1)), "flip in forward, with these arguments, cannot"),
        (Wrong(lambda self, x: self.gru(x)[0][:, 0]), r"index \(slice\(None, None, None\), 0\) in forward"),
        (Wrong(lambda self, x: self.gru(x)[0].mean(2)), "mean in forward, with these arguments, cannot"),
        (Wrong(lambda self, x: self.gru(x)[0].mean(1, keepdim=True)), "mean in forward, with these arguments,"),
        (Wrong(lambda self, x: torch.add(x, x, alpha=2)), "argument 'x' of forward, which no layer reads directly,"),
        (Wrong(lambda self, x: self.gru(x)[0] * 2), "mul in forward, with these arguments, cannot"),
        (Wrong(lambda self, x: torch.cat([self.gru(x)[0]] * 2, 1)), "cat in forward, with these arguments, cannot"),
        (Wrong(lambda self, x: self.gru(x)[0] if x.sum() > 0 else x), "forward must be traceable by torch.fx, but: "),
        (Wrong(lambda self, x: self.head(x.new_zeros(3)) + self.gru(x)[0]), "new_zeros in forward"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_the_spec_has_no_op_for(module, said, tmp_path):
    with pytest.raises(UnsupportedError, match=said):
        onnx(module, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_module_without_weights(tmp_path):
    with pytest.raises(UsageError, match="ReLU has no weights"):
        onnx(nn.ReLU(), tmp_path / "m.onnx")


def test_a_module_that_computes_something_else_than_was_read_is_noticed(tmp_path):
    """A hook changes what a layer returns, which no reading of the parts can see."""
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    module[0].register_forward_hook(lambda part, inputs, output: output * 1.01)
    with pytest.raises(GrusError, match="output 'out' must be within"):
        onnx(module, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
