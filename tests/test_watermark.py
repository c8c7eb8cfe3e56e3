"""The watermark: seen by its key after what happens to videos, and by nothing and nobody else."""

from __future__ import annotations

import io
import math
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from worldreel.errors import MediaError, OutputError
from worldreel.provenance import chips, code
from worldreel.provenance.search import THRESHOLD, Known, find
from worldreel.provenance.watermark import identity, installation_key, mark

KEY = bytes(range(32))
WORD = 0x0123456789ABCDEF


def picture(height: int, width: int, *, frames: int = 6, seed: int = 0) -> Tensor:
    """A moving picture with a sky, hills and texture: smooth noise at three scales, panned."""
    rng = torch.Generator().manual_seed(seed)
    made = torch.full((1, 3, height, width + frames), 128.0)
    for cells, strength in ((3, 60.0), (12, 25.0), (40, 8.0)):
        noise = torch.randn(1, 3, cells, 2 * cells, generator=rng) * strength
        made += F.interpolate(noise, size=made.shape[2:], mode="bicubic")
    made[:, :, : height // 3] = torch.linspace(150, 220, made.shape[3])
    pans = [made[:, :, :, i : i + width] for i in range(frames)]
    return torch.cat(pans).clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Decibels of each frame."""
    error = (a.double() - b.double()).square().mean((1, 2, 3))
    return 10 * torch.log10(255**2 / error.clamp(min=1e-12))


def resized(frames: Tensor, height: int, width: int) -> Tensor:
    planes = frames.permute(0, 3, 1, 2).float()
    made = F.interpolate(planes, size=(height, width), mode="bilinear", antialias=True)
    return made.round().to(torch.uint8).permute(0, 2, 3, 1)


def coded(frames: Tensor, crf: int) -> Tensor:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.options = {"crf": str(crf), "threads": "1", "x264-params": "mbtree=0"}
        for frame in frames.numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.from_numpy(np.stack(shown))


# The code.


def test_code_words_differ_in_as_many_places_as_stated() -> None:
    """The smallest weight of a word that is not zero, by the shortest path through the trellis:
    the code is linear, so that is the smallest distance of any two."""
    kept = np.zeros(288, bool)
    kept[code.kept()] = True
    weight = (((1 - code._parities()) // 2) * 1)[None] * kept.reshape(72, 1, 1, 4)
    weight = weight.sum(3)  # [72, 256, 2]
    best = 10**6
    for start in range(9):  # what is dropped repeats every nine steps; later starts are shorter
        paths = np.full(256, 10**6)
        paths[128] = weight[start, 0, 1]
        for step in range(start + 1, 72):
            into = np.full(256, 10**6)
            for bit in (0, 1) if step < 64 else (0,):
                np.minimum.at(
                    into, ((bit << 8) | np.arange(256)) >> 1, paths + weight[step, :, bit]
                )
            best = min(best, int(into[0]))
            into[0] = 10**6  # from there on it goes along with the word that is all zeros
            paths = into
    assert best == code.DISTANCE
    assert 2 * code.RADIUS < code.DISTANCE


def test_code_corrects_its_radius_and_knows_when_it_cannot() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        word = int(rng.integers(0, 2**64, dtype=np.uint64))
        sent = code.encode(word).astype(float)
        sent[rng.choice(code.CODED, code.RADIUS, replace=False)] *= -1
        assert code.decode(4 * sent)[0] == word
    assert code.decode(rng.normal(size=code.CODED))[1] < 0.5
    assert code.decode(np.zeros(code.CODED))[1] < 1e-15


def test_probability_of_a_word_is_how_often_it_is_right() -> None:
    """Over a channel of known noise, stated probabilities must add up to the words read right."""
    rng = np.random.default_rng(1)
    right, stated = 0, 0.0
    for _ in range(60):
        word = int(rng.integers(0, 2**64, dtype=np.uint64))
        heard = 0.75 * code.encode(word) + rng.normal(size=code.CODED)
        read, sure = code.decode(2 * 0.75 * heard)
        right, stated = right + (read == word), stated + sure
    assert 10 < right < 60
    assert abs(right - stated) < 4 * math.sqrt(60 * 0.25)


def test_encoding_is_the_register_step_by_step() -> None:
    """The matrix that encodes many words at once against the register itself, bit after bit."""
    rng = np.random.default_rng(2)
    words = [0, 1, 2**64 - 1, *(int(rng.integers(0, 2**64, dtype=np.uint64)) for _ in range(5))]
    for word, coded_bits in zip(words, code.encode_all(words), strict=True):
        register, parities = 0, []
        for step in range(72):
            bit = (word >> (63 - step)) & 1 if step < 64 else 0
            register = (bit << 8) | (register >> 1)
            parities += [(register & g).bit_count() % 2 for g in (0o463, 0o535, 0o733, 0o745)]
        expected = [1 - 2 * p for i, p in enumerate(parities) if i % 9 != 8]
        assert coded_bits.tolist() == expected == code.encode(word).tolist()


def test_an_id_that_is_not_among_the_known_is_not_told() -> None:
    """Forgotten ids: the mark is found, none of the others is taken for it."""
    marked = coded(mark(picture(96, 96), key=KEY, word=WORD), 32)
    rng = np.random.default_rng(0)
    others = [int(n) for n in rng.integers(0, 2**63, 2000)]
    found = find(marked, key=KEY, known=Known(others), thorough=False)
    assert found.present and found.word in (None, WORD)


# The pattern.


def test_waves_are_orthonormal_and_blind_to_brightness() -> None:
    flat = chips.waves().flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(5), atol=1e-5, rtol=0)
    assert flat.sum(1).abs().max() < 1e-4


def test_every_coded_bit_is_in_every_8_by_16_cells() -> None:
    table = chips.signs(KEY)
    for top in (0, 8):
        part = (table.fixed[:, top : top + 8] == 0, table.index[:, top : top + 8])
        assert sorted(part[1][part[0]].tolist()) == list(range(code.CODED))
    assert table.fixed.sum(0).min() == table.fixed.sum(0).max() == 3


def test_keys_give_unrelated_signs() -> None:
    one, other = chips.signs(KEY).sign, chips.signs(bytes(32)).sign
    assert abs((one * other).sum()) < 5 * math.sqrt(one.size)
    assert abs(one.sum()) < 5 * math.sqrt(one.size)


# Marking.


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (128, 128), (270, 480)])
def test_mark_is_invisible_and_read_back(size: tuple[int, int]) -> None:
    frames = picture(*size, frames=3)
    marked = mark(frames, key=KEY, word=WORD)
    assert marked.shape == frames.shape and marked.dtype == torch.uint8
    assert psnr(marked, frames).min() >= 42
    assert (marked.int() - frames.int()).abs().max() <= 16
    found = find(marked, key=KEY, thorough=False)
    assert found.present
    if min(size) >= 96:
        assert found.word == WORD
    else:  # 50 chips cannot say which of 2^64 it is, but which of a few
        assert find(marked, key=KEY, known=Known([1, WORD, 2]), thorough=False).word == WORD


def test_flat_black_and_white_frames_stay_above_42_decibels() -> None:
    for level in (0, 3, 128, 255):
        frames = torch.full((1, 128, 128, 3), level, dtype=torch.uint8)
        marked = mark(frames, key=KEY, word=WORD)
        assert psnr(marked, frames).min() >= 42
    noise = torch.randint(0, 256, (1, 128, 128, 3), generator=torch.Generator().manual_seed(0))
    noise = noise.to(torch.uint8)
    assert psnr(mark(noise, key=KEY, word=WORD), noise).min() >= 42


def test_what_stands_still_does_not_flicker_and_parts_are_marked_as_the_whole() -> None:
    still = picture(96, 96, frames=1).expand(5, -1, -1, -1)
    marked = mark(still, key=KEY, word=WORD)
    assert (marked == marked[:1]).all()
    moving = picture(96, 96, frames=5)
    whole = mark(moving, key=KEY, word=WORD)
    parts = torch.cat([mark(moving[i : i + 2], key=KEY, word=WORD) for i in (0, 2, 4)])
    torch.testing.assert_close(parts, whole, atol=1, rtol=0)
    assert (parts != whole).float().mean() < 1e-3
    assert (mark(moving, key=KEY, word=WORD) == whole).all()


def test_tiny_frames_and_none_at_all_come_back_as_they_are() -> None:
    for shape in ((2, 8, 40, 3), (0, 64, 64, 3), (1, 1, 1, 3)):
        frames = torch.full(shape, 7, dtype=torch.uint8)
        assert (mark(frames, key=KEY, word=WORD) == frames).all()
        if shape[0]:
            assert not find(frames, key=KEY).present


def test_other_things_than_frames_are_refused() -> None:
    with pytest.raises(MediaError, match=r"must be uint8"):
        mark(torch.zeros(1, 3, 64, 64), key=KEY, word=WORD)


# Finding.


def test_without_a_mark_or_with_another_key_nothing_is_found() -> None:
    frames = picture(72, 72, frames=1)
    assert find(frames, key=KEY).false_positive_rate > 1e-3
    marked = mark(frames, key=KEY, word=WORD)
    other = find(marked, key=bytes(32))
    assert not other.present and other.word is None
    assert other.false_positive_rate > 1e-3


def test_stated_rates_are_bounds() -> None:
    """Of many keys, at most a share p may state a false-positive rate below p."""
    frames, known = picture(96, 96, frames=1), Known(range(100))
    rates = [
        find(frames, key=bytes([i]), known=known, thorough=False).false_positive_rate
        for i in range(200)
    ]
    for level in (0.5, 0.2, 0.05, 0.01):
        assert (
            np.mean([rate < level for rate in rates]) <= level + 2 / math.sqrt(len(rates)) * level
        )


@pytest.mark.parametrize(
    "name",
    ["coded 30", "dark", "bright", "contrast", "half of the frames", "one frame", "cut", "blurred"],
)
def test_found_at_once_after(name: str) -> None:
    """What changes neither size nor place."""
    marked = mark(picture(128, 192, frames=8), key=KEY, word=WORD)
    changed = {
        "coded 30": lambda: coded(marked, 30),
        "dark": lambda: (marked.float() * 0.5).round().to(torch.uint8),
        "bright": lambda: (marked.float() * 1.2).clamp(0, 255).round().to(torch.uint8),
        "contrast": lambda: ((marked.float() - 128) * 0.6 + 128).round().to(torch.uint8),
        "half of the frames": lambda: marked[[1, 2, 5, 7]],
        "one frame": lambda: marked[3:4],
        "cut": lambda: torch.cat([marked[5:], picture(128, 192, frames=2, seed=9)]),
        "blurred": lambda: resized(resized(marked, 90, 136), 128, 192),
    }[name]()
    found = find(changed, key=KEY, known=Known([5, WORD, 7]), thorough=False)
    assert found.false_positive_rate < THRESHOLD and found.word == WORD


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.71, 0.55])
def test_found_in_a_part_of_the_picture(share: float) -> None:
    marked = mark(picture(128, 128), key=KEY, word=WORD)
    side = round(128 * share)
    part = marked[:, 21 : 21 + side, 30 : 30 + side]
    assert find(part, key=KEY).false_positive_rate < THRESHOLD
    assert find(part, key=KEY, known=Known([5, WORD, 7])).word == WORD


@pytest.mark.slow
def test_found_at_another_size() -> None:
    marked = mark(picture(128, 128), key=KEY, word=WORD)
    for side in (88, 200):
        found = find(resized(marked, side, side), key=KEY)
        assert found.present and found.word == WORD
    cut = resized(marked[:, 11:107, 5:101], 141, 141)
    assert find(cut, key=KEY).present


def test_a_second_mark_replaces_the_first() -> None:
    """Edited videos get the id of the edit."""
    once = mark(picture(128, 128, frames=3), key=KEY, word=WORD)
    found = find(mark(once, key=KEY, word=99), key=KEY, thorough=False)
    assert found.word == 99


def test_frames_of_two_videos_are_found_and_no_third_id_is_read() -> None:
    for seed in range(3):
        parts = [mark(picture(96, 160, frames=2, seed=seed + i), key=KEY, word=i) for i in (3, 4)]
        found = find(torch.cat(parts), key=KEY, thorough=False)
        assert found.present and found.word in (None, 3, 4)


# Keys and ids.


def test_installation_key_is_drawn_once_and_private(tmp_path: Path) -> None:
    file = tmp_path / "store" / "watermark.key"
    key = installation_key(file)
    assert len(key) == 32 and installation_key(file) == key
    assert file.stat().st_mode & 0o777 == 0o600
    assert installation_key(tmp_path / "other.key") != key
    assert [entry.name for entry in file.parent.iterdir()] == ["watermark.key"]
    file.write_bytes(b"short")
    with pytest.raises(OutputError, match=r"has not 32 bytes"):
        installation_key(file)
    with pytest.raises(OutputError, match=r"cannot be read or made"):
        installation_key(file / "below" / "watermark.key")


def test_id_is_of_the_recipe_and_the_key_alone() -> None:
    recipe = {"prompt": "a whale", "seed": 7, "created": "2026-01-01"}
    assert identity(recipe, KEY) == identity({**recipe, "created": "later"}, KEY)
    assert identity(recipe, KEY) == identity(dict(reversed(recipe.items())), KEY)
    ids = {identity({**recipe, "seed": seed}, KEY) for seed in range(50)}
    assert len(ids) == 50 and all(0 <= one < 2**64 for one in ids)
    assert identity(recipe, KEY) != identity(recipe, bytes(32))
