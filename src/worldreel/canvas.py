"""The canvas: a request laid out in latent frames, with what is known in its place.

The codec packs the first frame alone and then four at a time, so what is given must be brought
onto that grid. The rules (docs/conditioning.md says why):

- A clip at the very beginning is moved so that it *ends* where a group ends: its first frame is
  held for up to three frames before it, which are cut off again from the result.
- A group is known if all of its frames are given. A single still in mid-clip is held for a group.
- Known groups that begin in mid-clip are encoded as a clip of their own, with their first frame
  held before it; that first latent frame is dropped. Nothing unknown is ever encoded.
- Videos that carry the latents they were decoded from are taken as they are: no second encoding.
- A part of the picture is unknown in whole patches: whatever patch the mark touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from worldreel.cast import Remembered, remember, renamed
from worldreel.decoding import DecodedFrames, encoded
from worldreel.holding import HELD, between, held, surprise
from worldreel.latents import Latents
from worldreel.models.embedded import EmbeddedModel
from worldreel.models.model import Model
from worldreel.request import KnownClip, Request
from worldreel.shapes import frames_of_latents, latent_of_frame, latent_shape
from worldreel.video import Video
from worldreel.video.fit import fit, fit_mask
from worldreel.video.source import picked

_CHANGED = 16.0
"""Mean difference, of 255, beyond which a picture is another (compression: below 5)."""


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Latents `[1, C, t, h, w]`, what level each position starts from `[1, 1, t, h, w]`, the text
    of each shot and the shot of each latent frame; of the decoded frames `frames` are the result,
    from `first` on. `pictures` are the frames uint8 `[1 or 4, H, W, 3]` of latent frames that were
    given in pixels. `held` says that what is given is held, not moved. `cast` are the members that
    every window remembers. `notes` say what was done to make given clips fit, a line each."""

    latents: Tensor
    start: Tensor
    texts: tuple[str, ...]
    shots: tuple[int, ...]
    first: int
    frames: int
    notes: tuple[str, ...] = ()
    held: bool = False
    pictures: Mapping[int, Tensor] = field(default_factory=dict)
    cast: Remembered | None = None

    @property
    def unknown(self) -> tuple[bool, ...]:
        """For each latent frame, whether anything in it is to be made."""
        return tuple((self.start.amax((0, 1, 3, 4)) > 0).tolist())


@dataclass(frozen=True, kw_only=True)
class _Placed:
    """A given clip at the native size and rate; `begin` is its first frame on the canvas."""

    known: KnownClip
    frames: Tensor
    begin: int
    latents: Latents | None
    marked: Tensor | None = None
    """Bool `[H, W]`: what of the fitted picture is to be made anew."""
    span: tuple[int, int] | None = None
    """Frames [a, b) of these that are to be made anew, or that part of them."""


@torch.no_grad()
def lay_out(
    model: Model, request: Request, native: tuple[int, int], seconds: float, *, how: str = "crop"
) -> Canvas:
    """The canvas of a request for a video of `seconds` at `native` (width, height) pixels.

    Args:
        how: given pictures of another aspect are brought to it, see `video.fit`.
    """
    fps, group = model.settings.fps, model.codec.config.temporal
    count = max(1, round(seconds * fps))
    placed, notes = [], []
    for known in request.known:
        one, note = _place(model, known, native, how)
        placed.append(one)
        notes += [note] if note and note not in notes else []
    asked = [_within(one, count) for one in placed]
    first = _lead(asked, group)
    placed = [_moved(one, first, group) for one in asked]
    end = first + count
    for before, after in zip(asked, placed, strict=True):
        end = _end(before, after, count, end)
    total = max([end, *(p.begin + len(p.frames) for p in placed)])
    whole = frames_of_latents(1 + latent_of_frame(total - 1, temporal=group), temporal=group)
    spatial, (width, height) = model.codec.config.spatial, native
    t, h, w = latent_shape(whole, height, width, temporal=group, spatial=spatial)
    latents = torch.zeros(1, model.codec.config.channels, t, h, w, device=model.device)
    start = torch.ones(1, 1, t, h, w, device=model.device)
    pictures: dict[int, Tensor] = {}
    for one in placed:
        _put(model, one, latents, start, ends=one.begin + len(one.frames) == total)
        pictures |= _pictures(one, group, t)
    strange = _strange(model, request, placed)
    if strange:
        _hold(model, placed, latents, start)
        notes.append("the model does not know such pictures, so it holds them (--steady off)")
    texts, shots = _shots(request, t, first, fps, group)
    cast = None
    if isinstance(model, EmbeddedModel):
        cast = remember(model, request.cast, native, how=how)
    elif request.cast:
        notes.append("this model cannot carry characters; it knows them by their words alone")
    return Canvas(
        latents=latents,
        start=start,
        texts=tuple(renamed(text, request.cast) for text in texts),
        shots=shots,
        first=first,
        frames=end - first,
        notes=tuple(notes),
        held=strange,
        pictures=pictures,
        cast=cast,
    )


def _place(
    model: Model, known: KnownClip, native: tuple[int, int], how: str
) -> tuple[_Placed, str]:
    clip = cast("Video", known.clip)
    fps = model.settings.fps
    native_clip = clip if clip.fps == fps or len(clip) == 1 else clip.resample(fps)
    ours = clip.latents is not None and clip.latents.native == native
    if ours:
        how = "stretch"  # as it was resampled from this very size: nothing is to be cut off
    fitted, note = fit(native_clip, *native, how=how)
    note = "" if ours else note
    if clip.fps != fps and len(clip) > 1:
        note = f"{note}; " if note else ""
        note += f"{clip.fps:g} frames a second became {fps:g}"
    latents = _own(model, clip, fitted.frames, native)
    marked = None
    if known.unknown is not None:
        marked = torch.from_numpy(fit_mask(known.unknown, *native, how=how).copy())
    begin = round(known.at * fps)
    span = None
    if known.span is not None:
        span = (round(known.span[0] * fps), round(known.span[1] * fps))
    one = _Placed(
        known=known,
        frames=fitted.frames,
        begin=begin,
        latents=latents,
        marked=marked,
        span=span,
    )
    return one, note


def _own(model: Model, clip: Video, frames: Tensor, native: tuple[int, int]) -> Latents | None:
    """The latents that a clip carries, if they are this model's and the clip still shows them:
    recipes survive cutting and painting in other programs, and then tell of another video."""
    latents = clip.latents
    if latents is None or not latents.fits(model.sha256, native) or latents.count != len(frames):
        return None
    shown = DecodedFrames(model.codec, latents.tensor.float().to(model.device),
                          first=latents.first, count=latents.count)  # fmt: skip
    ends = [0, latents.count - 1]
    changed = (picked(shown, ends).float() - frames[ends].float()).abs().mean((1, 2, 3))
    return latents if float(changed.max()) <= _CHANGED else None


def _within(one: _Placed, count: int) -> _Placed:
    """A still at the very end is the last frame, not the one after it."""
    return replace(one, begin=min(one.begin, count - 1)) if len(one.frames) == 1 else one


def _lead(placed: Sequence[_Placed], group: int) -> int:
    """Frames before the result's first, so that the first join lies between two groups: behind a
    clip at the beginning, before one that comes later, at the edge of a while to be filled."""
    if not placed:
        return 0
    one = min(placed, key=lambda p: p.begin)
    if len(one.frames) == 1:
        return 0
    if one.begin > 0:
        return ((1 if one.latents is None else one.latents.first) - one.begin) % group
    if one.latents is not None:
        return one.latents.first
    join = len(one.frames)
    if one.span is not None and one.marked is None:
        join = one.span[0] or one.span[1]
    return (1 - join) % group


def _end(asked: _Placed, placed: _Placed, count: int, end: int) -> int:
    """Where the result ends on the canvas: a clip that was to end it, or to come right after it,
    has moved by up to two frames, and the end with it."""
    if len(asked.frames) == 1 or asked.begin == 0:
        return end
    if abs(asked.begin + len(asked.frames) - count) <= 1:
        return placed.begin + len(placed.frames)
    return placed.begin if abs(asked.begin - count) <= 1 else end


def _moved(one: _Placed, first: int, group: int) -> _Placed:
    """The clip on the canvas: at its very beginning, or where a group begins."""
    begin, frames, span = one.begin + first, one.frames, one.span
    if one.begin == 0 and first and len(frames) > 1:
        frames = torch.cat([frames[:1].expand(first, -1, -1, -1), frames])
        if span is not None:
            span = (span[0] + first if span[0] else 0, span[1] + first)
        return replace(one, frames=frames, begin=0, span=span)
    if begin <= 0:
        return replace(one, begin=begin)
    if one.latents is not None:  # its groups onto the canvas's; the first, of one frame, is lost
        skipped = one.latents.first
        begin = max(0, round((begin - skipped) / group)) * group + skipped
    elif len(frames) == 1:  # a still is held for the group that it falls into
        begin = (begin - 1) // group * group + 1
        frames = frames.expand(group, -1, -1, -1)
    else:
        begin = max(0, round((begin - 1) / group)) * group + 1
    return replace(one, frames=frames, begin=begin)


def _put(model: Model, one: _Placed, latents: Tensor, start: Tensor, *, ends: bool) -> None:
    """Writes a clip's latents and levels into the canvas, where its groups are whole."""
    group, own = model.codec.config.temporal, one.latents
    given = torch.ones(len(one.frames), dtype=torch.bool)
    if one.span is not None and one.marked is None:
        given[one.span[0] : one.span[1]] = False
    for a, b in _stretches(given, one.begin, group, ends=ends or own is not None):
        low = latent_of_frame(one.begin + a, temporal=group)
        high = 1 + latent_of_frame(one.begin + b - 1, temporal=group)
        if own is not None:
            skipped = (one.begin - (own.first if one.begin else 0)) // group
            part = own.tensor[:, :, low - skipped : high - skipped].to(latents)
            high = low + part.shape[2]
        else:
            part = encoded(model.codec, one.frames[a:b], held=low > 0)
        latents[:, :, low:high] = part
        start[:, :, low:high] = _levels(model, one, low, high, start)


def _pictures(one: _Placed, group: int, count: int) -> dict[int, Tensor]:
    """The frames of each latent frame that a clip fills; a last group may be short: its last frame
    is held."""
    found = {}
    for i in range(count):
        low, high = (0, 1) if i == 0 else (group * (i - 1) + 1, group * i + 1)
        part = one.frames[max(0, low - one.begin) : max(0, high - one.begin)]
        if low >= one.begin and len(part):
            found[i] = torch.cat([part, part[-1:].expand(high - low - len(part), -1, -1, -1)])
    return found


def _strange(model: Model, request: Request, placed: Sequence[_Placed]) -> bool:
    """Whether what is given is to be held: asked for, or more surprising than the model's world."""
    known = [p for p in placed if p.known.noise_level == 0 and p.marked is None]
    if not known or request.steady is not None:
        return bool(known) and bool(request.steady)
    if not isinstance(model, EmbeddedModel) or model.settings.familiar is None:
        return False
    foreign = [p.frames[[0, len(p.frames) // 2, -1]] for p in known if p.known.foreign]
    if not foreign:
        return False
    return float(surprise(model, torch.cat(foreign)).mean()) > model.settings.familiar


def _hold(model: Model, placed: Sequence[_Placed], latents: Tensor, start: Tensor) -> None:
    """What is unknown starts from the given frames beside it, held, at a low noise level."""
    group, sides = model.codec.config.temporal, []
    for one in sorted(placed, key=lambda p: p.begin):
        for frame in sorted({0, len(one.frames) - 1}):
            index = max(0, latent_of_frame(one.begin + frame, temporal=group))
            sides.append((index, held(model, one.frames[frame])))
    for i in range(start.shape[2]):
        if bool((start[:, :, i] == 1).all()):
            latents[:, :, i : i + 1] = between(sides, i)
            start[:, :, i] = HELD


def _stretches(given: Tensor, begin: int, group: int, *, ends: bool) -> list[tuple[int, int]]:
    """[a, b) of each run of whole groups in which all frames are given; `begin` is the first
    frame's place on the canvas. A clip that `ends` the canvas may end in mid-group."""
    found: list[tuple[int, int]] = []
    place = 0
    while place < len(given):
        at = begin + place
        size = 1 if at == 0 else group - (at - 1) % group
        whole = at == 0 or (at - 1) % group == 0
        stop = place + size
        full = stop <= len(given) or ends
        stop = min(stop, len(given))
        if whole and full and bool(given[place:stop].all()):
            if found and found[-1][1] == place:
                found[-1] = (found[-1][0], stop)
            else:
                found.append((place, stop))
        place = stop
    return found


def _levels(model: Model, one: _Placed, low: int, high: int, start: Tensor) -> Tensor:
    """What level the latent frames [low, high) of a clip start from: `[1, 1, high-low, h, w]`."""
    level = torch.full_like(start[:, :, low:high], one.known.noise_level)
    if one.marked is None:
        return level
    patch, spatial = model.patch, model.codec.config.spatial
    cell = (patch[1] * spatial, patch[2] * spatial)
    touched = F.max_pool2d(one.marked.float()[None, None], cell)  # any patch the mark touches
    marked = F.interpolate(touched, start.shape[3:], mode="nearest")[:, :, None].to(level.device)
    during = torch.ones(high - low, device=level.device)
    if one.span is not None:
        group, (a, b) = model.codec.config.temporal, (n + one.begin for n in one.span)
        for i in range(low, high):
            first, last = (0, 1) if i == 0 else (group * (i - 1) + 1, group * i + 1)
            during[i - low] = float(first < b and a < last)
    return torch.maximum(level, marked * during[:, None, None])


def _shots(
    request: Request, frames: int, first: int, fps: float, group: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The shots' texts, and the shot of each latent frame: cuts lie where groups begin."""
    if not request.shots:
        return (request.prompt,), (0,) * frames
    cuts, second = [], 0.0
    for shot in request.shots[:-1]:
        second += shot.seconds
        cuts.append(1 + round((first + second * fps - 1) / group))
    return (
        tuple(shot.prompt for shot in request.shots),
        tuple(sum(cut <= i for cut in cuts) for i in range(frames)),
    )
