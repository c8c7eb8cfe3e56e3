"""Tasks for a process of its own: files of strangers and servers of others can do no harm here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

__all__ = ["BROKEN", "TIMEOUT", "answers"]

TIMEOUT = 120.0
"""Seconds that all tasks of one call may take together."""
BROKEN = "it broke the reader: it is damaged or needs too much memory or time"
"""The error of a task that was never answered."""
# The import path is ours, not what a file beside the user's may be called.
_WORKER = """
import sys
sys.path[:] = sys.argv.pop().split("\\n")
from worldreel.provenance.worker import main
main()
"""


def answers(
    tasks: Sequence[Mapping[str, Any]], *, timeout: float = TIMEOUT
) -> list[dict[str, Any]]:
    """An answer to each of the tasks (worker.py says what there are); one that never came has an
    entry "error"."""
    ours = "\n".join(p for p in sys.path if p)
    lines = "".join(json.dumps(task) + "\n" for task in tasks)
    output = b""
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-c", _WORKER, ours],
            input=lines.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
        output = ended.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    except OSError:
        pass
    found: list[dict[str, Any]] = []
    for line in output.splitlines()[: len(tasks)]:
        with suppress(ValueError):
            answer = json.loads(line)
            if isinstance(answer, dict):
                found.append(answer)
    return found + [{"error": BROKEN}] * (len(tasks) - len(found))
