"""Faces of people in what users upload, by MTCNN (mtcnn.py).

A video of a real person is that person's; it is made from an upload only where the operator says
that those who upload have their consent (`ReviewPolicy.faces_allowed`). Faces are found, not
recognised: nothing here knows who somebody is, and nothing is kept.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from worldreel.safety.mtcnn import load
from worldreel.safety.reviewers import Confidence, Finding

__all__ = ["FaceReviewer"]

_WEIGHTS = Path(__file__).parents[1] / "data" / "faces.safetensors"


class FaceReviewer:
    """Finds faces of at least `smallest` pixels; from `middle` and `high` on so sure."""

    name = "faces"
    version = "mtcnn-1"

    def __init__(self, *, smallest: float = 20.0, middle: float = 0.9, high: float = 0.99) -> None:
        self.smallest, self.middle, self.high = smallest, middle, high
        self._faces = load(_WEIGHTS)

    def review(self, frames: Tensor) -> list[Finding]:
        """A finding for each frame uint8 [n, H, W, 3] with a face: the surest."""
        found = []
        for number, frame in enumerate(frames):
            _, chances = self._faces.find(frame, smallest=self.smallest)
            if not len(chances):
                continue
            score = float(chances[0])
            confidence = Confidence.HIGH if score >= self.high else Confidence.MIDDLE
            found.append(
                Finding(
                    frame=number,
                    category="faces",
                    confidence=confidence if score >= self.middle else Confidence.LOW,
                    score=min(1.0, score),
                    what=f"{len(chances)} " + ("face" if len(chances) == 1 else "faces"),
                )
            )
        return found
