"""What a model is to the rest of the house: it reads prompts, and turns noise into latents.

The embedded model and open weights differ in how a network is told noise levels, in solvers,
experts and further channels. All of that lies behind `denoise`; the generator hands it a view (one
window of a video, with what is known in it) and gets steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from worldreel.codec.model import Codec
from worldreel.codec.wan import WanCodec
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import Around, Step

AnyCodec: TypeAlias = Codec | WanCodec
Text: TypeAlias = tuple[Tensor, Tensor]
"""Text states `[1, L, D]` of a prompt, and their mask `[1, L]`, true where there is a word."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a model makes when it is not told otherwise, and what it can make at all.

    `natives` are (width, height) in pixels, the favourite first; `longest` is in seconds, what is
    made in one window. Pictures from elsewhere that surprise it more than `familiar` are held
    (holding.py). `shift` is that of 2,048 latent numbers (`flow.shift_for`);
    `temperature` scales the noise that sampling starts from: below 1 a network that has not learned
    all of its latents' detail makes up less of it, and its shapes hold together. `negative` is the
    prompt that guidance leads away from if the user names none. With a `step` other sizes than the
    natives can be made too: whole multiples of it, in pixels a side, when such a size is asked for.
    `magnitudes` are what the cache "mag" goes by (`worldreel bench --magnitudes` measures them).
    """

    natives: tuple[tuple[int, int], ...]
    fps: float = 12.0
    seconds: float = 4.0
    longest: float = 4.0
    steps: int = 20
    guidance: float = 4.0
    shift: float = 2.0
    familiar: float | None = None
    temperature: float = 1.0
    negative: str = ""
    step: int | None = None
    magnitudes: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class View:
    """One window of a video, as a model sees it.

    Of its latent frames `times` are the moments, in latent frames (they jump at cuts and after
    memories), and `shots` says which of the texts each reads. `first` tells whether the window
    begins with the video's first latent frame, which is one frame where the others are four.
    `pictures` are the frames (uint8 `[1 or 4, H, W, 3]`) of those latent frames that were given in
    pixels, for networks that look at these as well.
    """

    known: Known
    times: tuple[float, ...]
    shots: tuple[int, ...]
    first: bool
    pictures: Mapping[int, Tensor] = field(default_factory=dict)


class Model(Protocol):
    """The parts of a model, ready to run; `sha256` names its weights."""

    @property
    def name(self) -> str: ...
    @property
    def codec(self) -> AnyCodec: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def sha256(self) -> str: ...

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    @property
    def patch(self) -> tuple[int, int, int]:
        """Latent positions (t, h, w) that a patch covers: they have one noise level."""
        ...

    def read(self, prompt: str) -> Text:
        """Text states of a prompt; "" is no prompt."""
        ...

    def denoise(
        self,
        view: View,
        texts: Sequence[Text],
        other: Text,
        noise: Tensor,
        *,
        steps: int,
        guidance: float,
        around: Around | None = None,
    ) -> Iterator[Step]:
        """From noise `[1, C, t, h, w]` to latents, a step at a time. Guidance leads away from the
        text `other`; `around` is put around the velocity, guidance included.

        What is known comes back untouched, but from networks that were trained to paint a given
        first (and last) frame themselves: those are given back as they see them (wan/beside.py).
        Raises `RequestError` for what the model cannot do.
        """
        ...
