"""What a video looks like, in 128 bits a frame, so that it is known again without any mark.

A frame's luma is averaged to 32 × 32, its cosine transform taken, and of the 128 lowest waves
(after the mean) the signs are kept: coding, resizing, brightness and small cuts leave most of them
as they are. A video has a hash for each half second (8 at least, 120 at most). The `distance` of a
query is the median, over its frames, of the share of bits that differ from the nearest kept frame:
time may be cut, sped up and thinned out, and half of the frames may be something else.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from worldreel.provenance.watermark import luma_of
from worldreel.video.video import Video

__all__ = ["BITS", "LARGEST", "distance", "fingerprint", "plain"]

BITS = 128
LARGEST = 0.19
"""The largest distance that counts as the same video. Of 2,256 pairs of different clips of ours
(the embedded model's and the world's) the nearest were 0.23 apart."""

_SIDE = 32
_APART, _FEWEST, _MOST = 0.5, 8, 120

Hashes = NDArray[np.uint8]


@cache
def _lowest() -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The cosine transform [32, 32] and the places of the 128 waves, in order of their length."""
    places = (np.arange(_SIDE) + 0.5) / _SIDE
    transform = np.cos(np.pi * np.arange(_SIDE)[:, None] * places)
    down, across = np.indices((_SIDE, _SIDE))
    order = np.lexsort((across.ravel(), down.ravel(), (down**2 + across**2).ravel()))
    return transform, np.asarray(order[1 : BITS + 1])


@torch.no_grad()
def fingerprint(video: Video) -> Hashes:
    """The hashes of a video, uint8 `[frames, 16]`."""
    count = min(_MOST, max(_FEWEST, round(video.seconds / _APART) + 1), len(video))
    places = [round(i) for i in np.linspace(0, len(video) - 1, count)]
    return np.concatenate([_hashes(video.pick([place])) for place in places])


@torch.no_grad()
def plain(video: Video, least: float = 4.0) -> bool:
    """Whether most of the frames that are looked at are nearly flat (`least` is a standard
    deviation in levels): of these all look alike."""
    places = sorted({round(i) for i in np.linspace(0, len(video) - 1, _FEWEST)})
    small = F.interpolate(luma_of(video.pick(places)), size=(_SIDE, _SIDE), mode="area")
    return bool(small.flatten(1).std(1).median() < least)


def _hashes(frames: Tensor) -> Hashes:
    """Hashes uint8 `[n, 16]` of frames uint8 `[n, H, W, 3]`."""
    small = F.interpolate(luma_of(frames), size=(_SIDE, _SIDE), mode="area")[:, 0].double().numpy()
    transform, places = _lowest()
    waves = (transform @ small @ transform.T).reshape(len(small), -1)[:, places]
    return np.packbits(waves > 0, axis=1)


def distance(query: Hashes, kept: Hashes) -> float:
    """How different a video (its hashes `[n, 16]`) is from a kept one `[m, 16]`: 0 is equal, about
    1/2 unrelated."""
    if not len(query) or not len(kept):
        return 1.0
    differ = np.bitwise_count(query[:, None] ^ kept[None]).sum(2, dtype=np.int64)
    return float(np.median(differ.min(1))) / BITS
