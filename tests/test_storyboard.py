"""Storyboards as people write them, rightly and wrongly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from worldreel.errors import MediaError, RequestError, WorldreelError
from worldreel.storyboard import Given, Storyboard, StoryShot, read_storyboard

EXAMPLE = Path(__file__).parent.parent / "examples" / "story.yaml"


def story(folder: Path, text: str | bytes) -> Storyboard:
    path = folder / "story.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_storyboard(path)


def test_the_example_says_what_its_comments_say() -> None:
    board = read_storyboard(EXAMPLE)
    assert [shot.seconds for shot in board.shots] == [3, 3, 2.5]
    assert board.starts == (0, 3, 6) and board.seconds == 8.5
    assert (board.aspect, board.seed, board.fps) == ("16:9", 7, None)
    assert board.texts() == (
        "a red car drives to the right along a city street",
        "a red car drives along a beach at sunset, a brown dog runs behind it",
        "a brown dog sits on a beach at night",
    )


def test_values_are_the_text_that_was_written(tmp_path: Path) -> None:
    """YAML 1.1 would make these 969, False, 7 and 1e3."""
    board = story(
        tmp_path, 'aspect: 16:9\nstyle: no\nshots:\n  - prompt: 007\n    seconds: "1.5"\n'
    )
    assert (board.aspect, board.style, board.shots[0].prompt) == ("16:9", "no", "007")
    assert board.shots[0].seconds == 1.5
    assert story(tmp_path, "\ufeffshots: [a dog, a cat]").texts() == ("a dog", "a cat")
    assert story(tmp_path, "size: 640x360\nshots: [a dog]").size == (640, 360)


def test_files_lie_beside_the_story(tmp_path: Path) -> None:
    for name in ("a.jpg", "b c.png", "me@home.mp4"):
        (tmp_path / name).touch()
    board = story(
        tmp_path,
        "shots:\n- prompt: a dog\n  stills: [a.jpg, b c.png@1.5, {file: a.jpg, at: 3}]\n"
        "  clips: me@home.mp4\n",
    )
    assert board.shots[0].stills == (
        Given(path=tmp_path / "a.jpg"),
        Given(path=tmp_path / "b c.png", at=1.5),
        Given(path=tmp_path / "a.jpg", at=3.0),
    )
    assert board.shots[0].clips == (Given(path=tmp_path / "me@home.mp4"),)


def test_cast_names_become_descriptions() -> None:
    cast = {"Hero": "a red car", "dog": "a brown dog {Hero}"}
    shot = StoryShot(prompt="@hero's horn: { HERO } and @dog, mail me@home.org")
    # Descriptions are not looked into: nothing can go round in circles.
    assert shot.text(cast) == (
        "a red car's horn: a red car and a brown dog {Hero}, mail me@home.org"
    )
    assert StoryShot(prompt="a dog runs.").text({}, "film") == "a dog runs, film"


ONE = "shots:\n- prompt: a dog\n"
WRONG = [
    ("", "is empty"),
    ("# only a remark\n", "is empty"),
    ("just words", r"line 1: the storyboard is the text \"just words\""),
    ("- a\n- b\n", "line 1: the storyboard is a list"),
    ("style: film\n", "has no shots"),
    ("shots:\n", "has no shots"),
    ("shots: []\n", "has no shots"),
    ("shots: a dog\n", "line 1: shots is the text"),
    ("shots:\n- seconds: 2\n", "line 2: shot 1 has no prompt"),
    ('shots:\n- prompt: ""\n', "line 2: shot 1 has an empty prompt"),
    ("shots:\n- prompt: {hero} runs\n", "line 2 of .* is no YAML"),
    ("shots:\n- prompt: {hero}\n", "line 2: prompt is a mapping; put quotes around it"),
    ("shots:\n- prompt: a dog\n  second: 2\n", r"line 3: .*unknown entry \"second\".*is seconds"),
    ("shots:\n- prompt: a dog\n  prompt: a cat\n", "line 3: .* twice"),
    ("stlye: film\n" + ONE, "line 1: .*the nearest is style"),
    (ONE + "  seconds: 0.4\n", r"shot 1: its duration .* is 0\.4; .* the nearest is 0\.5"),
    (ONE + "  seconds: 61\n", "shot 1: .* 61; .* the nearest is 60"),
    (ONE + "  seconds: .nan\n", "line 3: .* a number"),
    (ONE + "  seconds: long\n", "line 3: .* a number"),
    (ONE + "  seconds: -1\n", "shot 1: "),
    (ONE + "  seconds: [1]\n", "line 3: .* is a list"),
    ("shots:\n" + 7 * "- {prompt: a dog, seconds: 10}\n", "last 70 seconds together"),
    ("shots:\n" + 101 * "- {prompt: a dog, seconds: 0.5}\n", "101 shots"),
    ("cast: {hero: a car}\nshots: ['{heros} runs']\n", "shot 1: .*heros.* the nearest is hero"),
    ("shots: [a dog, '@cat runs']\n", "shot 2: .*no such names"),
    ("cast: [a, b]\n" + ONE, "line 1: the cast is a list"),
    ("cast: {my hero: a car}\n" + ONE, "one word"),
    ("cast: {hero: }\n" + ONE, "no description"),
    ("cast: {hero: a car, Hero: a dog}\n" + ONE, "twice"),
    ("cast: {hero: {a: b}}\n" + ONE, "must be text"),
    (ONE + "  stills: nothing.jpg\n", r"line 3: shot 1 names \"nothing.jpg\", which is no file"),
    (ONE + "  stills: [{at: 1}]\n", "a file of shot 1 has no file"),
    (ONE + "  stills: story.yaml@4\n", "shot 1: .* at 4 seconds; the shot lasts 4"),
    ("size: 8x8\n" + ONE, "line 1: the size is 8x8"),
    ("size: large\n" + ONE, "line 1: the size"),
    ("size: 640x360\naspect: 1:1\n" + ONE, "not both"),
    ("aspect: 9:1\n" + ONE, "the aspect"),
    ("seed: 1.5\n" + ONE, "line 1: seed .* whole number"),
    ("steps: 0\n" + ONE, "steps"),
    ("fps: 1000\n" + ONE, "frame rate"),
    ("guidance: 99\n" + ONE, "guidance"),
    ("shots:\n\t- a dog\n", "line 2 of .* is no YAML"),
    ("shots: [a dog\n", "is no YAML"),
    ("shots: [a\x07dog]\n", "is no YAML"),
    ("shots: ['" + "a dog " * 1000 + "']\n", "shot 1: .*characters"),
    ("a: &a [x]\nb: *a\n" + ONE, r"line 2: .*alias"),
    ("shots: " + "[" * 5000 + "\n", "nested 21 deep"),
    ("shots: " + "{a: " * 5000 + "\n", "nested 21 deep"),
    ("--- a\n--- b\n", "is no YAML"),
    ("shots: !!python/object/apply:os.system ['true']\n", ""),  # tags are not looked at
    ("? [a, b]\n: c\n", "must be text"),
]


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_mistakes_are_named(tmp_path: Path, text: str, expected: str) -> None:
    if not expected:
        assert story(tmp_path, text).shots[0].prompt == "true"
        return
    with pytest.raises(RequestError, match=expected) as caught:
        story(tmp_path, text)
    sentence = str(caught.value)
    assert sentence.isprintable() and sentence.endswith(".") and len(sentence) < 500


def test_files_that_are_no_storyboards(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)
    )
    with pytest.raises(RequestError, match=r"line 2: .*alias"):
        story(tmp_path, bomb)
    with pytest.raises(MediaError, match=r"line 2 .* not UTF-8"):
        story(tmp_path, b"shots:\n- prompt: caf\xe9\n")
    with pytest.raises(MediaError, match="larger than 200,000 bytes"):
        story(tmp_path, "x" * 10_000_000)
    for name in ("missing.yaml", "", "a\0b"):
        with pytest.raises(MediaError, match="no file"):
            read_storyboard(tmp_path / name)
    for junk in (bytes(100), b"\xff\xfes\0h\0", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(WorldreelError):
            story(tmp_path, junk)


def test_reads_without_torch() -> None:
    code = "import sys, worldreel.storyboard; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
