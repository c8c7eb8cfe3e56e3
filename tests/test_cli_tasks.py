"""The commands that start from something given: what they write, and what they say to bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_generator import write_model

from worldreel import cli
from worldreel.recipe import extract
from worldreel.video import Video
from worldreel.video.read import read_video

FAST = ("--steps", "1", "--guidance", "1", "--seed", "3")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    write_model(path)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a photo, two clips and a mask in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLDREEL_HOME", str(tmp_path / "home"))
    random = np.random.default_rng(0)
    wide = np.kron(random.integers(0, 255, (10, 40, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    Image.fromarray(wide[:, :160]).save("photo.jpg")
    for name, first in (("a.mp4", 0), ("b.mp4", 120)):
        frames = np.stack([wide[:, first + 3 * i : first + 3 * i + 140] for i in range(30)])
        Video(torch.from_numpy(frames.copy()), fps=24).save(name)
    mask = np.zeros((100, 140), np.uint8)
    mask[:50] = 255
    Image.fromarray(mask).save("mask.png")
    Path("story.yaml").write_text(
        "cast: {hero: a red car}\n"
        "shots:\n"
        "  - {prompt: '@hero in a city', seconds: 1}\n"
        "  - {prompt: '{hero} on a beach', seconds: 1, stills: [photo.jpg@0.5]}\n"
    )
    return tmp_path


COMMANDS = {
    "image": (["image", "a dog"], 1),
    "animate": (["animate", "photo.jpg", "it moves", "--seconds", "1"], 12),
    "keyframes": (["animate", "x", "--image", "photo.jpg@0", "--image", "photo.jpg@0.9",
                   "--seconds", "1"], 12),
    "extend": (["extend", "a.mp4", "--seconds", "0.5"], 15 + 6),
    "before": (["extend", "a.mp4", "it begins", "--seconds", "0.5", "--before"], 15 + 6),
    "fill": (["fill", "a.mp4", "--from", "0.4", "--to", "0.8"], 15),
    "region": (["fill", "a.mp4", "a cat", "--region", "10,10,60,60"], 15),
    "mask": (["fill", "a.mp4", "a cat", "--mask", "mask.png"], 15),
    "connect": (["connect", "a.mp4", "b.mp4", "--seconds", "0.5"], 15 + 8 + 15),  # to the grid
    "loop": (["loop", "a.mp4", "--seconds", "0.5"], 15 + 8),
    "edit": (["edit", "a.mp4", "in snow", "--strength", "0.5"], 15),
    "storyboard": (["storyboard", "story.yaml"], 24),
    "long": (["generate", "a dog", "--seconds", "5"], 60),
}  # fmt: skip


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_writes_what_it_says(
    name: str, here: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, frames = COMMANDS[name]
    before = set(here.iterdir())
    assert cli.main([*words, "--model", str(model), *FAST, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    path = here / answer["path"]
    made = read_video(path)
    assert len(made) == answer["frames"] == frames
    assert made.fps == 12 or frames == 1
    assert {p.name for p in set(here.iterdir()) - before} == {path.name, "home"}
    recipe = extract(path)
    assert recipe["task"] in (name, words[0])
    assert answer["notes"] or name in ("image", "long")
    given = [word for word in words if word in ("a.mp4", "b.mp4", "photo.jpg")]
    assert [known["name"] for known in recipe["known"]][: len(given)] == given


def test_a_clip_that_was_made_here_goes_on_in_its_words_and_size(
    here: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "a dog", "-o", "dog.mp4", "--size", "128x128", "--seconds", "0.75"]
    assert cli.main([*words, "--model", str(model), *FAST]) == 0
    assert cli.main(["extend", "dog.mp4", "--seconds", "0.5", "--model", str(model), *FAST]) == 0
    assert "dog-2.mp4" in capsys.readouterr().out or (here / "a-dog.mp4").exists()
    made = read_video(here / "a-dog.mp4")
    assert (made.width, made.height, len(made)) == (128, 128, 15)
    recipe = extract(here / "a-dog.mp4")
    assert recipe["prompt"] == "a dog" and recipe["task"] == "extend"


@pytest.mark.parametrize("name", ["animate", "extend", "before", "fill", "loop", "edit"])
def test_what_was_given_is_found_again_by_rerun(
    name: str, here: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, _ = COMMANDS[name]
    assert cli.main([*words, "--model", str(model), *FAST, "--steady", "off", "-o", "x.mp4"]) == 0
    assert cli.main(["rerun", "x.mp4", "-o", "y.mp4"]) == 0
    assert torch.equal(read_video(here / "x.mp4").frames, read_video(here / "y.mp4").frames)
    given = "photo.jpg" if name == "animate" else "a.mp4"
    Path(given).rename("elsewhere")
    assert cli.main(["rerun", "x.mp4", "-o", "z.mp4"]) == 2
    assert f'"{given}", which is not beside it' in capsys.readouterr().err


BAD = {
    "no media": ("extend text.mp4", "text.mp4"),
    "truncated": ("extend short.mp4", "short.mp4"),
    "missing": ("animate nothing.jpg x", "nothing.jpg"),
    "empty": ("extend empty.mp4", "empty.mp4"),
    "header": ("animate huge.png x", "huge.png"),
    "mask": ("fill a.mp4 x --mask photo.jpg", "140x100"),
    "region": ("fill a.mp4 x --region 100,10,60,60", "140"),
    "range": ("fill a.mp4 --from 1 --to 9", "1.25"),
    "nothing": ("fill a.mp4", "say what is to be filled"),
    "overlap": ("animate x --image photo.jpg@0.5 --image photo.jpg@0.6", "0.5 seconds apart"),
    "time": ("animate photo.jpg x --at 9 --seconds 2", "lasts 2 seconds"),
    "no time": ("animate --image photo.jpg@soon", "FILE@SECOND"),
    "strength": ("edit a.mp4 x --strength 3", "strength is 3"),
    "size": ("loop a.mp4 --size 4000x4000", "64 to 1920"),
    "seconds": ("extend a.mp4 --seconds 0", "0.25"),
    "still": ("loop photo.jpg", "one frame"),
    "story": ("storyboard photo.jpg", "photo.jpg"),
    "no story": ("storyboard nothing.yaml", "nothing.yaml"),
    "folder": ("extend a.mp4 -o nowhere/x.mp4", "nowhere"),
    "suffix": ("extend a.mp4 -o x.avi", "x.avi"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_input_is_one_sentence_and_leaves_nothing(
    name: str, here: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, told = BAD[name]
    Path("text.mp4").write_text("this is no video\n" * 100)
    Path("short.mp4").write_bytes(Path("a.mp4").read_bytes()[:900])
    Path("empty.mp4").write_bytes(b"")
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (20_000).to_bytes(4, "big") * 2
    Path("huge.png").write_bytes(header + b"\x08\x02\x00\x00\x00" + b"\x00" * 40)
    before = {p: p.stat().st_mtime_ns for p in here.iterdir()}
    assert cli.main([*command.split(), "--model", str(model), *FAST]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert told in said.err and "Traceback" not in said.err
    assert {p: p.stat().st_mtime_ns for p in here.iterdir()} == before
