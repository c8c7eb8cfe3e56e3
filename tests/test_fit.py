"""Fitting given pictures, masks and regions to a model's size; the oracles are painted pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_given import QUADRANTS, corners, near, quarters

from worldreel.errors import MediaError
from worldreel.video import Video
from worldreel.video.fit import fit, fit_mask
from worldreel.video.mask import read_mask, region

__all__ = ["near"]  # a fixture


@pytest.mark.parametrize("size", [(160, 96), (96, 160), (128, 128), (80, 48)])
def test_fit_crops_pads_and_stretches(size: tuple[int, int]) -> None:
    width, height = size
    video = Video(torch.from_numpy(np.asarray(quarters(400, 240)).copy())[None], fps=12)
    cropped, line = fit(video, width, height)
    assert (cropped.width, cropped.height) == size and cropped.fps == 12
    assert np.abs(corners(cropped.to_numpy()[0]).astype(int) - QUADRANTS).max() <= 3
    lost = 1 - min(width / height / (400 / 240), 400 / 240 / (width / height))
    if lost == 0:
        assert line == ""
    else:
        assert line == f"cropped 400x240 to {width}x{height} by {100 * lost:.0f} % at the sides"
    # The colours meet in the middle still.
    for way in ("crop", "pad", "stretch"):
        pixels = fit(video, width, height, how=way)[0].to_numpy()[0].astype(int)
        assert np.abs(pixels[height // 2 - 3, width // 2 - 3] - QUADRANTS[0]).max() <= 3
        assert np.abs(pixels[height // 2 + 3, width // 2 + 3] - QUADRANTS[3]).max() <= 3
        assert way in fit(video, width, height, how=way)[1] or lost == 0


def test_fit_keeps_what_fits() -> None:
    video = Video(torch.randint(0, 256, (3, 96, 160, 3), dtype=torch.uint8), fps=12, recipe={})
    assert fit(video, 160, 96) == (video, "")
    inside = fit(video, 96, 96)[0]
    assert torch.equal(inside.frames, video.frames[:, :, 32:128])  # whole pixels: not filtered
    padded = fit(video, 160, 160, how="pad")[0]
    assert torch.equal(padded.frames[:, 32:128], video.frames)
    with pytest.raises(MediaError, match="crop, pad or stretch"):
        fit(video, 96, 96, how="zoom")


def test_pad_is_smooth_and_steady() -> None:
    torch.manual_seed(0)
    video = Video(torch.randint(96, 160, (8, 90, 160, 3), dtype=torch.uint8), fps=12)
    bars = fit(video, 160, 160, how="pad")[0].frames[:, :35].float()
    assert (bars - 127.5).abs().max() < 16  # the mean of the noise
    assert bars.diff(dim=1).abs().max() <= 1 and bars.diff(dim=2).abs().max() <= 3
    assert bars.diff(dim=0).abs().mean() < 3 < video.frames.float().diff(dim=0).abs().mean()


@pytest.mark.usefixtures("near")
def test_masks(tmp_path: Path) -> None:
    white = np.zeros((48, 80), np.uint8)
    white[10:20, 30:50] = 255
    Image.fromarray(white).save(tmp_path / "m.png")
    painted = np.zeros((48, 80, 4), np.uint8)
    painted[10:20, 30:50] = 255
    Image.fromarray(painted).save(tmp_path / "alpha.png")
    expected = region("30,10,20,10", 80, 48)
    assert expected.sum() == 200 and expected[10, 30] and not expected[9, 30]
    for name in ("m.png", "alpha.png"):
        assert np.array_equal(read_mask(tmp_path / name, (80, 48)), expected)
    with pytest.raises(MediaError, match=r"has 80x48 pixels.*the nearest is 64x48"):
        read_mask(tmp_path / "m.png", (64, 48))
    Image.new("RGB", (80, 48)).save(tmp_path / "black.png")
    with pytest.raises(MediaError, match="marks nothing"):
        read_mask(tmp_path / "black.png", (80, 48))


def test_masks_follow_the_picture() -> None:
    """A marked square stays on the picture's own: painted white, it is found where the mask is."""
    rng = np.random.default_rng(1)
    for how in ("crop", "pad", "stretch"):
        for size in ((160, 96), (96, 160), (128, 128)):
            x, y = int(rng.integers(150, 200)), int(rng.integers(60, 100))
            mask = region(f"{x},{y},60,50", 400, 240)
            white = torch.from_numpy(mask.astype(np.uint8) * 255)[None, ..., None].repeat(
                1, 1, 1, 3
            )
            picture = fit(Video(white, fps=12), *size, how=how)[0].to_numpy()[0, ..., 0]
            laid = fit_mask(mask, *size, how=how)
            assert laid.shape == size[::-1] and laid.dtype == np.bool_
            assert laid[picture > 128].all()
            assert (picture > 128).sum() > 0.6 * laid.sum()
    thin = region("0,0,1,1", 400, 240)
    assert fit_mask(thin, 160, 96, how="stretch").sum() >= 1  # a touch is enough
    assert fit_mask(thin, 400, 240) is thin


REGIONS = [
    ("10,20,30", "X,Y,WIDTH,HEIGHT"),
    ("a,b,c,d", "X,Y,WIDTH,HEIGHT"),
    ("", "X,Y,WIDTH,HEIGHT"),
    ("70,0,20,10", "inside the clip's 80x48 pixels; the nearest is 70,0,10,10"),
    ("-5,0,20,10", "the nearest is 0,0,15,10"),
    ("0,0,0,10", "the nearest is 0,0,1,10"),
    ("999,999,5,5", "the nearest is 79,47,1,1"),
    ("1.5,0,5,5", "X,Y,WIDTH,HEIGHT"),
]


@pytest.mark.parametrize(("text", "expected"), REGIONS)
def test_regions_that_are_none(text: str, expected: str) -> None:
    with pytest.raises(MediaError, match=expected):
        region(text, 80, 48)
