"""The atlas: what is packed is what was promised, checked on the pictures themselves."""

from __future__ import annotations

import colorsys
import csv
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from worldreel.errors import WorldError
from worldreel.world import atlas, pack
from worldreel.world.atlas import COLOURS, kind, kinds, load_sprites, recolour

CORE = [k for k in kinds() if k.core == 1]


@pytest.fixture(scope="module")
def core() -> torch.Tensor:
    return load_sprites([k.name for k in CORE], side=128)


def test_enough_kinds_of_every_group() -> None:
    groups = {k.group for k in kinds()}
    assert len(kinds()) >= 100
    assert 20 <= len(CORE) <= 30
    assert groups >= {"person", "face", "animal", "bird", "sea", "insect", "vehicle", "aircraft"}
    assert groups >= {"boat", "food", "thing", "shape", "prop"}
    feelings = {"happy", "sad", "angry", "surprised", "asleep"}
    assert feelings <= {k.feeling for k in kinds()}


def test_words_are_unambiguous() -> None:
    names = [k.name for k in kinds()]
    assert len(set(names)) == len(names)
    owner: dict[str, str] = {}
    for entry in kinds():
        for word in entry.synonyms:
            assert owner.setdefault(word, entry.noun) == entry.noun, word
            assert word not in names or word == entry.name
        assert entry.gaits and entry.colours
        assert entry.medium in ("ground", "air", "water", "any")
        assert 0.6 <= entry.scale <= 1.4
        if entry.recolourable:
            assert not any(c in word.split() for c in COLOURS for word in entry.synonyms)
            assert 0.1 < entry.level < 0.95
        if entry.group == "face":
            assert not {"walk", "run", "idle"} & set(entry.gaits)


def test_sprites_stand_where_the_table_says(core: torch.Tensor) -> None:
    assert core.shape == (len(CORE), 24, 5, 128, 128) and core.dtype == torch.uint8
    for entry, sprite in zip(CORE, core, strict=True):
        covered = (sprite[:, 3] > 40).any(0)
        rows, columns = covered.any(1).nonzero().flatten(), covered.any(0).nonzero().flatten()
        assert 121 <= rows[-1] <= 124, entry.name
        assert abs(rows[-1] + 1 - rows[0] - entry.height * 128) <= 4, entry.name
        assert abs(columns[-1] + 1 - columns[0] - entry.width * 128) <= 4, entry.name
        assert max(entry.width, entry.height) == pytest.approx(120 / 128, abs=0.02)
        assert (sprite[:, :3] <= sprite[:, 3:4]).all(), "colour is premultiplied"
        if entry.frames == 24:
            assert (sprite[0] != sprite[12]).any()


def test_area_filter_keeps_the_mean(core: torch.Tensor) -> None:
    names = [k.name for k in CORE[:3]]
    for side in (32, 48, 64, 96):
        small = load_sprites(names, side=side)
        assert small.shape == (3, 24, 5, side, side)
        wanted = core[:3, :, :4].float().mean(dim=(-1, -2))
        assert torch.allclose(small[:, :, :4].float().mean(dim=(-1, -2)), wanted, atol=0.3)


def test_core_kinds_differ_at_32_pixels() -> None:
    small = load_sprites([k.name for k in CORE], side=32)[:, 0, :4].float().flatten(1) / 255
    apart = torch.cdist(small, small) / small.shape[1] ** 0.5
    apart.fill_diagonal_(9)
    assert apart.min() > 0.12


def test_every_paint_takes_every_colour() -> None:
    painted = [k for k in kinds() if k.recolourable and k.core <= 2]
    assert len(painted) >= 15
    sprites = load_sprites([k.name for k in painted], side=64)[:, 0]
    for entry, sprite in zip(painted, sprites, strict=True):
        where = (sprite[4] > 230) & (sprite[3] > 250)
        assert where.float().mean() > 0.004, entry.name
        for colour, target in COLOURS.items():
            out = recolour(sprite, colour, level=entry.level)
            assert torch.equal(out[3], sprite[3])
            mean = (out[:3, where].float().mean(1) / 255).tolist()
            nearest = min(COLOURS, key=lambda name: _unlike(mean, COLOURS[name]))
            assert nearest == colour, (entry.name, colour, nearest, mean, target)


def _unlike(seen: list[float], target: tuple[float, float, float]) -> float:
    """Distance that forgives shade: hue and saturation on a disc, brightness at a third."""
    (h1, s1, v1), (h2, s2, v2) = colorsys.rgb_to_hsv(*seen), colorsys.rgb_to_hsv(*target)
    disc = abs(s1 * np.exp(2j * np.pi * h1) - s2 * np.exp(2j * np.pi * h2))
    return float(disc + abs(v1 - v2) / 3)


def test_unpainted_pixels_stay(core: torch.Tensor) -> None:
    index = next(i for i, k in enumerate(CORE) if k.name == "car")
    sprite = core[index, 0]
    out = recolour(sprite, "green", level=CORE[index].level)
    still = sprite[4] == 0
    assert (out[:3, still].int() - sprite[:3, still].int()).abs().max() <= 1


def test_errors_name_the_nearest() -> None:
    with pytest.raises(WorldError, match="'elephant'"):
        kind("elefant")
    with pytest.raises(WorldError, match="nearest is 64"):
        load_sprites(["dog"], side=70)


def test_kinds_need_no_torch() -> None:
    code = "import sys, worldreel.world.atlas as a; a.kinds(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_assets_are_small_and_match_the_selection() -> None:
    assert sum(f.stat().st_size for f in atlas.ASSETS.iterdir()) < 11.5e6
    with (atlas.ASSETS / "selection.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == [k.name for k in kinds()]


def _flag(frame: int) -> Image.Image:
    """A blue pole at the left with a red dot that circles once in 24 frames."""
    picture = np.zeros((256, 256, 4), np.uint8)
    picture[40:240, 30:60] = (20, 60, 220, 255)
    angle = 2 * np.pi * frame / 24
    y, x = np.mgrid[0:256, 0:256]
    dot = np.hypot(x - 150 - 50 * np.cos(angle), y - 140 - 50 * np.sin(angle)) < 22
    picture[dot] = (220, 20, 40, 255)
    return Image.fromarray(picture)


def test_packing_a_known_loop(tmp_path: Path) -> None:
    folder = tmp_path / "anim-1" / "package" / "assets"
    folder.mkdir(parents=True)
    first, *rest = [_flag(frame) for frame in range(72)]
    first.save(folder / "flag.webp", save_all=True, append_images=rest, duration=41, lossless=True)
    row = {
        "name": "flag", "noun": "flag", "synonyms": "", "group": "thing", "medium": "ground",
        "faces": "left", "gaits": "idle", "colours": "blue", "feeling": "", "scale": "1.0",
        "core": "3", "package": "anim-1", "file": "assets/flag.webp", "paint": "225:20", "edit": "",
    }  # fmt: skip
    selection = tmp_path / "selection.csv"
    with selection.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    assert pack.pack(tmp_path, selection, tmp_path) > 0
    entry = json.loads((tmp_path / "actors.json").read_text())[0]
    assert entry["seconds"] == 1.0, "one turn of the dot, not three"
    assert entry["frames"] == 24 and entry["directional"] and entry["recolourable"]
    frames, mask, _ = pack.sprite(row, pack.Sources(tmp_path, [row]))
    assert (mask > 0.5).any(axis=0)[:, :64].sum() == 0, "the pole is mirrored to the right"
    assert (mask > 0.5).any(axis=0)[:, 64:].sum() > 500
    centres = [np.argwhere(f[..., 0] > 0.6).mean(axis=0) for f in frames]
    assert np.ptp([c[0] for c in centres]) == pytest.approx(100 * 120 / 200, abs=3)
    # The same package as npm pack makes it gives the same sprite.
    with tarfile.open(tmp_path / "fluent-emoji-anim-1-1.0.0.tgz", "w:gz") as tar:
        tar.add(folder / "flag.webp", "package/assets/flag.webp")
    (folder / "flag.webp").unlink()
    again, _, _ = pack.sprite(row, pack.Sources(tmp_path, [row]))
    assert np.array_equal(again, frames)
    with pytest.raises(WorldError, match="npm pack"):
        pack.Sources(tmp_path, [row]).read("anim-1", "assets/none.webp")
    stored = pack.encode(frames, mask, quality=90)[0]
    assert Image.open(io.BytesIO(stored)).size == (768, 512)
