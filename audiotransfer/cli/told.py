"""What a user has been told before, and need not be told on every run."""

from __future__ import annotations

import hashlib
from pathlib import Path


def is_new(notice: str) -> bool:
    """Whether a notice was not told before; it counts as told from now on.

    What was told stands in the user's folder for the program's state; where nothing can be written
    there every notice is new.
    """
    import platformdirs

    name = hashlib.sha256(notice.encode(errors="replace")).hexdigest()[:16]
    path = Path(platformdirs.user_state_dir("audiotransfer")) / "told" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True
