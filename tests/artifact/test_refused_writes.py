"""The system refuses to write, or kills the process: the old folder or the new one stands there, and nothing else."""

import os
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest

from example_models import small_model
from grus.artifact import load_model, new_file, save_model
from grus.artifact.folder import CONFIG, WEIGHTS
from grus.errors import ModelFolderError
from limits import largest_file


@pytest.fixture
def saved(tmp_path):
    return save_model(tmp_path / "model", *small_model(fill=0.0))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder, model, reason, before=None):
    """Saving must fail with this reason, and leave what was there as it was, and nothing beside it."""
    with pytest.raises(ModelFolderError) as error:
        save_model(folder, *model, force=True)
    assert str(error.value) == f"{folder}: cannot be written: {reason}"
    assert error.value.hint == "nothing was changed there"
    assert [path.name for path in folder.parent.iterdir()] == ([folder.name] if before else [])
    if before:
        assert contents(folder) == before


def test_no_room_at_any_point_of_any_file(saved, tmp_path):
    before = contents(saved)
    largest = max(len(data) for data in before.values())
    for size in [0, 1, *range(97, largest, 397), largest - 1]:
        with largest_file(size):
            refused(saved, small_model(fill=1.0), "File too large", before)
    (tmp_path / "new").mkdir()
    with largest_file(largest - 1):
        refused(tmp_path / "new" / "model", small_model(), "File too large")
    with largest_file(largest):
        save_model(saved, *small_model(fill=1.0), force=True)
    assert contents(saved) != before


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="no /dev/full, a device without room, on this system"
)
@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_full_disk(saved, monkeypatch, name):
    before = contents(saved)

    def with_a_file_on_a_full_disk(**place):
        folder = saved.parent / ".model.full.tmp"
        folder.mkdir()
        (folder / name).symlink_to("/dev/full")
        return str(folder)

    monkeypatch.setattr("tempfile.mkdtemp", with_a_file_on_a_full_disk)
    refused(saved, small_model(fill=1.0), "No space left on device", before)


def test_no_room_for_the_report(saved):
    before = contents(saved)

    def report(folder):
        (folder / "report").mkdir()
        with new_file(folder / "report" / "index.html") as file:
            file.write(bytes(1 << 20))

    with largest_file(1 << 19), pytest.raises(ModelFolderError, match="cannot be written: File too large"):
        save_model(saved, *small_model(fill=1.0), force=True, extras=report)
    assert contents(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


@contextmanager
def without_privileges():
    """The superuser may write anywhere: be nobody for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_read_only_place(saved):
    # Where nobody gets to: pytest's own folders are the user's alone.
    outside = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    saved.rename(outside / "model")
    before = contents(outside / "model")
    outside.chmod(0o555)
    try:
        with without_privileges():
            refused(outside / "model", small_model(fill=1.0), "Permission denied", before)
            with pytest.raises(PermissionError) as error, new_file(outside / "answer.csv"):
                raise AssertionError("opened")
            assert error.value.filename == str(outside / "answer.csv")
    finally:
        outside.chmod(0o755)
        subprocess.run(["rm", "-r", str(outside)], check=True)


def test_a_place_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelFolderError) as error:
        save_model(tmp_path / "file" / "model", *small_model())
    assert str(error.value) == f"{tmp_path}/file: must be a folder to hold 'model', got a file"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "answer.csv"
    path.write_bytes(b"old")
    for size in (0, 10, 99_999):
        with (
            largest_file(size),
            pytest.raises(OSError, match="File too large") as error,
            new_file(path) as file,
        ):
            file.writelines([bytes(100)] * 1000)
        assert error.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as error, new_file(path):
        (tmp_path / "another").read_bytes()
    assert error.value.filename == str(tmp_path / "another"), "an error of another file keeps its name"
    assert [p.name for p in tmp_path.iterdir()] == ["answer.csv"]
    assert path.read_bytes() == b"old"


def test_what_a_library_makes_of_a_refused_write_is_undone(tmp_path):
    def torch_save(file):
        try:
            file.write(bytes(1 << 20))
        except OSError:
            raise RuntimeError("unexpected pos 768 vs 662") from None

    with largest_file(1000), pytest.raises(OSError, match="File too large"), new_file(tmp_path / "x") as file:
        torch_save(file)
    with pytest.raises(RuntimeError), new_file(tmp_path / "x") as file:
        raise RuntimeError("its own")
    assert not list(tmp_path.iterdir())


_KILLED = """
import os, random, signal, sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from example_models import small_model
from grus.artifact import load_model, save_model

folder, models, seen = Path({folder!r}), [small_model(fill=0.0), small_model(fill=1.0)], set()
random.seed(1)

def report(folder):
    (folder / "report").mkdir()
    for name in "abc":
        (folder / "report" / name).write_text(name * 1000)

save_model(folder, *models[0], extras=report)
begin = time.perf_counter()
save_model(folder, *models[1], force=True, extras=report)
usual = time.perf_counter() - begin
for trial in range(40):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"go")
        while True:
            for model in models:
                save_model(folder, *model, force=True, extras=report)
    os.read(reader, 2)
    time.sleep(random.uniform(0, 2 * usual))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    tensors = load_model(folder)[1]  # whole: the checksum in one file is that of the other
    seen |= {{float(v.flat[0]) for k, v in tensors.items() if k.startswith("main")}}
    assert len({{v.flat[0] for k, v in tensors.items() if k.startswith("main")}}) == 1, "a mixture"
    assert sorted(p.name for p in (folder / "report").iterdir()) == list("abc")
assert seen == {{0.0, 1.0}}, seen
"""


def test_killed_at_random_moments_of_saving(tmp_path):
    """SIGKILL, 40 times: what stands at the path is always whole, and the old folder or the new one."""
    code = textwrap.dedent(_KILLED).format(path=[p for p in sys.path if p], folder=str(tmp_path / "model"))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert load_model(tmp_path / "model")
