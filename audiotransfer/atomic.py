"""Atomic writing: files are written to a temporary neighbour and renamed; checks before that."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from audiotransfer.errors import AudioTransferError

_NAME = re.compile(r"\..+\.([0-9a-f]{8})-([0-9]+)\.part", re.DOTALL)
_LONGEST = 255  # bytes of a file's name, where the system does not say


def temporary_path(path: Path) -> Path:
    """Temporary neighbour of the file or folder `path` for this process: ``.NAME.HOST-PID.part``.

    HOST is a digest of the computer and its process namespace. A NAME with which this would be
    longer than the file system allows is replaced by its digest, unless it is too long itself.
    """
    end = f".{_host()}-{os.getpid()}.part"
    name = f".{path.name}{end}"
    longest = _longest(path.parent)
    if len(os.fsencode(path.name)) <= longest < len(os.fsencode(name)):
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}{end}"
    return path.with_name(name)


def clear_stale(folder: Path) -> None:
    """Remove the temporary files that killed processes of this computer left in a folder.

    Those of other computers, which may share the folder, are kept, since their processes cannot be
    checked. A running process with the number of a killed one protects its files.
    """
    for path in folder.glob(".*.part"):
        match = _NAME.fullmatch(path.name)
        if match and match[1] == _host() and not _alive(int(match[2])):
            _remove(path)


def clear_own(folder: Path) -> None:
    """Remove this process's temporary files in a folder."""
    for path in folder.glob(f".*.{_host()}-{os.getpid()}.part"):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # another user's
            path.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _host() -> str:
    # Computers may share a name, and copies of one its id. Containers have process namespaces of
    # their own, in which the same number is another process.
    facts = [platform.node()]
    with suppress(OSError):
        facts.append(Path("/etc/machine-id").read_text().strip())
    with suppress(OSError):
        facts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(facts).encode(errors="replace")).hexdigest()[:8]


def _longest(folder: Path) -> int:
    """Longest file name in bytes that the folder's file system allows."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows has none; no such folder
        return _LONGEST


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # os.kill would end the process on Windows
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def check_place(path: str | Path, overwrite: bool = False) -> None:
    """Raise AudioTransferError, before any work is done, where a file could not be written.

    That is a missing or read-only folder, an existing file without `overwrite`, a pipe or a device.
    """
    path = Path(path)
    check_regular(path)
    # os.path returns False where pathlib raises: for names that are too long
    if os.path.isdir(path):
        raise AudioTransferError(f"{path} is a folder; name a file to write")
    if os.path.lexists(path) and not overwrite:  # broken links count as existing
        raise AudioTransferError(
            f"{path} exists; choose another name or allow overwriting it (overwrite=True)"
        )
    if not os.path.isdir(path.parent):
        raise AudioTransferError(f"{path.parent} is not a folder; make it, or write elsewhere")
    part = temporary_path(path)
    try:
        part.touch()
        part.unlink()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioTransferError(
            f"{path} cannot be written ({reason}); choose another place"
        ) from None


def check_regular(path: str | Path) -> None:
    """Raise AudioTransferError for a pipe or a device, which a file would replace."""
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise AudioTransferError(f"{path} is a pipe or a device and no file; name a file to write")


def write_bytes(path: str | Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write a file atomically. Raises AudioTransferError as `check_place` does."""
    path = Path(path)
    check_place(path, overwrite)
    clear_stale(path.parent)
    part = temporary_path(path)
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        raise AudioTransferError(
            f"{path} cannot be written ({error.strerror or error}); choose another place"
        ) from None
    finally:
        part.unlink(missing_ok=True)
