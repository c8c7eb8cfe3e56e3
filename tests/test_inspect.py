"""`inspect`: what the pictures of a file say when its manifest is gone; the oracles are the files'
makers, who know what they put in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from test_tampering import recipe
from test_watermark import coded, picture, resized
from torch import Tensor

from worldreel import cli, provenance
from worldreel.errors import MediaError
from worldreel.provenance.evidence import Evidence
from worldreel.provenance.recovery import looked_up, nearest, remember
from worldreel.provenance.report import Report
from worldreel.provenance.seen import Seen, seen, seen_in
from worldreel.provenance.watermark import installation_key, key_file, mark
from worldreel.request import Request
from worldreel.trust import Passage, Trust
from worldreel.video import Video, save_image
from worldreel.video.read import read_video

WORD = 0x0123456789ABCDEF
RECIPE = {"model": "m", "seed": 7, "prompt": "a whale \x1b[31m"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORLDREEL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def video(frames: Tensor) -> Video:
    return Video(frames, fps=12, recipe=RECIPE)


def answers(found: Seen) -> dict[str, str]:
    return {one.source: one.answer for one in found.evidence}


def stripped(path: Path, target: Path) -> Path:
    """The same pictures without manifest and remark, as sites hand them out."""
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in [p for p in source.demux(video=0) if p.size]:
            packet.stream = stream
            out.mux(packet)
    return target


def written(path: Path, frames: Tensor, told: dict[str, Any] = RECIPE) -> Path:
    """A video as the command makes it, with all that this carries."""
    passage = Passage(Trust(off=frozenset({"frame review"})), Request(prompt="a whale"))
    passage.passed(Video(frames, fps=12, recipe=told)).save(path)
    return path


def test_a_stripped_video_finds_its_manifest_again(home: Path) -> None:
    path = written(Path("a.mp4"), picture(128, 128))
    whole = provenance.inspect(path)
    assert (whole.answer, whole.state) == ("yes", "trusted")
    sources = [one.source for one in whole.evidence]
    assert sources == ["manifest", "watermark", "fingerprint", "detector", "remark"]
    report = provenance.inspect(stripped(path, Path("b.mp4")))
    told = {one.source: one.answer for one in report.evidence}
    assert (report.answer, report.state) == ("yes", "none")
    assert told["manifest"] == "unknown" and told["watermark"] == told["fingerprint"] == "yes"
    assert report.recipe is not None and report.recipe["seed"] == 7
    known = report.recovered
    assert known is not None and known.how == "watermark" and known.recipe == RECIPE
    assert known.manifest is not None and known.manifest[4:8] == b"jumb"
    assert known.manifest in path.read_bytes() or len(known.manifest) > 5000
    assert report.to_dict()["recovered"]["id"] == f"{known.word:016x}"


def test_a_tampered_video_is_ours_and_said_to_be_changed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(Path("a.webp"), picture(128, 128, frames=2))
    path.write_bytes(path.read_bytes().replace(b"notAllowed", b"notAllowex", 1))
    report = provenance.inspect(path)
    assert (report.answer, report.state) == ("yes", "tampered")
    assert cli.main(["inspect", str(path)]) == 0
    told = capsys.readouterr().out
    assert told.startswith('"a.webp": made by us: yes, but changed since it was signed\n')
    assert "\x1b" not in told and all(len(line) < 250 for line in told.splitlines())


def test_the_mark_is_known_after_what_sites_do_and_the_picture_without_it(home: Path) -> None:
    frames = picture(128, 128)
    remember(video(frames), word=WORD, recipe=RECIPE)
    marked = mark(frames, key=installation_key(), word=WORD)
    found = seen_in(video(coded(marked, 28)))
    assert answers(found)["watermark"] == "yes" and found.recovered is not None
    assert (found.recovered.word, found.recovered.how) == (WORD, "watermark")
    # A copy that was made without the mark looks the same, and no more is said.
    found = seen_in(video(resized(frames, 90, 90)))
    assert answers(found) | {"detector": ""} == {
        "watermark": "unknown",
        "fingerprint": "yes",
        "detector": "",
    }
    assert found.recovered is not None and found.recovered.how == "fingerprint"
    assert "no proof" in found.evidence[1].why


def test_strange_videos_are_unknown_and_make_no_keys(home: Path) -> None:
    found = seen_in(video(picture(96, 96, seed=5)))
    assert answers(found)["watermark"] == answers(found)["fingerprint"] == "unknown"
    assert not key_file().exists() and not home.exists()
    remember(video(picture(96, 96)), word=WORD, recipe=RECIPE)
    found = seen_in(video(picture(96, 96, seed=5, frames=2)))
    assert answers(found)["fingerprint"] == "unknown" and found.recovered is None


def test_black_frames_are_not_taken_for_other_black_frames(home: Path) -> None:
    black = torch.zeros(6, 96, 96, 3, dtype=torch.uint8)
    remember(video(black), word=WORD, recipe=RECIPE)
    assert nearest(video(black)) == (WORD, 0.0)
    found = seen_in(video(black))
    assert set(answers(found).values()) == {"unknown"} and found.recovered is None


def test_the_detector_only_advises() -> None:
    def report(*answers: tuple[str, str]) -> Report:
        told = tuple(Evidence(source=s, answer=a, why="") for s, a in answers)
        return Report(
            file="", kind="", bytes=0, state="none", evidence=told, changes=(), recipe=None,
            manifest=None,
        )  # fmt: skip

    assert report(("manifest", "unknown"), ("detector", "yes")).answer == "unknown"
    assert report(("manifest", "unknown"), ("watermark", "yes"), ("detector", "no")).answer == "yes"
    assert report(("manifest", "no"), ("watermark", "yes")).answer == "no"


def test_files_that_show_nothing_are_unknown() -> None:
    path = Path("odd.mp4")
    for data in (b"", b"\x89PNG\r\n\x1a\n" + bytes(40)):
        path.write_bytes(data)
        assert set(answers(seen(path)).values()) == {"unknown"}
    assert provenance.inspect(path).answer == "unknown"


def test_a_store_that_cannot_be_read_is_said(home: Path) -> None:
    installation_key()
    (home / "recovery.sqlite").write_bytes(b"no database, and longer than a header of one" * 9)
    found = seen_in(video(picture(96, 96, frames=2)))
    assert answers(found)["watermark"] == "unknown"
    assert "cannot be used" in found.evidence[0].why
    with pytest.raises(MediaError):
        provenance.inspect("none.mp4")


def test_json_has_every_answer(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_image(video(picture(96, 96, frames=1)).to_pil()[0], "a.png")
    assert cli.main(["inspect", "a.png", "a.png", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told) == 2 and told[0]["made_by_us"] == "unknown"
    assert all({"source", "answer", "why"} == set(one) for one in told[0]["evidence"])
    assert cli.main(["inspect", "a.png", "--json", "--quick"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["source"] for one in told["evidence"]] == ["manifest", "remark"]


def test_pictures_of_a_video_are_signed_as_made_from_it(home: Path) -> None:
    one = written(Path("a.mp4"), picture(64, 96))
    two = written(Path("b.mp4"), picture(64, 96, seed=1))
    page = video(picture(64, 96)).to_pil()[0]
    for videos, actions in (
        ([one], ["c2pa.opened", "c2pa.edited"]),
        ([one, two], ["c2pa.created", "c2pa.placed"]),
    ):
        path = save_image(page, "sheet.webp", seal=Trust().derived(RECIPE, videos))
        report = provenance.inspect(path, pictures=False)
        assert (report.answer, report.state) == ("yes", "trusted"), report
        assert report.manifest is not None
        assert [action["action"] for action in report.manifest.actions] == actions
        assert len(report.manifest.ingredients) == len(videos)
    assert Trust(off=frozenset({"signature"})).derived(RECIPE, [one]) is None


@pytest.mark.trust
def test_the_pictures_of_the_server_are_signed(home: Path) -> None:
    pictures = pytest.importorskip("worldreel.server.pictures")
    pictures.draw(written(Path("video.mp4"), picture(64, 96), recipe(1)))
    for name in ("thumbnail.webp", "spritesheet.jpg"):
        report = provenance.inspect(name, pictures=False)
        assert (report.answer, report.state) == ("yes", "trusted")
        assert report.manifest is not None
        assert report.manifest.ingredients[0]["relationship"] == "parentOf"


def test_what_is_forgotten_is_not_looked_up() -> None:
    assert looked_up(5) is None
    remember(video(picture(64, 64, frames=1)), word=WORD, recipe=RECIPE)
    assert looked_up(5, how="watermark") is None
    assert looked_up(WORD, how="watermark") is not None


def test_saved_frames_are_those_that_were_marked(home: Path) -> None:
    """What goes into a lossless file is what the mark was put into."""
    frames = picture(96, 96, frames=1)
    path = written(Path("a.png"), frames)
    shown = read_video(path).frames
    known = provenance.inspect(path).recovered
    assert known is not None
    assert torch.equal(shown, mark(frames, key=installation_key(), word=known.word))
