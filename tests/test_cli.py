"""The command line: what it says and leaves behind, with a stand-in for the model.

The stand-in answers at once with coloured frames that depend on the seed alone, so that every
way through the commands is tested in milliseconds; the model itself has its own tests.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import worldreel
from worldreel import cli
from worldreel.codec.model import Codec, CodecConfig
from worldreel.commands.naming import free, numbered, slug
from worldreel.commands.progress import span
from worldreel.generator import Finished, Generator, StepEvent
from worldreel.models.embedded import save_model
from worldreel.models.model import Settings
from worldreel.recipe import Recipe, extract
from worldreel.request import Lora, Request
from worldreel.text.encoder import TextConfig
from worldreel.train.transformer import Learner
from worldreel.transformer.config import TransformerConfig
from worldreel.video import Video

NATIVE, FPS, WEIGHTS = (64, 64), 12.0, "ab" * 32


class StandIn:
    """Looks like a Generator from outside; `stop` is raised in the middle of a video."""

    model = SimpleNamespace(sha256=WEIGHTS, settings=SimpleNamespace(fps=FPS))
    stop: BaseException | None = None

    def stream(
        self, request: Request, *, fit: str = "crop", unfinished: Path | None = None
    ) -> Iterator[StepEvent | Finished]:
        request = request.seeded()
        (width, height), native = request.sizes([NATIVE])
        for number in (1, 2):
            yield StepEvent(number=number, steps=2, elapsed=0.1 * number, remaining=0.1)
            if self.stop is not None:
                raise self.stop
        count = max(1, round((request.seconds or 1.0) * FPS))
        random = torch.Generator().manual_seed(request.seed or 0)
        colour = torch.randint(0, 256, (1, 1, 1, 3), generator=random, dtype=torch.uint8)
        recipe = Recipe(
            model=request.model,
            weights_sha256=WEIGHTS,
            prompt=request.prompt,
            negative=request.negative,
            seed=request.seed or 0,
            seconds=count / FPS,
            width=width,
            height=height,
            native_width=native[0],
            native_height=native[1],
            fps=FPS,
            steps=request.steps or 8,
            guidance=4.0,
            version=worldreel.__version__,
        )
        # Every frame differs: GIF and WebP keep runs of equal ones as one.
        frames = (colour + 5 * torch.arange(count)[:, None, None, None]).to(torch.uint8)
        frames = frames.expand(count, height, width, 3)
        video = Video(frames, fps=FPS, recipe=recipe.to_dict())
        yield Finished(video=video, native=native, seconds_taken=0.2)


LOAD = Generator.load


def load(
    name: str = "embedded", *, loras: tuple[Lora, ...] = (), trust: object = None, **running: Any
) -> Any:
    """The stand-in for the embedded model; other names are looked for as usual."""
    return StandIn() if name == "embedded" else LOAD(name, loras=loras, **running)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty folder and with the stand-in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Generator, "load", load)
    monkeypatch.setattr(StandIn, "stop", None)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_help_and_version_import_no_torch() -> None:
    code = (
        "import sys\n"
        "import worldreel.cli\n"
        "for words in (['--help'], ['generate', '--help'], ['--version']):\n"
        "    try:\n"
        "        worldreel.cli.main(words)\n"
        "    except SystemExit as end:\n"
        "        assert end.code == 0\n"
        "assert worldreel.cli.main(['generate', '']) == 2\n"
        "heavy = {'torch', 'numpy', 'av', 'PIL', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(worldreel.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    assert "generate" in done.stdout and worldreel.__version__ in done.stdout


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    def walk(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
        yield parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for inner in action.choices.values():
                    yield from walk(inner)

    for command in walk(cli.parser()):
        assert command.description, command.prog
        for action in command._actions:
            assert action.help or not action.option_strings, (command.prog, action)


def test_generate_says_where_how_long_and_the_seed(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["generate", "A café's cat, at night!", "--seed", "7"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("a-cafes-cat-at-night.mp4: ") and out.count("\n") == 1
    assert "seed 7" in out and "1 s" in out and not err
    assert names(elsewhere) == ["a-cafes-cat-at-night.mp4"]


def test_nothing_that_is_there_is_overwritten_unless_named(elsewhere: Path) -> None:
    for _ in range(3):
        assert cli.main(["generate", "a cat"]) == 0
    assert names(elsewhere) == ["a-cat-2.mp4", "a-cat-3.mp4", "a-cat.mp4"]
    before = (elsewhere / "a-cat.mp4").read_bytes()
    assert cli.main(["generate", "a cat", "-o", "a-cat.mp4", "--seed", "1"]) == 0
    assert (elsewhere / "a-cat.mp4").read_bytes() != before


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp", ".png"])
def test_output_by_suffix_with_the_recipe_inside(elsewhere: Path, suffix: str) -> None:
    words = ["generate", "a cat", "-o", f"cat{suffix}", "--seed", "5", "--size", "96x64"]
    assert cli.main(words) == 0
    recipe = Recipe.from_dict(extract(elsewhere / f"cat{suffix}"))
    assert (recipe.prompt, recipe.seed, recipe.width, recipe.height) == ("a cat", 5, 96, 64)
    assert len(Video.open(elsewhere / f"cat{suffix}")) == (1 if suffix == ".png" else 12)


def test_json_is_one_line_a_video(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "a cat", "--json", "-n", "2", "--seed", "3", "--aspect", "16:9"]
    assert cli.main([*words, "--contact-sheet", "sheet.png"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [a["seed"] for a in answers] == [3, 4]
    assert [a["path"] for a in answers] == ["a-cat-1.mp4", "a-cat-2.mp4"]
    for answer in answers:
        assert answer["native_size"] == "64x64" and answer["size"] == "86x64"
        assert answer["fps"] == 12 and answer["seconds"] == 1
        assert answer["contact_sheet"] == "sheet.png"
        assert Recipe.from_dict(answer["recipe"]).weights_sha256 == WEIGHTS
    assert names(elsewhere) == ["a-cat-1.mp4", "a-cat-2.mp4", "sheet.png"]


def test_the_sheet_has_a_place_of_its_own(elsewhere: Path) -> None:
    (elsewhere / "there").mkdir()
    assert cli.main(["generate", "--folder", "there", "--contact-sheet", "--", "-a cat-"]) == 0
    assert names(elsewhere / "there") == ["a-cat-sheet.png", "a-cat.mp4"]
    assert cli.main(["generate", "x", "-o", "x.png", "--contact-sheet", "x.png"]) == 2
    assert names(elsewhere) == ["there"]


def test_prompt_from_stdin(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a dog\nruns\n"))
    assert cli.main(["generate", "-", "-o", "dog.mp4"]) == 0
    assert extract(elsewhere / "dog.mp4")["prompt"] == "a dog runs"


BAD = {
    "no prompt": ["generate"],
    "empty prompt": ["generate", ""],
    "blank prompt": ["generate", " \n\t\u200b"],
    "a megabyte": ["generate", "a" * 2**20],
    "control characters": ["generate", "a \x1b[31mred\x07 cat"],
    "not UTF-8": ["generate", "caf\udce9"],
    "size that is none": ["generate", "x", "--size", "large"],
    "size too small": ["generate", "x", "--size", "8x8"],
    "size too large": ["generate", "x", "--size", "4000x4000"],
    "size too thin": ["generate", "x", "--size", "1024x128"],
    "size and aspect": ["generate", "x", "--size", "64x64", "--aspect", "1:1"],
    "aspect that is none": ["generate", "x", "--aspect", "wide"],
    "0 seconds": ["generate", "x", "--seconds", "0"],
    "minus one second": ["generate", "x", "--seconds", "-1"],
    "10000 seconds": ["generate", "x", "--seconds", "10000"],
    "seconds that are no number": ["generate", "x", "--seconds", "long"],
    "nan": ["generate", "x", "--seconds", "nan"],
    "fps": ["generate", "x", "--fps", "1000"],
    "seed": ["generate", "x", "--seed", "-1"],
    "enormous seed": ["generate", "x", "--seed", "9" * 5000],
    "steps": ["generate", "x", "--steps", "0"],
    "guidance": ["generate", "x", "--guidance", "1e9"],
    "count": ["generate", "x", "-n", "0"],
    "long png": ["generate", "x", "-o", "x.png", "--seconds", "2"],
    "unknown suffix": ["generate", "x", "-o", "x.avi"],
    "no suffix": ["generate", "x", "-o", "x"],
    "no such folder": ["generate", "x", "-o", "no/such/x.mp4"],
    "a folder": ["generate", "x", "-o", "."],
    "name too long": ["generate", "x", "-o", "x" * 5000 + ".mp4"],
    "no such folder to name it in": ["generate", "x", "--folder", "no/such"],
    "sheet of another kind": ["generate", "x", "--contact-sheet", "x.pdf"],
    "unknown option": ["generate", "x", "--colour\x1b[31m", "red"],
    "unknown command": ["paint", "x"],
    "unknown model": ["generate", "x", "--model", "sora"],
    "model that is no folder": ["generate", "x", "--model", "no/such/folder"],
    "model without weights": ["generate", "x", "--model", "."],
    "evaluation of no model": ["evaluate", "--model", "sora"],
    "recipe of nothing": ["recipe", "nothing.mp4"],
    "rerun of nothing": ["rerun", "nothing.mp4"],
    "world seed": ["world", "show", "--seed", "-1"],
    "world size": ["world", "show", "--seed", "1", "--size", "tiny"],
    "world still": ["world", "show", "--seed", "1", "-o", "x.png"],
    "world seconds": ["world", "show", "--seed", "1", "--seconds", "0"],
    "no such plan": ["train", "codec", "--plan", "none", "--folder", "run"],
    "no latents": ["train", "transformer", "--folder", "."],
    "no codec": ["train", "latents", "--folder", "."],
}


@pytest.mark.parametrize("words", BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_sentence_and_leaves_nothing(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("worldreel: ") and err.endswith(".\n")
    assert err.count("\n") == 1 and len(err) < 700 and err[:-1].isprintable()
    assert names(elsewhere) == []


@pytest.mark.parametrize("place", ["/proc/x.mp4", "/sys/x.mp4"])
def test_places_that_only_seem_writable(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path(place).parent.is_dir():
        pytest.skip("this system has no such folder")
    assert cli.main(["generate", "x", "-o", place]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_outputs_are_checked_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str = "") -> StandIn:
        raise AssertionError("loaded")

    monkeypatch.setattr(Generator, "load", fail)
    assert cli.main(["generate", "x", "-o", "no/such/x.mp4"]) == 2
    assert cli.main(["generate", "x", "--contact-sheet", "no/such/x.png"]) == 2


def test_ctrl_c_leaves_nothing(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(StandIn, "stop", KeyboardInterrupt())
    assert cli.main(["generate", "a cat"]) == 130
    assert names(elsewhere) == []
    assert "Traceback" not in capsys.readouterr().err


def test_recipe_and_rerun(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["generate", "a cat", "-o", "cat.webp", "--seed", "11", "--size", "96x64"]) == 0
    capsys.readouterr()
    assert cli.main(["recipe", "cat.webp"]) == 0
    recipe = json.loads(capsys.readouterr().out)
    assert recipe["seed"] == 11 and recipe["weights_sha256"] == WEIGHTS
    assert cli.main(["rerun", "cat.webp", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["path"] == "cat-2.webp" and again["size"] == "96x64"
    first, second = (Video.open(elsewhere / name) for name in ("cat.webp", "cat-2.webp"))
    assert torch.equal(first.frames, second.frames)


def test_rerun_with_other_weights_asks_first(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["generate", "a cat", "-o", "cat.gif"]) == 0
    monkeypatch.setattr(StandIn, "model", SimpleNamespace(sha256="cd" * 32))
    assert cli.main(["rerun", "cat.gif"]) == 2
    assert "other weights" in capsys.readouterr().err
    assert cli.main(["rerun", "cat.gif", "-o", "again.gif", "--other-weights"]) == 0
    assert names(elsewhere) == ["again.gif", "cat.gif"]


def test_world_show_renders_and_tells(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["world", "show", "--seed", "7", "--small", "--size", "96x64", "--seconds", "0.5"]
    assert cli.main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    video = Video.open(elsewhere / told["path"])
    assert (video.width, video.height, len(video)) == (96, 64, 12)
    assert set(told["captions"]) == {"prompt", "sentence", "dense"}
    assert told["facts"]["seed"] == 7 and told["facts"]["actors"]
    assert cli.main([*words, "-o", "again.mp4"]) == 0
    assert told["captions"]["dense"] in capsys.readouterr().out
    assert torch.equal(Video.open("again.mp4").frames, video.frames)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model that has learned nothing."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "small"
    codec_config = CodecConfig(fine=8, deep=8, finer=8, channels=4)
    text_config = TextConfig(width=16, heads=2, layers=1)
    config = TransformerConfig(
        width=32, layers=1, heads=2, hidden=64, channels=4, text_width=16, frequencies=32
    )
    save_model(
        folder,
        codec=Codec(codec_config).state_dict(),
        learner=Learner(text_config, config).state_dict(),
        codec_config=codec_config,
        text_config=text_config,
        config=config,
        settings=Settings(natives=((64, 64),), seconds=0.5, steps=2),
        training={},
    )
    return folder


def test_a_model_of_ones_own(
    small_model: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "a cat", "--model", str(small_model), "--seed", "1", "--json"]
    assert cli.main([*words, "-o", "a.png"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["frames"] == 1 and answer["native_size"] == "64x64"
    assert cli.main(["rerun", "a.png"]) == 0
    assert torch.equal(Video.open("a.png").frames, Video.open("a-2.png").frames)
    video = worldreel.generate("a cat", model=str(small_model), seed=2, width=96, height=64)
    assert (video.width, video.height, len(video)) == (96, 64, 6)
    assert (video.recipe or {})["seed"] == 2


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "empty card", "no card", "other card"])
def test_damaged_weights_are_refused(
    small_model: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    folder = elsewhere / "damaged"
    shutil.copytree(small_model, folder)
    weights, card = folder / "transformer.safetensors", folder / "model.json"
    data = bytearray(weights.read_bytes())
    if harm == "flip":
        data[len(data) // 2] ^= 1
        weights.write_bytes(data)
    elif harm == "cut":
        weights.write_bytes(data[: len(data) // 2])
    elif harm == "remove":
        weights.unlink()
    elif harm == "empty card":
        card.write_text("{}")
    elif harm == "no card":
        card.unlink()
    else:
        card.write_text(card.read_text().replace('"layers": 1', '"layers": 2'))
    assert cli.main(["generate", "a cat", "--model", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("worldreel: ") and err.count("\n") == 1
    assert names(elsewhere) == ["damaged"]


def test_the_python_api(elsewhere: Path) -> None:
    assert worldreel.Video is Video
    assert set(worldreel.__all__) <= set(dir(worldreel))
    with pytest.raises(AttributeError, match="nothing"):
        worldreel.nothing  # noqa: B018


def test_names() -> None:
    assert slug("A penguin's walk, at night!") == "a-penguins-walk-at-night"
    assert slug("日本") == "video" and slug("x" * 200) == "x" * 48
    long = slug("word " * 50)
    assert len(long) <= 48 and not long.endswith("-")
    assert numbered(Path("a.mp4"), 1) == [Path("a.mp4")]
    assert numbered(Path("d/a.mp4"), 10)[0] == Path("d/a-01.mp4")
    Path("a.mp4").touch()
    assert free(Path("a.mp4")) == Path("a-2.mp4") and free(Path("b.mp4")) == Path("b.mp4")
    assert [span(s) for s in (0.4, 59.4, 125, 3780)] == ["0 s", "59 s", "2 min 05 s", "1 h 03 min"]
