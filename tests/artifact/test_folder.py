"""The model folder: whole or not at all, and nothing that comes from outside is trusted."""

import hashlib
import json
import struct

import msgspec
import numpy as np
import pytest
import safetensors.numpy

from example_models import small_model
from grus.artifact import load_model, save_model
from grus.errors import ModelFolderError
from limits import most_seconds


@pytest.fixture
def saved(tmp_path):
    model, tensors = small_model()
    return save_model(tmp_path / "model", model, tensors)


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def write_config(folder, config):
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))


def refused(folder, sentence):
    with pytest.raises(ModelFolderError) as error:
        load_model(folder)
    assert sentence in str(error.value)


def test_what_is_saved_is_what_is_loaded(saved):
    model, tensors = small_model()
    again, numbers = load_model(saved)
    assert again == model
    assert numbers.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(numbers[name], value)
        assert numbers[name].dtype == value.dtype
        assert not numbers[name].flags.writeable


def test_an_existing_folder_stays_unless_forced(saved):
    model, tensors = small_model()
    before = (saved / "model.safetensors").read_bytes()
    with pytest.raises(ModelFolderError, match="already exists, and nothing is overwritten unasked"):
        save_model(saved, model, tensors)
    assert (saved / "model.safetensors").read_bytes() == before
    changed = {name: value + 1 if name.startswith("main") else value for name, value in tensors.items()}
    save_model(saved, model, changed, force=True)
    assert (saved / "model.safetensors").read_bytes() != before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_force_replaces_model_folders_only(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(ModelFolderError, match="not a model folder"):
        save_model(tmp_path / "thesis", *small_model(), force=True)
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelFolderError, match="must be a model folder to be replaced"):
        save_model(tmp_path / "file", *small_model(), force=True)


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path):
    def fail(folder):
        (folder / "report").mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_model(tmp_path / "model", *small_model(), extras=fail)
    assert list(tmp_path.iterdir()) == []


def test_wrong_tensors_are_not_saved(tmp_path):
    model, tensors = small_model()
    name = next(name for name in tensors if name.startswith("main"))
    for bad, sentence in (
        ({k: v for k, v in tensors.items() if k != name}, f"tensor '{name}' is missing"),
        (tensors | {name: tensors[name].astype(np.float64)}, f"tensor '{name}' must be float32"),
        (tensors | {"extra": np.zeros(1)}, "tensor 'extra' does not belong to this model"),
        (tensors | {name: tensors[name] * np.nan}, f"tensor '{name}' must be finite"),
    ):
        with pytest.raises(ModelFolderError, match=sentence.replace("[", r"\[")):
            save_model(tmp_path / "model", model, bad)
    assert list(tmp_path.iterdir()) == []


def test_foreign_and_missing_folders(tmp_path):
    refused(tmp_path / "nowhere", "no such model folder")
    refused(tmp_path, "not a model folder (no config.json in it)")
    write_config(tmp_path, {"architectures": ["BertModel"]})
    refused(tmp_path, "not a Grus model")
    write_config(tmp_path, "[1, 2]")
    refused(tmp_path, "not a Grus model")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not readable as JSON"),
        ('{"format": "grus-model", "schema": 1, "mod', "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        ('{"format": "grus-model", "format": "grus-model"}', "key 'format' stands twice"),
        ('{"format": "grus-model", "schema": 1, "model": "\\uD800"}', "surrogates not allowed"),
        ('{"format": "grus-model", "schema": 1, "model": "\\ud83d\\ude00"}', "Expected `object`, got `str`"),
        ('{"format": "grus-model", "schema": NaN}', "NaN is not a number of JSON"),
        (
            '{"format": "grus-model", "schema": 2}',
            "written by a newer Grus (schema 2; this one reads up to 1)",
        ),
        ('{"format": "grus-model", "schema": true, "model": {}}', "Object missing required field"),
        ('{"format": "grus-model", "schema": "1"}', "schema must be 1, got '1'"),
        ('{"format": "grus-model", "schema": 1, "code": "import os"}', "unknown field 'code'"),
        ('{"format": "grus-model", "schema": 1, "model": 3}', "Expected `object`, got `int`"),
    ],
)
def test_damaged_configs(saved, text, sentence):
    write_config(saved, text)
    refused(saved, sentence if "true" not in text else "config.json")


def test_a_key_that_stands_twice_among_many_is_found_at_once(saved):
    keys = ", ".join(f'"{number}": 0' for number in range(200_000))
    write_config(saved, f'{{{keys}, "199999": 0}}')
    with most_seconds(10):
        refused(saved, "key '199999' stands twice")


def test_not_utf8(saved):
    (saved / "config.json").write_bytes(b"\xff\xfe\x00garbage")
    refused(saved, "not readable as JSON")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda m: m["parts"]["main"]["nodes"].append({"name": "z", "op": {"op": "evil"}, "inputs": []}),
            "evil",
        ),
        (lambda m: m["parts"]["main"]["nodes"][0]["op"].update(size=10**30), "config.json"),
        (lambda m: m["parts"]["main"]["nodes"][0].update(unknown=1), "unknown"),
        (lambda m: m["task"].update(horizon=-1), "forecast: horizon must be a whole number from 1"),
        (lambda m: m["task"].update(horizon=1e400), "config.json"),
        (lambda m: m["preprocess"].append(m["preprocess"][0]), "each preprocessing step may stand once"),
    ],
)
def test_specs_that_do_not_hold_together(saved, change, sentence):
    config = config_of(saved)
    change(config["model"])
    write_config(saved, config)
    refused(saved, sentence)


def test_swapped_tensors_are_noticed(saved):
    """Two tensors of one shape exchanged: every name and shape is right, only the checksum tells."""
    tensors = safetensors.numpy.load_file(saved / "model.safetensors")
    a, b = "main.gru_0.bias_ih_l0", "main.gru_0.bias_hh_l0"
    tensors[a], tensors[b] = tensors[b], tensors[a]
    safetensors.numpy.save_file(tensors, saved / "model.safetensors")
    refused(saved, "does not belong to the config.json beside it (checksums differ)")


def rewrite(saved, tensors):
    """Write tensors and a checksum that fits them, as an attacker would."""
    data = safetensors.numpy.save(tensors)
    (saved / "model.safetensors").write_bytes(data)
    write_config(saved, config_of(saved) | {"weights_sha256": hashlib.sha256(data).hexdigest()})


def test_wrong_shapes_dtypes_names_and_values(saved):
    tensors = safetensors.numpy.load_file(saved / "model.safetensors")
    name = "main.gru_0.bias_ih_l0"
    for value, sentence in (
        (tensors[name][:-1], f"tensor '{name}' must be float32 [12], got float32 [11]"),
        (tensors[name].astype(np.float64), f"tensor '{name}' must be float32 [12], got float64 [12]"),
        (tensors[name].astype(np.float16), "its header is not that of a Grus model"),
        (np.full_like(tensors[name], np.inf), f"tensor '{name}' must be finite"),
    ):
        rewrite(saved, tensors | {name: value})
        refused(saved, sentence)
    rewrite(saved, {k: v for k, v in tensors.items() if k != name})
    refused(saved, f"tensor '{name}' is missing")


def test_truncated_and_oversized_tensor_files(saved):
    file = saved / "model.safetensors"
    whole = file.read_bytes()
    for cut in (0, 4, 8, 20, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with pytest.raises(ModelFolderError):
            load_model(saved)
    file.write_bytes(whole + b"\0")
    refused(saved, "truncated: must be")
    file.write_bytes(struct.pack("<Q", 10 << 30) + whole[8:])
    refused(saved, "truncated or foreign (a header of 10737418240 bytes")
    file.unlink()
    refused(saved, "model.safetensors is missing")


def test_random_bytes_never_do_more_than_raise(saved):
    """A byte changed anywhere: a typed error, never another exception, never a wrong model."""
    rng = np.random.default_rng(0)
    whole = {name: (saved / name).read_bytes() for name in ("config.json", "model.safetensors")}
    model, _ = load_model(saved)
    for trial in range(300):
        name = ("config.json", "model.safetensors")[trial % 2]
        data = bytearray(whole[name])
        data[rng.integers(len(data))] = rng.integers(256)
        (saved / name).write_bytes(data)
        try:
            again, _ = load_model(saved)
        except ModelFolderError:
            pass
        else:
            # What still loads differs in white space, or in a value of the spec that the weights do not depend on.
            assert again.tensors() == model.tensors()
        (saved / name).write_bytes(whole[name])


def test_a_model_says_which_tensors_it_has():
    model, tensors = small_model()
    assert {k: (v.dtype.name, v.shape) for k, v in tensors.items()} == model.tensors()
    assert msgspec.json.decode(msgspec.json.encode(model), type=type(model)) == model
