"""What is written in given pictures, read by PP-OCRv4 as `rapidocr-onnxruntime` ships it.

Words in a picture are words to the prompt policy: a photo of a slogan asks for what the slogan
says. The weights (Apache-2.0) lie in that package, which the extra `ocr` installs; they know
Chinese and the Latin alphabet, of accents and kana only some (docs/safety.md has what is read).
What is read is data: it is judged, and never done.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from worldreel.safety.reviewers import WRITING, Confidence, Finding

__all__ = ["TextReviewer", "installed"]

_SURE = 0.7
"""Confidence of a line from which it counts as read."""
_SAME = 6.0 / 255
"""Frames whose 64×64 means differ by less than this anywhere are read once."""
_LONGEST = 2_000


def installed() -> bool:
    """Whether the extra `ocr` is here."""
    return find_spec("rapidocr_onnxruntime") is not None


class TextReviewer:
    """Reads each frame that differs from the last one read.

    Raises ImportError without the package: a review that needs it fails, and shows nothing.
    """

    name = "text"
    version = "PP-OCRv4"

    def __init__(self, *, side: int = 640) -> None:
        """`side` is what a frame's shorter side is enlarged to, at least, for finding lines."""
        from rapidocr_onnxruntime import RapidOCR

        self._read: Any = RapidOCR(det_limit_side_len=side, intra_op_num_threads=1)

    def review(self, frames: Tensor) -> list[Finding]:
        """A finding of low confidence for each frame uint8 [n, H, W, 3] with writing in it."""
        found, last = [], None
        means = torch.nn.functional.adaptive_avg_pool2d(
            frames.permute(0, 3, 1, 2).float() / 255, 64
        )
        for number, frame in enumerate(frames):
            if last is not None and float((means[number] - last).abs().max()) < _SAME:
                continue
            last = means[number]
            lines, _ = self._read(frame.flip(2).contiguous().numpy())  # it wants blue first
            sure = [(str(text), float(score)) for _, text, score in lines or []]
            sure = [(text, score) for text, score in sure if score >= _SURE]
            if sure:
                found.append(
                    Finding(
                        frame=number,
                        category=WRITING,
                        confidence=Confidence.LOW,
                        score=min(1.0, min(score for _, score in sure)),
                        what=" ".join(text for text, _ in sure)[:_LONGEST],
                    )
                )
        return found
