"""The process in which reviewers run, and the other end of its pipe.

The parent writes a line of JSON, then raw pixels; the child answers with a line of JSON. Nothing
else goes between them: no pickle, no shared state. Every exchange has a limit of wall-clock time.
Whatever goes wrong there (no such reviewer, an exception, a crash, an answer that makes no sense,
too much time) comes out here as `ReviewFailedError`, and the process is ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from worldreel.safety.reviewers import FACTORIES, Confidence, Finding, Reviewer

__all__ = ["ReviewFailedError", "Use", "Worker", "main"]

# The import path is ours, not what a file beside the user's clip may be called.
_CHILD = """
import sys
sys.path[:] = sys.argv.pop().split("\\n")
from worldreel.safety.worker import main
main()
"""


class ReviewFailedError(Exception):
    """A review did not come to an end; the text says why. Never shown as an error: it refuses."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """A reviewer to be used: a short name of ours or `package.module:name`, and its settings."""

    factory: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Reviewer:
        """The reviewer; any exception that its making raises."""
        module, _, name = FACTORIES.get(self.factory, self.factory).partition(":")
        reviewer: Reviewer = getattr(import_module(module), name)(**self.settings)
        return reviewer


class Worker:
    """A process that makes the reviewers `uses` and keeps them; it starts at once, so that they
    load while something else goes on."""

    def __init__(self, uses: Sequence[Use]) -> None:
        self.versions: dict[str, str] = {}
        ours = "\n".join(p for p in sys.path if p)
        told = json.dumps([asdict(use) for use in uses])
        try:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                [sys.executable, "-P", "-c", _CHILD, told, ours],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._process = None

    def ready(self, *, seconds: float) -> None:
        """Wait until the reviewers are made; sets `versions`. Raises `ReviewFailedError`."""
        if not self.versions:
            answer = self._exchange(None, seconds)
            versions = answer.get("ready")
            if not isinstance(versions, dict) or not versions:
                raise self._failed("a reviewer gave no name")
            self.versions = {str(k): str(v) for k, v in versions.items()}

    def review(
        self, frames: Tensor, *, seconds: float, without: Collection[str] = ()
    ) -> list[tuple[str, Finding]]:
        """What the reviewers, but those named in `without`, found in frames uint8 [n, H, W, 3],
        each with the reviewer's name.

        Raises `ReviewFailedError` after `seconds`, or if a reviewer fails.
        """
        found = self._exchange(frames, seconds, without).get("findings")
        try:
            assert isinstance(found, list)
            findings = [(str(one.pop("by")), _finding(one, len(frames))) for one in found]
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
            raise self._failed("a reviewer gave an answer that makes no sense") from None
        return findings

    def close(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError, ValueError):
                    pipe and pipe.close()
            process.wait()

    def _exchange(
        self, frames: Tensor | None, seconds: float, without: Collection[str] = ()
    ) -> dict[str, Any]:
        """Send `frames` (nothing if None) and wait for the answer."""
        process = self._process
        if process is None:
            raise ReviewFailedError("no reviewer is running")
        assert process.stdin is not None and process.stdout is not None
        answers: list[bytes] = []
        to, back = process.stdin, process.stdout
        talk = threading.Thread(
            target=_talk, args=(to, back, frames, sorted(without), answers), daemon=True
        )
        talk.start()
        talk.join(seconds)
        if talk.is_alive():
            process.kill()  # which ends the talk, whatever it waits for
            talk.join()
            raise self._failed(f"the reviewers took more than {seconds:g} seconds")
        try:
            answer = json.loads(answers[0]) if answers else None
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._failed("the reviewers broke down")
        if "error" in answer:
            raise self._failed(str(answer["error"]))
        return answer

    def _failed(self, why: str) -> ReviewFailedError:
        self.close()
        return ReviewFailedError(why)


def _talk(
    to: IO[bytes], back: IO[bytes], frames: Tensor | None, without: list[str], answers: list[bytes]
) -> None:
    with suppress(OSError, ValueError):
        if frames is not None:
            pixels = frames.contiguous().numpy()
            told = {"shape": pixels.shape, "without": without}
            to.write(json.dumps(told).encode() + b"\n")
            to.write(pixels.data)
            to.flush()
        if line := back.readline():
            answers.append(line)


def _finding(told: dict[str, Any], frames: int) -> Finding:
    """A finding from the child's words; ValueError and its like if they make no sense."""
    finding = Finding(
        frame=int(told["frame"]),
        category=str(told["category"]),
        confidence=Confidence(told["confidence"]),
        score=float(told["score"]),
        what=str(told["what"]),
    )
    if not 0 <= finding.frame < frames or not 0 <= finding.score <= 1:
        raise ValueError("no such frame or score")
    return finding


def main() -> None:
    """The child: makes the reviewers that its last argument names, then answers until the end."""
    torch.set_num_threads(1)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a reviewer prints is no answer

    def say(answer: dict[str, Any]) -> None:
        target.write(json.dumps(answer).encode() + b"\n")
        target.flush()

    doing = "making the reviewers"
    try:
        reviewers = []
        for told in json.loads(sys.argv[-1]):
            doing = f"the reviewer {told['factory']} could not be made"
            reviewers.append(Use(**told).make())
        say({"ready": {one.name: one.version for one in reviewers}})
        while line := source.readline():
            told = json.loads(line)
            shape = told["shape"]
            raw = source.read(int(np.prod(shape)))
            if len(raw) < np.prod(shape):
                return  # the parent has gone
            pixels = torch.from_numpy(np.frombuffer(bytearray(raw), np.uint8).reshape(shape))
            findings = []
            for one in reviewers:
                if one.name in told["without"]:
                    continue
                doing = f"the reviewer {one.name} failed"
                # Each gets frames of its own: what one writes into them, another does not see.
                findings += [asdict(f) | {"by": one.name} for f in one.review(pixels.clone())]
            say({"findings": findings})
    except BaseException as error:
        say({"error": f"{doing} ({type(error).__name__})"})
