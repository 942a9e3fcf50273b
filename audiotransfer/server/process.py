"""The main program of a worker process: reads tasks from standard input, reports on its output.

Run as ``python -m audiotransfer.server.process CACHE``, where stems and transcriptions are kept in
the folder CACHE. It ends with its standard input, so that it does not outlive a server that was
killed.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import warnings
from typing import Any

_CANCELLED = "cancel"


class Cancelled(Exception):
    """The server asked to stop the running task."""


class Reports:
    """The process's way to the server: one line of JSON a report."""

    def __init__(self) -> None:
        # What libraries print must not get between the reports.
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.cancelled: set[int] = set()
        """Numbers of tasks that are to be stopped."""
        self.task = 0
        """The number of the running task."""

    def send(self, **report: Any) -> None:
        """Sends a report, and raises Cancelled where the task is to be stopped."""
        self.put(report)
        self.check()

    def check(self) -> None:
        """Raises Cancelled where the task is to be stopped."""
        if self.task in self.cancelled:
            raise Cancelled

    def put(self, report: dict[str, Any]) -> None:
        """Sends a report."""
        self._file.write(json.dumps(report) + "\n")
        self._file.flush()


def main() -> None:
    """Does tasks until standard input ends."""
    reports = Reports()
    tasks: queue.Queue[dict[str, Any]] = queue.Queue()
    thread = threading.Thread(target=_listen, args=(reports, tasks), daemon=True)
    thread.start()
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.ERROR)
    from audiotransfer.pipeline.cache import VARIABLE

    os.environ[VARIABLE] = sys.argv[1]
    from audiotransfer.server import tasks as work  # imports torch, before a task is there

    while True:
        task = tasks.get()
        reports.task = task.pop("number")
        try:
            reports.put({"result": work.run(task, reports)})
        except Cancelled:
            reports.put({"cancelled": True})
        except work.EXPECTED as error:
            reports.put({"error": " ".join(str(error).split())})
        except Exception as error:
            logging.exception("a task failed")
            from audiotransfer.errors import failure

            reports.put({"error": failure(task.get("name", "the song"), error)})


def _listen(reports: Reports, tasks: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if _CANCELLED in message:
            reports.cancelled.add(message[_CANCELLED])
        else:
            tasks.put(message)
    os._exit(0)  # also in the middle of a task: nobody waits for it; its files are temporary


if __name__ == "__main__":
    main()
