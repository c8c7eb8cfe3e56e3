"""What an upload is, found out where a broken one can do no harm, before its job is taken.

The same limited process that reads given clips for the command line looks at the file's header; it
starts in a fraction of a second and the server stays free of torch and of decoders.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from worldreel.errors import message
from worldreel.server.errors import invalid
from worldreel.server.orders import Source
from worldreel.video.reader import Task

__all__ = ["measure"]

_TIMEOUT = 30.0
_READER = """
import sys
sys.path[:] = sys.argv.pop().split("\\n")
from worldreel.video.reader import main
main()
"""


def measure(path: Path, *, param: str) -> Source:
    """The upload at `path` as a source; raises `ApiError` for what is no picture or video."""
    task = Task(kind="size", path=str(path))
    ours = "\n".join(p for p in sys.path if p)
    answer: Any = None
    # What cannot be measured has no answer: a crash, a time-out, no process to be had.
    with suppress(OSError, ValueError, subprocess.TimeoutExpired):
        ended = subprocess.run(
            [sys.executable, "-P", "-c", _READER, json.dumps(asdict(task)), ours],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT,
            check=False,
        )
        answer = json.loads(ended.stdout)
    if not isinstance(answer, dict) or "error" in answer:
        came = "the file cannot be read as a picture or video"
        told = message(came, "it is damaged or of an unknown kind")
        raise invalid(told, param=param, code="invalid_file")
    seconds = answer["seconds"]
    return Source(
        file=path.name,
        width=answer["width"],
        height=answer["height"],
        seconds=0.0 if seconds is None else seconds,
        moves=seconds != 0,
    )
