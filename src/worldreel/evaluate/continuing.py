"""What was given, what follows from it, and the joins between: the figures of known frames.

given frames     PSNR of what was given, as the result shows it, minus the codec's own PSNR
                 of the same frames; outside a masked region latents equal bit for bit
settled motion   PSNR of the made frames against the truth, minus that of the best guess
                 without a model: the nearest known frame held, or both sides cross-faded.
                 Both against the codec's reconstruction of the truth (which is what a model
                 of latents aims at) and against the truth itself.
direction        the made frames look most like the truth going on forward, among the truth
                 at seven speeds from full backward to full forward (`steady.best_speed`)
seams            the frame difference at a join over the median of all others in the video
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from worldreel import tasks
from worldreel.canvas import Canvas, lay_out
from worldreel.evaluate.figures import (
    Exam,
    Figure,
    changes,
    mean,
    middle,
    psnr,
    reconstructed,
    share,
)
from worldreel.evaluate.prompts import sentence, visible
from worldreel.evaluate.steady import best_speed, held_out, settled, steady
from worldreel.request import KnownClip, Request
from worldreel.video import Video
from worldreel.world.scene import Scene

__all__ = ["given_and_settled", "masked", "seams", "stills"]

GIVEN, MADE = 2.0, 1.0
"""Seconds of a clip that are given and that are to be made."""
_LOSS, _GAIN, _SEAM = -0.3, 2.0, 1.2


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A scene's truth, and what a task made of a part of it."""

    scene: Scene
    truth: Video
    again: Tensor
    """The truth after the codec."""
    seed: int

    @property
    def prompt(self) -> str:
        return sentence(self.scene, np.random.default_rng([self.scene.seed, 5]))


@dataclass
class _Seams:
    """Joins over what is usual in their video, and over what is usual between the codec's
    groups: a causal codec changes more there, seam or no seam."""

    ratios: list[float] = field(default_factory=list)
    borders: list[float] = field(default_factory=list)

    def add(self, frames: Tensor, joins: list[int], group: int, *, loops: bool = False) -> None:
        self.ratios += _at_joins(frames, joins, loops=loops)
        self.borders += _at_joins(frames, joins, loops=loops, every=group)


@dataclass
class _Tally:
    """What is gathered about one task over all cases."""

    losses: list[float] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    raw_gains: list[float] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    seams: _Seams = field(default_factory=_Seams)
    codec_seams: list[float] = field(default_factory=list)
    """What the codec's reconstruction of the truth has in the same places."""


def laid_out(exam: Exam, request: Request) -> Canvas:
    """The canvas that the generator makes of a request at a native size."""
    assert request.width is not None and request.height is not None
    assert request.seconds is not None
    return lay_out(exam.model, request, (request.width, request.height), request.seconds)


def known_frames(canvas: Canvas, group: int) -> Tensor:
    """Bool `[frames]`: for each frame of the result, whether it was given."""
    at = torch.arange(canvas.frames) + canvas.first
    return ~torch.tensor(canvas.unknown)[(at + group - 1) // group]


def given_and_settled(exam: Exam, *, clips: int) -> list[Figure]:
    """Extension forward and backward and fill on `clips` steady scenes of each."""
    tallies = {name: _Tally() for name in ("extend", "extend before", "fill")}
    for number, case in enumerate(_cases(exam, clips)):
        exam.progress("extend and fill", number, clips)
        _extend(exam, case, tallies["extend"])
        _before(exam, case, tallies["extend before"])
        _fill(exam, case, tallies["fill"])
    exam.progress("extend and fill", clips, clips)
    found = [_loss(name, tally.losses) for name, tally in tallies.items()]
    kept = tallies["fill"].kept
    note = "the others share a group with frames to be made"
    found.append(
        Figure(group="given", name="fill: given frames that stay known", value=share(kept),
               unit="%", n=len(kept), note=note)
    )  # fmt: skip
    for name, tally in tallies.items():
        found.append(
            Figure(group="settled", name=f"{name}: gain over the best guess",
                   value=mean(tally.gains), unit="dB", n=len(tally.gains), target=_GAIN,
                   note="against the truth after the codec")
        )  # fmt: skip
        found.append(
            Figure(group="settled", name=f"{name}: the same against the truth itself",
                   value=mean(tally.raw_gains), unit="dB", n=len(tally.raw_gains))
        )  # fmt: skip
    speeds = tallies["extend"].speeds + tallies["extend before"].speeds
    forward = [speed > 0 for speed in speeds]
    note = f"by matching the truth at seven speeds; median {middle(speeds)} of its own"
    found.append(
        Figure(group="settled", name="motion goes on in its direction", value=share(forward),
               unit="%", n=len(forward), target=95, note=note)
    )  # fmt: skip
    after, before = tallies["extend"].seams, tallies["extend before"].seams
    joins = _Seams(ratios=after.ratios + before.ratios, borders=after.borders + before.borders)
    usual = tallies["extend"].codec_seams + tallies["extend before"].codec_seams
    note = f"{middle(usual)} in the codec's reconstruction of the truth"
    return [*found, *_seam("extend", joins, note)]


def _cases(exam: Exam, count: int) -> list[_Case]:
    long = round((GIVEN + MADE) * exam.fps)
    times = np.arange(long) / exam.fps
    cases: list[_Case] = []
    for scene in held_out(exam.world):
        if len(cases) == count:
            break
        size = exam.size(len(cases))
        moving = scene.actors[0].behaviour not in ("idle", "float") or len(cases) % 2
        if moving and steady(scene, times, size[0] / size[1]):  # or pans would be nearly all
            truth = exam.clip(scene, size, long)
            again = reconstructed(exam.model, truth)
            cases.append(_Case(scene=scene, truth=truth, again=again, seed=scene.seed))
    return cases


def _size(case: _Case) -> tuple[int, int]:
    return case.truth.width, case.truth.height


def _extend(exam: Exam, case: _Case, tally: _Tally) -> None:
    given = case.truth[:GIVEN]
    request = tasks.extend(
        KnownClip(clip=given), case.prompt, seconds=MADE, **exam.settings(case.seed, _size(case))
    )
    made, join = exam.make(request).frames, len(given)
    own = reconstructed(exam.model, given)
    tally.losses.append(psnr(made[:join], given.frames) - psnr(own, given.frames))
    truth = case.truth.frames[join:]
    held, held_again = (f[join - 1 : join].expand_as(truth) for f in (given.frames, case.again))
    _gain(tally, made[join:], truth, case.again[join:], [held], [held_again])
    if settled(case.scene):
        tally.speeds.append(best_speed(made[join:], case.again, join))
    tally.seams.add(made, [join], exam.model.codec.config.temporal)
    tally.codec_seams += _at_joins(case.again, [join])


def _before(exam: Exam, case: _Case, tally: _Tally) -> None:
    given = case.truth[MADE:]
    request = tasks.extend(
        KnownClip(clip=given),
        case.prompt,
        seconds=MADE,
        before=True,
        **exam.settings(case.seed, _size(case)),
    )
    made = exam.make(request).frames
    known = known_frames(laid_out(exam, request), exam.model.codec.config.temporal)
    join = int(known.int().argmax())  # given clips are moved to where a group begins
    shown = given.frames[: len(made) - join]
    own = reconstructed(exam.model, given)[: len(shown)]
    tally.losses.append(psnr(made[join : join + len(shown)], shown) - psnr(own, shown))
    new = min(join, len(case.truth) - len(given))
    part, offset = made[join - new : join], len(case.truth) - len(given) - new
    truth = case.truth.frames[offset : offset + new]
    again = case.again[offset:]
    held, held_again = given.frames[:1].expand_as(truth), again[new : new + 1].expand_as(truth)
    _gain(tally, part, truth, again[:new], [held], [held_again])
    if settled(case.scene):  # the same question with time turned round
        turned = case.again.flip(0)
        tally.speeds.append(best_speed(part.flip(0), turned, len(turned) - offset - new))
    tally.seams.add(made, [join], exam.model.codec.config.temporal)
    tally.codec_seams += _at_joins(case.again, [offset + new])


def _fill(exam: Exam, case: _Case, tally: _Tally) -> None:
    fps, whole = exam.fps, len(case.truth)
    start = (whole / fps - MADE) / 2 + case.seed % 4 / fps  # people do not know of groups
    a, b = round(start * fps), round((start + MADE) * fps)
    request = tasks.fill(
        KnownClip(clip=case.truth),
        case.prompt,
        start=start,
        end=start + MADE,
        **exam.settings(case.seed, _size(case)),
    )
    made = exam.make(request).frames
    known = known_frames(laid_out(exam, request), exam.model.codec.config.temporal)
    given = torch.ones(whole, dtype=torch.bool)
    given[a:b] = False
    tally.kept += known[given].tolist()
    shown = given & known
    truth = case.truth.frames
    tally.losses.append(psnr(made[shown], truth[shown]) - psnr(case.again[shown], truth[shown]))
    _gain(tally, made[a:b], truth[a:b], case.again[a:b], _guesses(truth, a, b),
          _guesses(case.again, a, b))  # fmt: skip


def _guesses(frames: Tensor, a: int, b: int) -> list[Tensor]:
    """Frames [a, b) without a model: the nearest of both sides, and a cross-fade."""
    before, after = frames[a - 1].float(), frames[b].float()
    share_after = (torch.arange(1, b - a + 1) / (b - a + 1))[:, None, None, None]
    nearest = torch.where(share_after > 0.5, after, before)
    return [nearest, before + share_after * (after - before)]


def _gain(
    tally: _Tally,
    made: Tensor,
    truth: Tensor,
    again: Tensor,
    raw_guesses: list[Tensor],
    guesses: list[Tensor],
) -> None:
    best = max(psnr(guess, again) for guess in guesses)
    tally.gains.append(psnr(made, again) - best)
    best = max(psnr(guess, truth) for guess in raw_guesses)
    tally.raw_gains.append(psnr(made, truth) - best)


def _at_joins(
    frames: Tensor, joins: list[int], *, loops: bool = False, every: int = 1
) -> list[float]:
    """Frame differences at `joins` (first frames after them) over the median of all others, or
    of those that lie a multiple of `every` frames away."""
    ring = torch.cat([frames, frames[:1]]) if loops else frames
    change = changes(ring)
    where = torch.tensor([join - 1 for join in joins] + ([len(change) - 1] if loops else []))
    place = torch.arange(len(change))
    found = []
    for i in where:
        inside = ((place - i) % every == 0) & ~torch.isin(place, where)
        usual = change[inside] if bool(inside.any()) else change
        found.append(float(change[i] / usual.median().clamp_min(1e-3)))
    return found


def _seam(name: str, found: _Seams, note: str = "") -> list[Figure]:
    count = len(found.ratios)
    return [
        Figure(group="seams", name=f"{name}: median seam over the usual change",
               value=middle(found.ratios), unit="×", n=count, target=_SEAM, at_least=False,
               note=note),
        Figure(group="seams", name=f"{name}: the same over the usual change between groups",
               value=middle(found.borders), unit="×", n=count),
        Figure(group="seams", name=f"{name}: seams of at most 1.2",
               value=share([ratio <= _SEAM for ratio in found.ratios]), unit="%", n=count),
    ]  # fmt: skip


def _loss(name: str, losses: list[float]) -> Figure:
    return Figure(
        group="given",
        name=f"{name}: PSNR minus the codec's own",
        value=mean(losses),
        unit="dB",
        n=len(losses),
        target=_LOSS,
    )


def plain_scenes(exam: Exam, count: int, fits: Callable[[Scene], bool] = visible) -> list[Scene]:
    """`count` held-out scenes of one actor that is in view."""
    scenes = (s for s in held_out(exam.world) if len(s.actors) == 1 and fits(s))
    return list(islice(scenes, count))


def stills(exam: Exam, *, clips: int) -> list[Figure]:
    """A picture at the beginning, and the same in mid-video: does the result show it?"""
    losses: dict[float, list[float]] = {0.0: [], 1.0: []}
    for number, scene in enumerate(plain_scenes(exam, clips)):
        exam.progress("animate", number, clips)
        size = exam.size(number)
        still = exam.clip(scene, size, 1, start=1.0)
        own = psnr(reconstructed(exam.model, still), still.frames)
        prompt = sentence(scene, np.random.default_rng([scene.seed, 5]))
        for at, found in losses.items():
            request = tasks.animate(
                [KnownClip(clip=still, at=at)], prompt, seconds=2.0,
                **exam.settings(scene.seed, size),
            )  # fmt: skip
            shown = exam.make(request).frames
            known = known_frames(laid_out(exam, request), exam.model.codec.config.temporal)
            found.append(psnr(shown[known], still.frames.expand_as(shown[known])) - own)
    exam.progress("animate", clips, clips)
    return [_loss("animate", losses[0.0]), _loss("animate at 1 s", losses[1.0])]


def masked(exam: Exam, *, clips: int) -> list[Figure]:
    """A quarter of the picture is filled: is everything outside the same, bit for bit?"""
    cells, same = 0, 0
    spatial, patch = exam.model.codec.config.spatial, exam.model.patch
    for number, scene in enumerate(plain_scenes(exam, clips)):
        exam.progress("fill a region", number, clips)
        size = exam.size(number)
        clip = exam.clip(scene, size, round(GIVEN * exam.fps))
        mark = np.zeros((size[1], size[0]), bool)
        mark[size[1] // 4 : size[1] // 2 + 1, size[0] // 3 : 2 * size[0] // 3] = True
        prompt = sentence(scene, np.random.default_rng([scene.seed, 5]))
        request = tasks.fill(
            KnownClip(clip=clip, unknown=mark), prompt, **exam.settings(scene.seed, size)
        )
        latents = getattr(exam.make(request).latents, "tensor", None)
        given = laid_out(exam, request).latents.cpu().half()
        assert latents is not None and latents.shape == given.shape
        high, wide = spatial * patch[1], spatial * patch[2]
        touched = torch.from_numpy(mark).unfold(0, high, high).unfold(1, wide, wide).any(3).any(2)
        outside = ~touched.repeat_interleave(patch[1], 0).repeat_interleave(patch[2], 1)
        equal = (latents.cpu() == given).all(1)[0]
        cells += int(outside.sum()) * equal.shape[0]
        same += int((equal & outside).sum())
    exam.progress("fill a region", clips, clips)
    value = round(100 * same / cells, 4) if cells else None
    return [
        Figure(group="given", name="outside a masked region: latents bit-equal", value=value,
               unit="%", n=cells, target=100)
    ]  # fmt: skip


def seams(exam: Exam, *, clips: int) -> list[Figure]:
    """The joins of connect (two parts of one scene, two scenes in turn) and of loop."""
    connected, looped, group = _Seams(), _Seams(), exam.model.codec.config.temporal
    scenes = plain_scenes(exam, clips + 1)
    half = round(1.5 * exam.fps)
    for number, scene in enumerate(scenes[:clips]):
        exam.progress("connect and loop", number, clips)
        size = exam.size(number)
        settings = exam.settings(scene.seed, size)
        prompt = sentence(scene, np.random.default_rng([scene.seed, 5]))
        bridge = MADE + number % 4 / exam.fps  # people do not know of groups
        first = exam.clip(scene, size, half)
        other = scene if number % 2 == 0 else scenes[number + 1]
        second = exam.clip(other, size, half, start=2.5)
        request = tasks.connect(
            KnownClip(clip=first), KnownClip(clip=second), prompt, seconds=bridge, **settings
        )
        known = known_frames(laid_out(exam, request), exam.model.codec.config.temporal)
        made = exam.make(request).frames
        turns = (torch.nonzero(known[1:] != known[:-1])[:, 0] + 1).tolist()
        connected.add(made, turns, group)
        clip = exam.clip(scene, size, round(GIVEN * exam.fps))
        request = tasks.loop(KnownClip(clip=clip), prompt, seconds=bridge, **settings)
        looped.add(exam.make(request).frames, [len(clip)], group, loops=True)
    exam.progress("connect and loop", clips, clips)
    return [*_seam("connect", connected), *_seam("loop", looped)]
