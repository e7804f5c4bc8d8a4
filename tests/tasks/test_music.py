"""Polyphonic music: pooled NLL by hand, floors, pieces read whole, noise and dropout, and files that are not what they say."""

import io
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from grus.errors import DataError, UsageError
from grus.tasks.cells import CELLS
from grus.tasks.compare.music import music_problem
from grus.tasks.compare.music_job import transposed
from grus.tasks.compare.music_rolls import read_rolls
from grus.tasks.compare.problem import Setting
from grus.training import train

DATA = Path(__file__).parents[3] / "shared" / "data"
SETTING = Setting("gru", 6, 1e-2)


def pieces(count, seed, longest=12):
    """Rolls in which a note of the step before sounds again a fifth higher."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        roll = np.zeros((int(rng.integers(2, longest)), 88), np.uint8)
        key = int(rng.integers(20, 40))
        for step in roll:
            step[key] = 1
            key = 20 + (key - 20 + 7) % 20
        found.append(roll)
    return found


def arrays_of(splits):
    arrays = {}
    for split, rolls in splits.items():
        arrays[f"{split}_roll_packed"] = np.packbits(np.concatenate(rolls), axis=1)
        arrays[f"{split}_lengths"] = np.array([len(roll) for roll in rolls], np.int32)
    return arrays


SPLITS = {"train": pieces(20, 0), "valid": pieces(5, 1), "test": pieces(7, 2)}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("music") / "tunes.npz"
    np.savez(file, **arrays_of(SPLITS))
    return file


def test_rolls_are_read_as_they_were_packed(path):
    for split, read in read_rolls(path).items():
        arrays, lengths = read.batch(np.arange(len(read)))
        assert arrays["x"].dtype == np.float32
        for x, length, roll in zip(arrays["x"], lengths, SPLITS[split], strict=True):
            np.testing.assert_array_equal(x[:length], roll)
            assert not x[length:].any()


@pytest.mark.parametrize("cell", CELLS)
def test_the_metric_is_the_pooled_nll_by_hand(path, cell):
    problem, setting = music_problem(path, layers=2), Setting(cell, 6, 1e-3)
    model = problem.job(setting).model.eval()
    total = steps = 0
    values = []
    for roll in SPLITS["test"]:
        x = torch.from_numpy(roll.astype(np.float32))
        with torch.no_grad():
            p = torch.sigmoid(model({"x": x[None, :-1]})["logits"][0].double()).numpy()
        y = roll[1:]
        nll = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum()
        total, steps = total + nll, steps + len(y)
        values.append(nll / len(y))
    losses = problem.losses(model, setting)
    np.testing.assert_allclose(losses.values, values, rtol=1e-5)
    np.testing.assert_array_equal(losses.weights, [len(roll) - 1 for roll in SPLITS["test"]])
    assert losses.mean == pytest.approx(total / steps, rel=1e-5)


def test_validation_and_training_pool_steps_too(path):
    problem = music_problem(path, batch_size=20)
    job = problem.job(SETTING)
    model = job.model.eval()
    assert job.steps(0) == 1
    batch = {name: torch.as_tensor(values) for name, values in job.batch(0, 0).items()}
    with torch.no_grad():
        loss, carry = job.loss(batch, None)
    assert carry is None
    by_hand = {"train": loss.item(), "valid": job.validate()["validation_nll"]}
    for split, found in by_hand.items():
        costs = []
        for roll in SPLITS[split]:
            x = torch.from_numpy(roll.astype(np.float32))
            with torch.no_grad():
                logits = model({"x": x[None, :-1]})["logits"][0]
            costs.append(
                torch.nn.functional.binary_cross_entropy_with_logits(logits, x[1:], reduction="none").sum(1)
            )
        assert found == pytest.approx(torch.cat(costs).mean().item(), rel=1e-5)


def test_an_epoch_holds_every_piece_once_and_a_batch_is_a_function_of_its_number(path):
    one, two = (music_problem(path, batch_size=3).job(SETTING) for _ in range(2))
    assert one.steps(0) == 7
    wanted = {(epoch, step): one.batch(epoch, step) for epoch in range(2) for step in range(7)}
    seen = [
        tuple(map(bytes, x[:length].astype(np.uint8)))
        for step in range(7)
        for x, length in zip(wanted[0, step]["x"], wanted[0, step]["lengths"], strict=True)
    ]
    assert sorted(seen) == sorted(tuple(map(bytes, roll)) for roll in SPLITS["train"])
    for number in [(1, 3), (0, 6), (1, 3)]:
        for name, values in two.batch(*number).items():
            np.testing.assert_array_equal(values, wanted[number][name])
    other = music_problem(path, batch_size=3).job(Setting("gru", 6, 1e-2, seed=1)).batch(0, 0)
    assert not np.array_equal(other["lengths"], wanted[0, 0]["lengths"]) or not np.array_equal(
        other["x"], wanted[0, 0]["x"]
    )


def test_a_share_of_the_pieces(path):
    problem, seen = music_problem(path, batch_size=20), []
    for share, count in [(0.25, 5), (0.5, 10), (1.0, 20)]:
        batch = problem.job(Setting("gru", 6, 1e-2, share=share)).batch(0, 0)
        assert len(batch["lengths"]) == count
        seen.append([x[:n].tobytes() for x, n in zip(batch["x"], batch["lengths"], strict=True)])
    for smaller, larger in pairwise(seen):
        assert all(smaller.count(piece) <= larger.count(piece) for piece in smaller)


def test_pieces_are_moved_by_up_to_six_semitones(path):
    plain, moved, again = (
        music_problem(path, batch_size=20, transpose=share).job(SETTING) for share in (0.0, 0.5, 0.5)
    )
    seen = set()
    for epoch in range(30):
        one, other = plain.batch(epoch, 0)["x"], moved.batch(epoch, 0)["x"]
        np.testing.assert_array_equal(other, again.batch(epoch, 0)["x"])
        for before, after in zip(one, other, strict=True):
            step = int(after[0].argmax()) - int(before[0].argmax())
            np.testing.assert_array_equal(after, np.roll(before, step, axis=1))
            seen.add(step)
    assert seen == set(range(-6, 7))
    validation = [job.validate()["validation_nll"] for job in (plain, moved)]
    assert validation[0] == validation[1], "only training pieces are moved"


def test_a_piece_that_would_leave_the_keyboard_stays():
    roll = np.zeros((3, 88), np.float32)
    roll[1, 85] = roll[2, 3] = 1
    assert transposed(roll, 2)[1, 87] == 1
    for semitones in (3, -4):
        np.testing.assert_array_equal(transposed(roll, semitones), roll)
    assert transposed(roll, -3)[2, 0] == 1


def test_gates_that_start_to_span_some_steps(path):
    usual, slow = (music_problem(path, chrono=steps).job(SETTING).model.tensors() for steps in (None, 50))
    keeps = slice(6, 12)
    assert (slow["layers.bias_ih_l0"][keeps] >= 0).all()
    assert (slow["layers.bias_ih_l0"][keeps] != usual["layers.bias_ih_l0"][keeps]).all()
    assert not slow["layers.bias_hh_l0"][keeps].any()


def test_the_readout_begins_with_how_often_each_key_sounds(path):
    job = music_problem(path, batch_size=20).job(Setting("gru", 6, 1e-2, share=0.5))
    batch = job.batch(0, 0)
    steps = np.concatenate([x[1:n] for x, n in zip(batch["x"], batch["lengths"], strict=True)])
    chance = (steps.sum(0) + 0.5) / (len(steps) + 1)
    np.testing.assert_allclose(
        torch.sigmoid(job.model.get_parameter("nodes.logits.bias").detach()), chance, rtol=1e-5
    )


@pytest.mark.parametrize("cell", CELLS)
def test_the_next_step_is_learnt(path, cell):
    problem, setting = music_problem(path, epochs=60), Setting(cell, 24, 3e-2)
    job = problem.job(setting)
    train(job, problem.config(setting), None)
    assert problem.losses(job.model, setting).mean < 0.67 * min(problem.floors().values())


@pytest.mark.parametrize(
    "options",
    [
        {"weight_noise": 0.1},
        {"input_dropout": 0.5},
        {"output_dropout": 0.5},
        {"dropout": 0.5, "layers": 2},
        {"recurrent_dropout": 0.5},
    ],
)
def test_regularisers_act_in_training_only(path, options):
    job = music_problem(path, batch_size=20, **options).job(SETTING)
    batch = {name: torch.as_tensor(values) for name, values in job.batch(0, 0).items()}

    def loss(seed):
        torch.manual_seed(seed)
        return job.loss(batch, None)[0].item()

    before = job.model.tensors()
    job.model.train()
    assert loss(0) == loss(0) != loss(1)
    job.model.eval()
    assert loss(0) == loss(1)
    for name, values in job.model.tensors().items():
        np.testing.assert_array_equal(values, before[name])


@pytest.mark.parametrize("cell", CELLS)
def test_weight_noise_moves_the_clean_weights(path, cell):
    job = music_problem(path, batch_size=20, weight_noise=0.1).job(Setting(cell, 6, 1e-2))
    batch = {name: torch.as_tensor(values) for name, values in job.batch(0, 0).items()}
    job.model.train()
    torch.manual_seed(0)
    job.loss(batch, None)[0].backward()
    gradients = {name: parameter.grad.clone() for name, parameter in job.model.named_parameters()}
    torch.manual_seed(0)
    with torch.no_grad():
        noise = {name: 0.1 * torch.randn_like(p) for name, p in job.model.named_parameters()}
        for name, parameter in job.model.named_parameters():
            parameter.add_(noise[name])
    job.model.zero_grad()
    job.model.eval()
    job.loss(batch, None)[0].backward()
    for name, parameter in job.model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_the_readout_sees_the_input_where_asked(path):
    problem = music_problem(path, skip=True)
    shapes = {name: value.shape for name, value in problem.job(SETTING).model.tensors().items()}
    assert shapes["logits.weight"] == (88, 6 + 88)


def test_floors_by_hand(path):
    pairs = {split: [(a, b) for roll in rolls for a, b in pairwise(roll)] for split, rolls in SPLITS.items()}
    marginal = markov = 0.0
    for key in range(88):
        ones = sum(int(b[key]) for _, b in pairs["train"])
        p = (ones + 0.5) / (len(pairs["train"]) + 1)
        after = {}
        for state in (0, 1):
            same = [int(b[key]) for a, b in pairs["train"] if a[key] == state]
            after[state] = (sum(same) + 0.5) / (len(same) + 1)
        for a, b in pairs["test"]:
            marginal -= np.log(p if b[key] else 1 - p)
            q = after[int(a[key])]
            markov -= np.log(q if b[key] else 1 - q)
    count = len(pairs["test"])
    floors = music_problem(path).floors()
    assert floors == {
        "per-key marginal": pytest.approx(marginal / count),
        "per-key Markov": pytest.approx(markov / count),
    }


@pytest.mark.parametrize(
    ("file", "marginal", "markov", "predicted"),
    [
        ("music_jsb_chorales/jsb_chorales.npz", 11.09, 10.49, (13578, 4526, 4648)),
        ("music_nottingham/nottingham.npz", 10.26, 5.15, (175867, 45340, 44293)),
    ],
)
def test_the_floors_of_the_published_sets(file, marginal, markov, predicted):
    if not (DATA / file).is_file():
        pytest.skip(f"no data set at {DATA / file}")
    problem = music_problem(DATA / file)
    floors = problem.floors()
    assert (round(floors["per-key marginal"], 2), round(floors["per-key Markov"], 2)) == (marginal, markov)
    assert problem.losses(problem.job(SETTING).model, SETTING).weights.sum() == predicted[2]
    for line, count in zip(problem.plan, predicted, strict=True):
        assert f"{count:,} are predicted" in line


def changed(**arrays):
    return {name: value for name, value in (arrays_of(SPLITS) | arrays).items() if value is not None}


PACKED = arrays_of(SPLITS)["test_roll_packed"]
STEPS = len(PACKED)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed(test_lengths=None), "expected an array 'test_lengths', got 'test_roll_packed', 'train_lengths', "),
        (changed(train_roll_packed=PACKED[:, :10]), "train_roll_packed: expected uint8 [steps, 11], got uint8 ["),
        (changed(train_roll_packed=PACKED.astype(np.int32)), "train_roll_packed: expected uint8 [steps, 11], got int32 ["),
        (changed(test_lengths=np.array([1.0])), "test_lengths: expected an array of whole numbers, got one that cannot be read (its dtype is float64)"),
        (changed(test_lengths=np.array([[3]])), "test_lengths: expected whole numbers [pieces], at least one, got int64 [1, 1]"),
        (changed(test_lengths=np.array([], int)), "test_lengths: expected whole numbers [pieces], at least one, got int64 [0]"),
        (changed(test_lengths=np.array([STEPS - 1, 1])), f"test_lengths, piece 2: expected 2 to {STEPS} steps, got 1"),
        (changed(test_lengths=np.array([-3])), f"test_lengths, piece 1: expected 2 to {STEPS} steps, got -3"),
        (changed(test_lengths=np.array([STEPS + 1], np.uint64)), f"piece 1: expected 2 to {STEPS} steps, got {STEPS + 1}"),
        (changed(test_lengths=np.array([STEPS - 2])), f"test_lengths: expected a sum of {STEPS}, the steps of test_roll_packed, got {STEPS - 2}"),
        (changed(test_lengths=np.array([None], object)), "test_lengths: expected an array of whole numbers, got one that cannot be read (its dtype is object)"),
    ],
)  # fmt: skip
def test_archives_that_do_not_hold_together(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError) as caught:
        music_problem(tmp_path / "bad.npz")
    assert str(caught.value).startswith(f"{tmp_path / 'bad.npz'}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path, path):
    with pytest.raises(DataError, match=r"no such file: .*absent\.npz"):
        music_problem(tmp_path / "absent.npz")
    whole = path.read_bytes()
    for name, data in {"text": b"hello", "empty": b"", "half": whole[: len(whole) // 2]}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(
            DataError, match=f"{name}: expected a NumPy archive .* of piano-rolls, got another file"
        ):
            music_problem(tmp_path / name)


def test_a_header_that_asks_for_more_than_there_is(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 11)}
    )
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("train_roll_packed.npy", header.getvalue() + bytes(110))
    with pytest.raises(
        DataError, match="train_roll_packed: expected an array of whole numbers, got one that cannot"
    ):
        music_problem(tmp_path / "bomb.npz")


def test_bytes_turned_over_are_read_or_refused_in_a_sentence(tmp_path, path):
    rng, file, refused = np.random.default_rng(0), tmp_path / "turned.npz", []
    for _ in range(150):
        data = bytearray(path.read_bytes())
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            data[place] = rng.integers(0, 256)
        file.write_bytes(data)
        try:
            read_rolls(file)
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert not [message for message in refused if "\n" in message]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"input_dropout": 1.0},
            "music_problem: input_dropout must be a number of at least 0 and below 1, got 1.0",
        ),
        ({"weight_noise": -1}, "music_problem: weight_noise must be a number of at least 0, got -1"),
        ({"layers": 65}, "music_problem: layers must be a whole number from 1 to 64, got 65"),
        ({"patience": 0}, "TrainingConfig: patience must be a whole number of at least 1, or None, got 0"),
    ],
)
def test_options_that_cannot_be_used(path, options, message):
    with pytest.raises(UsageError) as caught:
        music_problem(path, **options)
    assert str(caught.value) == message


def test_what_a_piece_or_a_cell_does_not_have(path):
    with pytest.raises(UsageError, match="music: length must be None, as pieces are read whole, got 10"):
        music_problem(path).job(Setting("gru", 6, 1e-2, length=10))
    with pytest.raises(UsageError, match="recurrent_dropout must be 0 for a cell other than gru, got 'lstm'"):
        music_problem(path, recurrent_dropout=0.1).job(Setting("lstm", 6, 1e-2))
