"""The training job of a language model: every token is a target once, states go on, and validation is exact."""

import numpy as np
import pytest
import torch

from grus.errors import DataError, UsageError
from grus.models import GraphModule
from grus.models.adaptive import AdaptiveSoftmax
from grus.spec import Port
from grus.tasks import generate_networks
from grus.tasks.generate_job import LanguageJob
from grus.tasks.generate_networks import NetworkConfig, build_network, cutoffs

SIZE, BEGIN = 11, 1
CODES = np.random.default_rng(0).integers(1, SIZE, 203).astype(np.int32)


def job(train=CODES, validation=CODES[:50], softmax="full", **options):
    torch.manual_seed(0)
    config = NetworkConfig(hidden_size=5, embedding_size=4, dropout=0.2, softmax=softmax)
    module = GraphModule(build_network(config, Port("tokens", "tokens", SIZE, "src")))
    settings = {"begin": BEGIN, "streams": 3, "chunk": 16, "seed": 0, "min_steps": 1} | options
    return LanguageJob(module, train, validation, **settings)


def read(made, epoch):
    """Targets and inputs of an epoch by row, [streams, steps], and where passes begin."""
    batches = [made.batch(epoch, step) for step in range(made.steps(epoch))]
    rows = batches[0]["tokens"].shape[0]
    targets = np.concatenate([b["targets"].reshape(rows, -1) for b in batches], axis=1)
    return (
        targets,
        np.concatenate([b["tokens"] for b in batches], axis=1),
        [bool(b["first"]) for b in batches],
    )


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_an_epoch_is_the_text_in_streams_from_another_place(epoch):
    made = job()
    targets, inputs, first = read(made, epoch)
    assert targets.shape == (3, 203 // 3)
    assert first == [True, False, False, False, False]
    ring = np.concatenate([CODES, CODES])
    flat = targets.reshape(-1)
    offset = next(o for o in range(203) if np.array_equal(ring[o : o + 201], flat))
    before = np.concatenate([[BEGIN], CODES[:-1]])
    np.testing.assert_array_equal(np.concatenate([before, before])[offset : offset + 201], inputs.reshape(-1))


def test_batches_are_a_function_of_seed_and_epoch():
    first, again, other = job(), job(), job(seed=1)
    for name, value in first.batch(2, 3).items():
        np.testing.assert_array_equal(value, again.batch(2, 3)[name])
    assert (first.batch(2, 3)["targets"] != other.batch(2, 3)["targets"]).any()
    assert (first.batch(2, 3)["targets"] != first.batch(1, 3)["targets"]).any()


def test_a_short_text_is_gone_through_several_times_in_fewer_streams():
    made = job(train=CODES[:20], min_steps=5)
    targets, _, first = read(made, 0)
    assert made.steps(0) == 6  # one stream of 20 tokens, in chunks of 16 and 4
    assert first == [True, False] * 3
    assert targets.shape == (1, 60)
    with pytest.raises(DataError, match=r"^text: expected at least two tokens to learn from, got 1$"):
        job(train=CODES[:1])


def test_chunks_with_the_state_carried_are_the_whole():
    made = job()
    made.model.eval()
    whole = job(chunk=1000, streams=3)
    whole.model.load_state_dict(made.model.state_dict())
    whole.model.eval()
    tensors = lambda batch: {k: torch.as_tensor(v) for k, v in batch.items()}  # noqa: E731
    carry, total, count = None, 0.0, 0
    for step in range(made.steps(0)):
        batch = tensors(made.batch(0, step))
        loss, carry = made.loss(batch, carry)
        total, count = total + loss.item() * len(batch["targets"]), count + len(batch["targets"])
    # Streams are as long as the chunk asks; with one chunk for all there is one stream, so lay the same rows out.
    inputs = np.concatenate([made.batch(0, step)["tokens"] for step in range(made.steps(0))], axis=1)
    targets, _, _ = read(made, 0)
    outputs, _ = whole.model.run({"tokens": torch.from_numpy(inputs)})
    loss = torch.nn.functional.cross_entropy(
        outputs["logits"].flatten(0, 1), torch.from_numpy(targets).reshape(-1)
    )
    assert total / count == pytest.approx(loss.item(), rel=1e-5)


def test_a_pass_begins_from_nothing():
    made = job()
    made.model.eval()
    batch = {k: torch.as_tensor(v) for k, v in made.batch(0, 0).items()}
    state = {"layers": (torch.ones(3, 10),)}
    assert made.loss(batch, state)[0].item() == made.loss(batch, None)[0].item()
    later = {k: torch.as_tensor(v) for k, v in made.batch(0, 1).items()}
    assert made.loss(later, state)[0].item() != made.loss(later, None)[0].item()


def test_validation_counts_every_token_in_order(monkeypatch):
    made = job()
    made.model.eval()
    with torch.no_grad():
        found = made.validate()
        tokens = torch.from_numpy(np.concatenate([[BEGIN], CODES[:49]]).astype(np.int64))[None]
        logits = made.model({"tokens": tokens})["logits"][0]
        wanted = torch.nn.functional.cross_entropy(
            logits, torch.from_numpy(CODES[:50].astype(np.int64))
        ).item()
        assert found["validation_loss"] == pytest.approx(wanted, rel=1e-5)
        assert found["perplexity"] == pytest.approx(np.exp(wanted), rel=1e-5)
        monkeypatch.setattr("grus.tasks.generate_job._VALUES", 7 * SIZE)
        assert made.validate()["validation_loss"] == pytest.approx(wanted, rel=1e-5)
        assert job(validation=CODES[:0]).validate() == {}


@pytest.fixture
def adaptive(monkeypatch):
    """A job with an adaptive softmax over few tokens, whose module may not compute all of its outputs."""
    monkeypatch.setattr(generate_networks, "MIN_ADAPTIVE", SIZE)
    made = job(softmax="adaptive")
    made.model.eval()
    whole = AdaptiveSoftmax.forward

    def output(tokens):
        monkeypatch.setattr(AdaptiveSoftmax, "forward", whole)
        with torch.no_grad():
            return made.model({"tokens": torch.from_numpy(tokens)})["logits"].flatten(0, 1)

    def refused(self, inputs, lengths):
        raise AssertionError("all outputs were computed")

    monkeypatch.setattr(AdaptiveSoftmax, "forward", refused)
    return made, output


def test_an_adaptive_softmax_is_trained_by_the_clusters_of_the_targets(adaptive):
    made, output = adaptive
    batch = {k: torch.as_tensor(v) for k, v in made.batch(0, 0).items()}
    loss, after = made.loss(batch, None)
    loss.backward()
    assert all(parameter.grad is not None for parameter in made.model.parameters())
    second = {k: torch.as_tensor(v) for k, v in made.batch(0, 1).items()}
    later, _ = made.loss(second, after)
    tokens = np.concatenate([batch["tokens"], second["tokens"]], axis=1)
    whole = -output(tokens).view(3, 32, SIZE)
    for found, part, some in ((loss, whole[:, :16], batch), (later, whole[:, 16:], second)):
        wanted = part.flatten(0, 1).gather(1, some["targets"][:, None]).mean().item()
        assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_an_adaptive_softmax_is_validated_by_the_clusters_of_the_targets(adaptive, monkeypatch):
    made, output = adaptive
    monkeypatch.setattr("grus.tasks.generate_job._VALUES", 7 * SIZE)
    with torch.no_grad():
        found = made.validate()["validation_loss"]
    tokens = np.concatenate([[BEGIN], CODES[:49]]).astype(np.int64)[None]
    targets = torch.from_numpy(CODES[:50].astype(np.int64))[:, None]
    assert found == pytest.approx(-output(tokens).gather(1, targets).mean().item(), rel=1e-5)


def test_where_an_adaptive_softmax_is_cut():
    assert cutoffs(1_000) == (200,)
    assert cutoffs(10_001) == (2_000,)
    assert cutoffs(50_000) == (10_000,)
    assert cutoffs(50_001) == (10_000, 25_000)
    assert cutoffs(267_735) == (20_000, 133_867)
    with pytest.raises(
        UsageError, match=r"^softmax: adaptive must have at least 1,000 tokens to choose from, got 999$"
    ):
        cutoffs(999)
