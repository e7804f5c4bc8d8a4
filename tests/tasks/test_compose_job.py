"""Music as a training job: whole pieces from their beginning, in keys that fit, scored as the live model scores them."""

import numpy as np
import pytest
import torch

from grus.decode.music.composer import LiveComposer
from grus.errors import DataError
from grus.models import GraphModule
from grus.preprocess.music.codes import END, codes_of, shifts
from grus.preprocess.music.tokens import decode_tokens
from grus.spec import Generate, Model
from grus.tasks.compose_job import MusicJob
from grus.tasks.generate_networks import NetworkConfig, build_network
from music_cases import CHORALE, drawn_tokens

CODES = codes_of(CHORALE)


def pieces(count, seed=0, most=60):
    rng = np.random.default_rng(seed)
    return [drawn_tokens(CHORALE, rng.choice, int(rng.integers(10, most))) for _ in range(count)]


def module_of():
    torch.manual_seed(0)
    return GraphModule(
        build_network(NetworkConfig(hidden_size=8, layers=1, embedding_size=4), CHORALE.port())
    )


def job_of(train, validation=(), **options):
    allowed = options.pop("shifts", [range(1)] * len(train))
    more = {"batch_size": 3, "chunk": 16, "seed": 0, "min_steps": 1} | options
    return MusicJob(module_of(), train, validation, shifts=allowed, codes=CODES, **more)


def read(job, epoch):
    """Every piece of an epoch as it was shown and as it was asked for, put together from its chunks."""
    found, rows = [], []
    for step in range(job.steps(epoch)):
        batch = job.batch(epoch, step)
        before, targets = batch["tokens"], batch["targets"].reshape(batch["tokens"].shape)
        if batch["first"]:
            found += rows
            rows = [([], []) for _ in before]
            assert (before[:, 0] == END).all(), "a piece begins with nothing before it"
        for row, shown, wanted in zip(rows, before, targets, strict=True):
            count = int((wanted >= 0).sum())
            assert (wanted[count:] == -100).all()
            row[0].extend(shown[:count].tolist())
            row[1].extend(wanted[:count].tolist())
    return [*found, *rows]


def test_an_epoch_reads_every_piece_once_and_whole():
    train = pieces(10)
    job = job_of(train)
    for epoch in (0, 1):
        found = read(job, epoch)
        assert sorted(wanted for _, wanted in found) == sorted(tokens.tolist() for tokens in train)
        assert all(shown == [END, *wanted[:-1]] for shown, wanted in found)
    assert read(job, 0) != read(job, 1), "another order"
    assert read(job, 0) == read(job_of(train), 0), "a function of seed, epoch and step"
    assert read(job, 0) != read(job_of(train, seed=1), 0)


def test_few_pieces_are_read_several_times():
    train = pieces(2)
    job = job_of(train, min_steps=20)
    assert job.steps(0) >= 20
    assert len(read(job, 0)) % 2 == 0


def test_pieces_are_read_in_keys_that_keep_them_in_range():
    train = pieces(6)
    allowed = [shifts(tokens, CODES) for tokens in train]
    assert max(map(len, allowed)) > 2
    job = job_of(train, shifts=allowed)
    moves = set()
    for epoch in range(6):
        for _, wanted in read(job, epoch):
            piece = decode_tokens(wanted, CHORALE)  # raises where it is not well-formed
            starts = [(n.start, n.part, n.end) for n in piece.notes]
            source = next(
                tokens for tokens in train
                if [(n.start, n.part, n.end) for n in decode_tokens(tokens, CHORALE).notes] == starts
            )  # fmt: skip
            if piece.notes:
                moves.add(piece.notes[0].pitch - decode_tokens(source, CHORALE).notes[0].pitch)
    assert len(moves) > 2


def test_the_state_goes_from_chunk_to_chunk_and_never_to_another_piece():
    train = pieces(4)
    job = job_of(train, batch_size=2, chunk=7)
    job.model.eval()
    carry, nats, count = None, 0.0, 0
    for step in range(job.steps(0)):
        batch = {name: torch.as_tensor(value) for name, value in job.batch(0, step).items()}
        loss, carry = job.loss(batch, carry)
        known = int((batch["targets"] >= 0).sum())
        nats, count = nats + loss.item() * known, count + known
    alone = 0.0
    for tokens in train:
        given = torch.tensor([[END, *tokens[:-1].tolist()]])
        logits = job.model({"tokens": given})["logits"][0]
        wanted = torch.tensor(tokens).long()
        alone += torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item()
    assert count == sum(map(len, train))
    assert nats == pytest.approx(alone, rel=1e-5)


def test_validation_is_what_the_live_model_says_without_the_grammar():
    job = job_of(pieces(3), validation=pieces(20, seed=1))
    job.model.eval()
    with torch.no_grad():
        found = job.validate()["validation_loss"]
    weights = {f"main.{name}": values for name, values in job.model.tensors().items()}
    task = Generate("midi", len(CODES), END)
    live = LiveComposer(
        Model(1, task, (CHORALE,), {"main": job.model.graph}), weights | {"task.unigram": np.ones(len(CODES))}
    )
    scored = live.evaluate_tokens(pieces(20, seed=1))
    assert found == pytest.approx(scored.free_nats / scored.tokens, rel=1e-5)
    assert set(scored.floors) == {"unigram"}
    assert job_of(pieces(3)).validate() == {}


def test_nothing_to_learn_from():
    with pytest.raises(DataError, match="expected pieces to learn from, got none"):
        job_of([])
