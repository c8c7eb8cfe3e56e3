"""Characters: what is shown of a cast member is known to the model at moments before the video.

    time      −2·AWAY   −AWAY    0  1  2  3 …
              member 1  member 2 the video's own latent frames

A member is one latent frame, a group of four frames, with a text of its own. It is known (start
level 0) and never decoded: training knew the cast of a story in the same way, by a moment of the
shot before (`train/known.py`). Who it is reaches the video through self-attention alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast as typed

import torch
from torch import Tensor

from worldreel.decoding import encoded
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import Step
from worldreel.models.model import Model, View
from worldreel.request import Character
from worldreel.video import Video
from worldreel.video.fit import fit

__all__ = ["Remembered", "remember", "renamed"]


AWAY = 2.0
"""Latent frames between a member and the next, and the video. Measured on the shipped weights: at a
cut's 16 they hardly look at it (the video is the same to 39 dB), at 1 it is a frame that came just
before, and the place is taken from it too."""


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """Latents `[1, C, k, h, w]` of k cast members, and a text for each."""

    latents: Tensor
    texts: tuple[str, ...]

    def before(self, view: View, *, texts: int) -> View:
        """The view with the cast before it; the cast's texts come after its own `texts`."""
        k, known = len(self.texts), view.known
        start = torch.zeros_like(known.start[:, :, :1]).expand(-1, -1, k, -1, -1)
        whole = Known(
            latents=torch.cat([self.latents.to(known.latents), known.latents], 2),
            start=torch.cat([start, known.start], 2),
        )
        return View(
            known=whole,
            times=(*(-AWAY * (k - i) for i in range(k)), *view.times),
            shots=(*range(texts, texts + k), *view.shots),
            first=False,
            pictures={n + k: frames for n, frames in view.pictures.items()},
        )

    def noise(self, noise: Tensor) -> Tensor:
        """Noise with room for the cast, which needs none."""
        return torch.cat([torch.zeros_like(self.latents).to(noise), noise], 2)

    def without(self, step: Step) -> Step:
        """A step's latents without the cast."""
        k = len(self.texts)
        return replace(step, latents=step.latents[:, :, k:], clean=step.clean[:, :, k:])


@torch.no_grad()
def remember(
    model: Model, cast: Sequence[Character], native: tuple[int, int], *, how: str = "crop"
) -> Remembered | None:
    """The cast's latents at `native` (width, height) pixels; None if there is no cast.

    Of a clip the four frames in its middle are taken, a still is held for four.
    """
    if not cast:
        return None
    group, parts = model.codec.config.temporal, []
    for member in cast:
        clip = typed("Video", member.known.clip)
        if len(clip) > 1 and clip.fps != model.settings.fps:
            clip = clip.resample(model.settings.fps)
        frames = fit(clip, *native, how=how)[0].frames
        first = max(0, (len(frames) - group) // 2)
        frames = frames[first : first + group]
        frames = torch.cat([frames, frames[-1:].expand(group - len(frames), -1, -1, -1)])
        parts.append(encoded(model.codec, frames, held=True))
    return Remembered(latents=torch.cat(parts, 2), texts=tuple(member.about for member in cast))


def renamed(text: str, cast: Sequence[Character]) -> str:
    """A prompt in which cast members are called what they are: no model knows their names."""
    for member in cast:
        called = re.compile(rf"(?<!\w)@?{re.escape(member.name)}(?!\w)", re.IGNORECASE)
        text = called.sub(lambda _, member=member: member.about or UNNAMED, text)  # type: ignore[misc]
    return text


UNNAMED = "it"
"""What a member is called of whom nothing is said."""
