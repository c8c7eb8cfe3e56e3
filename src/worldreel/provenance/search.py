"""Finding the mark: at which size, place and brightness do the signs of a key show?

An alignment is a canvas (how many units the frame is across and down), the brightness the picture
was multiplied by, and the place of the frame's corner in the pattern (12 × 12 units within a cell,
16 × 16 cells within a period). For one canvas and brightness the reading r is made at every unit of
a few frames, and its correlation with the fixed signs at all 36,864 places is one set of Fourier
transforms. The best alignments are then moved in small steps to where the waves lie closest to the
lattice, *whatever their signs* (which costs nothing in false positives, for the key has no part in
it), and read with more frames: first the fixed signs, then the id.

Half of the false positives that are allowed go to unchanged size and place, a quarter to frames cut
from small videos (a unit is a pixel), the rest to everything else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from worldreel.provenance.chips import CELL, PERIOD, STEP, WAVES, Signs, canvas, read, signs, waves
from worldreel.provenance.code import BITS, CODED, decode, encode, encode_all
from worldreel.provenance.watermark import luma_of
from worldreel.video.video import Video

__all__ = ["THRESHOLD", "Found", "Known", "find"]

THRESHOLD = 1e-6
"""The false-positive rate below which a mark counts as found."""

_SEARCHED, _READ = 4, 48
"""Frames that the search looks at, and that are read in the end."""
_GAINS = (1.0, 0.8, 0.62, 0.5, 1.25, 1.55)
_FEWEST, _MOST = 4.0, 20.0
"""Cells along the short side, of the smallest cut and of the largest frame with borders."""
_FINEST = 0.45
"""Pixels a unit from which on the waves can still be there."""
_KEPT, _SETTLED = 12, 5
"""Alignments that are read, and that are moved to where they fit best."""
_WORTH = 3.0
"""Standard deviations of the fixed signs from which on it is worth reading the id."""
_WHOLE = 0.7
"""What is left of the id's signs, of what is left of the fixed ones, at least."""
_SURE = 0.99
"""An id is given if it is the right one with at least this probability."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """A canvas `size` (down, across, in units), the place `corner` of the frame's corner in the
    pattern (down, across, in units) and the `gain` of brightness; `weight` is the natural logarithm
    of its share of the false positives."""

    size: tuple[float, float]
    corner: tuple[float, float] = (0.0, 0.0)
    gain: float = 1.0
    weight: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found in a video.

    `false_positive_rate` bounds how often a video without our mark (of this key) looks like this;
    the mark counts as found below `THRESHOLD`. `word` is the 64-bit id, None if it cannot be told
    for sure; `score` is the correlation with the signs in standard deviations.
    """

    word: int | None
    score: float
    false_positive_rate: float
    alignment: Alignment

    @property
    def present(self) -> bool:
        """Whether the mark is there."""
        return self.false_positive_rate < THRESHOLD


class Known:
    """Ids that a video may have; to tell which of some it is takes far less than to read any."""

    def __init__(self, words: Sequence[int] = ()) -> None:
        self.words = list(words)
        self._coded = encode_all(self.words).astype(np.float32)

    def __len__(self) -> int:
        return len(self.words)

    def likeliest(self, soft: Floats, parts: Floats, norm: float) -> tuple[int, float, float]:
        """The likeliest id, the probability that it is the right one, and its Σ s·r.

        `soft` and `parts` are log-likelihood ratios and Σ s·r [256] of the coded bits, `norm` is
        √Σ r² of the chips that carry them.
        """
        likelihood = (self._coded @ soft.astype(np.float32)).astype(np.float64) / 2
        best = int(likelihood.argmax())
        among = 1 / float(np.exp(likelihood - likelihood[best]).sum())
        # It may be none of them: an id that was forgotten looks like the best by chance.
        correlation = float(self._coded[best] @ parts)
        chance = len(self) * math.exp(-(max(0.0, correlation / norm) ** 2) / 2)
        return self.words[best], among * max(0.0, 1 - chance), correlation


@torch.no_grad()
def find(
    video: Video | Tensor, *, key: bytes, known: Known | None = None, thorough: bool = True
) -> Found:
    """The mark of `key` in a video, or in frames uint8 `[n, H, W, 3]`; its id is read, or told
    among those that are `known`.

    Frames as they were made are recognised at once; only if they are not (and `thorough`) are other
    sizes and places tried, which takes seconds.
    """
    small, size = _frames(video)
    judge = Judge(signs(key), Known() if known is None else known)
    whole = [a for a in _whole(size) if min(a.size) >= CELL]
    best = max((judge(small, a) for a in whole), key=_surest, default=_nothing(size))
    if best.present or not thorough or not whole:
        return best
    for rank, start in enumerate(_candidates(small, size, judge.table)):
        half = replace(start, weight=start.weight - math.log(2))
        best = max(best, judge(small, half), key=_surest)
        if rank < _SETTLED:
            best = max(best, judge(small, _settle(small, half)), key=_surest)
        if best.present and best.word is not None:
            break
    return best


def _surest(found: Found) -> tuple[float, float]:
    return -found.false_positive_rate, found.score


def _nothing(size: tuple[int, int]) -> Found:
    return Found(
        word=None,
        score=0.0,
        false_positive_rate=1.0,
        alignment=Alignment(size=(float(size[0]), float(size[1]))),
    )


def _frames(video: Video | Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Luma `[n, 1, h, w]` of up to 48 frames over the whole video, and the frame's size (down,
    across); frames with more than 480 pixels on the short side are made smaller."""
    total = len(video)
    places = sorted({round(i) for i in np.linspace(0, total - 1, min(_READ, total))})
    if isinstance(video, Tensor):
        size = (int(video.shape[1]), int(video.shape[2]))
        pictures: Iterator[Tensor] = (video[place : place + 1] for place in places)
    else:
        size = (video.height, video.width)
        pictures = (video.pick([place]) for place in places)
    shrunk = min(1.0, 480 / min(size))
    made = []
    for picture in pictures:
        luma = luma_of(picture)
        if shrunk < 1:
            to = (round(size[0] * shrunk), round(size[1] * shrunk))
            luma = F.interpolate(luma, size=to, mode="area")
        made.append(luma)
    return torch.cat(made), size


def _whole(size: tuple[int, int]) -> Iterator[Alignment]:
    """The frame as it was made, at every brightness."""
    across, down = canvas(size[1], size[0])
    for gain in _GAINS:
        weight = math.log(0.5 / len(_GAINS))
        yield Alignment(size=(down, across), gain=gain, weight=weight)


def _laid(luma: Tensor, size: tuple[float, float], corner: tuple[float, float]) -> Tensor:
    """Luma resampled to units, `size` of them, beginning at the first whole cell if the frame's
    corner lies at `corner` of the pattern."""
    down, across = round(size[0]), round(size[1])
    skip = [(-c) % CELL for c in corner]
    exact = (down, across) == tuple(luma.shape[2:]) and all(float(s).is_integer() for s in skip)
    exact = exact and size == (down, across)
    if exact:
        return luma[:, :, int(skip[0]) :, int(skip[1]) :]
    if luma.shape[2] >= 1.9 * size[0]:
        fine = (round(1.5 * size[0]), round(1.5 * size[1]))
        luma = F.interpolate(luma, size=fine, mode="area")
    lengths = [int(s - k) // CELL * CELL for s, k in zip(size, skip, strict=True)]
    if min(lengths) < CELL:
        return luma[:, :, :0, :0]
    grids = [
        (2 * (torch.arange(n) + 0.5 + k) / s - 1).float()
        for n, k, s in zip(lengths, skip, size, strict=True)
    ]
    grid = torch.stack(torch.meshgrid(grids[1], grids[0], indexing="xy"), -1)
    grid = grid[None].expand(len(luma), -1, -1, -1)
    return F.grid_sample(luma, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def _candidates(small: Tensor, size: tuple[int, int], table: Signs) -> list[Alignment]:
    """The alignments at which the fixed signs show best."""
    places = np.linspace(0, len(small) - 1, min(_SEARCHED, len(small))).round()
    few = small[sorted(set(places.astype(int).tolist()))]
    pattern = np.fft.rfft2(table.sign * table.fixed).conj()
    found: list[tuple[float, Alignment]] = []
    for canvas_, share in _canvases(size):
        weight = math.log(share / (len(_GAINS) * (CELL * PERIOD) ** 2))
        laid = few if canvas_ == few.shape[2:] else _stretched(few, canvas_)
        amplitudes = F.conv2d(laid, waves())
        for gain in _GAINS:
            start = Alignment(size=(float(canvas_[0]), float(canvas_[1])), gain=gain, weight=weight)
            found += _best_places(amplitudes, pattern, start)
    found.sort(key=lambda entry: -entry[0])
    return [alignment for _, alignment in found[:_KEPT]]


def _stretched(luma: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(luma, size=size, mode="bicubic", antialias=True, align_corners=False)


def _canvases(size: tuple[int, int]) -> Iterator[tuple[tuple[int, int], float]]:
    """Canvases (down, across) and the share of false positives that each may have."""
    if min(size) <= 192 and min(size) >= 4 * CELL:
        yield size, 0.25
    short, long = min(size), max(size)
    # Steps so small that cells at the edge move by less than two units.
    step = 1 + 4 / (max(8.0, 12.0 * long / short) * CELL)
    most = max(_FEWEST * step, min(_MOST, short / (_FINEST * CELL)))
    count = math.ceil(math.log(most / _FEWEST) / math.log(step))
    for index in range(count):
        unit = short / (CELL * _FEWEST * step**index)
        yield (round(size[0] / unit), round(size[1] / unit)), 0.25 / count


def _best_places(
    amplitudes: Tensor, pattern: NDArray[np.complex128], start: Alignment
) -> list[tuple[float, Alignment]]:
    """The two best corners at one canvas and brightness, from amplitudes at every unit
    `[n, 5, h, w]`; each with z² / 2 and its weight added."""
    reading = torch.sin(amplitudes * (2 * math.pi / (STEP * start.gain))).mean(0)
    down, across = (-(-n // CELL) for n in reading.shape[1:])
    reading = F.pad(
        reading, (0, across * CELL - reading.shape[2], 0, down * CELL - reading.shape[1])
    )
    cells = reading.reshape(len(WAVES), down, CELL, across, CELL).permute(2, 4, 0, 1, 3)
    folded = np.zeros((CELL, CELL, len(WAVES), PERIOD, PERIOD))
    for row in range(0, down, PERIOD):
        for column in range(0, across, PERIOD):
            part = cells[..., row : row + PERIOD, column : column + PERIOD].numpy()
            folded[..., : part.shape[-2], : part.shape[-1]] += part
    # Σ r(c) s(c + p) over cells c, for all p: a correlation on the ring of 16 × 16 cells.
    spectrum = (np.fft.rfft2(folded).conj() * pattern.conj()).sum(2)
    sums = np.fft.irfft2(spectrum, s=(PERIOD, PERIOD))
    power = cells.square().sum((2, 3, 4)).numpy()[..., None, None]
    z = sums / np.sqrt(np.maximum(power * 0.6, 1e-9))
    best = np.argpartition(z.ravel(), -2)[-2:]
    made = []
    for place in best:
        y, x, row, column = (int(i) for i in np.unravel_index(place, z.shape))
        # The cell that begins at unit (y, x) of the frame is cell (row, column) of the pattern.
        corner = (
            float((row * CELL - y) % (CELL * PERIOD)),
            float((column * CELL - x) % (CELL * PERIOD)),
        )
        value = float(z[y, x, row, column])
        made.append((value * abs(value) / 2 + start.weight, replace(start, corner=corner)))
    return made


def _closeness(luma: Tensor, at: Alignment) -> float:
    """How close all waves lie to the lattice at an alignment, whatever their signs."""
    laid = _laid(luma, at.size, at.corner)
    if min(laid.shape[2:]) < CELL:
        return -math.inf
    reading = read(laid) * (2 * math.pi / (STEP * at.gain))
    close = torch.cos(2 * reading).mean(0)
    return float(-close.sum() / close.square().sum().clamp(min=1e-9).sqrt())


def _settle(luma: Tensor, at: Alignment) -> Alignment:
    """The alignment moved in ever smaller steps to where the waves lie closest to the lattice."""
    few = luma[:: max(1, len(luma) // 3)]
    best, value = at, _closeness(few, at)
    size = 0.5 * (at.size[0] + at.size[1])
    for scale in (1.0, 0.5, 0.25):
        improved = True
        rounds = 0
        while improved and rounds < 2:
            improved, rounds = False, rounds + 1
            for move in _moves(best, scale, size):
                moved = _closeness(few, move)
                if moved > value + 1e-3:
                    best, value, improved = move, moved, True
    return best


def _moves(at: Alignment, scale: float, size: float) -> Iterator[Alignment]:
    """Small changes of place, size (the middle stays) and brightness."""
    for sign in (-scale, scale):
        yield replace(at, corner=(at.corner[0] + sign, at.corner[1]))
        yield replace(at, corner=(at.corner[0], at.corner[1] + sign))
        factor = 1 + sign * 3 / size
        for down, across in ((factor, factor), (factor, 1.0), (1.0, factor)):
            sizes = (at.size[0] * down, at.size[1] * across)
            corner = (
                at.corner[0] - (sizes[0] - at.size[0]) / 2,
                at.corner[1] - (sizes[1] - at.size[1]) / 2,
            )
            yield replace(at, size=sizes, corner=corner)
        yield replace(at, gain=at.gain * (1 + 0.06 * sign))


class Judge:
    """What the signs of a key say at one alignment."""

    def __init__(self, table: Signs, known: Known) -> None:
        self.table, self.known = table, known

    def __call__(self, luma: Tensor, at: Alignment) -> Found:
        signed, fixed, index = self._heard(luma, at)
        heard, rest = signed[fixed], signed[~fixed]
        # Σ s·r of the chips of each coded bit, before the bit itself is known.
        parts: Floats = np.bincount(index[~fixed], rest, CODED).astype(np.float64)
        own, total, norm = _norm(heard), float(heard.sum()), _norm(signed)
        score = total / own
        chances = [-(max(0.0, score) ** 2) / 2]
        # The fixed signs say of the others how much of a sign is left, and how much noise.
        soft = parts * (2 * max(1e-3, float(heard.mean())) / max(1e-3, float(heard.var())))
        word, sure = None, 0.0
        if score > _WORTH:
            word, sure = decode(soft)
            every = (total + float(parts @ encode(word))) / norm
            chances.append(BITS * math.log(2) - max(0.0, every) ** 2 / 2)
        if len(self.known):
            likely, probability, best = self.known.likeliest(soft, parts, _norm(rest))
            every = (total + best) / norm
            chances.append(math.log(len(self.known)) - max(0.0, every) ** 2 / 2)
            if probability > sure:
                word, sure = likely, probability
        rate = math.exp(min(0.0, math.log(len(chances)) + min(chances) - at.weight))
        if word is not None:
            carried = float(parts @ encode(word))
            # Where two marks are mixed (frames of two videos), a third may look likely; but then
            # less is left of its signs than of those that all marks of the key share.
            whole = carried / max(1, len(rest)) >= _WHOLE * total / max(1, len(heard))
            if rate < THRESHOLD and sure >= _SURE and whole:
                score = (total + carried) / norm
            else:
                word = None
        return Found(word=word, score=score, false_positive_rate=rate, alignment=at)

    def _heard(
        self, luma: Tensor, at: Alignment
    ) -> tuple[Floats, NDArray[np.bool_], NDArray[np.intp]]:
        """Of each chip in sight its reading times its sign, whether it is fixed, and its index."""
        laid = _laid(luma, at.size, at.corner)
        reading = torch.sin(read(laid) * (2 * math.pi / (STEP * at.gain))).mean(0).double().numpy()
        first = [math.ceil(c / CELL - 1e-9) for c in at.corner]
        rows = (first[0] + np.arange(reading.shape[1])) % PERIOD
        columns = (first[1] + np.arange(reading.shape[2])) % PERIOD
        pick = np.ix_(np.arange(len(WAVES)), rows, columns)
        table = self.table
        return reading * table.sign[pick], table.fixed[pick] > 0, table.index[pick]


def _norm(values: Floats) -> float:
    return math.sqrt(float((values**2).sum())) or 1.0
