"""What videos pass before anyone sees them; the oracles are the parts' own readers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_generator import write_model

from worldreel import cli, provenance
from worldreel.errors import RefusedError, RequestError
from worldreel.generator import Generator
from worldreel.provenance.watermark import installation_key, mark
from worldreel.request import Request
from worldreel.trust import Marked, Passage, Trust
from worldreel.video import Video
from worldreel.video.read import read_video
from worldreel.video.source import Held

pytestmark = pytest.mark.trust
FAST = ("--steps", "1", "--guidance", "1", "--seed", "3", "--seconds", "0.5")
CORNER = ("stand_ins:Corner",)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    write_model(path)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORLDREEL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def video(red: int | None = None, frames: int = 12) -> Video:
    """Noise whose first pixel is red in one frame, which is what the stand-in reviewer forbids."""
    torch.manual_seed(0)
    pixels = torch.randint(90, 160, (frames, 96, 96, 3), dtype=torch.uint8)
    if red is not None:
        pixels[red, 0, 0] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    return Video(pixels, fps=12, recipe={"model": "m", "seed": 1})


def test_a_prompt_against_the_policy_makes_nothing(
    home: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "Taylor Swift dances", "-o", "a.mp4", "--model", str(model)]
    assert cli.main([*words, *FAST]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and '"Taylor Swift"' in told and "real person" in told
    assert [path.name for path in Path().iterdir()] == ["home"]
    with pytest.raises(RefusedError) as refused:
        Trust().ask("a lake", "Taylor Swift dances")
    assert refused.value.category == "figures" and refused.value.words


def test_everything_that_is_written_is_signed_and_says_what_was_off(
    home: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "trust.yaml").write_text("without: [frame review]\n")
    words = ["generate", "a red ball", "--model", str(model), *FAST]
    for name in ("a.mp4", "a.webp", "a.gif"):
        assert cli.main([*words, "-o", name]) == 0
        found = provenance.inspect(name)
        assert (found.answer, found.state) == ("yes", "trusted"), found
        assert found.manifest is not None and tuple(found.manifest.off) == ("frame review",)
    assert "the frame review is off" in capsys.readouterr().out
    assert cli.main(["rerun", "a.mp4", "-o", "b.mp4"]) == 0
    assert torch.equal(read_video(Path("a.mp4")).frames, read_video(Path("b.mp4")).frames)


def test_what_is_shown_is_the_marked_video(home: Path) -> None:
    trust = Trust(reviewers=CORNER)
    passage = Passage(trust, Request(prompt="a ball"))
    plain = video()
    try:
        made = passage.passed(plain)
    finally:
        passage.close()
    assert made.recipe == plain.recipe and not torch.equal(made.frames, plain.frames)
    off = Passage(
        Trust(off=frozenset({"frame review", "watermark", "signature"})), Request(prompt="x")
    )
    same = off.passed(plain)
    assert torch.equal(same.frames, plain.frames) and same.seal is None


def test_a_frame_against_the_policy_stops_the_video(home: Path) -> None:
    for red, refused in ((None, False), (0, True), (5, True), (11, True)):
        passage = Passage(Trust(reviewers=CORNER), Request(prompt="a ball"))
        try:
            if refused:
                with pytest.raises(RefusedError, match="frame review found"):
                    passage.passed(video(red))
            else:
                passage.passed(video(red))
        finally:
            passage.close()


@pytest.mark.parametrize("reviewer", ["stand_ins:Broken", "no.such:Reviewer"])
def test_a_review_that_fails_shows_nothing(home: Path, reviewer: str, model: Path) -> None:
    generator = Generator.load(str(model), trust=Trust(reviewers=(reviewer,)))
    with pytest.raises(RefusedError, match="could not be reviewed"):
        generator.generate(Request(prompt="a ball", seed=1, steps=1, seconds=0.5))


def test_marks_do_not_depend_on_chunks(home: Path) -> None:
    key, frames = installation_key(), video().frames
    whole = mark(frames, key=key, word=7)
    marked = Marked(Held(frames), key=key, word=7)
    assert torch.equal(torch.cat([*marked.chunks(0, 5), *marked.chunks(5)]), whole)
    assert (marked.width, marked.height, len(marked)) == (96, 96, 12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("without: [frame reviews]", "the nearest is frame review"),
        ("without: everything", "is no list"),
        ("prompts: off", "its entries are"),
        ("reviewers: nudity", "no list of names"),
        ("- 1", "its entries are"),
        ("{", "must be a YAML file"),
    ],
)
def test_a_file_that_is_none_is_told(home: Path, text: str, expected: str) -> None:
    (home / "trust.yaml").write_text(text)
    with pytest.raises(RequestError, match=expected):
        Trust.load()


def test_the_file_says_what_is_off_and_how_it_is_judged(home: Path) -> None:
    assert Trust.load() == Trust()
    (home / "mine.yaml").write_text("refuse: {characters: [zorblax]}\n")
    (home / "trust.yaml").write_text(
        "without: [watermark, prompt policy]\npolicy: mine.yaml\nframes: {rate: 8}\n"
    )
    trust = Trust.load()
    assert trust.off == {"watermark", "prompt policy"} and trust.frames == {"rate": 8}
    assert trust.signing.off == ("prompt policy", "watermark") and len(trust.notes) == 2
    trust.ask("Taylor Swift meets zorblax")  # nothing is judged but what is in nobody's power
    (home / "trust.yaml").write_text("policy: mine.yaml\n")
    with pytest.raises(RefusedError, match="zorblax"):
        Trust.load().ask("zorblax dances")
