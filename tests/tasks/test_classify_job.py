"""The classifier's training job: batches by number alone, losses by hand, scores of all rows whatever their length."""

import numpy as np
import pytest
import torch

from grus.decode.class_scores import fit_temperature
from grus.models import GraphModule
from grus.preprocess.ragged import Ragged
from grus.spec import Port
from grus.tasks.classify_data import Labelled
from grus.tasks.classify_job import ClassifyJob
from grus.tasks.classify_networks import NetworkConfig, build_network


class Says(torch.nn.Module):
    """Puts out what it is told, whatever comes in."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.as_tensor(logits, dtype=torch.float32))
        self.seen = None

    def forward(self, inputs, lengths):
        self.seen = inputs
        return {"logits": self.logits}


def rows(n=40, seed=0, port="tokens", labels=3):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate(([0], np.cumsum(rng.integers(0, 9, n))))
    steps = int(offsets[-1])
    values = rng.integers(1, 9, steps).astype(np.int32)
    if port == "x":
        values = rng.normal(size=(steps, 2)).astype(np.float32)
    return Labelled(Ragged({port: values}, offsets), np.arange(n) % labels)


NONE = rows(0)


def job_of(model=None, train=None, validation=NONE, **options):
    train = rows() if train is None else train
    if model is None:
        port = next(iter(train.sequences.ports))
        ports = {"tokens": Port("tokens", "tokens", 9, "src"), "x": Port("x", "seq", 2, "src")}
        model = GraphModule(build_network(NetworkConfig(3, hidden_size=4, embedding_size=4), ports[port]))
    return ClassifyJob(model, train, validation, **({"batch_size": 8, "seed": 0, "min_steps": 1} | options))


def test_an_epoch_holds_every_row_once():
    train = rows()
    job = job_of(train=train)
    assert job.steps(0) == 5
    seen = []
    for step in range(5):
        batch = job.batch(0, step)
        assert batch["tokens"].shape == (8, batch["lengths"].max())
        for tokens, length, truth in zip(batch["tokens"], batch["lengths"], batch["truth"]):
            assert (tokens[length:] == 0).all()
            seen.append((tuple(tokens[:length]), truth))
    bounds = train.sequences.offsets
    values = train.sequences.ports["tokens"]
    expected = [(tuple(values[bounds[i] : bounds[i + 1]]), train.truth[i]) for i in range(40)]
    assert sorted(seen) == sorted(expected)


def test_a_batch_is_a_function_of_its_number_alone():
    one, two = job_of(min_steps=8), job_of(min_steps=8)
    assert one.steps(0) == 10
    wanted = [one.batch(epoch, step) for epoch in range(2) for step in range(10)]
    for number in (13, 0, 19, 5, 4, 13):
        again = two.batch(*divmod(number, 10))
        for name, values in wanted[number].items():
            np.testing.assert_array_equal(again[name], values, err_msg=name)
    other = job_of(min_steps=8, seed=1).batch(0, 0)
    assert any(not np.array_equal(other[name], values) for name, values in wanted[0].items())
    turns = [sorted(tuple(one.batch(0, s)["truth"]) for s in range(first, first + 5)) for first in (0, 5)]
    assert turns[0] != turns[1], "rows that are gone through twice are shuffled anew"


def test_the_loss_of_one_label_by_hand():
    logits = [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    truth = torch.tensor([0, 2])
    costs = np.array([np.log(np.exp(2) + 2) - 2, np.log(np.exp(1) + 2)])
    batch = {"truth": truth, "lengths": torch.ones(2), "tokens": torch.ones(2, 1, dtype=torch.int64)}
    loss, carry = job_of(Says(logits)).loss(batch, None)
    assert loss.item() == pytest.approx(costs.mean(), rel=1e-6)
    assert carry is None
    weighted, _ = job_of(Says(logits), weight=np.array([3.0, 9.0, 1.0])).loss(batch, None)
    assert weighted.item() == pytest.approx((3 * costs[0] + costs[1]) / 4, rel=1e-6)


def test_the_loss_of_several_labels_by_hand():
    logits, truth = np.array([[1.0, -2.0]]), np.array([[1.0, 0.0]], np.float32)
    batch = {"truth": torch.from_numpy(truth), "lengths": torch.ones(1), "tokens": torch.ones(1, 1)}
    costs = [np.log1p(np.exp(-1)), np.log1p(np.exp(-2))]
    assert job_of(Says(logits)).loss(batch, None)[0].item() == pytest.approx(np.mean(costs), rel=1e-6)
    weighted = job_of(Says(logits), weight=np.array([4.0, 7.0])).loss(batch, None)[0].item()
    assert weighted == pytest.approx((4 * costs[0] + costs[1]) / 2, rel=1e-6), "only where the label is there"


def test_scores_are_of_all_validation_rows_in_their_own_order():
    import grus.tasks.classify_job as module

    validation = rows(23, seed=1)
    job = job_of(validation=validation)
    job.model.eval()
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_VALIDATION_BATCH", 4)
        logits, scores = job.logits(validation.sequences), job.validate()
        for row in range(23):
            arrays, lengths = validation.sequences.batch([row])
            inputs = {name: torch.from_numpy(values) for name, values in arrays.items()}
            alone = job.model(inputs, {"src": torch.from_numpy(lengths)})["logits"][0]
            torch.testing.assert_close(logits[row], alone)
    truth = torch.from_numpy(validation.truth)
    assert list(scores) == ["validation_loss", "accuracy"]
    losses = [
        torch.nn.functional.cross_entropy(logits / t, truth).item()
        for t in (fit_temperature(logits.numpy(), validation.truth, False), 1.0, 3.0)
    ]
    assert scores["validation_loss"] == pytest.approx(losses[0], rel=1e-6)
    assert losses[0] < min(losses[1:])
    assert scores["accuracy"] == pytest.approx((logits.argmax(1) == truth).float().mean().item())


def test_with_several_labels_a_row_is_right_if_all_of_them_are():
    truth = np.array([[1, 0], [1, 1]], np.float32)
    job = job_of(Says([[2.0, -1.0], [2.0, -1.0]]), validation=Labelled(rows(2).sequences, truth))
    with torch.no_grad():
        assert job.validate()["accuracy"] == 0.5


def test_no_validation_rows_no_score():
    assert job_of().validate() == {}


def test_tokens_are_hidden_in_training_only_and_numbers_never():
    batch = {"truth": torch.zeros(50, dtype=torch.int64), "lengths": torch.full((50,), 40)}
    tokens, numbers = torch.full((50, 40), 3), torch.full((50, 40, 2), 3.0)
    job = job_of(Says(torch.zeros(50, 3)), token_dropout=0.2)
    torch.manual_seed(0)
    job.loss(batch | {"tokens": tokens}, None)
    hidden = job.model.seen["tokens"] == 0
    assert hidden.float().mean().item() == pytest.approx(0.2, abs=0.04)
    assert (job.model.seen["tokens"][~hidden] == 3).all()
    assert (tokens == 3).all()
    job.loss(batch | {"x": numbers}, None)
    assert (job.model.seen["x"] == 3).all()
    job.model.eval()
    job.loss(batch | {"tokens": tokens}, None)
    assert (job.model.seen["tokens"] == 3).all()


def test_measured_values_are_hidden_by_their_masks_in_training_only():
    batch = {"truth": torch.zeros(50, dtype=torch.int64), "lengths": torch.full((50,), 40)}
    x = torch.full((50, 40, 5), 3.0)
    x[..., 2:4] = (torch.rand(50, 40, 2) < 0.5).float()
    given = x.clone()
    job = job_of(Says(torch.zeros(50, 3)), token_dropout=0.2, masks=slice(2, 4))
    torch.manual_seed(0)
    job.loss(batch | {"x": x}, None)
    seen = job.model.seen["x"]
    assert torch.equal(x, given)
    assert torch.equal(seen[..., [0, 1, 4]], given[..., [0, 1, 4]])
    there = given[..., 2:4] == 1
    assert (seen[..., 2:4][~there] == 0).all()
    assert seen[..., 2:4][there].mean().item() == pytest.approx(0.8, abs=0.04)
    job.model.eval()
    job.loss(batch | {"x": x}, None)
    assert torch.equal(job.model.seen["x"], given)


def test_smoothing_spreads_the_truth():
    logits, truth = [[2.0, 0.0, 0.0]], torch.tensor([0])
    batch = {"truth": truth, "lengths": torch.ones(1), "tokens": torch.ones(1, 1)}
    log_p = np.log(np.exp(logits[0]) / np.exp(logits[0]).sum())
    expected = -(0.7 * log_p[0] + 0.3 * log_p.mean())
    assert job_of(Says(logits), smoothing=0.3).loss(batch, None)[0].item() == pytest.approx(
        expected, rel=1e-5
    )
    several = batch | {"truth": torch.tensor([[1.0, 0.0, 0.0]])}
    costs = [np.log1p(np.exp(-2)), np.log(2), np.log(2)]
    expected = np.mean([0.85 * costs[0] + 0.15 * (costs[0] + 2), costs[1], costs[2]])
    assert job_of(Says(logits), smoothing=0.3).loss(several, None)[0].item() == pytest.approx(
        expected, rel=1e-5
    )
