"""Which recurrent cell a network is built of: GRU, LSTM, simple RNN or MinGRU, chosen by a word."""

from grus.spec import ops

_LAYERS: dict[str, type[ops.GRU] | type[ops.LSTM] | type[ops.RNN] | type[ops.MinGRU]] = {
    "gru": ops.GRU,
    "lstm": ops.LSTM,
    "rnn": ops.RNN,
    "mingru": ops.MinGRU,
}
_STEPS: dict[str, type[ops.RecurrentStep]] = {
    "gru": ops.GRUStep,
    "lstm": ops.LSTMStep,
    "rnn": ops.RNNStep,
    "mingru": ops.MinGRUStep,
}
#: What ``cell`` may be; ``rnn`` is the simple recurrent network with tanh.
CELLS = tuple(_LAYERS)


def layers_of(
    cell: str, hidden: int, layers: int = 1, bidirectional: bool = False, dropout: float = 0.0
) -> ops.Recurrent:
    """Layers of a cell; dropout acts between them, so a single one has none."""
    return _LAYERS[cell](hidden, layers, bidirectional, dropout=dropout if layers > 1 else 0.0)


def step_of(cell: str, hidden: int) -> ops.RecurrentStep:
    """One step of a cell for every step of the input."""
    return _STEPS[cell](hidden)


def cell_of(op: ops.Recurrent) -> str:
    """The word for the cell of some layers."""
    return next(cell for cell, layers in _LAYERS.items() if type(op) is layers)


def name_of(cell: str) -> str:
    """What a cell is called, as its op is: GRU, LSTM, RNN, MinGRU."""
    return _LAYERS[cell].__name__
