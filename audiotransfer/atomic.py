"""Names of unfinished files, which say whose they are, and the removal of those left behind."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

_NAME = re.compile(r"\..+\.([0-9a-f]{8})-([0-9]+)\.part", re.DOTALL)
_LONGEST = 255  # bytes of a file's name, where the system does not say


def temporary_path(path: Path) -> Path:
    """Where this process writes the file or folder `path`: a neighbour, ``.NAME.HOST-PID.part``.

    HOST is a digest of the computer and of its table of processes. A NAME with which this would
    be longer than the file system allows is replaced by its digest, unless it is too long itself.
    """
    end = f".{_host()}-{os.getpid()}.part"
    name = f".{path.name}{end}"
    longest = _longest(path.parent)
    if len(os.fsencode(path.name)) <= longest < len(os.fsencode(name)):
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}{end}"
    return path.with_name(name)


def clear_stale(folder: Path) -> None:
    """Remove what killed runs of this computer left in a folder.

    What other computers write in a shared folder is left alone, since nobody here can tell whether
    they still do. A process that got the number of a killed one keeps its files until it ends.
    """
    for path in folder.glob(".*.part"):
        match = _NAME.fullmatch(path.name)
        if match and match[1] == _host() and not _alive(int(match[2])):
            _remove(path)


def clear_own(folder: Path) -> None:
    """Remove what this process left unfinished in a folder."""
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
    # Machines may share a name, and copies of one machine its id. Containers of one machine have
    # tables of processes of their own, in which the same number means another process.
    facts = [platform.node()]
    with suppress(OSError):
        facts.append(Path("/etc/machine-id").read_text().strip())
    with suppress(OSError):
        facts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(facts).encode(errors="replace")).hexdigest()[:8]


def _longest(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows has none; no such folder
        return _LONGEST


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # asking would end the process there
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
