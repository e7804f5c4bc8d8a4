"""What cells cost, measured in turns: A B C A B C, so that whatever else the machine does falls on all of them."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grus.benchmark.timing import interleaved
from grus.decode.comparing.records import NO_COST, Cost
from grus.errors import UnsupportedError
from grus.models import GraphModule
from grus.runtime import Program
from grus.spec import Graph, ops, require_streaming
from grus.tasks.compare.problem import Problem, Setting
from grus.tasks.compare.sizes import count_parameters
from grus.training import Job, TrainingConfig, train
from grus.training.job import to_tensors

#: Rounds of turns, and the training time of one turn; an epoch that is shorter is taken as a whole.
ROUNDS, TURN_SECONDS = 5, 0.4
LATENCY_ROUNDS = 9
#: The rate while times are taken: the steps are made, the weights stay as good as where they are.
_STILL = 1e-12


def measure(problem: Problem, settings: Mapping[str, Setting]) -> list[Cost]:
    """What each cell costs to train and to run.

    Training times are those of the loop that trained them, on the same batches in the same order; the last round is
    no warmer than the first, since one is run before.

    Args:
        problem: what is trained.
        settings: by cell, in order.
    """
    racers = {
        cell: _Racer(problem.job(setting), problem.config(setting)) for cell, setting in settings.items()
    }
    most = max(racer.steps_in(TURN_SECONDS) for racer in racers.values())
    times: dict[str, list[_Lap]] = {cell: [] for cell in racers}
    for number in range(ROUNDS):
        for cell, racer in racers.items():
            times[cell].append(racer.lap(min(most, racer.steps), number))
    latency = _latencies({cell: racer.job for cell, racer in racers.items()})
    return [
        _cost(settings[cell], racer, times[cell], *latency[cell], training_memory(racer.job))
        for cell, racer in racers.items()
    ]


def unmeasured(problem: Problem, setting: Setting) -> Cost:
    """The size of a cell that cannot be trained here, and nothing else."""
    job: Any = problem.job(setting)
    return dataclasses.replace(
        NO_COST, cell=setting.cell, hidden=setting.hidden, parameters=count_parameters(job.model.graph)
    )


def _cost(
    setting: Setting,
    racer: "_Racer",
    laps: "list[_Lap]",
    latency_us: float,
    steps: int,
    streams: bool,
    memory: int,
) -> Cost:
    low, middle, high = np.quantile([lap.seconds for lap in laps], [0.25, 0.5, 0.75]) * racer.steps
    return Cost(
        cell=setting.cell,
        hidden=setting.hidden,
        parameters=count_parameters(racer.job.model.graph),
        steps=racer.steps,
        epoch_seconds=float(middle),
        low=float(low),
        high=float(high),
        cpu_seconds=float(np.median([lap.cpu for lap in laps]) * racer.steps),
        latency_us=latency_us,
        latency_steps=steps,
        streams=streams,
        memory=memory,
    )


@dataclass(frozen=True)
class _Lap:
    """Seconds of one training step by the clock and as worked by the process, means over a turn."""

    seconds: float
    cpu: float


@dataclass
class _Racer:
    """A job whose steps are timed inside the training loop itself, on weights that hardly move."""

    job: Any  # a Job with a GraphModule
    config: TrainingConfig
    steps: int = field(init=False)

    def __post_init__(self) -> None:
        self.steps = self.job.steps(0)
        self.config = dataclasses.replace(
            self.config, epochs=1, patience=None, log="none", checkpoint_every_steps=None,
            checkpoint_every_seconds=None, max_seconds=None, decay="constant", warmup_steps=0, learning_rate=_STILL,
        )  # fmt: skip

    def steps_in(self, seconds: float) -> int:
        """How many steps fill that time, by a few that also warm everything up."""
        few = min(3, self.steps)
        return max(1, round(seconds / self.lap(few, 0).seconds))

    def lap(self, count: int, number: int) -> _Lap:
        """One turn of ``count`` steps, spread evenly over an epoch of that number."""
        timed = _Timed(self.job, count, number)
        train(timed, self.config, None)
        return _Lap(timed.seconds / count, timed.cpu / count)


class _Timed:
    """A job of a few steps that takes the time from its first batch to its validation, which it does not have."""

    def __init__(self, job: Job, count: int, epoch: int) -> None:
        self.model, self._job, self._count, self._epoch = job.model, job, count, epoch
        self._all = job.steps(epoch)
        self.seconds = self.cpu = 0.0

    def steps(self, epoch: int) -> int:
        """So many as were asked for."""
        return self._count

    def batch(self, epoch: int, step: int) -> Any:
        """The batch of a step of the whole epoch."""
        if not step:
            self.seconds, self.cpu = -time.perf_counter(), -time.process_time()
        return self._job.batch(self._epoch, step * self._all // self._count)

    def loss(self, batch: Any, carry: Any) -> Any:
        """That of the job."""
        return self._job.loss(batch, carry)

    def validate(self) -> dict[str, float]:
        """Stop the watch."""
        self.seconds, self.cpu = self.seconds + time.perf_counter(), self.cpu + time.process_time()
        return {}


# -- one row through the runtime ---------------------------------------------------------------------------------


def _latencies(jobs: Mapping[str, Any]) -> dict[str, tuple[float, int, bool]]:
    """Microseconds of one row in the runtime, its steps, and whether it streams, by cell."""
    calls: dict[str, Callable[[], object]] = {}
    steps: dict[str, tuple[int, bool]] = {}
    for cell, job in jobs.items():
        calls[cell], steps[cell] = _call(job)
    times = interleaved(calls, LATENCY_ROUNDS)
    return {cell: (1e3 * float(np.median(times[cell])), *steps[cell]) for cell in calls}


def _call(job: Any) -> tuple[Callable[[], object], tuple[int, bool]]:
    """What is timed: a step with the state carried where the graph can stream on one clock, else a whole row."""
    graph: Graph = job.model.graph
    inputs, lengths = _first_row(job)
    program = Program(graph, job.model.tensors())
    clocks = {port.clock for port in graph.inputs if port.clock}
    timed = [port.name for port in graph.inputs if port.clock]
    count = max((inputs[name].shape[1] for name in timed), default=1)
    if len(clocks) == 1 and _can_stream(graph):
        one = {name: values[:, :1] if name in timed else values for name, values in inputs.items()}
        state = program.run(one)[1]
        return partial(program.run, one, state), (1, True)
    return partial(program, inputs, lengths), (count, False)


def _can_stream(graph: Graph) -> bool:
    try:
        require_streaming(graph)
    except UnsupportedError:
        return False
    return True


def _first_row(job: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """The longest row of the first batch as the graph is given it: inputs by port, and its lengths by clock."""
    inputs, lengths = captured(job)
    chosen = 0
    if lengths:
        chosen = int(next(iter(lengths.values())).argmax())
    row = slice(chosen, chosen + 1)
    return (
        {name: values[row].cpu().numpy() for name, values in inputs.items()},
        {name: values[row].cpu().numpy() for name, values in lengths.items()} if lengths else None,
    )


def captured(job: Any) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """What the model is given when the loss of the first batch is taken: inputs by port, and lengths by clock."""
    found: list[Any] = []

    def look(module: GraphModule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.append((args[0], args[1] if len(args) > 1 else kwargs.get("lengths")))

    with _evaluating(job.model), torch.no_grad():
        handle = job.model.register_forward_pre_hook(look, with_kwargs=True)
        try:
            job.loss(_batch(job), None)
        finally:
            handle.remove()
    inputs, lengths = found[0]
    return dict(inputs), lengths


# -- memory --------------------------------------------------------------------------------------------------------


def training_memory(job: Any) -> int:
    """Bytes of the tensors that the backward pass of the first batch needs, and of weights, gradients and moments.

    Every storage counts once. Outputs of recurrent layers count too: the native GRU keeps its own beside what it shows
    to the hooks of autograd. What the loss and the optimiser need besides for a moment is left out.
    """
    weights = sum(p.numel() * p.element_size() for p in job.model.parameters())
    own = {p.untyped_storage().data_ptr() for p in job.model.parameters()}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []

    def see(module: torch.nn.Module, args: Any, outputs: dict[str, Tensor]) -> None:
        # Held until the end: a storage that is freed gives its address to another.
        alive.extend(map(pack, outputs.values()))

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    layers = [node.name for node in job.model.graph.nodes if isinstance(node.op, ops.Recurrent)]
    handles = [job.model.nodes[name].register_forward_hook(see) for name in layers]
    job.model.train()
    with (
        torch.random.fork_rng(devices=[]),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        loss, _ = job.loss(_batch(job), None)
    del loss
    for handle in handles:
        handle.remove()
    return sum(kept.values()) + 4 * weights


def _batch(job: Any) -> dict[str, Tensor]:
    return to_tensors(job.batch(0, 0), next(job.model.parameters()).device)


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """The model in evaluation mode for a while."""
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)
