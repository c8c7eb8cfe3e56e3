"""Reviewers for tests of the frame review: one that knows a harmless sprite, and broken ones."""

from __future__ import annotations

import os
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from worldreel.safety.reviewers import Confidence, Finding
from worldreel.world import atlas

FORBIDDEN = "penguin"


def sprite(side: int) -> Tensor:
    """The forbidden sprite, premultiplied rgba [4, side, side] in 0..1."""
    picture = atlas.load_sprites([FORBIDDEN], side=64)[0][0, :4]
    return F.interpolate(picture[None].float() / 255, (side, side), mode="area")[0]


class SpriteReviewer:
    """Finds the sprite wherever it stands, of any size and tint: the normalised correlation of
    each colour with it, under its own outline, is high only there."""

    name, version = "sprite", "1"

    def __init__(self, threshold: float = 0.865) -> None:
        self.threshold = threshold
        self.patterns = []
        for side in (11, 12, 13, 14, 15, 17, 18, 20, 22, 24, 26, 29, 32):
            rgba = sprite(side)
            mask = (rgba[3] > 0.5).float()
            colour = rgba[:3] / rgba[3].clamp_min(0.1)
            colour = (colour - (colour * mask).sum((1, 2), keepdim=True) / mask.sum()) * mask
            self.patterns.append((mask, colour / colour.square().sum((1, 2), keepdim=True).sqrt()))

    def review(self, frames: Tensor) -> list[Finding]:
        pictures = frames.permute(0, 3, 1, 2).float() / 255
        shrink = 96 / min(pictures.shape[2:])
        size = [round(s * shrink) for s in pictures.shape[2:]]
        pictures = F.interpolate(pictures, size, mode="bilinear", antialias=True)
        best = torch.zeros(len(frames))
        for mask, colour in self.patterns:
            window = mask.expand(3, 1, -1, -1)
            count = mask.sum()
            mean = F.conv2d(pictures, window, groups=3) / count
            power = F.conv2d(pictures.square(), window, groups=3) - count * mean.square()
            match = F.conv2d(pictures, colour[:, None], groups=3)
            score = (match / power.clamp_min(1e-3 * count).sqrt()).mean(1)
            best = torch.maximum(best, score.amax((1, 2)))
        return [
            Finding(frame=i, category="stand-in", confidence=Confidence.HIGH, score=float(score))
            for i, score in enumerate(best.clamp(0, 1))
            if score > self.threshold
        ]


class Corner:
    """Reads its findings off the first pixel: red high, green middle, blue low confidence."""

    name, version = "corner", "7"

    def review(self, frames: Tensor) -> list[Finding]:
        print("a reviewer may print what it likes")
        found = []
        for index, pixel in enumerate(frames[:, 0, 0].tolist()):
            for value, confidence in zip(pixel, Confidence, strict=True):
                if value > 200:
                    finding = Finding(
                        frame=index, category="corner", confidence=confidence, score=0.7
                    )
                    found.append(finding)
        return found


class Broken:
    """Fails in the way it is told."""

    name, version = "broken", "1"

    def __init__(self, how: str) -> None:
        self.how = how
        if how == "at birth":
            raise RuntimeError("not today")

    def review(self, frames: Tensor) -> list[Finding]:
        match self.how:
            case "raises":
                raise KeyError("something is missing")
            case "dies":
                os._exit(3)
            case "hangs":
                time.sleep(600)
        # It lies: there is no such frame.
        return [Finding(frame=99, category="x", confidence=Confidence.LOW, score=0.5)]
