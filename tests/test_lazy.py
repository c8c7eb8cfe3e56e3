"""Videos whose frames are made when asked; the oracle is the same video held in memory."""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from worldreel.errors import DurationError, MediaError, OutputError, SizeError
from worldreel.video import Video, contact_sheet, gif, source

RECIPE = {"prompt": "a red ball", "seed": 1}


class Made:
    """Frames that are a function of their number; knows how many of its pixels are in use."""

    def __init__(self, count: int, width: int = 64, height: int = 48, piece: int = 5) -> None:
        self.count, self.width, self.height, self.piece = count, width, height, piece
        self.made = self.alive = self.most = 0

    def __len__(self) -> int:
        return self.count

    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[Tensor]:
        last = self.count if last is None else min(last, self.count)
        for begin in range(first, last, self.piece):
            yield self._piece(begin, min(begin + self.piece, last))

    def _piece(self, begin: int, end: int) -> Tensor:
        pixels = np.empty((end - begin, self.height, self.width, 3), np.uint8)
        for row, i in enumerate(range(begin, end)):
            pixels[row] = np.arange(self.width)[:, None] * 2 + [i % 100, 10, i // 100]
            pixels[row, 4:12, i % (self.width - 8) :][:, :8] = (250, 220, 60)
        self.made += end - begin
        self.alive += end - begin
        self.most = max(self.most, self.alive)
        weakref.finalize(pixels, self._gone, end - begin)
        return torch.from_numpy(pixels)

    def _gone(self, frames: int) -> None:
        self.alive -= frames


def held(made: Made) -> Video:
    return Video(torch.cat(list(made.chunks())), fps=12)


def ear(told: list[tuple[int, int]]) -> Callable[[int, int], None]:
    return lambda done, total: told.append((done, total))


def lazily(video: Video) -> Tensor:
    return torch.cat(list(video.chunks()))


CHANGES: list[Callable[[Video], Video]] = [
    lambda v: v[0.5:1.25],
    lambda v: v[1.0:][:1.0][0.25:],
    lambda v: v[-0.5:],
    lambda v: v + v[0.5:],
    lambda v: v[:0.3] + v[1.0:2.0] + v,
    lambda v: v.resize(97, 65),
    lambda v: v.resample(5),
    lambda v: v.resample(29.97)[0.7:1.9],
    lambda v: (v.resample(24) + v.resample(24)).resize(80, 80).resample(7)[1.0:],
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_lazy_video_is_the_same_video(change: Callable[[Video], Video]) -> None:
    lazy, plain = Video.of(Made(37), fps=12), held(Made(37))
    ours, theirs = change(lazy), change(plain)
    assert isinstance(theirs.source, source.Held) and not isinstance(ours.source, source.Held)
    assert (len(ours), ours.fps, ours.seconds) == (len(theirs), theirs.fps, theirs.seconds)
    assert (ours.width, ours.height) == (theirs.width, theirs.height)
    assert torch.equal(lazily(ours), theirs.frames)
    assert torch.equal(lazily(ours), theirs.frames)  # each call starts afresh
    for first, last in ((0, 1), (3, 7), (len(ours) - 1, None), (2, 9999), (5, 5)):
        parts = list(ours.chunks(first, last))
        assert torch.equal(torch.cat([theirs.frames[:0], *parts]), theirs.frames[first:last])
    assert torch.equal(ours.pick([5, 0, 5, 3]), theirs.frames[[5, 0, 5, 3]])
    assert torch.equal(ours.frames, theirs.frames)


def test_nothing_is_made_before_it_is_asked_for() -> None:
    made = Made(100)
    video = Video.of(made, fps=12, recipe=RECIPE)
    other = (video.resample(24)[:2.0] + video.resample(24)).resize(128, 64)
    assert made.made == 0 and other.seconds == pytest.approx(2 + 100 / 12, abs=0.05)
    next(iter(other.chunks(0, 1)))
    assert made.made <= made.piece


def test_small_videos_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(20)
    video = Video.of(made, fps=12)
    assert torch.equal(video.frames, video.frames) and made.made == 20
    assert torch.equal(lazily(video), video.frames) and made.made == 20
    monkeypatch.setattr("worldreel.video.video.SMALL_BYTES", 1000)
    monkeypatch.setattr("worldreel.video.source.SMALL_BYTES", 1000)
    other = Made(20)
    video = Video.of(other, fps=12)
    assert torch.equal(video.frames, video.frames) and other.made == 40
    large = held(Made(20))  # in memory as it is, but what is made of it might not fit there
    assert not isinstance(large.resize(640, 480).source, source.Held)
    assert torch.equal(video.pick([19, 2]), large.frames[[19, 2]])


def test_recipe_and_latents_stay_with_the_frames() -> None:
    latents = object()
    for video in (Video.of(Made(24, 64, 64), fps=12), held(Made(24, 64, 64))):
        told = replace(video, recipe=RECIPE, latents=latents)
        assert told.recipe == RECIPE and told.latents is latents and told.source is video.source
        again = Video.of(told, fps=12, latents=latents)
        assert again.source is video.source and again.recipe is None
        assert told.resize(64, 64) is told and told.resample(12) is told
        for other in (told[0.5:], told + told, told.resize(96, 64), told.resample(24)):
            assert other.recipe is None and other.latents is None
        assert told == told and told != video and isinstance(hash(told), int)


def test_bad_sources_and_changes() -> None:
    for bad in (Made(0), Made(3, width=0), Made(3, height=0)):
        with pytest.raises(MediaError, match="at least one frame"):
            Video.of(bad, fps=12)
    video = Video.of(Made(12), fps=12)
    with pytest.raises(DurationError):
        Video.of(Made(1), fps=float("nan"))
    with pytest.raises(SizeError):
        video + Video.of(Made(12, 48, 64), fps=12)
    with pytest.raises(SizeError):
        video.resize(10, 10)
    with pytest.raises(DurationError):
        video[2:1]


def test_large_chunks_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "CHUNK_BYTES", 3 * 64 * 48 * 4)
    video = Video.of(Made(30, piece=30), fps=12)
    for one in (video, video.resample(40), video.resize(128, 96), held(Made(30))):
        sizes = [len(chunk) for chunk in one.chunks()]
        assert max(sizes) <= 4 and sum(sizes) == len(one)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_saving_holds_few_frames_and_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr("worldreel.video.video.SMALL_BYTES", 0)  # as if it were a long one
    most = []
    for count in (50, 200):
        made = Made(count)
        told: list[tuple[int, int]] = []
        video = Video.of(made, fps=12, recipe=RECIPE)
        path = video.save(tmp_path / f"{count}{suffix}", progress=ear(told))
        assert told == [(i + 1, count) for i in range(count)]
        assert made.made <= 2 * count and made.alive == 0
        most.append(made.most)
        same = held(Made(count)).frames.float() - Video.open(path).frames.float()
        assert same.square().mean() < 40
    assert most[0] == most[1] <= 2 * 5


def test_png_and_sheets_make_few_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldreel.video.video.SMALL_BYTES", 0)
    told: list[tuple[int, int]] = []
    still = Video.of(Made(1), fps=12)
    path = still.save(tmp_path / "a.png", progress=ear(told))
    assert torch.equal(Video.open(path).frames, still.frames) and told == [(1, 1)]
    made = Made(200)
    sheet = contact_sheet(Video.of(made, fps=12), thumb=48)
    assert made.most <= 2 * made.piece
    assert np.array_equal(np.asarray(sheet), np.asarray(contact_sheet(held(Made(200)), thumb=48)))


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_a_source_that_fails_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    class Failing(Made):
        def _piece(self, begin: int, end: int) -> Tensor:
            if begin >= 20:
                raise OSError(5, "Input/output error")
            return super()._piece(begin, end)

    with pytest.raises(OutputError, match="input/output error"):
        Video.of(Failing(40), fps=12).save(tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_gifs_show_what_pillow_would_have_written() -> None:
    """Pillow's own writer, with all frames at hand, is the oracle; some frames repeat."""
    video = held(Made(12)).resample(30)
    palette = gif.palette(video.to_numpy()[::5])
    durations = [30, 40, 30] * 10
    ours = b"".join(gif.parts(video.to_pil(), durations, palette, b"remark " * 99))
    first, *rest = (picture.quantize(palette=palette) for picture in video.to_pil())
    file = io.BytesIO()
    first.save(
        file, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, disposal=1,
        comment=b"remark " * 99,
    )  # fmt: skip
    assert len(ours) < len(file.getvalue())
    seen = []
    for data in (ours, file.getvalue()):
        with Image.open(io.BytesIO(data)) as image:
            assert image.info["comment"] == b"remark " * 99 and image.info["loop"] == 0
            shown = ImageSequence.Iterator(image)
            seen.append([(p.info["duration"], p.convert("RGB").tobytes()) for p in shown])
    assert len(seen[0]) == 12 and seen[0] == seen[1]


def test_gifs_of_stills_and_of_long_rests(tmp_path: Path) -> None:
    for fps in (12, 0.01):
        still = Video(torch.full((3, 16, 16, 3), 200, dtype=torch.uint8), fps=fps)
        with Image.open(still.save(tmp_path / "a.gif")) as image:
            shown = [p.info["duration"] for p in ImageSequence.Iterator(image)]
        assert shown == ([250] if fps == 12 else [100_000 * 3])
