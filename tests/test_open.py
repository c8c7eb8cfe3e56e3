"""Open weights from end to end: a tiny pipeline of every kind, made and run by diffusers, and the
same folder run by our generator from the same noise, give the same frames. And every task works on
every kind: what is known comes back as it was."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from open_weights import IMAGE, KINDS, pipeline, save_original, text_encoder, tokenizer, with_image
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from worldreel import tasks
from worldreel.diffusion.known import Known
from worldreel.errors import RequestError, WeightsError
from worldreel.generator import Generator
from worldreel.given import known_clip, known_still
from worldreel.models.load import load_model
from worldreel.models.model import View
from worldreel.models.wan import image, text
from worldreel.models.wan.beside import told
from worldreel.models.wan.model import OpenModel, near, same_level
from worldreel.models.wan.parts import needed
from worldreel.models.wan.pipeline import load_open
from worldreel.models.wan.published import TABLE
from worldreel.models.wan.text import cleaned
from worldreel.request import Request, Shot
from worldreel.video import Video

PROMPT, NEGATIVE = "a red fox runs over the snow", "blurred grey"
FRAMES, STEPS, SIDE = 9, 5, 64
Pipes = Callable[[str], tuple[Any, Path, Path]]


def picture(seed: int) -> Image.Image:
    """Something smooth with a direction."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    waves = [np.sin(7 * x + seed), np.cos(5 * y - seed), np.sin(4 * (x + y) + 2 * seed)]
    return Image.fromarray(np.uint8(127.5 + 127 * np.stack(waves, -1)))


def noise(kind: str) -> Tensor:
    shape = (1, 48, 3, 4, 4) if kind.startswith("ti2v") else (1, 16, 3, 8, 8)
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Pipes:
    """Each kind's pipeline of theirs, its folder, and one in the original layout; made once."""
    made: dict[str, tuple[Any, Path, Path]] = {}

    def get(kind: str) -> tuple[Any, Path, Path]:
        if kind not in made:
            folder, original = (tmp_path_factory.mktemp(f"{kind}-{n}") for n in ("new", "old"))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pipe = pipeline(kind)
                pipe.save_pretrained(folder)
            save_original(pipe, kind, original)
            (original / "worldreel.json").write_text(json.dumps({"settings": {"shift": 5.0}}))
            made[kind] = pipe, folder, original
        return made[kind]

    return get


@pytest.fixture(scope="module")
def theirs(pipes: Pipes) -> Callable[[str], np.ndarray]:
    """Their frames `[T, H, W, 3]`, of 255."""
    made: dict[str, np.ndarray] = {}

    def get(kind: str) -> np.ndarray:
        if kind not in made:
            pipe, more = pipes(kind.removesuffix("-image"))[0], {}
            if kind in IMAGE or kind == "ti2v-image":
                more["image"] = picture(1)
            if kind == "flf2v":
                more["last_image"] = picture(2)
            pipe = with_image(pipe) if kind == "ti2v-image" else pipe
            if kind == "df":  # given latents are mishandled there; the same are drawn from a seed
                more |= {"latents": None, "generator": torch.Generator().manual_seed(7)}
                pipe.scheduler = copying(pipe.scheduler)
            made[kind] = np.asarray(
                pipe(
                    prompt=PROMPT, negative_prompt=NEGATIVE, height=SIDE, width=SIDE,
                    num_frames=FRAMES, num_inference_steps=STEPS, guidance_scale=3.0,
                    output_type="np", **({"latents": noise(kind)} | more),
                ).frames[0] * 255
            )  # fmt: skip
        return made[kind]

    return get


def copying(scheduler: Any) -> Any:
    """The scheduler, handed copies: theirs keeps a view of the latents that is then written to, and
    so corrects from where it went instead of where it came from."""

    class Copying(type(scheduler)):  # type: ignore[misc]
        def step(self, made: Tensor, time: Tensor, sample: Tensor, **more: Any) -> Any:
            return super().step(made, time, sample.clone(), **more)

    return Copying.from_config(scheduler.config)


def asked(fps: float, *pictures: tuple[Image.Image, int], **more: Any) -> Request:
    known = tuple(known_still(p, at=frame / fps) for p, frame in pictures)
    settings = {"width": SIDE, "height": SIDE, "steps": STEPS, "guidance": 3.0, "seed": 1}
    return Request(prompt=PROMPT, negative=NEGATIVE, seconds=FRAMES / fps, known=known,
                   **(settings | more))  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", ["diffusers", "original"])
@pytest.mark.parametrize("kind", [*KINDS, "ti2v-image"])
def test_the_frames_are_theirs(kind: str, layout: str, pipes: Pipes, theirs: Any) -> None:
    if kind == "t2v-euler" and layout == "original":
        pytest.skip("the original files name no scheduler")
    _, folder, original = pipes(kind.removesuffix("-image"))
    generator = Generator(load_model(str(original if layout == "original" else folder)))
    given = []
    if kind in IMAGE or kind == "ti2v-image":
        given.append((picture(1), 0))
    if kind == "flf2v":
        given.append((picture(2), FRAMES - 1))
    request = asked(generator.model.settings.fps, *given)
    expected = theirs(kind)
    found = generator.generate(request, noise=noise(kind)).to_numpy()
    assert found.shape == expected.shape
    assert expected.std() > 10  # or the comparison would say little
    assert np.abs(found - expected).max() <= 2


@dataclass(frozen=True)
class Watched:
    """A model that keeps every view it was shown, and what it made of it."""

    model: OpenModel
    seen: list[tuple[View, Tensor]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def denoise(self, view: View, *arguments: Any, **more: Any) -> Iterator[Any]:
        for step in self.model.denoise(view, *arguments, **more):
            assert step.latents.isfinite().all() and step.clean.isfinite().all()
            yield step
        self.seen.append((view, step.latents))


def requests(fps: float) -> dict[str, Request]:
    """One of every task."""
    frames = torch.from_numpy(np.stack([np.asarray(picture(i)) for i in range(10)]))
    clip, still = known_clip(Video(frames, fps=fps)), known_still(picture(3))
    settings: dict[str, Any] = {
        "width": SIDE,
        "height": SIDE,
        "steps": 2,
        "guidance": 2.0,
        "seed": 1,
    }
    seconds, mask = 9 / fps, np.zeros((SIDE, SIDE), bool)
    mask[:20, :30] = True
    return {
        "image": tasks.image(PROMPT, **settings),
        "animate": tasks.animate([still], PROMPT, seconds=seconds, **settings),
        "extend": tasks.extend(clip, PROMPT, seconds=seconds, **settings),
        "before": tasks.extend(clip, PROMPT, seconds=seconds, before=True, **settings),
        "fill": tasks.fill(clip, PROMPT, start=3 / fps, end=6 / fps, **settings),
        "region": tasks.fill(replace(clip, unknown=mask), PROMPT, **settings),
        "connect": tasks.connect(clip, clip, PROMPT, seconds=seconds, **settings),
        "loop": tasks.loop(clip, PROMPT, seconds=seconds, **settings),
        "edit": tasks.edit(clip, PROMPT, strength=0.6, **settings),
        "shots": tasks.storyboard(
            [Shot(prompt=PROMPT, seconds=0.5), Shot(prompt="grey snow", seconds=0.5)],
            [still],
            **settings,
        ),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_task_works_on_every_kind(kind: str, pipes: Pipes) -> None:
    model = load_model(str(pipes(kind)[1]))
    assert isinstance(model, OpenModel)
    short = replace(model, settings=replace(model.settings, longest=21 / model.settings.fps))
    for task, request in requests(model.settings.fps).items():
        watched = Watched(short, [])
        video = Generator(watched).generate(request)  # type: ignore[arg-type]
        assert video.width == video.height == SIDE and len(video.to_numpy()) == len(video)
        assert watched.seen, task
        for view, latents in watched.seen:
            still = (view.known.start == 0).expand_as(latents)
            if kind in IMAGE and (task in ("animate", "shots")):
                continue  # as published: the network paints the given frame itself
            assert torch.equal(latents[still], view.known.latents[still]), task
            if task not in ("image",):
                assert not torch.equal(latents[~still], view.known.latents[~still])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_long_video_goes_on_from_its_own_frames(kind: str, pipes: Pipes) -> None:
    model = load_model(str(pipes(kind)[1]))
    assert isinstance(model, OpenModel)
    fps = model.settings.fps
    watched = Watched(replace(model, settings=replace(model.settings, longest=21 / fps)), [])
    request = replace(asked(fps), seconds=61 / fps, steps=2)
    video = Generator(watched).generate(request)  # type: ignore[arg-type]
    assert len(video.to_numpy()) == 61
    assert len(watched.seen) > 2
    for view, latents in watched.seen[1:]:
        still = (view.known.start == 0).expand_as(latents)
        assert still.any() and torch.equal(latents[still], view.known.latents[still])


def test_known_positions_are_shown_at_the_level_of_the_others() -> None:
    """On straight lines from noise to clean the level shown is exact, wherever each began."""
    g = torch.Generator().manual_seed(0)
    clean, begun = (torch.randn(1, 2, 3, 4, 4, generator=g) for _ in range(2))
    start = torch.tensor([0.0, 0.4, 1.0])[None, None, :, None, None].expand(1, 1, 3, 4, 4)
    known = Known(latents=clean, start=start)
    shown = []

    def velocity(noisy: Tensor, noise_level: Tensor) -> Tensor:
        shown.append((noisy, noise_level))
        return noisy

    for level in (1.0, 0.7, 0.1):
        noisy = clean + level * start * (begun - clean)
        same_level(velocity, known, begun)(noisy, known.levels(level, (1, 2, 2)))
        found, told_level = shown[-1]
        assert told_level.shape == (1, 1) and float(told_level) == pytest.approx(level)
        assert torch.allclose(found, clean + level * (begun - clean), atol=1e-5)
        assert torch.equal(found[:, :, 2], noisy[:, :, 2])


def test_moments_of_long_ago_are_not_shown() -> None:
    start = torch.ones(1, 1, 6, 2, 2)
    start[:, :, :4] = 0
    known = Known(latents=torch.zeros(1, 4, 6, 2, 2), start=start)
    view = View(known=known, times=(0, 16, 32, 33, 34, 35), shots=(0,) * 6, first=False)
    assert near(view) == [2, 3, 4, 5]
    cut = replace(view, times=(0.375, 1, 2, 18, 19, 20), shots=(0, 0, 0, 1, 1, 1))
    assert near(cut) == [0, 1, 2, 3, 4, 5]


def test_what_is_known_is_told_beside(pipes: Pipes) -> None:
    """A clip's beginning, given in pixels: its latents and a mask, grey elsewhere, all held."""
    codec = load_open(pipes("i2v")[1]).codec
    frames = torch.from_numpy(np.stack([np.asarray(picture(i)) for i in range(5)]))
    signed = frames.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    latents = torch.zeros(1, 16, 4, 8, 8)
    start = torch.ones(1, 1, 4, 8, 8)
    with torch.no_grad():
        latents[:, :, :2], _ = codec.encode(signed)
        grey = torch.cat([signed, torch.zeros(1, 3, 8, SIDE, SIDE)], 2)
        expected, _ = codec.encode(grey)
    start[:, :, :2] = 0
    view = View(
        known=Known(latents=latents, start=start), times=(0, 1, 2, 3), shots=(0,) * 4, first=True,
        pictures={0: frames[:1], 1: frames[1:]},
    )  # fmt: skip
    found = told(view, codec)
    assert found.channels[0, :4].amin((0, 2, 3)).tolist() == [1, 1, 0, 0]
    assert torch.allclose(found.channels[:, 4:], expected, atol=1e-4)
    assert torch.equal(found.known.start, start)
    assert len(found.pictures) == 1 and torch.equal(found.pictures[0], frames[0])
    alone = replace(view, known=Known(latents=latents, start=torch.ones_like(start)))
    alone.known.start[:, :, 0] = 0
    assert bool((told(alone, codec).known.start == 1).all())  # as published: told, not held


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("prompt", ["", "fox", PROMPT, " ".join([PROMPT] * 90)])
def test_text_states_are_theirs(prompt: str, pipes: Pipes) -> None:
    """Without the zeros after it, which they compute and throw away."""
    found, mask = load_open(pipes("t2v")[1]).read(prompt)
    read = tokenizer()(prompt, padding="max_length", max_length=512, truncation=True,
                       return_tensors="pt")  # fmt: skip
    with torch.no_grad():
        expected = text_encoder()(read.input_ids, read.attention_mask).last_hidden_state
    expected = expected * read.attention_mask[..., None]
    assert found.shape == expected.shape == (1, 512, 24) and bool(mask.all())
    assert torch.allclose(found, expected, atol=2e-5)


@pytest.mark.filterwarnings("ignore")
def test_every_tensor_of_the_true_encoders_has_its_place() -> None:
    """Names and shapes of UMT5-XXL and ViT-H/14 (as in Wan 2.1), as transformers has them."""
    with torch.device("meta"):
        words = UMT5EncoderModel(UMT5Config(
            vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
            feed_forward_proj="gated-gelu",
        ))  # fmt: skip
        sight = CLIPVisionModel(CLIPVisionConfig(
            hidden_size=1280, intermediate_size=5120, num_hidden_layers=32,
            num_attention_heads=16, image_size=224, patch_size=14, hidden_act="gelu",
        ))  # fmt: skip
    shapes = {name: tuple(tensor.shape) for name, tensor in words.state_dict().items()}
    config, name = text._config(shapes, text._TRANSFORMERS, {})
    wanted = dict(needed(text.text_table(config, text._TRANSFORMERS, name)))
    assert (config.layers, config.heads, config.buckets) == (24, 64, 32)
    assert wanted == {n: s for n, s in shapes.items() if n != "encoder.embed_tokens.weight"}
    shapes = {name: tuple(tensor.shape) for name, tensor in sight.state_dict().items()}
    names = image._layout(shapes)
    found = image._config(shapes, names, {"num_attention_heads": 16})
    assert (found.size, found.layers, found.places) == (224, 31, 257)
    wanted = dict(needed(image.image_table(found, names)))
    left = {n for n in shapes if n not in wanted}
    assert all(shapes[n] == shape for n, shape in wanted.items())
    assert all("post_layernorm" in n or "layers.31." in n for n in left)


def test_prompts_are_cleaned() -> None:
    assert cleaned("  a “red”\n fox&amp;amp;hare’s ") == 'a "red" fox&hare\'s'


def test_read_once_and_out_of_the_memory(pipes: Pipes) -> None:
    model = load_open(pipes("t2v")[1])
    first, _ = model.read(PROMPT)
    model.reader.release()
    assert model.reader._network is None
    again, _ = model.read(PROMPT)
    assert torch.equal(first, again) and model.reader._network is None
    model.read("grey")
    assert model.reader._network is not None


def test_settings_are_as_published(pipes: Pipes) -> None:
    experts = load_open(pipes("t2v-experts")[2])
    assert [e.above for e in experts.experts] == [0.875, 0.0]
    assert experts.experts[1].guidance == 3.0 and experts.settings.guidance == 4.0
    assert experts.settings.steps == 40 and experts.settings.shift == 5.0  # its own, from the file
    assert load_open(pipes("t2v-euler")[1]).solver == "euler"
    five = load_open(pipes("ti2v")[2]).settings
    assert (five.fps, round(five.seconds * five.fps), five.natives[0]) == (24, 121, (1280, 704))
    for published in TABLE.values():
        step = published.settings.step
        assert step is not None
        assert all(w % step == h % step == 0 for w, h in published.settings.natives)
        assert round(published.settings.seconds * published.settings.fps) % 4 == 1


def test_the_command_line_runs_them_and_needs_no_transformers(pipes: Pipes, tmp_path: Path) -> None:
    folder, target = pipes("t2v")[1], tmp_path / "fox.mp4"
    told_to = ["generate", PROMPT, "--model", str(folder), "--size", "64x64", "--seconds", "0.3",
               "--steps", "2", "--seed", "4", "--json", "-o", str(target)]  # fmt: skip
    code = (
        "import sys; from worldreel.cli import main; code = main(sys.argv[1:]);"
        "odd = {'diffusers', 'transformers'} & set(sys.modules);"
        "assert not odd, odd; sys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *told_to], capture_output=True, text=True, check=False,
        env={"WORLDREEL_HOME": str(tmp_path / "home"), "PATH": "", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    assert target.is_file() and answer["native_size"] == "64x64" and answer["fps"] == 16


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("vae", "no codec"),
        ("text_encoder", "no text encoder"),
        ("transformer", "no transformer"),
        ("tokenizer", "tokenizer.json"),
    ],
)
def test_what_is_missing_is_said(broken: str, says: str, pipes: Pipes, tmp_path: Path) -> None:
    for part in pipes("t2v")[1].iterdir():
        if part.name != broken:
            (tmp_path / part.name).symlink_to(part)
    with pytest.raises(WeightsError, match=says):
        load_open(tmp_path)


def test_what_does_not_fit_is_said(pipes: Pipes, tmp_path: Path) -> None:
    for part in pipes("t2v")[1].iterdir():
        if part.name not in ("scheduler", "vae"):
            (tmp_path / part.name).symlink_to(part)
    (tmp_path / "vae").symlink_to(pipes("ti2v")[1] / "vae")
    with pytest.raises(WeightsError, match="codec's channels: 48; the transformer needs 16"):
        load_open(tmp_path)
    (tmp_path / "vae").unlink()
    (tmp_path / "vae").symlink_to(pipes("t2v")[1] / "vae")
    (tmp_path / "scheduler").mkdir()
    card = tmp_path / "scheduler" / "scheduler_config.json"
    karras = {"_class_name": "UniPCMultistepScheduler", "use_karras_sigmas": True}
    for scheduler in ({"_class_name": "DDIMScheduler"}, karras):
        card.write_text(json.dumps(scheduler))
        with pytest.raises(WeightsError, match="UniPC or Euler"):
            load_open(tmp_path)
    card.unlink()
    (tmp_path / "worldreel.json").write_text(json.dumps({"settings": {"stepps": 3}}))
    with pytest.raises(WeightsError, match="no setting stepps"):
        load_open(tmp_path)


def test_a_picture_given_to_a_text_network_is_held(pipes: Pipes) -> None:
    """Known latents come back bit for bit, and the rest takes note of them."""
    model = load_open(pipes("t2v")[1])
    g = torch.Generator().manual_seed(3)
    start = torch.ones(1, 1, 3, 8, 8)
    start[:, :, 0] = 0
    text, other = model.read(PROMPT), model.read(NEGATIVE)
    ends = []
    for _ in range(2):
        given = torch.randn(1, 16, 3, 8, 8, generator=g)
        view = View(known=Known(latents=given, start=start), times=(0.375, 1, 2), shots=(0,) * 3,
                    first=True)  # fmt: skip
        *_, last = model.denoise(view, [text], other, noise("t2v"), steps=3, guidance=3.0)
        assert torch.equal(last.latents[:, :, 0], given[:, :, 0])
        ends.append(last.latents[:, :, 1:])
    assert not torch.allclose(ends[0], ends[1], atol=1e-2)


def test_few_step_weights_take_their_own_steps(pipes: Pipes, tmp_path: Path) -> None:
    folder = tmp_path / "FastWan-tiny"
    folder.symlink_to(pipes("ti2v")[1])
    model = load_open(folder)
    assert model.settings.steps == 3 and model.settings.guidance == 1.0
    view = View(known=Known.nothing((1, 48, 3, 4, 4)), times=(0.375, 1, 2), shots=(0,) * 3,
                first=True)  # fmt: skip
    text = model.read(PROMPT)
    made = list(model.denoise(view, [text], text, noise("ti2v"), steps=3, guidance=1.0))
    assert len(made) == 3 and made[-1].latents.isfinite().all()
    with pytest.raises(RequestError, match="4 steps"):
        list(model.denoise(view, [text], text, noise("ti2v"), steps=4, guidance=1.0))
