"""Files and folders that appear whole or not at all, also across a power cut or SIGKILL."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from grus.errors import ModelFolderError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RENAME_SWAP_MACOS = 2


def sync(path: Path) -> None:
    """Flush a file, or a folder's own entries, so that a rename inside it survives a power cut."""
    if os.name != "posix" and path.is_dir():  # Windows cannot open a folder; its renames are journalled
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Watched(io.FileIO):
    """A file that keeps the error of a write: what fills it may make another of it (torch.save: a RuntimeError)."""

    failed: OSError | None = None

    def write(self, data: Any) -> int:
        """Write; see `io.FileIO`."""
        try:
            return super().write(data)
        except OSError as error:
            self.failed = error
            raise


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to fill; on success it is flushed and renamed over ``path``, on any error it is removed.

    Raises:
        OSError: the system refused to write; its ``filename`` is ``path``.
    """
    import tempfile  # here, like the others below: a process that only loads a model has no use for them (3 ms)

    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    watched = _Watched(handle, "wb")
    try:
        with io.BufferedWriter(watched) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        failed = error if isinstance(error, OSError) else watched.failed
        if failed is None or failed.errno is None or failed.filename not in (None, name):
            raise
        raise OSError(failed.errno, failed.strerror, str(path)) from error
    sync(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``, whole or not at all."""
    with new_file(path) as file:
        file.write(data)


@contextmanager
def new_folder(target: Path, force: bool = False) -> Iterator[Path]:
    """Yield an empty sibling folder to fill; on success it takes the place of ``target`` in one rename.

    An existing folder is exchanged in one system call where the file system can, so that at every moment the path
    holds the old folder or the new one. On any error the sibling is removed and ``target`` is as it was.

    Raises:
        ModelFolderError: if ``target`` exists and ``force`` is false, or if the folder cannot be written.
    """
    import shutil
    import tempfile

    refuse_existing(target, force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        yield work
        for folder, _, files in os.walk(work):
            for file in files:
                sync(Path(folder, file))
            sync(Path(folder))
        work.chmod(0o777 & ~_umask())
        refuse_existing(target, force)
        _put_in_place(work, target)
        sync(target.parent)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def refuse_existing(target: Path, force: bool) -> None:
    """Raise ModelFolderError if something stands at ``target`` that must not, or (without ``force``) may not go."""
    if target.parent.exists() and not target.parent.is_dir():
        raise ModelFolderError(f"{target.parent}: must be a folder to hold {target.name!r}, got a file")
    if not os.path.lexists(target):
        return
    if not force:
        raise ModelFolderError(
            f"{target}: already exists, and nothing is overwritten unasked",
            hint="name another folder with -o, or add --force to replace it",
        )
    if target.is_symlink() or not target.is_dir():
        raise ModelFolderError(f"{target}: must be a model folder to be replaced, got something else")
    if any(target.iterdir()) and not (target / "config.json").is_file():
        raise ModelFolderError(
            f"{target}: not a model folder (no config.json in it), so it is not replaced",
            hint="name another folder",
        )


def _put_in_place(work: Path, target: Path) -> None:
    if not target.exists():
        work.rename(target)
    elif not _exchange(work, target):
        # No atomic exchange here: between these two renames the path is empty, and the old folder is one rename away.
        import shutil

        aside = work.with_suffix(".old")
        target.rename(aside)
        work.rename(target)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two paths in one system call; False where the system or file system has no such call."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    a, b = os.fsencode(first), os.fsencode(second)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(a, b, ctypes.c_uint(_RENAME_SWAP_MACOS))
    elif hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, ctypes.c_uint(_RENAME_EXCHANGE))
    else:
        return False
    if failed and ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(second))
    return not failed


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _cannot_write(target: Path, error: OSError) -> ModelFolderError:
    return ModelFolderError(
        f"{target}: cannot be written: {error.strerror or error}", hint="nothing was changed there"
    )
