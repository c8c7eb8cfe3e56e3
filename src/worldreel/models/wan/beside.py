"""What image-to-video networks are told beside the noisy latents.

    mask      4 channels, one for each frame of a group: 1 where it is known
    latents   of the known frames with mid-grey where nothing is known, encoded as one clip
    pictures  the first and, where it is given too, the last known frame, for the image encoder

They were trained with the first frame known, or the first and the last; given just these, they do
as they were published: the known frames are told here alone, and the network paints them itself.
Whatever else is known is told here *and* held while sampling.

Frames come as they were given, where they were given in pixels; what was made a moment ago is
decoded from its latents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from worldreel.codec.wan import GROUP
from worldreel.diffusion.known import Known
from worldreel.models.model import AnyCodec, View
from worldreel.video.pixels import shown, signed


@dataclass(frozen=True, kw_only=True)
class Told:
    """`channels` `[1, 4 + C, t, h, w]`, `pictures` uint8 `[H, W, 3]` (none, one or two), and what
    is left to be held, as `known`."""

    channels: Tensor
    pictures: tuple[Tensor, ...]
    known: Known


@torch.no_grad()
def told(view: View, codec: AnyCodec) -> Told:
    """What a network is told of a view; see the module's docstring."""
    known = view.known
    given = (known.start == 0)[0, 0]  # t h w
    whole, some = given.flatten(1).all(1).tolist(), given.flatten(1).any(1).tolist()
    frames = _frames(view, codec, some)
    alone = _as_trained(view, whole, some, frames)
    mask = given[None].repeat(GROUP, 1, 1, 1)
    if alone and some[-1] and len(some) > 1:
        mask[:-1, -1] = False
    video = _video(frames, mask, codec, first=view.first)
    if not view.first:
        video = torch.cat([video[:, :, :1], video], 2)
    latents, _ = codec.encode(video)
    latents = latents.to(known.latents)
    if not view.first:
        latents = latents[:, :, 1:]
    if alone:
        known = Known(latents=known.latents, start=torch.where(given, 1.0, known.start))
    else:
        latents = torch.where(given, known.latents, latents)
    return Told(
        channels=torch.cat([mask[None].to(latents), latents], 1),
        pictures=tuple(_pictures(frames, whole)),
        known=known,
    )


def _as_trained(
    view: View, whole: list[bool], some: list[bool], frames: Mapping[int, Tensor]
) -> bool:
    """Whether nothing is known but a first frame, or a first and a last one."""
    last = len(some) - 1
    if not (view.first and whole[0]) or any(some[1:last]):
        return False
    if not last or not some[last]:
        return True
    return whole[last] and bool((frames[last] == frames[last][:, :1]).all())


def _frames(view: View, codec: AnyCodec, some: list[bool]) -> dict[int, Tensor]:
    """The pixels `[3, 1 or 4, H, W]` in [-1, 1] of each latent frame in which anything is known."""
    latents, device = view.known.latents, view.known.latents.device
    found = {i: signed(view.pictures[i].to(device)) for i in view.pictures if some[i]}
    for low, high in _runs([known and i not in found for i, known in enumerate(some)]):
        decoded, _ = codec.decode(latents[:, :, low:high])
        parts = list(decoded[0, :, 1:].float().split(GROUP, 1))
        begin = decoded[0, :, :1].float()
        if low or not view.first:
            begin = begin.expand(-1, GROUP, -1, -1)
        found |= dict(enumerate([begin, *parts], low))
    return found


def _runs(wanted: list[bool]) -> Iterator[tuple[int, int]]:
    """[first, last) of each stretch."""
    first: int | None = None
    for i, want in enumerate([*wanted, False]):
        if want and first is None:
            first = i
        elif not want and first is not None:
            yield first, i
            first = None


def _video(frames: Mapping[int, Tensor], mask: Tensor, codec: AnyCodec, *, first: bool) -> Tensor:
    """The clip `[1, 3, T, H, W]`: known pixels, grey (0) elsewhere; `mask` `[4, t, h, w]`."""
    spatial = codec.config.spatial
    height, width = mask.shape[2] * spatial, mask.shape[3] * spatial
    parts = []
    for i in range(mask.shape[1]):
        count = 1 if i == 0 and first else GROUP
        part = torch.zeros(3, count, height, width, device=mask.device)
        if i in frames:
            seen = F.interpolate(mask[-count:, i].float()[None], scale_factor=spatial)[0]
            part = frames[i] * seen
        parts.append(part)
    return torch.cat(parts, 1)[None]


def _pictures(frames: Mapping[int, Tensor], whole: list[bool]) -> Iterator[Tensor]:
    """The first known frame, and the last one if that is the clip's end and unknown ones lie
    between."""
    where = [i for i, known in enumerate(whole) if known]
    if where:
        yield shown(frames[where[0]])[0]
        if where[-1] == len(whole) - 1 and where != list(range(where[0], len(whole))):
            yield shown(frames[where[-1]])[-1]
