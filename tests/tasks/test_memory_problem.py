"""Long-memory problems: batches by number alone, costs by hand, floors, errors by sequence, and that they can be learnt."""

import numpy as np
import pytest
import torch

from grus.errors import MissingExtraError, UsageError
from grus.tasks.cells import CELLS
from grus.tasks.compare import sequence_job as jobs
from grus.tasks.compare.memory import MEMORY_TASKS, memory_problem
from grus.tasks.compare.memory_sequences import Sequences
from grus.tasks.compare.problem import Setting
from grus.training import train

MADE = ("adding", "copy", "recall")
SMALL = {"validation_size": 40, "test_size": 50, "steps_per_epoch": 5}


def problem_of(task, length=None, **options):
    made = task in MADE
    length = 6 if made and length is None else length
    return memory_problem(task, length, **((SMALL if made else {}) | {"epochs": 2} | options))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("task", MEMORY_TASKS)
def test_every_task_with_every_cell(task, cell):
    problem, setting = problem_of(task), Setting(cell, 8, 1e-3)
    assert problem.name == task
    job = problem.job(setting)
    history = train(job, problem.config(setting), None)
    assert len(history.epochs) == 2
    losses = problem.losses(job.model, setting)
    assert losses.values.shape == losses.weights.shape == (355 if task.startswith("digits") else 50,)
    assert losses.values.dtype == losses.weights.dtype == np.float64
    assert np.isfinite(losses.mean)
    assert (losses.weights == 1).all()
    assert len(problem.plan) == 2


@pytest.mark.parametrize("task", MEMORY_TASKS)
def test_a_batch_is_a_function_of_its_number_alone(task):
    one, two = (problem_of(task).job(Setting("gru", 4, 1e-3)) for _ in range(2))
    wanted = {(epoch, step): one.batch(epoch, step) for epoch in range(2) for step in range(5)}
    for number in [(1, 3), (0, 0), (1, 3), (0, 4)]:
        again = two.batch(*number)
        for name, values in wanted[number].items():
            np.testing.assert_array_equal(again[name], values, err_msg=name)
    other = problem_of(task).job(Setting("gru", 4, 1e-3, seed=1)).batch(0, 0)
    assert not np.array_equal(other["x"], wanted[0, 0]["x"])
    assert len({batch["x"].tobytes() for batch in wanted.values()}) == len(wanted)


@pytest.mark.parametrize("task", MADE)
def test_validation_and_test_are_the_same_for_every_run_and_no_training(task):
    problem = problem_of(task)
    scores = [problem.job(Setting("gru", 4, 1e-3, seed=0)).validate() for _ in range(2)]
    assert scores[0] == scores[1]
    first, second = (Setting("gru", 4, 1e-3, seed=seed) for seed in (0, 1))
    model = problem.job(first).model
    np.testing.assert_array_equal(problem.losses(model, first).values, problem.losses(model, second).values)
    other = problem_of(task, data_seed=1).losses(model, first)
    assert not np.array_equal(problem.losses(model, first).values, other.values)
    sets = [problem._fixed(6, purpose).x for purpose in (1, 2)]
    trained = np.concatenate([problem.job(first).batch(0, step)["x"] for step in range(5)])
    rows = [{row.tobytes() for row in part} for part in (*sets, trained)]
    if task == "adding":  # where no two sequences are alike by chance
        assert not rows[0] & rows[1]
        assert not (rows[0] | rows[1]) & rows[2]


def test_the_seed_draws_the_weights_and_leaves_the_callers_generator_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    models = [problem_of("adding").job(Setting("lstm", 4, 1e-3, seed=seed)).model for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    one, same, other = (model.tensors() for model in models)
    for name, values in one.items():
        np.testing.assert_array_equal(same[name], values)
        assert not values.any() or not np.array_equal(other[name], values), name


def test_costs_by_hand():
    truth, numbers = torch.tensor([2, 0]), torch.tensor([1.0, 3.0])
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    costs = [np.log(np.exp(2) + 2), np.log(np.exp(1) + 2)]
    np.testing.assert_allclose(jobs.cross_entropy(logits, truth), costs, rtol=1e-6)
    steps = jobs.cross_entropy(torch.stack([logits, logits.flip(0)]), torch.stack([truth, truth]))
    turned = [np.log(np.exp(1) + 2), np.log(np.exp(2) + 2) - 2]
    np.testing.assert_allclose(steps, [np.mean(costs), np.mean(turned)], rtol=1e-6)
    np.testing.assert_array_equal(jobs.wrong(logits, torch.tensor([0, 0])), [0, 1])
    np.testing.assert_allclose(jobs.squared_error(torch.tensor([[1.5], [1.0]]), numbers), [0.25, 4])


class Says(torch.nn.Module):
    """Puts out the same for every row."""

    def __init__(self, output):
        super().__init__()
        self.output = torch.nn.Parameter(torch.as_tensor(output, dtype=torch.float32))

    def forward(self, inputs):
        return {"out": self.output.expand(len(inputs["x"]), *self.output.shape)}


def test_scores_and_losses_of_an_answer_that_does_not_look():
    problem, setting = problem_of("adding", test_size=3000), Setting("gru", 4, 1e-3)
    losses = problem.losses(Says([1.0]), setting)
    assert losses.mean == pytest.approx(problem.floors()["always 1"], rel=1e-6)
    assert losses.mean == pytest.approx(1 / 6, abs=0.01)
    rows = Sequences(np.zeros((300, 4, 1), np.float32), np.arange(300) % 10)
    job = jobs.SequenceJob(Says(np.eye(10)[3]), 1, lambda e, s: rows, rows, jobs.cross_entropy, jobs.wrong)
    scores = job.validate()
    assert scores["validation_loss"] == pytest.approx(np.log(9 + np.e) - 0.1, rel=1e-6)
    assert scores["validation_metric"] == pytest.approx(0.9)


def test_floors():
    assert memory_problem("copy").floors()["guessing the symbols"] == pytest.approx(0.02039, abs=5e-6)
    guess = np.log(np.eye(10)[0] * 1e9 + 1e-9)
    spread = np.where((np.arange(10) >= 1) & (np.arange(10) <= 8), 0.0, -1e9)
    says = Says(np.concatenate([np.tile(guess, (16, 1)), np.tile(spread, (10, 1))]))
    problem = problem_of("copy")
    assert problem.losses(says, Setting("gru", 4, 1e-3)).mean == pytest.approx(
        problem.floors()["guessing the symbols"], rel=1e-6
    )
    assert problem_of("recall").floors() == {"guessing the symbol": pytest.approx(np.log(8))}
    assert problem_of("digits-rows").floors() == {"always the same digit": pytest.approx(0.9, abs=0.005)}
    assert problem_of("copy").floors(80)["guessing the symbols"] == pytest.approx(np.log(8) / 10)


def test_a_length_of_its_own():
    problem, setting = problem_of("adding", 6), Setting("gru", 4, 1e-3, length=9)
    job = problem.job(setting)
    assert job.batch(0, 0)["x"].shape == (32, 9, 2)
    assert problem.job(Setting("gru", 4, 1e-3)).batch(0, 0)["x"].shape == (32, 6, 2)
    assert len(problem.losses(job.model, setting).values) == 50
    assert problem.title == "Adding problem, 6 steps"
    assert memory_problem("adding").title == "Adding problem, 600 steps"


def test_a_share_of_the_digits():
    problem = problem_of("digits-rows", batch_size=1085)
    seen = []
    for share, count in [(0.1, 108), (0.5, 542), (1.0, 1085)]:
        job = problem.job(Setting("gru", 4, 1e-3, share=share))
        assert job.steps(0) == 1
        seen.append([row.tobytes() for row in job.batch(0, 0)["x"]])
        assert len(seen[-1]) == count
    assert set(seen[0]) < set(seen[1]) < set(seen[2])
    other = problem.job(Setting("gru", 4, 1e-3, seed=1, share=0.1)).batch(0, 0)["x"]
    assert {row.tobytes() for row in other} == set(seen[0]), "the same rows for every seed, in another order"


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_short_adding_problem_is_learnt(cell):
    problem = memory_problem("adding", 10, steps_per_epoch=50, epochs=8, test_size=500)
    setting = Setting(cell, 32, 1e-2)
    job = problem.job(setting)
    train(job, problem.config(setting), None)
    assert problem.losses(job.model, setting).mean < problem.floors()["always 1"] / 10


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("counting",), {}, "memory_problem: task must be 'adding', 'copy', 'recall', 'digits-rows' or 'digits-pixels', got 'counting'"),
        (("adding", 1), {}, "adding: length must be a whole number of at least 2, got 1"),
        (("copy", 2.5), {}, "copy: length must be a whole number of at least 1, got 2.5"),
        (("digits-rows", 9), {}, "digits-rows: length must be 8, got 9"),
        (("adding",), {"batch_size": 0}, "memory_problem: batch_size must be a whole number of at least 1, got 0"),
        (("adding",), {"chrono": 1}, "memory_problem: chrono must be True or False, got 1"),
        (("adding",), {"epochs": 0}, "TrainingConfig: epochs must be a whole number of at least 1, got 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(arguments, options, message):
    with pytest.raises(UsageError) as caught:
        memory_problem(*arguments, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("option", ["learning_rate", "seed", "bogus"])
def test_an_option_that_is_not_there(option):
    with pytest.raises(
        UsageError, match=f"memory_problem: option must be one of batch_size, .*, got '{option}'"
    ):
        memory_problem("adding", **{option: 1})
    with pytest.raises(UsageError, match="got 'test_size'"):
        memory_problem("digits-rows", test_size=5)


def test_sequences_that_are_made_have_no_share():
    with pytest.raises(UsageError, match=r"adding: share must be 1, got 0\.5"):
        problem_of("adding").job(Setting("gru", 4, 1e-3, share=0.5))


def test_digits_without_scikit_learn(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match="scikit-learn"):
        memory_problem("digits-rows")
