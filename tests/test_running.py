"""How a model is run, as a person asks for it: caches, 8 bits, streamed blocks, one call for both
sides of guidance. What changes frames is in the recipe, and a rerun gives the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from open_weights import pipeline
from test_generator import write_model
from torch import Tensor

from worldreel.cli import main
from worldreel.diffusion.caching import Cached, EasyCache, MagCache, rule
from worldreel.errors import RequestError, WeightsError
from worldreel.evaluate.machine import magnitudes
from worldreel.generator import Finished, Generator
from worldreel.models import memory
from worldreel.models.load import keep, load_model, settings_of
from worldreel.models.quantised import Float8Linear
from worldreel.models.running import Running, device_of
from worldreel.models.wan.model import OpenModel
from worldreel.models.wan.placing import Placing, placing
from worldreel.recipe import Recipe, extract
from worldreel.request import Caching, Request

Folders = Callable[[str], Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A tiny model of our own ("own") and of each kind of open weights; made once."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            if kind == "own":
                write_model(made[kind])
            else:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    pipeline(kind).save_pretrained(made[kind])
        return made[kind]

    return get


def asked(folder: Path, **more: Any) -> Request:
    size = 64 if (folder / "vae").is_dir() else 128
    settings = {"seconds": 0.5, "steps": 6, "seed": 3, "width": size, "height": size}
    return Request(prompt="a red fox", model=str(folder), **(settings | more))


def frames(generator: Generator, request: Request) -> Tensor:
    return generator.generate(request).frames[:].float()


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("easy", EasyCache(threshold=0.05)),
        ("easy:0.2", EasyCache(threshold=0.2)),
        ("mag:0.3", MagCache(ratios=(1.0, 0.9), threshold=0.3)),
    ],
)
def test_how_a_cache_is_typed(typed: str, means: EasyCache | MagCache) -> None:
    caching = Request(prompt="x", cache=typed).caching
    assert caching is not None
    assert rule(replace(caching, ratios=(1.0, 0.9))) == means


@pytest.mark.parametrize("typed", ["", "tea", "easy:", "easy:much", "easy:nan", "mag:2", "easy:-1"])
def test_what_is_typed_wrong_is_said(typed: str) -> None:
    if typed == "easy:":
        assert Request(prompt="x", cache=typed).caching == Caching(method="easy", threshold=0.05)
        return
    with pytest.raises(RequestError, match="cache"):
        Request(prompt="x", cache=typed)
    with pytest.raises(RequestError, match="memory or speed"):
        Request(prompt="x", fp8="yes")


@pytest.mark.parametrize("kind", ["own", "t2v", "ti2v", "df", "i2v-experts"])
def test_a_cache_skips_steps_of_every_kind(kind: str, folders: Folders) -> None:
    """At a threshold of 0 it changes nothing; above, steps are spared, and the recipe says how."""
    generator = Generator(load_model(str(folders(kind))))
    plain = frames(generator, asked(folders(kind)))
    assert torch.equal(frames(generator, asked(folders(kind), cache="easy:0")), plain)
    *_, event = generator.stream(asked(folders(kind), cache="easy:1"))
    assert isinstance(event, Finished)
    spared = re.fullmatch(r"the cache spared (\d) of 6 steps", event.notes[-1])
    assert spared is not None and 1 <= int(spared[1]) <= 4  # the first and the last never are
    assert not torch.equal(event.video.frames[:].float(), plain)
    recipe = Recipe.from_dict(event.video.recipe or {})
    assert recipe.cache == {"method": "easy", "threshold": 1.0}
    again = frames(generator, recipe.request())
    assert torch.equal(again, event.video.frames[:].float())


@pytest.mark.parametrize("kind", ["own", "t2v"])
def test_what_mag_goes_by_is_measured_and_kept(kind: str, folders: Folders, tmp_path: Path) -> None:
    for part in folders(kind).iterdir():
        (tmp_path / part.name).symlink_to(part)
    name, card = str(tmp_path), tmp_path / ("model.json" if kind == "own" else "worldreel.json")
    if card.exists():
        text = card.read_text()
        card.unlink()
        card.write_text(text)
    generator = Generator(load_model(name))
    short = replace(generator.model.settings, steps=6, seconds=0.4)
    generator.model = replace(generator.model, settings=short)  # type: ignore[type-var]
    with pytest.raises(RequestError, match="--magnitudes"):
        generator.generate(asked(tmp_path, cache="mag"))
    told: list[float] = []
    natives = ((64, 64),) if kind == "t2v" else short.natives
    generator.model = replace(generator.model, settings=replace(short, natives=natives))  # type: ignore[type-var]
    ratios = magnitudes(
        generator, prompts=["a fox", "snow"], tell=lambda done, _: told.append(done)
    )
    assert len(ratios) == 6 and ratios[0] == 1.0 and told[-1] == 1.0
    assert all(0.1 < ratio < 10 for ratio in ratios)
    keep(name, ratios)
    assert settings_of(name) == replace(settings_of(name), magnitudes=ratios)
    generator = Generator(load_model(name))
    plain = frames(generator, asked(tmp_path))
    video = generator.generate(asked(tmp_path, cache="mag:1"))
    assert not torch.equal(video.frames[:].float(), plain)
    recipe = Recipe.from_dict(video.recipe or {})
    assert recipe.cache["ratios"] == list(ratios)
    keep(name, [1.0] * 6)  # a recipe goes by what its video went by
    other = Generator(load_model(name))
    assert torch.equal(frames(other, recipe.request()), video.frames[:].float())


def test_few_step_weights_have_no_step_to_spare(folders: Folders, tmp_path: Path) -> None:
    fast = tmp_path / "FastWan-tiny"
    fast.symlink_to(folders("ti2v"))
    with pytest.raises(RequestError, match="in 3 steps; a cache needs more"):
        Generator(load_model(str(fast))).generate(asked(fast, steps=3, cache="easy"))


@pytest.mark.parametrize("kind", ["own", "t2v-experts"])
def test_eight_bits_are_close_and_the_recipe_tells_of_them(kind: str, folders: Folders) -> None:
    folder = folders(kind)
    plain = frames(Generator(load_model(str(folder))), asked(folder))
    eight = Generator.load(str(folder), fp8="memory")
    model: Any = eight.model
    video = eight.generate(asked(folder, fp8="memory"))
    for network in [e.ready for e in model.experts] if kind != "own" else [model.transformer]:
        assert isinstance(network.blocks[0].attention.qkv, Float8Linear)
    made = video.frames[:].float()
    assert 0 < float((made - plain).abs().mean()) < 8
    recipe = Recipe.from_dict(video.recipe or {})
    assert recipe.fp8 == "memory"
    assert torch.equal(frames(eight, recipe.request()), made)
    with pytest.raises(RequestError, match="load the model with the same"):
        eight.generate(asked(folder))


@pytest.mark.parametrize("kind", ["own", "t2v-experts"])
def test_streamed_blocks_make_the_same_frames(kind: str, folders: Folders) -> None:
    folder = folders(kind)
    plain = frames(Generator.load(str(folder)), asked(folder))
    streamed = Generator.load(str(folder), offload=True)
    assert torch.equal(frames(streamed, asked(folder)), plain)
    both = Generator.load(str(folder), offload=True, fp8="speed")
    eight = Generator.load(str(folder), fp8="speed")
    request = asked(folder, fp8="speed")
    assert torch.equal(frames(both, request), frames(eight, request))


@pytest.mark.parametrize("kind", ["t2v", "i2v", "ti2v", "df", "i2v-experts"])
def test_both_sides_of_guidance_in_one_call(
    kind: str, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folders(kind)
    generator = Generator(load_model(str(folder)))
    plain = frames(generator, asked(folder, guidance=3.0))
    monkeypatch.setattr(OpenModel, "_paired", lambda model, noise: True)
    assert float((frames(generator, asked(folder, guidance=3.0)) - plain).abs().max()) <= 1


def test_commands_take_them_and_a_rerun_is_equal(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, again = tmp_path / "a.png", tmp_path / "b.png"
    command = ["image", "a red fox", "--model", str(folders("t2v")), "--size", "64x64", "--seed"]
    command += ["1", "--steps", "8", "--cache", "easy:0.9", "--fp8", "memory", "--offload"]
    assert main([*command, "--device", "cpu", "-o", str(made), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "of 8 steps" in answer["notes"][0]
    recipe = extract(made)
    assert (recipe["fp8"], recipe["cache"]["threshold"]) == ("memory", 0.9)
    assert main(["rerun", str(made), "-o", str(again)]) == 0
    from PIL import Image

    pictures = [Image.open(path).tobytes() for path in (made, again)]
    assert pictures[0] == pictures[1]
    capsys.readouterr()
    for wrong, says in (
        (["--device", "tpu"], 'the device is "tpu"'),
        (["--device", "cuda:99"], "CUDA device"),
        (["--compile", "--device", "cpu"], "on a GPU alone"),
        (["--cache", "warm"], 'the cache is "warm"'),
    ):
        assert main([*command, "-o", str(made), *wrong]) == 2
        assert says in capsys.readouterr().err


def test_the_device_is_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, device in ((0, "cpu"), (2, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda there=there: there)
        assert device_of("auto") == torch.device(device)
    assert device_of("cuda:1") == torch.device("cuda:1")
    with pytest.raises(RequestError, match="2 CUDA devices here"):
        device_of("cuda:2")
    compiled = Running(device=torch.device("cuda"), compiled=True)
    assert compiled.compiled


def test_a_model_is_ready_before_torch_has_imported_its_compiler(folders: Folders) -> None:
    """It takes longer to import than all else together, and torch does so for an empty tensor."""
    program = (
        "import sys; from worldreel.models.load import load_model\n"
        "model = load_model(sys.argv[1]); model.read('a fox'); model.experts[0].ready\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(folders("i2v"))]
    assert subprocess.run(command, check=False).returncode == 0


def test_a_cached_velocity_is_asked_no_more_than_told() -> None:
    asked_for = []

    def velocity(noisy: Tensor, noise_level: Tensor) -> Tensor:
        asked_for.append(noise_level)
        return -noisy

    cached = Cached(velocity, rule(Caching(method="easy", threshold=1.0)), steps=10)
    x = torch.ones(1, 2, 1, 2, 2)
    for step in range(10):
        x = x + 0.01 * cached(x, torch.full((1, 1), 1 - step / 10))
    assert (cached.asked, cached.skipped) == (len(asked_for), 10 - len(asked_for)) == (3, 7)


def test_what_does_not_fit_onto_a_gpu_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a GPU of so much memory, two transformers of 28 (in GB) and a text encoder of 11."""
    free = {"cuda": 0, "cpu": 200}
    monkeypatch.setattr(memory, "free", lambda device: free[torch.device(device).type] << 30)

    def places(gpu: int, **more: Any) -> Placing:
        free["cuda"] = gpu
        sizes = [28 << 30] * 2
        running = Running(device=torch.device("cuda"), **more)
        return placing(running, sizes, text=11 << 30, others=1 << 30, work=6 << 30)

    whole = places(80)
    assert whole.read_to == whole.text == whole.running.device and not whole.streamed
    assert places(80, offload=True).streamed
    eight = places(48, fp8="memory")  # read to the host first, to be made smaller there
    assert not eight.streamed and (eight.read_to.type, eight.text.type) == ("cpu", "cuda")
    half = places(24)
    assert half.streamed and half.read_to.type == "cpu" and half.text.type == "cuda"
    # What is left of 24 beside 1 and the work's 6 is shared by two, and each has the work's 6.
    assert half.room == ((24 - 1 - 6) << 30) // 2 + (6 << 30)
    assert places(12).text.type == "cpu"
    free["cpu"] = 40
    with pytest.raises(WeightsError, match=r"60\.1 GB"):
        places(24)
    with pytest.raises(WeightsError, match=r"61\.2 GB"):
        placing(Running(), [28 << 30] * 2, text=11 << 30, others=1 << 30, work=0)
