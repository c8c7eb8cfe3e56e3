"""Fingerprints and recovery: a video that lost its manifest is known again, others are not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from worldreel.errors import MediaError, OutputError
from worldreel.provenance.fingerprint import BITS, LARGEST, distance, fingerprint
from worldreel.provenance.recovery import recover, recover_video, remember
from worldreel.provenance.watermark import luma_of, mark
from worldreel.video import Video

KEY = bytes(range(32))


def clip(seed: int, *, frames: int = 12, size: tuple[int, int] = (72, 96)) -> Video:
    """Soft coloured shapes that drift: every seed another scene."""
    rng = torch.Generator().manual_seed(seed)
    first, last = (torch.randn(1, 3, 6, 8, generator=rng) * 45 + 128 for _ in range(2))
    shares = torch.linspace(0, 0.4, frames)[:, None, None, None]
    made = F.interpolate(first * (1 - shares) + last * shares, size=size, mode="bicubic")
    return video(made.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1))


def video(frames: Tensor) -> Video:
    return Video(frames.contiguous(), fps=12.0)


def test_fingerprint_is_the_signs_of_the_lowest_waves() -> None:
    """A frame that is one cosine wave has that wave's sign, found again by its place in the order
    of length."""
    x = (torch.arange(128) + 0.5) / 128
    wave = (128 + 90 * torch.cos(torch.pi * x)).round().to(torch.uint8)
    across = fingerprint(video(wave[None, None, :, None].expand(1, 128, 128, 3)))
    down = fingerprint(video((255 - wave)[None, :, None, None].expand(1, 128, 128, 3)))
    assert across.shape == (1, BITS // 8)
    # The two longest waves, (0, 1) and (1, 0): one half-period across, one down.
    assert np.unpackbits(across[0])[0] == 1
    assert np.unpackbits(down[0])[1] == 0


def test_number_of_hashes_follows_the_time() -> None:
    assert len(fingerprint(clip(0, frames=1))) == 1
    assert len(fingerprint(clip(0, frames=12))) == 8
    long = Video(clip(0, frames=1).frames.expand(1200, -1, -1, -1), fps=12.0)
    assert len(fingerprint(long)) == 120


def test_same_video_is_near_and_others_are_far() -> None:
    kept = fingerprint(clip(3))
    frames = clip(3).frames
    changed = {
        "smaller": video(frames[:, ::2, ::2]),
        "darker": video((frames.float() * 0.6).to(torch.uint8)),
        "grey": video(luma_of(frames)[:, 0, :, :, None].expand(-1, -1, -1, 3).to(torch.uint8)),
        "every third": video(frames[::3]),
        "second half": video(frames[6:]),
        "cut a little": video(frames[:, 1:-1, 1:-1]),
        "noisy": video((frames.float() + 8 * torch.randn(frames.shape)).clamp(0, 255).byte()),
    }
    for name, one in changed.items():
        assert distance(fingerprint(one), kept) <= LARGEST, name
    others = [distance(fingerprint(clip(seed, frames=2)), kept) for seed in range(100, 160)]
    assert min(others) > LARGEST


def test_distance_counts_bits() -> None:
    zeros, ones = np.zeros((3, 16), np.uint8), np.full((2, 16), 255, np.uint8)
    assert distance(zeros, zeros) == 0
    assert distance(zeros, ones) == 1
    assert distance(zeros, np.concatenate([ones, zeros])) == 0
    assert distance(np.concatenate([ones, zeros]), zeros) == 0  # three of five are there
    assert distance(zeros[:0], ones) == 1


def test_recovered_by_watermark_then_by_looks_or_not_at_all(tmp_path: Path) -> None:
    store = tmp_path / "recovery.sqlite"
    assert recover_video(clip(1), key=KEY, file=store) is None
    for seed in range(4):
        remember(clip(seed), word=seed + 10, recipe={"seed": seed}, manifest=b"m", file=store)
    marked = video(mark(clip(2).frames, key=KEY, word=12))
    found = recover_video(marked, key=KEY, file=store)
    assert found is not None and (found.how, found.word) == ("watermark", 12)
    assert found.recipe == {"seed": 2} and found.manifest == b"m"
    assert found.rate is not None and found.rate < 1e-6
    by_looks = recover_video(video(clip(3).frames[::3, ::2, ::2]), key=KEY, file=store)
    assert by_looks is not None and (by_looks.how, by_looks.word) == ("fingerprint", 13)
    assert by_looks.distance is not None and by_looks.distance <= LARGEST
    assert recover_video(clip(77, frames=2, size=(48, 64)), key=KEY, file=store) is None


def test_files_are_recovered_and_broken_ones_refused(tmp_path: Path) -> None:
    store = tmp_path / "recovery.sqlite"
    marked = video(mark(clip(5).frames, key=KEY, word=55))
    remember(marked, word=55, recipe={"seed": 5}, file=store)
    path = marked.save(tmp_path / "clip.mp4")
    found = recover(path, key=KEY, file=store)
    assert found is not None and found.word == 55 and found.manifest is None
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(path.read_bytes()[:200])
    with pytest.raises(MediaError):
        recover(broken, key=KEY, file=store)


def test_store_keeps_one_row_a_video_and_is_private(tmp_path: Path) -> None:
    store = tmp_path / "deep" / "recovery.sqlite"
    for text in ("first", "second"):
        remember(clip(0, frames=2), word=2**64 - 1, recipe={"prompt": text}, file=store)
    assert store.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(store) as connection:
        rows = connection.execute("select word, recipe from videos").fetchall()
    connection.close()
    assert rows == [("f" * 16, '{"prompt": "second"}')]


def test_oldest_videos_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldreel.provenance.recovery.LIMIT", 3)
    store = tmp_path / "recovery.sqlite"
    for seed in range(6):
        remember(clip(seed, frames=1), word=seed, recipe={}, file=store)
    with sqlite3.connect(store) as connection:
        rows = connection.execute("select word from videos order by number").fetchall()
    connection.close()
    assert [int(word, 16) for (word,) in rows] == [3, 4, 5]


def test_store_that_is_no_database_is_said(tmp_path: Path) -> None:
    store = tmp_path / "recovery.sqlite"
    store.write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    with pytest.raises(OutputError, match=r"cannot be used"):
        remember(clip(0, frames=1), word=1, recipe={}, file=store)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot be used"):
        remember(clip(0, frames=1), word=1, recipe={}, file=tmp_path / "file" / "x.sqlite")
