"""Small jobs for the tests of the training room, importable by subprocesses too."""

import numpy as np
import torch


class LineJob:
    """Least squares with dropout on a fixed data set; ``batch`` is a pure function of (seed, epoch, step)."""

    def __init__(self, seed: int = 0, steps: int = 5, dropout: float = 0.2) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = torch.nn.Sequential(
                torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Dropout(dropout), torch.nn.Linear(16, 1)
            )
        self._seed, self._steps = seed, steps
        rng = np.random.default_rng(seed)
        self.x = rng.standard_normal((64, 3)).astype(np.float32)
        self.y = (self.x @ np.array([[1.0], [-2.0], [0.5]], dtype=np.float32) + 1).astype(np.float32)

    def steps(self, epoch: int) -> int:
        return self._steps

    def batch(self, epoch: int, step: int) -> dict[str, torch.Tensor | np.ndarray]:
        rows = np.random.default_rng((self._seed, epoch, step)).integers(0, len(self.x), 8)
        return {"x": self.x[rows], "y": torch.from_numpy(self.y[rows])}

    def loss(self, batch, carry):
        return torch.nn.functional.mse_loss(self.model(batch["x"]), batch["y"]), None

    def validate(self) -> dict[str, float]:
        error = self.model(torch.from_numpy(self.x)) - torch.from_numpy(self.y)
        return {"mse": error.square().mean().item(), "mae": error.abs().mean().item()}


class CarryJob(LineJob):
    """A GRU over a stream cut into pieces: the final state of a step is the first state of the next."""

    def __init__(self, seed: int = 0, steps: int = 5) -> None:
        super().__init__(seed, steps)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = torch.nn.ModuleDict({"gru": torch.nn.GRU(3, 6), "head": torch.nn.Linear(6, 1)})
        self.carries: list = []

    def batch(self, epoch: int, step: int) -> dict[str, torch.Tensor | np.ndarray]:
        begin = 8 * (step % 8)
        return {"x": self.x[begin : begin + 8, None], "y": self.y[begin : begin + 8, None]}

    def loss(self, batch, carry):
        self.carries.append(carry)
        h_0 = None if carry is None else carry["h"][0]
        output, h_n = self.model["gru"](batch["x"], h_0)
        return torch.nn.functional.mse_loss(self.model["head"](output), batch["y"]), {"h": (h_n, None)}

    def validate(self) -> dict[str, float]:
        output, _ = self.model["gru"](torch.from_numpy(self.x[:, None]))
        return {"mse": (self.model["head"](output)[:, 0] - torch.from_numpy(self.y)).square().mean().item()}


class ScriptedJob(LineJob):
    """Validation scores from a list; remembers the first weight matrix after every epoch."""

    def __init__(self, scores: list[float], steps: int = 2) -> None:
        super().__init__(steps=steps)
        self._scores = scores
        self.seen: list[torch.Tensor] = []

    def validate(self) -> dict[str, float]:
        self.seen.append(next(self.model.parameters()).detach().clone())
        return {"score": self._scores[len(self.seen) - 1]}


def same_weights(left: torch.nn.Module, right: torch.nn.Module) -> bool:
    """Bitwise equality of all parameters and buffers, NaN included."""
    a, b = left.state_dict(), right.state_dict()
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and a[name].numpy().tobytes() == b[name].numpy().tobytes()
        for name in a
    )
