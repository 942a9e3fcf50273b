"""The private temporary folder of a server, removed when it ends and, after a kill, by the next."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

from audiotransfer.atomic import clear_stale, temporary_path
from audiotransfer.errors import AudioTransferError

_PRIVATE = 0o700
_ID_BYTES = 16


def new_id() -> str:
    """A random name that cannot be guessed, of 32 hexadecimal digits."""
    return secrets.token_hex(_ID_BYTES)


class Workspace:
    """A folder that only this user can read. A context manager; leaving it removes the folder.

    Its name holds the number of the process, by which the next server knows that it is left over.
    Raises AudioTransferError where it cannot be made, or somebody else owns its place.
    """

    def __init__(self, place: Path | None = None) -> None:
        parent = place or Path(tempfile.gettempdir()) / f"audiotransfer-{_user()}"
        try:
            parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            _check_owner(parent)
            clear_stale(parent)
            # A second server of one process, as in tests, has a folder of its own.
            self.folder = temporary_path(parent / f"serve-{secrets.token_hex(4)}")
            self.folder.mkdir(mode=_PRIVATE)
            self.cache = self.new_folder("cache")
        except OSError as error:
            raise AudioTransferError(
                f"no private folder can be made in {parent} ({error.strerror}); set TMPDIR to"
                " another place"
            ) from None

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def new_folder(self, name: str) -> Path:
        """A new folder in the workspace; ``name`` is the server's own, never a client's."""
        path = self.folder / name
        path.mkdir(mode=_PRIVATE)
        return path

    def remove(self) -> None:
        """Removes everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except OSError:  # removed meanwhile
                continue
    return total


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"


def _check_owner(folder: Path) -> None:
    """Raises AudioTransferError where others could put files into the folder."""
    if not hasattr(os, "getuid"):
        return
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
        raise AudioTransferError(f"{folder} belongs to somebody else; set TMPDIR to another place")
    if stat.S_IMODE(state.st_mode) & 0o077:
        folder.chmod(_PRIVATE)
