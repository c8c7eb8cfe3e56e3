"""What users give is looked at before anything is made of it, and previews before they are shown.

The oracles: stand-in reviewers that read their findings off a pixel, a face drawn by hand that is
one to the face detector, and words written into pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from test_generator import write_model
from torch import Tensor

from worldreel import cli
from worldreel.errors import RefusedError
from worldreel.given import known_still
from worldreel.request import KnownClip, Request
from worldreel.safety.frames import blurred
from worldreel.safety.reviewing import FrameReview, ReviewPolicy, Use
from worldreel.trust import Passage, Trust
from worldreel.video import Video

pytestmark = pytest.mark.trust
CORNER = ("stand_ins:Corner",)
READS = pytest.mark.skipif(
    find_spec("rapidocr_onnxruntime") is None, reason="the extra ocr is not installed"
)


def grey(red: int = 90, frames: int = 3) -> Tensor:
    """Grey frames with a first pixel whose redness is what `Corner` finds."""
    pixels = torch.full((frames, 64, 96, 3), 90, dtype=torch.uint8)
    pixels[:, 0, 0] = torch.tensor([red, 0, 0], dtype=torch.uint8)
    return pixels


def drawn_face(side: int = 240) -> Image.Image:
    """Somebody who does not exist, in ellipses."""
    image = Image.new("RGB", (side, side), (120, 150, 120))
    pencil, unit = ImageDraw.Draw(image), side / 200

    def oval(x: float, y: float, wide: float, high: float, colour: tuple[int, int, int]) -> None:
        box = [(x - wide) * unit, (y - high) * unit, (x + wide) * unit, (y + high) * unit]
        pencil.ellipse(box, fill=colour)

    oval(100, 95, 62, 82, (70, 45, 30))
    oval(100, 105, 50, 66, (224, 172, 140))
    for x in (80, 120):
        oval(x, 95, 14, 9, (168, 129, 105))
        oval(x, 96, 10, 5, (245, 240, 235))
        oval(x, 96, 5, 5, (60, 40, 30))
        brow = [(x - 13) * unit, 82 * unit, (x + 13) * unit, 80 * unit]
        pencil.line(brow, fill=(60, 40, 25), width=round(5 * unit))
    pencil.line([100 * unit, 96 * unit, 95 * unit, 120 * unit], fill=(190, 146, 119), width=6)
    oval(100, 122, 11, 5, (175, 134, 109))
    oval(100, 143, 20, 6, (165, 80, 75))
    pencil.line([80 * unit, 143 * unit, 120 * unit, 143 * unit], fill=(110, 45, 45), width=2)
    return image.filter(ImageFilter.GaussianBlur(2.5 * unit))


def written(*lines: str) -> Image.Image:
    """Words on a plain ground."""
    image = Image.new("RGB", (480, 270), (205, 215, 225))
    for row, line in enumerate(lines):
        place = (20, 30 + 70 * row)
        ImageDraw.Draw(image).text(place, line, (20, 20, 40), ImageFont.load_default(size=40))
    return image


def given(frames: Tensor, name: str = "clip.mp4") -> Request:
    """A request that a file of these frames comes with."""
    clip = KnownClip(clip=Video(frames, fps=12), name=name, foreign=True)
    return Request(prompt="a ball", known=(clip,))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORLDREEL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture(scope="module")
def corner() -> Iterator[FrameReview]:
    with FrameReview(CORNER) as review:
        yield review


def test_a_preview_is_shown_only_if_nothing_is_found_in_it(corner: FrameReview) -> None:
    plain, red = grey(), grey(255)
    green, blue = red.roll(1, -1), red.roll(2, -1)  # findings of middle and of low confidence
    assert corner.may_be_shown(plain) and corner.may_be_shown(plain[0])
    assert torch.equal(corner.preview(plain), plain)
    for hidden in (red, green):
        assert not corner.may_be_shown(hidden)
        assert torch.equal(corner.preview(hidden), blurred(hidden))
    assert corner.may_be_shown(blue)
    assert not corner.may_be_shown(plain[:0])  # no frame was looked at
    # One frame in twenty is enough, wherever it is.
    assert not corner.may_be_shown(torch.cat([grey(frames=19), red[:1]]))


def test_a_preview_that_cannot_be_reviewed_is_blurred() -> None:
    with FrameReview([Use(factory="stand_ins:Broken", settings={"how": "raises"})]) as review:
        assert torch.equal(review.preview(grey()), blurred(grey()))
        assert not review.may_be_shown(grey())
        assert review._worker is None  # it is not tried again and again


@pytest.mark.slow
def test_what_is_tolerated_may_be_shown() -> None:
    with FrameReview(CORNER, ReviewPolicy(tolerated=frozenset({"corner"}))) as review:
        assert review.may_be_shown(grey(255))
        assert not review.may_be_shown(torch.zeros(2, 3, 8, 8))  # no frames at all


def test_a_passage_hides_previews_and_an_operator_may_show_them(home: Path) -> None:
    passage = Passage(Trust(reviewers=CORNER), Request(prompt="a ball"))
    try:
        assert torch.equal(passage.preview(grey(255)), blurred(grey(255)))
        assert torch.equal(passage.preview(grey()), grey())
    finally:
        passage.close()
    off = Passage(Trust(off=frozenset({"frame review"})), Request(prompt="a ball"))
    assert torch.equal(off.preview(grey(255)), grey(255))


def test_uploads_are_looked_at_first(home: Path) -> None:
    frames = {"faces_allowed": True}
    trust = Trust(reviewers=CORNER, uploaded=True, frames=frames)
    with pytest.raises(RefusedError, match=r'"corner" in 1 frame of "clip\.mp4"') as refused:
        trust.passage(given(grey(255)))
    assert refused.value.category == "corner"
    # Of one's own file only what the video shows is judged, and with the video.
    Trust(reviewers=CORNER).passage(given(grey(255))).close()


@pytest.mark.slow
def test_uploads_that_cannot_be_reviewed_are_refused(home: Path) -> None:
    broken = Trust(reviewers=("stand_ins:Broken",), uploaded=True)
    with pytest.raises(RefusedError, match="could not be reviewed"):
        broken.passage(given(grey()))


def test_faces_in_uploads_need_consent_and_are_not_sought_in_what_is_made(home: Path) -> None:
    face = torch.from_numpy(np.array(drawn_face()))[None]
    trust = Trust(reviewers=CORNER, uploaded=True)
    with pytest.raises(RefusedError, match="without people's faces") as refused:
        trust.passage(given(face, "me.png"))
    assert refused.value.category == "faces"
    Trust(reviewers=CORNER, uploaded=True, frames={"faces_allowed": True}).passage(
        given(face)
    ).close()
    passage = trust.passage(given(grey()))
    try:
        passage.passed(Video(face.expand(6, -1, -1, -1), fps=12, recipe={"seed": 1}))
    finally:
        passage.close()


@pytest.mark.slow
def test_the_server_asks_for_consent_and_the_command_line_does_not(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fastapi")
    from worldreel.server.making import GeneratorMaker
    from worldreel.server.orders import Order

    write_model(home / "model")
    drawn_face().save("face.png")
    order = Order(
        task="animate",
        prompt="it turns",
        engine=str(home / "model"),
        seconds=0.5,
        total=0.5,
        width=64,
        height=64,
        seed=1,
        steps=1,
        file="face.png",
    )
    with pytest.raises(RefusedError, match=r'found "faces" in 1 frame of "face\.png"'):
        list(GeneratorMaker().make(order, Path("face.png"), Path("a.mp4")))
    assert not Path("a.mp4").exists()
    words = ["animate", "face.png", "it turns", "--model", str(home / "model"), "-o", "b.mp4"]
    fast = ["--steps", "1", "--guidance", "1", "--seconds", "0.5", "--size", "64x64"]
    assert cli.main([*words, *fast]) == 0 and Path("b.mp4").exists()
    (home / "trust.yaml").write_text("frames: {faces_allowed: true}\n")
    list(GeneratorMaker().make(order, Path("face.png"), Path("a.mp4")))
    assert Path("a.mp4").exists()


@pytest.mark.slow
@READS
def test_words_in_a_given_picture_are_words_to_the_policy(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(home / "model")
    written("Taylor Swift", "tonight on stage").save("poster.png")
    words = ["animate", "poster.png", "it moves", "--model", str(home / "model"), "-o", "a.mp4"]
    assert cli.main([*words, "--steps", "1", "--seconds", "0.5"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and 'written in "poster.png"' in told and "Taylor Swift" in told
    assert not Path("a.mp4").exists()


@pytest.mark.slow
@READS
def test_harmless_words_pass_and_two_halves_are_read_together(home: Path) -> None:
    trust = Trust(reviewers=CORNER)
    sign = known_still(written("Fresh bread", "every morning"))
    trust.passage(Request(prompt="a red car drives through the desert", known=(sign,))).close()
    half = known_still(written("Cruise"))
    trust.passage(Request(prompt="a red car drives through the desert", known=(half,))).close()
    with pytest.raises(RefusedError, match="real person"):
        other = known_still(written("Cruise"))
        trust.passage(Request(prompt="a photo of Tom", known=(other,)))


@pytest.mark.slow
@READS
def test_words_that_are_read_without_blanks_are_taken_apart(home: Path) -> None:
    sign = known_still(written("eineNintendoSwitch"))
    with pytest.raises(RefusedError, match="written in"):
        Trust(reviewers=CORNER).passage(Request(prompt="a table", known=(sign,)))


@READS
def test_writing_is_read_once_and_told() -> None:
    frames = torch.from_numpy(np.array(written("Good morning")))[None].expand(4, -1, -1, -1)
    with FrameReview([], reading=True) as review:
        outcome = review.review([frames], 12.0)
        assert outcome.allowed and not outcome.evidence
        assert [text.lower() for text in outcome.texts] == ["good morning"]
        assert review.review([frames], 12.0, given=False).texts == ()
