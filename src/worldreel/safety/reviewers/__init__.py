"""What looks at frames: a protocol, so that an operator adds his own beside ours.

A reviewer gets frames and says what it found in which, how surely. It is made by a *factory*, a
text `package.module:name`, in a process of its own (safety/worker.py), where a crash, a hang or a
leak of it harms nothing but the video, which is then not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from torch import Tensor

__all__ = ["FACTORIES", "WRITING", "Confidence", "Finding", "Reviewer"]

FACTORIES = {
    "nudity": "worldreel.safety.reviewers.nudity:NudityReviewer",
    "symbols": "worldreel.safety.reviewers.symbols:SymbolReviewer",
    "faces": "worldreel.safety.reviewers.faces:FaceReviewer",
    "text": "worldreel.safety.reviewers.text:TextReviewer",
}
"""Our own reviewers by short name."""
WRITING = "text"
"""The category of findings that say, in `what`, what is written in a frame. They refuse nothing:
who asked for the review judges the words."""


class Confidence(StrEnum):
    """How sure a reviewer is. One high or two middle ones stop a video; low is only told."""

    HIGH = "high"
    MIDDLE = "middle"
    LOW = "low"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found in one frame: `frame` is its place among the frames that were given (in an
    `Outcome`, its number in the video), `what` says it in a few words, `score` is in 0..1."""

    frame: int
    category: str
    confidence: Confidence
    score: float
    what: str = ""


@runtime_checkable
class Reviewer(Protocol):
    """Looks at frames uint8 [n, H, W, 3], sRGB, and says what it found in them."""

    name: str
    version: str

    def review(self, frames: Tensor) -> list[Finding]: ...
